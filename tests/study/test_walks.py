"""Measures of walks against cases whose answer is known."""

import pytest
import torch

from hw2 import load
from hw2.latent import lerp, path_positions
from hw2.study import walks


def test_strokes_counts_pieces_in_each_image():
    images = torch.zeros(6, 1, 28, 28)
    images[0, 0, 3:8, 3] = 1  # one bar
    images[1, 0, [2, 3, 4], [2, 3, 4]] = 1  # a diagonal holds together
    images[2, 0, 2, 2] = images[2, 0, 9, 9] = 1
    images[4] = 1  # all of it, after an empty one
    images[5, 0, ::4, :] = 1
    assert walks.strokes(images).tolist() == [1, 1, 2, 0, 1, 7]


def test_a_dim_stroke_is_not_a_broken_one():
    images = torch.zeros(2, 1, 28, 28)
    images[0, 0, 5, 3:20] = torch.linspace(0.2, 0.3, 17)
    images[1] = 3 * images[0]
    assert walks.strokes(images).tolist() == [1, 1]


@pytest.mark.parametrize("steps", [2, 4])
def test_a_walk_without_a_middle_is_refused(steps):
    with pytest.raises(ValueError, match=f"odd.*got {steps}"):
        walks.measure(torch.rand(steps, 2, 1, 28, 28), torch.rand(5, 64))


def test_strokes_takes_the_threshold():
    images = torch.zeros(1, 1, 28, 28)
    images[0, 0, 5, :] = 0.4
    images[0, 0, 5, :3] = images[0, 0, 5, -3:] = 0.9
    assert walks.strokes(images).item() == 2
    assert walks.strokes(images, threshold=0.3).item() == 1


def test_grey_share_is_of_the_inked_pixels():
    images = torch.zeros(2, 1, 28, 28)
    images[0, 0, 0, :4] = torch.tensor([1.0, 1.0, 1.0, 0.5])
    assert walks.grey_share(images).tolist() == [0.25, 0]


def test_detour_of_straight_and_bent_paths():
    straight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [4.0, 0.0]])
    bent = torch.tensor([[0.0, 0.0], [0.0, 3.0], [0.0, 3.0], [4.0, 3.0]])
    path = torch.stack([straight, bent], 1)
    torch.testing.assert_close(walks.detour(path), torch.tensor([1, 7 / 5]))
    with pytest.raises(ValueError, match="flatten"):
        walks.detour(path[..., None])


def test_labels_on_the_way():
    labels = torch.tensor([[4, 4, 4], [4, 9, 6], [6, 9, 4], [6, 6, 6]])
    assert walks.third_labels(labels).tolist() == [False, True, False]


@pytest.fixture(scope="module")
def mnist():
    return load("mnist", "test")


def test_measure_sees_that_a_blend_shows_two_digits(mnist):
    path = lerp(mnist.images[:40], mnist.images[40:80], path_positions(5))
    measured = walks.measure(path, walks.features(mnist.images[:80]))
    assert measured.broken_more > 0.3
    assert measured.far_ends == pytest.approx(0, abs=0.05)  # the ends are among the real ones
    assert measured.far > 1
    assert 0 <= measured.third <= 1
    assert walks.table({"blend": measured}).count("\n") == 1


def test_a_pair_that_is_one_image_twice_is_named(mnist):
    x = mnist.images[:5]
    with pytest.raises(ValueError, match=r"pairs \[2\]"):
        walks.measure(
            lerp(x, x.roll(1, 0).index_copy(0, torch.tensor([2]), x[[2]]), path_positions(3)), torch.rand(9, 64)
        )


def test_ink_begins_at_a_tenth_and_bright_at_nine_tenths():
    images = torch.zeros(1, 1, 28, 28)
    images[0, 0, 0, :4] = torch.tensor([0.05, 0.15, 0.85, 0.95])
    assert walks.grey_share(images).item() == pytest.approx(2 / 3)


def test_a_walks_middle_is_held_against_both_its_ends():
    """From one bright piece to two, both grey in the middle."""
    path = torch.zeros(3, 2, 1, 28, 28)
    path[:, :, 0, 5, 5:9] = torch.tensor([1.0, 0.5, 1.0]).view(3, 1, 1)
    path[:, :, 0, 20, 5:9] = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1)
    measured = walks.measure(path, torch.rand(9, 64))
    assert (measured.broken, measured.broken_more) == (1, 0.5)
    assert (measured.grey, measured.grey_ends) == (1, 0)


def test_a_row_of_the_table_has_the_ends_in_brackets():
    row = walks.Walks(0.5, 0.25, far=7.5, far_ends=2.5, third=0.125, detour=1.75, grey=0.6, grey_ends=0.2)
    words = walks.table({"AE": row}).splitlines()[1].split()
    assert words == ["AE", *["50", "%", "(25", "%)", "7.5", "(2.5)", "12", "%", "1.75", "60", "%", "(20", "%)"]]


def test_a_walks_detour_is_in_the_judges_features(mnist):
    path = lerp(mnist.images[:9], mnist.images[9:18], path_positions(5))
    found = walks.features(path.flatten(0, 1)).unflatten(0, (5, 9))
    assert walks.measure(path, found[0]).detour == pytest.approx(walks.detour(found).median().item())

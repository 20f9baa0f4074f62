"""Simple classifiers of codes, on codes whose answer is known."""

import math

import pytest
import torch

from hw2 import AutoEncoder, Digits, codes, load
from hw2.study.probes import PROBES, probe_accuracy


@pytest.fixture(scope="module")
def mnist():
    return load("mnist", "test")


@pytest.mark.slow
@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("standardised", [False, True])
def test_probes_read_codes_that_tell_the_classes_and_not_shuffled_labels(kind, standardised, mnist):
    train, test = mnist[:1500], mnist[1500:3000]
    shuffled = Digits(train.images, train.labels[torch.randperm(1500, generator=torch.Generator().manual_seed(0))])

    codes, test_codes = train.images.flatten(1), test.images.flatten(1)
    assert probe_accuracy(kind, codes, train.labels, test_codes, test.labels, standardised) > 0.75
    assert probe_accuracy(kind, codes, shuffled.labels, test_codes, test.labels, standardised) < 0.25


def test_probe_uses_the_codes_it_is_given(mnist):
    blind = codes(AutoEncoder(2, hidden=(4,)), mnist.images[:1500])
    labels = mnist.labels[:1500]
    assert probe_accuracy("linear", blind[:500], labels[:500], blind[500:], labels[500:]) < 0.5


def test_standardised_codes_count_each_coordinate_alike():
    """One coordinate in a unit a thousand times larger than that of the one which tells the classes."""
    labels = torch.arange(400) % 2
    codes = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1000.0, 0.1])
    codes[:, 1] += labels
    plain, standardised = (
        probe_accuracy("neighbours", codes[:200], labels[:200], codes[200:], labels[200:], scaled)
        for scaled in (False, True)
    )
    assert plain < 0.7
    assert standardised > 0.9


def test_unknown_probe(digits):
    codes = digits.images.flatten(1)
    with pytest.raises(ValueError, match="tree"):
        probe_accuracy("tree", codes, digits.labels, codes, digits.labels)


def test_neighbours_is_the_vote_of_five():
    """Of one, three or seven it would be another."""
    codes = torch.tensor([[0.0], [0.1], [1.0], [1.1], [1.2], [2.0], [2.1]])
    labels = torch.tensor([1, 1, 0, 0, 0, 1, 1])
    assert probe_accuracy("neighbours", codes, labels, torch.zeros(1, 1), torch.tensor([0])) == 1


@pytest.mark.slow
@pytest.mark.parametrize("standardised", [False, True])
def test_neighbours_are_those_of_scikit_learn(standardised, mnist):
    """Of few labels too, where many votes are undecided; in two dimensions, where neighbours are near; and far out."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    pixels = mnist.images.flatten(1)
    plane = pixels @ torch.randn(784, 2, generator=torch.Generator().manual_seed(0))
    for given in (pixels, plane, plane + 1e3):
        for n in (20, 2000):
            scaler = StandardScaler().fit(given[:n]) if standardised else None
            z, z_test = ((scaler.transform(c) if scaler else c.numpy()) for c in (given[:n], given[2000:4000]))
            labels, test_labels = mnist.labels[:n], mnist.labels[2000:4000]
            expected = KNeighborsClassifier(5).fit(z, labels.numpy()).score(z_test, test_labels.numpy())
            got = probe_accuracy("neighbours", given[:n], labels, given[2000:4000], test_labels, standardised)
            assert got == pytest.approx(expected, abs=0.002)


def rows(n, *shape):
    return torch.arange(float(n * math.prod(shape))).reshape(n, *shape)


NAN = torch.full((20, 3), torch.nan)


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize(
    ("z", "y", "z_test", "y_test", "says"),
    [
        (rows(4, 3), torch.arange(4), rows(9, 3), torch.arange(9), "4 sample.*minimum of 5"),
        (rows(20, 3), torch.arange(19), rows(9, 3), torch.arange(9), r"\[20, 19\]"),
        (rows(20, 3), torch.arange(20), rows(9, 3), torch.arange(1), r"\[9, 1\]"),
        (rows(20, 3), torch.arange(20), rows(0, 3), torch.arange(0), "0 sample"),
        (rows(20, 3, 1), torch.arange(20), rows(9, 3), torch.arange(9), "dim 3"),
        (NAN, torch.arange(20), rows(9, 3), torch.arange(9), "NaN"),
        (rows(20, 3), torch.arange(20), NAN[:9], torch.arange(9), "NaN"),
        (rows(20, 3), torch.arange(20), rows(9, 2), torch.arange(9), "has 2 features.*expecting 3"),
    ],
)
def test_what_is_no_code_and_label_is_said(kind, z, y, z_test, y_test, says):
    with pytest.raises(ValueError, match=says):
        probe_accuracy(kind, z, y, z_test, y_test)


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64])
def test_codes_of_another_type_count_alike(kind, dtype):
    codes, labels = torch.arange(40).repeat_interleave(3).reshape(40, 3), (torch.arange(40) // 20).to(torch.uint8)
    assert probe_accuracy(kind, codes.to(dtype), labels, codes.float(), labels.long()) == 1

"""Where the strips begin and end, that paths are what they are called, and that pictures are pictures."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hw2.latent
from hw2 import VAE, AutoEncoder, TrainConfig, blend, codes, decode, fit, interpolate, reconstruct, sample_prior
from hw2.latent import lerp, path_positions, slerp, traverse

MODELS = [(AutoEncoder, "mlp"), (VAE, "mlp"), (AutoEncoder, "conv"), (VAE, "conv")]


@pytest.fixture(scope="module", params=MODELS, ids=lambda p: f"{p[0].__name__}-{p[1]}")
def model(request, digits):
    """A little trained, so that different codes give visibly different images."""
    kind, arch = request.param
    model = kind(3, arch, (32,) if arch == "mlp" else (4, 4, 8, 8))
    fit(model, digits, TrainConfig(beta=1e-6, epochs=30, batch_size=16, lr=5e-3), progress=False)
    x = reconstruct(model, digits.images)
    assert (x[0] - x[1]).abs().max() > 0.05
    return model


def seeded(seed):
    return torch.Generator().manual_seed(seed)


# Codes and images


def test_reconstruction_is_the_decoded_posterior_mean(model, digits):
    x = digits.images
    with torch.no_grad():
        z = model.encode(x).mu if isinstance(model, VAE) else model.encode(x)
        by_hand = torch.sigmoid(model.decode(z))
    torch.testing.assert_close(codes(model, x), z)
    torch.testing.assert_close(reconstruct(model, x), by_hand)
    assert torch.equal(reconstruct(model, x), reconstruct(model, x))


def test_codes_of_many_images_are_those_of_each(model, make_digits):
    many = make_digits(1003)
    z = codes(model, many.images)
    assert z.shape == (1003, 3)
    for i in (0, 999, 1000, 1002):
        torch.testing.assert_close(z[i : i + 1], codes(model, many.images[i : i + 1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("use", [codes, reconstruct])
def test_images_that_are_none_are_refused(use, model, digits):
    with pytest.raises(ValueError, match="255"):
        use(model, digits.images * 255)
    with pytest.raises(TypeError, match="uint8"):
        use(model, (digits.images * 255).byte())


@pytest.mark.parametrize("method", ["linear", "slerp"])
def test_everything_decoded_is_an_image(method, model, digits):
    a, b = digits.images[:2]
    pictures = [
        reconstruct(model, digits.images),
        sample_prior(model, 20, seeded(0)),
        decode(model, torch.tensor([[1e4, -1e4, 0.0]])),
        interpolate(model, a, b, 5, method),
        traverse(model, a, 0, torch.linspace(-50, 50, 9)),
    ]
    for images in pictures:
        assert images.shape[1:] == (1, 28, 28)
        assert images.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        assert not images.requires_grad


# Samples


def test_sample_prior_is_repeatable_and_decided_by_its_generator(model, global_rng_untouched):
    first, again, other = (sample_prior(model, 8, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_sample_prior_decodes_a_standard_normal():
    model = AutoEncoder(784, hidden=())
    model.decoder = torch.nn.Unflatten(1, (1, 28, 28))
    z = sample_prior(model, 50_000, seeded(0)).logit().flatten(1)[:, :6]
    torch.testing.assert_close(z.mean(0), torch.zeros(6), rtol=0, atol=0.03)
    torch.testing.assert_close(z.T.cov(), torch.eye(6), rtol=0, atol=0.04)


def test_a_decoder_of_another_shape_is_said():
    model = AutoEncoder(6, hidden=())
    model.decoder = torch.nn.Linear(6, 784)
    with pytest.raises(ValueError, match=r"decode must give logits \(3, 1, 28, 28\), this model gives \(3, 784\)"):
        sample_prior(model, 3, seeded(0))


def test_a_model_in_double_precision_is_looked_at_in_its_own(digits):
    model = VAE(3, hidden=(8,))
    single = reconstruct(model, digits.images[:4])
    double = reconstruct(model.double(), digits.images[:4])
    assert double.dtype == torch.float32
    torch.testing.assert_close(double, single, rtol=0, atol=1e-5)


def test_beyond_its_ends_an_arc_goes_on(digits):
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    torch.testing.assert_close(
        hw2.latent.slerp(a, b, torch.tensor([2.0])), torch.tensor([[-1.0, 0.0]]), rtol=0, atol=1e-6
    )


def test_a_grid_is_read_from_the_largest_z2_and_its_cells_fill_the_square():
    z = hw2.latent.grid(3, 3)
    assert z.tolist() == [[a, b] for b in (2, 0, -2) for a in (-2, 0, 2)]


def test_one_seed_gives_the_same_z_to_every_model():
    """Two kinds of encoder, one decoder: the same pictures."""
    ae, vae = AutoEncoder(5, "conv", (2, 3, 4, 5)), VAE(5, hidden=(8,))
    ae.decoder = copy.deepcopy(vae.decoder)
    assert torch.equal(sample_prior(ae, 6, seeded(3)), sample_prior(vae, 6, seeded(3)))


@pytest.mark.parametrize("n", [0, -1])
def test_sample_prior_of_nothing_is_refused(n, model):
    with pytest.raises(ValueError, match=f"n must be an integer >= 1.*got {n}"):
        sample_prior(model, n, seeded(0))


# Interpolation


@pytest.mark.parametrize("method", ["linear", "slerp"])
@pytest.mark.parametrize("steps", [2, 3, 7, 12])
def test_both_ends_of_a_strip_are_the_reconstructions(method, steps, model, digits):
    a, b = digits.images[:2]
    strip = interpolate(model, a, b, steps, method)
    assert strip.shape == (steps, 1, 28, 28)
    ends = reconstruct(model, torch.stack([a, b]))
    torch.testing.assert_close(strip[[0, -1]], ends)
    assert not torch.allclose(ends[0], ends[1], atol=0.05)


@pytest.mark.parametrize("method", ["linear", "slerp"])
def test_a_strip_moves_at_every_step_and_backwards_is_the_same_strip(method, model, digits):
    a, b = digits.images[:2]
    strip = interpolate(model, a, b, 7, method)
    assert ((strip[1:] - strip[:-1]).abs().amax((1, 2, 3)) > 1e-3).all()
    torch.testing.assert_close(interpolate(model, b, a, 7, method), strip.flip(0), rtol=1e-4, atol=1e-4)


def test_linear_is_evenly_spaced_in_the_latent_space_and_the_default(model, digits):
    a, b = digits.images[:2]
    z_a, z_b = codes(model, torch.stack([a, b]))
    by_hand = torch.stack([z_a + (z_b - z_a) * i / 4 for i in range(5)])
    strip = interpolate(model, a, b, 5)
    torch.testing.assert_close(strip, decode(model, by_hand), rtol=1e-4, atol=1e-5)
    assert torch.equal(strip, interpolate(model, a, b, 5, "linear"))
    assert interpolate(model, a, b).shape[0] == 7


def test_slerp_takes_another_way_than_linear(model, digits):
    a, b = digits.images[:2]
    middles = (interpolate(model, a, b, 3, method)[1] for method in ("linear", "slerp"))
    assert not torch.allclose(*middles, atol=1e-4)


def test_interpolation_takes_images_with_a_batch_of_one(model, digits):
    a, b = digits.images[:2]
    torch.testing.assert_close(interpolate(model, a[None], b[None]), interpolate(model, a, b))


@pytest.mark.parametrize("function", [lambda m, a, b, steps: interpolate(m, a, b, steps),
                                      lambda m, a, b, steps: blend(a, b, steps)])  # fmt: skip
@pytest.mark.parametrize("steps", [1, 0, -7])
def test_fewer_than_two_steps_are_refused(function, steps, model, digits):
    with pytest.raises(ValueError, match=f"at least 2.*got {steps}"):
        function(model, digits.images[0], digits.images[1], steps)


@pytest.mark.parametrize("method", ["Linear", "spherical", "", None])
def test_unknown_method_is_refused_and_the_known_are_named(method, model, digits):
    with pytest.raises(ValueError, match=f"{method!r}.*linear, slerp"):
        interpolate(model, *digits.images[:2], method=method)


@pytest.mark.parametrize("shape", [(28, 28), (2, 1, 28, 28), (784,), (0, 1, 28, 28)])
@pytest.mark.parametrize("first", [True, False])
def test_what_is_not_one_image_is_refused(shape, first, model, digits):
    pair = (torch.zeros(shape), digits.images[0])
    with pytest.raises(ValueError, match="one image each.*" + ", ".join(map(str, shape))):
        interpolate(model, *(pair if first else pair[::-1]))


def test_blend_cross_fades_the_pixels(digits):
    a, b = digits.images[:2]
    strip = blend(a, b, 5)
    assert strip.shape == (5, 1, 28, 28)
    for i in range(5):
        torch.testing.assert_close(strip[i], a * (4 - i) / 4 + b * i / 4)
    assert torch.equal(blend(a[None], b[None], 5), strip)
    assert 0 <= strip.min() <= strip.max() <= 1


@pytest.mark.parametrize("steps", [2, 5, 100])
def test_positions_are_even_and_include_both_ends(steps):
    t = path_positions(steps)
    assert t.shape == (steps,)
    assert (t[0], t[-1]) == (0, 1)
    torch.testing.assert_close(t.diff(), torch.full((steps - 1,), 1 / (steps - 1)))


# Paths


def pair(dim, angle, length_a, length_b, seed):
    """Two vectors of these lengths with this angle between them."""
    basis = torch.linalg.qr(torch.randn(dim, 2, generator=seeded(seed), dtype=torch.float64))[0].T
    return (length_a * basis[0]).float(), (length_b * (math.cos(angle) * basis[0] + math.sin(angle) * basis[1])).float()


@given(dim=st.integers(2, 64), angle=st.floats(0.05, 3.0), length=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_slerp_keeps_the_length_and_turns_evenly(dim, angle, length, seed):
    a, b = pair(dim, angle, length, length, seed)
    path = slerp(a, b, path_positions(9))
    torch.testing.assert_close(path.norm(dim=1), torch.full((9,), length), rtol=2e-3, atol=0)
    turned = torch.nn.functional.cosine_similarity(path[:-1], path[1:], dim=1)
    torch.testing.assert_close(turned, torch.full((8,), math.cos(angle / 8)), rtol=0, atol=1e-3)


@given(angle=st.floats(0, math.pi), lengths=st.tuples(st.floats(0, 50), st.floats(0, 50)), seed=st.integers(0, 99))
def test_paths_are_finite_and_end_exactly_where_they_should(angle, lengths, seed):
    a, b = pair(8, angle, *lengths, seed)
    for function in (lerp, slerp):
        path = function(a, b, path_positions(7))
        assert path.shape == (7, 8)
        assert path.isfinite().all()
        assert torch.equal(path[0], a)
        torch.testing.assert_close(path[-1], b)


ONE = torch.tensor([3.0, 0.0, -4.0])


@pytest.mark.parametrize(
    ("a", "b"),
    [(ONE, 0 * ONE), (0 * ONE, ONE), (0 * ONE, 0 * ONE), (ONE, ONE), (ONE, 2 * ONE), (ONE, -ONE), (ONE, -0.5 * ONE)],
    ids=["to zero", "from zero", "zero", "same", "parallel", "opposite", "opposite and shorter"],
)
def test_slerp_is_a_straight_line_where_there_is_no_arc(a, b):
    t = path_positions(6)
    torch.testing.assert_close(slerp(a, b, t), lerp(a, b, t))


def test_slerp_between_axes_is_a_quarter_circle():
    path = slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), path_positions(4))
    by_hand = [[2 * math.cos(w), 2 * math.sin(w)] for w in (0, math.pi / 6, math.pi / 3, math.pi / 2)]
    torch.testing.assert_close(path, torch.tensor(by_hand), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("positions", [[0.5], [0.25, 0.75], [1.0, 0.0], [0.1, 0.2, 0.9]])
@pytest.mark.parametrize("function", [lerp, slerp])
def test_any_positions_may_be_asked_for(function, positions):
    """Not only those that begin and end a strip."""
    a, b = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([0.0, 1.0, 2.0])
    whole = function(a, b, torch.tensor([0.0, *positions, 1.0]))
    torch.testing.assert_close(function(a, b, torch.tensor(positions)), whole[1:-1])


def test_lerp_interpolates_images_too(digits):
    a, b = digits.images[:2]
    assert torch.equal(lerp(a, b, torch.tensor([0.0, 1.0])), torch.stack([a, b]))


# Traversal


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_traverse_changes_one_coordinate_only(dim, model, digits):
    x, values = digits.images[5], torch.tensor([-2.0, 0.0, 0.5, 3.0])
    z = codes(model, x[None]).repeat(4, 1)
    z[:, dim] = values
    torch.testing.assert_close(traverse(model, x, dim, values), decode(model, z))


def test_traverse_to_the_codes_own_value_is_the_reconstruction(model, digits):
    x = digits.images[5]
    z = codes(model, x[None])[0]
    for dim in range(3):
        torch.testing.assert_close(traverse(model, x, dim, z[dim : dim + 1]), reconstruct(model, x[None]))


def test_traverse_shows_something(model, digits):
    images = torch.cat([traverse(model, digits.images[5], dim, torch.tensor([-3.0, 3.0])) for dim in range(3)])
    assert (images[0::2] - images[1::2]).abs().amax() > 0.05


@pytest.mark.parametrize("dim", [-1, 3, 100])
def test_traverse_of_a_dimension_that_is_not_there_is_refused(dim, model, digits):
    with pytest.raises(ValueError, match=rf"0 \.\.\. 2.*got {dim}"):
        traverse(model, digits.images[0], dim, torch.zeros(1))


@pytest.mark.parametrize("n", [0, 2, 3])
def test_traverse_of_what_is_not_one_image_is_refused(n, model, digits):
    with pytest.raises(ValueError, match="image"):
        traverse(model, digits.images[:n], 0, torch.zeros(2))


def test_a_seed_in_place_of_a_generator_is_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"torch\.Generator, got int"):
        sample_prior(AutoEncoder(2, hidden=(4,)), 4, 0)


def test_a_traversal_takes_its_values_as_a_list_too(digits):
    model, x = AutoEncoder(2, hidden=(4,)), digits.images[0]
    assert torch.equal(traverse(model, x, 1, [-1, 0.5]), traverse(model, x, 1, torch.tensor([-1, 0.5])))


def test_no_latent_point_is_said(digits):
    model = hw2.VAE(3, hidden=(6,))
    for none in (
        lambda: hw2.decode(model, torch.zeros(0, 3)),
        lambda: hw2.traverse(model, digits.images[0], 0, torch.tensor([])),
        lambda: hw2.latent.walk(model, digits.images[:2], digits.images[2:4], torch.tensor([])),
    ):
        with pytest.raises(ValueError, match="there is no latent point to decode"):
            none()


def test_a_grid_is_of_15_by_15_cells_if_nothing_else_is_said():
    assert torch.equal(hw2.latent.grid(), hw2.latent.grid(3, 15))


def test_a_blend_has_seven_steps_as_an_interpolation(digits):
    assert len(blend(digits.images[0], digits.images[1])) == 7

"""The two terms against torch.distributions, and the units of β by computing the losses that they belong to."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Normal, kl_divergence

from hw2.losses import decoder_variance, effective_beta, kl_normal, kl_per_dimension, reconstruction_loss

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
BIGGEST = torch.finfo(torch.float32).max


def draw(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def grey(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def true_kl(mu, logvar):
    mu, logvar = mu.double(), logvar.double()
    return kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0))


# KL


@given(
    batch=st.integers(1, 9),
    latent_dim=st.integers(1, 70),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.1, 1.0, 6.0]),
)
def test_kl_equals_torch_distributions(batch, latent_dim, seed, spread):
    mu, logvar = draw(batch, latent_dim, seed=seed, scale=spread), draw(batch, latent_dim, seed=seed + 1, scale=spread)
    expected = true_kl(mu, logvar).float()
    torch.testing.assert_close(kl_normal(mu, logvar), expected.sum(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(kl_per_dimension(mu, logvar), expected, rtol=1e-4, atol=1e-5)


def test_kl_is_zero_at_the_prior_only():
    zero = torch.zeros(3, 5)
    assert torch.equal(kl_normal(zero, zero), torch.zeros(3))
    assert (kl_normal(zero + 0.01, zero) > 0).all()
    assert (kl_normal(zero, zero + 0.01) > 0).all()
    assert (kl_normal(zero, zero - 0.01) > 0).all()


@given(mu=st.floats(-1e3, 1e3, width=32), logvar=FLOAT32)
def test_kl_is_never_negative(mu, logvar):
    assert kl_normal(torch.tensor([[mu]]), torch.tensor([[logvar]])) >= 0


@pytest.mark.parametrize("size", [1e-3, 3e-3, 1e-2, 1e-1])
@pytest.mark.parametrize("sign", [1, -1])
def test_tiny_kl_is_accurate(size, sign):
    """A nearly collapsed posterior: exp(logvar) − 1 − logvar in float32 has no correct digit at 1e-3."""
    logvar = sign * size * torch.linspace(1, 2, 64).unsqueeze(0)
    torch.testing.assert_close(
        kl_normal(torch.zeros_like(logvar), logvar).double(), true_kl(torch.zeros_like(logvar), logvar).sum(1),
        rtol=1e-3, atol=0,
    )  # fmt: skip


@pytest.mark.parametrize("logvar", [-50.0, -1e3, -1e6, -1e20])
def test_kl_of_a_vanishing_variance_is_not_capped(logvar):
    kl = kl_normal(torch.zeros(1, 1), torch.full((1, 1), logvar))
    torch.testing.assert_close(kl, torch.tensor([0.5 * (-1 - logvar)]), rtol=1e-5, atol=0)


@given(values=st.lists(FLOAT32, min_size=1, max_size=12), mu=st.floats(-1e3, 1e3, width=32))
def test_any_finite_logvar_gives_a_finite_loss_and_gradient(values, mu):
    logvar = torch.tensor([values], requires_grad=True)
    mu = torch.full_like(logvar, mu).requires_grad_()
    loss = kl_normal(mu, logvar).mean()
    loss.backward()
    assert loss.isfinite()
    assert mu.grad.isfinite().all()
    assert logvar.grad.isfinite().all()


@pytest.mark.parametrize("extreme", [BIGGEST, -BIGGEST, 88.8, 1e4, -1e4])
def test_a_whole_batch_of_extreme_logvar_is_still_finite(extreme):
    logvar = torch.full((128, 64), extreme, requires_grad=True)
    loss = kl_normal(torch.zeros(128, 64), logvar).mean()
    loss.backward()
    assert loss.isfinite()
    assert logvar.grad.isfinite().all()


def test_kl_gradient_is_that_of_torch_distributions():
    ours = [draw(4, 6, seed=1).requires_grad_(), draw(4, 6, seed=2).requires_grad_()]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    kl_normal(*ours).sum().backward()
    true_kl(*theirs).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 1), (1, 6), (6,), (4, 5)])
def test_kl_of_different_shapes_is_refused_and_both_are_named(shape):
    with pytest.raises(ValueError, match=r"\(4, 6\).*\(" + ", ".join(map(str, shape))):
        kl_normal(torch.zeros(4, 6), torch.zeros(shape))


@pytest.mark.parametrize("mu", [np.zeros((4, 6)), [[0.0] * 6] * 4, torch.zeros(4, 6, dtype=torch.int64)])
def test_kl_of_what_is_no_float_tensor_says_what_to_do(mu):
    with pytest.raises(TypeError, match="as_tensor"):
        kl_normal(mu, torch.zeros(4, 6))


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_images_in_the_place_of_logits_are_refused(likelihood):
    x, logits = torch.rand(4, 1, 28, 28), torch.randn(4, 1, 28, 28, requires_grad=True)
    with pytest.raises(ValueError, match="swapped"):
        reconstruction_loss(x, logits, likelihood)
    reconstruction_loss(logits, x.requires_grad_(), likelihood).sum().backward()  # an image may have a gradient, too


# Reconstruction


@given(batch=st.integers(1, 6), seed=st.integers(0, 1000), scale=st.sampled_from([0.0, 1.0, 20.0]))
def test_bernoulli_is_the_cross_entropy_of_grey_pixels(batch, seed, scale):
    logits, x = draw(batch, 1, 28, 28, seed=seed, scale=scale), grey(batch, 1, 28, 28, seed=seed + 1)
    nats = -Bernoulli(logits=logits.double(), validate_args=False).log_prob(x.double()).sum((1, 2, 3))
    torch.testing.assert_close(reconstruction_loss(logits, x, "bernoulli"), nats.float(), rtol=1e-4, atol=1e-3)


def test_bernoulli_of_binary_pixels_is_the_negative_log_likelihood():
    logits, x = draw(3, 1, 28, 28), grey(3, 1, 28, 28).round()
    nats = -Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(reconstruction_loss(logits, x, "bernoulli"), nats, rtol=1e-4, atol=1e-3)


@given(
    batch=st.integers(1, 6),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.0, 1.0, 20.0]),
    sigma=st.floats(0.1, 3.0),
)
def test_gaussian_is_the_negative_log_likelihood_up_to_factor_and_constant(batch, seed, scale, sigma):
    logits, x = draw(batch, 1, 28, 28, seed=seed, scale=scale), grey(batch, 1, 28, 28, seed=seed + 1)
    density = Normal(logits.double().sigmoid(), sigma)
    constant = -Normal(0.0, sigma).log_prob(torch.tensor(0.0)).item()  # of a perfectly predicted pixel
    above = (-density.log_prob(x.double()) - constant).sum((1, 2, 3))
    torch.testing.assert_close(
        reconstruction_loss(logits, x, "gaussian"), (2 * sigma**2 * above).float(), rtol=1e-3, atol=1e-3
    )


def test_gaussian_is_the_default():
    logits, x = draw(2, 1, 28, 28), grey(2, 1, 28, 28)
    assert torch.equal(reconstruction_loss(logits, x), reconstruction_loss(logits, x, "gaussian"))
    assert not torch.allclose(reconstruction_loss(logits, x), reconstruction_loss(logits, x, "bernoulli"))


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_one_number_per_image_that_depends_on_that_image_alone(likelihood):
    logits, x = draw(5, 1, 28, 28), grey(5, 1, 28, 28)
    together = reconstruction_loss(logits, x, likelihood)
    assert together.shape == (5,)
    for i in range(5):
        torch.testing.assert_close(
            reconstruction_loss(logits[i : i + 1], x[i : i + 1], likelihood), together[i : i + 1]
        )


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@given(values=st.lists(FLOAT32, min_size=1, max_size=8))
def test_any_finite_logits_give_finite_gradients(likelihood, values):
    logits = torch.tensor([values]).clamp(-1e30, 1e30).requires_grad_()
    loss = reconstruction_loss(logits, torch.full_like(logits, 0.5), likelihood).mean()
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_images_of_another_shape_are_refused_instead_of_broadcast(likelihood):
    with pytest.raises(ValueError, match=r"\(4, 1, 28, 28\).*\(1, 1, 28, 28\)"):
        reconstruction_loss(torch.zeros(4, 1, 28, 28), torch.zeros(1, 1, 28, 28), likelihood)


def test_unknown_likelihood_is_refused_and_the_known_are_named():
    with pytest.raises(ValueError, match=r"'mse'.*gaussian.*bernoulli"):
        reconstruction_loss(torch.zeros(1, 1, 28, 28), torch.zeros(1, 1, 28, 28), "mse")


# β


@pytest.mark.parametrize(
    ("beta", "recon", "kl", "latent_dim"),
    [(0.001, "mean", "sum", None), (0.064, "mean", "mean", 64), (0.784, "sum", "sum", None)],
)
def test_the_homeworks_table(beta, recon, kl, latent_dim):
    assert effective_beta(beta, recon, kl, latent_dim=latent_dim) == pytest.approx(0.784)


def test_the_homeworks_convention_is_the_default():
    assert effective_beta(0.001) == effective_beta(0.001, "mean", "sum") == pytest.approx(0.784)


@pytest.mark.parametrize("recon", ["mean", "sum"])
@pytest.mark.parametrize("kl", ["mean", "sum"])
@pytest.mark.parametrize("latent_dim", [1, 16])
@pytest.mark.parametrize("side", [28, 10])
def test_the_summed_loss_is_proportional_to_the_written_one(recon, kl, latent_dim, side):
    """Proportional, so that both have their minimum at the same weights: checked by value and by gradient."""
    beta = 0.37
    leaves = draw(5, 1, side, side, seed=1), draw(5, latent_dim, seed=2), draw(5, latent_dim, seed=3)
    logits, mu, logvar = (leaf.requires_grad_() for leaf in leaves)
    squares = (logits.sigmoid() - grey(5, 1, side, side)).square()
    nats = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    written = getattr(squares.flatten(1), recon)(1) + beta * getattr(nats, kl)(1)
    ours = effective_beta(beta, recon, kl, pixels=side * side, latent_dim=latent_dim)
    summed = squares.flatten(1).sum(1) + ours * nats.sum(1)

    ratio = summed / written
    torch.testing.assert_close(ratio, ratio[:1].expand(5))  # one factor for all images
    before, after = (torch.autograd.grad(loss.sum(), leaves, retain_graph=True) for loss in (written, summed))
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(ratio[0] * a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("recon", ["mean", "sum"])
@pytest.mark.parametrize("kl", ["mean", "sum"])
def test_beta_zero_stays_zero(recon, kl):
    assert effective_beta(0, recon, kl, latent_dim=8) == 0


@pytest.mark.parametrize("function", [effective_beta, decoder_variance])
@pytest.mark.parametrize("beta", [-1e-9, -1, math.nan, math.inf, -math.inf])
def test_beta_that_makes_no_sense_is_refused(function, beta):
    with pytest.raises(ValueError, match="beta must be"):
        function(beta)


@pytest.mark.parametrize("function", [effective_beta, decoder_variance])
@pytest.mark.parametrize(
    ("arguments", "sizes", "named"),
    [
        (("avg", "sum"), {}, "recon.*avg"),
        (("mean", "none"), {}, "kl.*none"),
        (("mean", "mean"), {}, "latent_dim"),
        (("sum", "mean"), {}, "latent_dim"),
        (("mean", "mean"), {"latent_dim": 0}, "latent_dim"),
        (("mean", "sum"), {"pixels": 0}, "pixels"),
    ],
)
def test_reductions_and_sizes_that_make_no_sense_are_refused(function, arguments, sizes, named):
    with pytest.raises(ValueError, match=named):
        function(0.1, *arguments, **sizes)


@pytest.mark.parametrize(
    ("beta", "reductions", "sizes"),
    [(0.001, (), {}), (0.064, ("mean", "mean"), {"latent_dim": 64}), (0.784, ("sum", "sum"), {})],
)
def test_decoder_variance_makes_the_loss_an_elbo(beta, reductions, sizes):
    """2σ² · (−log N(x; x̂, σ²) + KL) differs from Σ(x − x̂)² + β_eff · KL by the same number for all images."""
    variance = decoder_variance(beta, *reductions, **sizes)
    logits, x = draw(6, 1, 28, 28, scale=3.0), grey(6, 1, 28, 28)
    mu, logvar = draw(6, 4, seed=4, scale=2.0), draw(6, 4, seed=5)
    likelihood = Normal(logits.sigmoid().double(), variance**0.5).log_prob(x.double()).sum((1, 2, 3))
    elbo = likelihood - true_kl(mu, logvar).sum(1)
    loss = reconstruction_loss(logits, x) + effective_beta(beta, *reductions, **sizes) * kl_normal(mu, logvar)
    constant = loss.double() + 2 * variance * elbo
    torch.testing.assert_close(constant, constant[:1].expand(6), rtol=0, atol=1e-3)


def test_decoder_variance_of_the_homeworks_beta():
    assert decoder_variance(0.001) == pytest.approx(0.39, abs=0.005)  # σ ≈ 0.63


def test_a_beta_beyond_floats_is_refused():
    with pytest.raises(ValueError, match="too large"):
        effective_beta(1e308)


def test_kl_per_dimension_does_not_broadcast():
    with pytest.raises(ValueError, match="one shape"):
        kl_per_dimension(torch.zeros(4, 3), torch.zeros(3))


def test_kl_counts_a_logvar_above_60_as_60():
    below, at, above = kl_normal(torch.zeros(3, 1), torch.tensor([[59.0], [60.0], [61.0]]))
    assert below < at == above

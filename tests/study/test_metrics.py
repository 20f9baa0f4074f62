"""Each measure against a case whose answer is known."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

import hw2
from hw2 import VAE, effective_beta
from hw2.study import metrics


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def cloud(n, seed=0, shift=0.0, scale=1.0, width=6):
    return shift + scale * torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def test_frechet_distance_is_the_formula_of_heusel():
    a, b = cloud(500), cloud(400, seed=1, shift=0.5, scale=2)
    mean = (a.mean(0) - b.mean(0)).square().sum().item()
    cov_a, cov_b = np.cov(a.double().numpy().T), np.cov(b.double().numpy().T)
    root = np.trace(scipy.linalg.sqrtm(cov_a @ cov_b).real)
    assert metrics.frechet_distance(a, b) == pytest.approx(mean + np.trace(cov_a + cov_b) - 2 * root, rel=1e-3)


def test_the_score_orders_sets_by_how_far_they_are():
    real = cloud(1000)
    near, far = (metrics.frechet_distance(real, cloud(1000, seed=2, shift=shift)) for shift in (0.1, 1.0))
    floor = metrics.frechet_distance(real, cloud(1000, seed=3))
    assert abs(floor) < near < far


def test_sureness():
    assert metrics.sure_share(torch.cat([torch.eye(10), torch.full((10, 10), 0.1)])) == 0.5
    for wrong in (torch.rand(5, 64), torch.rand(10)):  # features; a single row
        with pytest.raises(ValueError, match="sum to 1"):
            metrics.sure_share(wrong)


@pytest.mark.parametrize("mu", [torch.full((9, 2), torch.nan), torch.rand(9), (torch.rand(9, 2), torch.rand(9, 2))])
def test_what_is_no_posterior_mean_has_no_active_units(mu):
    with pytest.raises(ValueError, match="finite posterior means"):
        metrics.active_units(mu)


def test_sets_of_different_sizes_have_no_score():
    with pytest.raises(ValueError, match="number of images"):
        metrics.quality(torch.rand(3, 1, 28, 28), torch.rand(5, 64))


def test_index_information_is_that_of_a_gaussian_channel_and_at_most_the_logarithm_of_the_images(generator):
    s2 = 0.3  # of means with a variance of 1 - s2 in two dimensions: I = -ln s2
    mu = (1 - s2) ** 0.5 * torch.randn(10_000, 2, generator=generator)
    told = metrics.index_information(mu, torch.full((10_000, 2), s2).log(), generator)
    assert told == pytest.approx(-math.log(s2), abs=0.05)
    assert metrics.index_information(torch.zeros(500, 3), torch.zeros(500, 3), generator) == pytest.approx(0, abs=1e-5)
    apart = metrics.index_information(1e4 * mu[:500], torch.zeros(500, 2), generator)
    assert apart == pytest.approx(math.log(500), abs=1e-3)


def test_the_distance_to_a_near_point_is_exact():
    """cdist's own is off by 0.01 for an image beside itself."""
    points = torch.rand(300, 784, generator=torch.Generator().manual_seed(0))
    near = points.clone()
    near[:, 0] += 1e-3
    distance, index = metrics.nearest(near, points)
    assert index.tolist() == list(range(300))
    torch.testing.assert_close(distance, torch.full((300,), 1e-3), rtol=1e-3, atol=0)
    assert metrics.nearest(points, points)[0].max() == 0


def test_nearest_finds_the_point_itself():
    points = cloud(600)
    distance, index = metrics.nearest(points[100:400], points)
    assert torch.equal(index, torch.arange(100, 400))
    torch.testing.assert_close(distance, torch.zeros(300), atol=1e-2, rtol=0)


@pytest.fixture(scope="module")
def curve_vae():
    """A VAE with one latent dimension and weights large enough that z matters, and ln p(x) by quadrature."""
    model = VAE(1, hidden=(8,), seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    model.eval()
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round()
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    with torch.no_grad():
        logits = model.decode(z.float().unsqueeze(1)).double()
        at_z = torch.stack([-hw2.reconstruction_loss(logits, i.expand_as(logits).double(), "bernoulli") for i in x])
    prior = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1).log_prob(z)
    return model, x, (at_z + prior).logsumexp(1) + math.log(z[1] - z[0])


def test_importance_bound_is_the_elbo_at_one_draw_and_tends_to_the_likelihood(curve_vae):
    model, x, likelihood = curve_vae
    weights = metrics.log_weights(model, x, 4096, torch.Generator().manual_seed(0))
    assert weights.shape == (4096, 5)
    elbo, *better, best = (metrics.importance_bound(weights, k).mean().item() for k in (1, 8, 64, 4096))
    config = hw2.TrainConfig(beta=1 / 784, likelihood="bernoulli")
    again = hw2.Digits(x.repeat(4000, 1, 1, 1), torch.zeros(20_000, dtype=torch.int64))
    error = weights.std(0).mean().item() / math.sqrt(4000 * 5)  # of either estimate
    assert error < 1
    assert elbo == pytest.approx(-hw2.evaluate(model, again, config).loss, abs=4 * error)
    assert elbo < better[0] < better[1] < best
    assert best == pytest.approx(likelihood.mean().item(), abs=0.1)
    assert likelihood.mean().item() - elbo > 1


def test_importance_bound_of_one_image_by_hand():
    weights = torch.tensor([[1.0], [3.0], [2.0], [2.0]])
    expected = (math.log((math.e + math.e**3) / 2) + 2) / 2
    assert metrics.importance_bound(weights, 2).item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="divide the 4 draws"):
        metrics.importance_bound(weights, 3)


def test_active_units_counts_dimensions_whose_mean_moves():
    mu = cloud(1000, width=4) * torch.tensor([1.0, 0.7, 0.05, 0.0]) + 3
    assert metrics.active_units(mu) == 2
    assert metrics.active_units(mu, 0.001) == 3


@pytest.fixture(scope="module")
def spread_images():
    """Images with three principal components of known variances 4, 1 and 0.25."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(784, 3, generator=generator)).Q
    scores = torch.randn(4000, 3, generator=generator)
    whitened = (scores - scores.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(scores.T))).T
    return ((whitened * torch.tensor([2.0, 1.0, 0.5])) @ basis.T).view(-1, 1, 28, 28)


def test_linear_vae_fills_the_water_and_collapses_at_the_largest_eigenvalue(spread_images):
    beta = 2 * 0.5 / 784  # decoder variance 0.5: uses the components with variance 4 and 1
    rate, distortion, collapse = metrics.linear_vae(spread_images, [beta, 2 * 5 / 784], latent_dim=2)
    torch.testing.assert_close(rate[0].item(), 0.5 * math.log(8) + 0.5 * math.log(2), rtol=1e-3, atol=0)
    torch.testing.assert_close(distortion[0].item(), 0.5 + 0.5 + 0.25, rtol=1e-3, atol=0)
    assert rate[1] == 0
    torch.testing.assert_close(distortion[1].item(), 5.25, rtol=1e-3, atol=0)
    assert effective_beta(collapse) / 2 == pytest.approx(4, rel=1e-3)


@pytest.mark.slow
def test_linear_vae_is_the_optimum_that_gradient_descent_finds(spread_images):
    """Train linear encoder and decoder on the loss itself; nothing beats the closed form."""
    x = spread_images.flatten(1).double()
    x = x @ torch.linalg.svd(x, full_matrices=False).Vh[:3].T  # three numbers are enough
    beta_eff = 1.0
    encoder, decoder = (torch.randn(3, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    logvar = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([encoder, decoder, logvar], lr=0.02)
    for _ in range(1500):
        mu = x @ encoder
        error = (x - mu @ decoder).square().sum(1).mean() + (decoder.square().sum(1) * logvar.exp()).sum()
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
        optimizer.zero_grad()
        (error + beta_eff * kl).backward()
        optimizer.step()
    rate, distortion, _ = metrics.linear_vae(spread_images, [beta_eff / 784], latent_dim=3)
    torch.testing.assert_close((error + beta_eff * kl).item(), (distortion + beta_eff * rate).item(), rtol=0.01, atol=0)
    torch.testing.assert_close(kl.item(), rate.item(), rtol=0.02, atol=0)


def test_fitted_codes_have_the_moments_of_the_codes_and_a_mixture_its_clusters():
    z = torch.cat([cloud(2000, shift=-5, width=2), cloud(2000, seed=1, shift=5, width=2)])
    one, two = (metrics.fitted_codes(z, 4000, components, seed=0) for components in (1, 2))
    torch.testing.assert_close(torch.cov(one.T), torch.cov(z.T), rtol=0.1, atol=0.5)
    between = (z.mean(1).abs() < 2).float().mean()
    assert between < 0.01
    assert (one.mean(1).abs() < 2).float().mean() > 0.1  # a Gaussian fills the gap
    assert (two.mean(1).abs() < 2).float().mean() < 0.01
    assert torch.equal(two, metrics.fitted_codes(z, 4000, 2, seed=0))
    assert 0.3 < (two[:100, 0] > 0).float().mean() < 0.7  # not sorted by cluster


def test_aggregate_posterior_is_the_mixtures_mean_and_covariance():
    mu, logvar = cloud(3, width=2), cloud(3, seed=1, width=2)
    mean, cov = metrics.aggregate_posterior(mu, logvar)
    draws = mu + (0.5 * logvar).exp() * torch.randn(200_000, 3, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mean, draws.flatten(0, 1).mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close(cov, torch.cov(draws.flatten(0, 1).T), atol=0.02, rtol=0.02)


def test_table_has_a_row_for_each_set():
    quality = metrics.Quality(frechet=1.0, sure=0.75)
    assert metrics.table({"first": quality, "second": quality}).count("\n") == 2


def test_a_dimension_is_active_above_a_variance_of_0_3():
    mu = torch.tensor([[-1.0], [1.0]]) * (torch.tensor([0.29, 0.31]) / 2).sqrt()
    assert metrics.active_units(mu) == 1


def test_the_judge_is_sure_from_95_percent_on():
    assert metrics.sure_share(torch.tensor([[0.94, 0.06], [0.96, 0.04]])) == 0.5


def test_a_row_of_the_table_has_the_score_and_the_share_in_percent():
    row = metrics.table({"first": metrics.Quality(frechet=123.0, sure=0.75)}).splitlines()[1]
    assert row.split() == ["first", "123", "75", "%"]


def test_codes_are_fitted_with_one_gaussian_if_nothing_else_is_said():
    z = cloud(200, width=2)
    assert torch.equal(metrics.fitted_codes(z, 50), metrics.fitted_codes(z, 50, 1, 0))

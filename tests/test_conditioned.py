"""One network for a range of β: at each β it is a plain VAE, and every part of the range is trained."""

import math

import numpy as np
import pytest
import torch

from hw2 import VAE, ConditionedVAE


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def one():
    """A conditioned network in which β matters, as it does after training."""
    model = ConditionedVAE(3, hidden=(16, 8), betas=(1e-4, 1e-2), seed=4)
    for layer in model.modulations:
        torch.nn.init.normal_(layer.weight, std=0.5, generator=seeded(1))
        torch.nn.init.normal_(layer.bias, std=0.2, generator=seeded(2))
    return model


@pytest.mark.parametrize("beta", [1e-4, 7e-4, 1e-2])
def test_at_a_beta_the_conditioned_network_is_a_plain_vae(one, beta, digits):
    x = digits.images[:6]
    plain = one.at(beta)
    assert type(plain) is VAE
    assert not plain.training
    expected = one(x, seeded(0), torch.full((6,), beta))
    for mine, theirs in zip(plain(x, seeded(0)), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_each_image_has_its_own_beta(one, digits):
    x = digits.images[:1].expand(2, -1, -1, -1)
    betas = torch.tensor([1e-4, 1e-2])
    _, mu, _ = one(x, seeded(0), betas)
    for beta, row in zip(betas.tolist(), mu, strict=True):
        torch.testing.assert_close(one.at(beta).encode(x[:1]).mu[0], row, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(mu[0], mu[1], atol=1e-3)


def test_before_training_beta_changes_nothing_and_the_weights_are_the_vaes(digits):
    one, plain = ConditionedVAE(3, hidden=(16,), seed=4), VAE(3, hidden=(16,), seed=4)
    for beta in one.betas:
        for mine, theirs in zip(one.at(beta)(digits.images, seeded(0)), plain(digits.images, seeded(0)), strict=True):
            torch.testing.assert_close(mine, theirs)


def test_betas_are_drawn_over_the_range_a_small_one_more_often(one):
    betas = one.draw_betas(20_000, seeded(0))
    assert 1e-4 <= betas.min() < 1.01e-4
    assert 0.99e-2 < betas.max() <= 1.0001e-2
    shares = torch.histc(betas.log10(), 4, -4, -2) / len(betas)
    density = torch.tensor([10 ** (-one.tilt * log_beta) for log_beta in (-3.75, -3.25, -2.75, -2.25)])
    torch.testing.assert_close(shares, density / density.sum(), atol=0.005, rtol=0)


def test_every_batch_has_a_beta_from_every_part_of_the_range(one):
    many, few = one.draw_betas(20_000, seeded(0)), one.draw_betas(4, seeded(1))
    for part, beta in zip(many.chunk(4), few, strict=True):
        assert part.min() * 0.999 <= beta <= part.max() * 1.001


@pytest.mark.parametrize("betas", [(0, 1), (1e-2, 1e-4), (1e-3, 1e-3), (1e-3, float("inf")), (1e-3,)])
def test_a_range_that_is_none_is_refused(betas):
    with pytest.raises(ValueError, match="betas"):
        ConditionedVAE(3, hidden=(4,), betas=betas)


def test_a_conditioned_network_without_a_beta_refuses(one, digits):
    for use in (one.encode, one.decode, one.code):
        with pytest.raises(TypeError, match=r"at\(beta\)"):
            use(digits.images)
    with pytest.raises(ValueError, match="range"):
        one.at(0.1)


def test_log_beta_is_standardised_over_its_range(one):
    """The embedding sees a number with mean 0 and variance 1 when log β is uniform over the range."""
    seen = []
    one.embedding.register_forward_pre_hook(lambda _module, args: seen.append(args[0].flatten()))
    list(one._modulate(torch.logspace(-4, -2, 2001)))
    torch.testing.assert_close(seen[0].mean().item(), 0.0, atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[0].std().item(), 1.0, atol=2e-3, rtol=0)
    torch.testing.assert_close(seen[0][[0, -1]], torch.tensor([-math.sqrt(3), math.sqrt(3)]), atol=1e-4, rtol=0)


def test_the_embedding_tells_betas_apart_all_over_the_range():
    """Its units step at different places: between any two neighbouring thirds of the range some of them differ."""
    one = ConditionedVAE(3, hidden=(8,), betas=(1e-5, 1e-2))
    first = one.embedding[0]
    assert first.weight.std().item() == pytest.approx(1.5, rel=0.5)
    assert first.bias.abs().max() <= 2
    assert first.bias.std().item() == pytest.approx(4 / math.sqrt(12), rel=0.3)
    steps = -(first.bias / first.weight[:, 0])  # where each unit's tanh crosses 0, in standardised log β
    for low in (-math.sqrt(3), -1 / math.sqrt(3), 1 / math.sqrt(3)):
        assert ((steps > low) & (steps < low + 2 / math.sqrt(3))).any()


def test_its_terms_come_with_the_beta_of_each_image(one, digits):
    recon, kl, betas = one.terms(digits.images[:10], "gaussian", seeded(3))
    assert recon.shape == kl.shape == betas.shape == (10,)
    torch.testing.assert_close(betas, one.draw_betas(10, seeded(3)))


def test_numbers_as_numpy_has_them_and_one_beta_alone():
    ours, theirs = (ConditionedVAE(2, hidden=(4,), seed=seed).state_dict() for seed in (3, np.int64(3)))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(ValueError, match=r"betas must be \(smallest, largest\)"):
        ConditionedVAE(2, betas=0.1)


def test_a_network_of_doubles_has_plain_ones_of_doubles():
    one = ConditionedVAE(2, hidden=(4,)).double()
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert one.at(1e-3).encode(x).mu.dtype == torch.float64


def test_a_beta_in_the_lower_half_of_the_range_is_drawn_a_quarter_more_often(one):
    """The density of log β goes as β^−0.1, and the halves are a decade apart."""
    lower = (one.draw_betas(20_000, seeded(0)) < 1e-3).float().mean().item()
    assert lower / (1 - lower) == pytest.approx(10**0.1, rel=0.01)


def test_the_embedding_is_bounded_on_both_sides():
    embedding = ConditionedVAE(3, hidden=(8,)).embedding
    torch.nn.init.constant_(embedding[2].weight, 0)
    torch.nn.init.constant_(embedding[2].bias, -9)
    torch.testing.assert_close(embedding(torch.zeros(1, 1)), -torch.ones(1, 16))


@pytest.mark.parametrize("beta", [0.999e-4, 1.001e-2])
def test_a_beta_just_outside_of_the_range_is_refused(one, beta):
    with pytest.raises(ValueError, match="this network's range"):
        one.at(beta)

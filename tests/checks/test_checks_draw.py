"""Every right way to draw z passes, faulty ones are named."""

import pytest
import torch

import hw2
from hw2 import checks
from hw2.checks.forward import _check_normal
from hw2.checks.posterior import DRAWS


def normal(mu):
    return torch.randn_like(mu)


def right_draw_of_torch(mu, logvar):
    return torch.distributions.Normal(mu, torch.exp(0.5 * logvar)).rsample()


def right_draw_by_square_root(mu, logvar):
    return mu + logvar.clamp(max=20).exp().sqrt() * normal(mu)


def right_draw_with_a_generator(mu, logvar, *, generator=None):
    return mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=generator)


def right_draw_with_a_switch(mu, logvar, training=True):
    return mu + torch.exp(0.5 * logvar) * normal(mu) if training else mu


def right_draw_with_noise_if_given(mu, logvar, eps=None):
    return mu + torch.exp(0.5 * logvar) * (normal(mu) if eps is None else eps)


RIGHT = [
    hw2.reparametrize,
    right_draw_of_torch,
    right_draw_by_square_root,
    right_draw_with_a_generator,
    right_draw_with_a_switch,
    right_draw_with_noise_if_given,
]


@pytest.mark.parametrize("draw", RIGHT)
def test_right_draws_pass(draw):
    checks.reparametrize(draw)


FAULTY = {
    "no exp, half": (lambda m, v: m + 0.5 * v * normal(m), "exp is left out"),
    "no exp": (lambda m, v: m + v * normal(m), "exp is left out: logvar itself"),
    "log sigma": (lambda m, v: m + v.exp() * normal(m), "log σ² is read as log σ"),
    "no noise": (lambda m, v: m + 0 * v, "no noise"),
    "noise of one": (lambda m, v: m + normal(m) + 0 * v, "not scaled by σ"),
    "precision": (lambda m, v: m + (-v / 2).exp() * normal(m), "a sign too many"),
    "mean lost": (lambda m, v: (v / 2).exp() * normal(m), "mean of draws"),
    "detached": (lambda m, v: torch.distributions.Normal(m, (v / 2).exp()).sample(), "no gradient reaches mu"),
    "sigma detached": (lambda m, v: m + (v / 2).exp().detach() * normal(m), "no gradient reaches logvar"),
    "shared noise": (lambda m, v: m + (v / 2).exp() * normal(m[:, :1]), "several dimensions"),
    "eps ignored": (lambda m, v, e: m + (v / 2).exp() * normal(m), "eps that is passed"),
}  # fmt: skip


@pytest.mark.parametrize(("draw", "named"), FAULTY.values(), ids=FAULTY)
def test_faulty_draws_are_named(draw, named):
    with pytest.raises(checks.Mistake, match=named):
        checks.reparametrize(draw)


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_chance_may_do_to_many_draws_is_no_mistake(sign):
    """A mean and a spread that are six standard errors off, as of one right VAE in 100 million."""
    noise = torch.randn(DRAWS, 3, generator=torch.Generator().manual_seed(0))
    noise = (noise - noise.mean(0)) / noise.std(0)
    _check_normal(noise * (1 + sign * 6 / (2 * DRAWS) ** 0.5) + sign * 6 / DRAWS**0.5, "")

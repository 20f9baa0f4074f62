"""Samples from N(0, I), tried on a small VAE that keeps which z it is asked to decode."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from .explain import explained
from .mistake import Mistake, tensor
from .probe import Probe, check_images, check_mode


@explained
def sampling(function: Callable[..., Tensor], generator: bool = False) -> None:
    """Your sampler: function(model, n) or function(model, n, generator) decodes n draws of z ~ N(0, I), (n, 1, 28, 28).

    The model that it is given has encode, decode (logits), code, latent_dim, and is in training mode. generator: it
    must take one.
    """
    probe, n = Probe().train(), 4000
    before = probe.norm.running_mean.clone()
    third = [*inspect.signature(function).parameters.values()][2:]
    third = [p for p in third if p.name.startswith("gen") or (p.default is p.empty and p.kind is not p.VAR_KEYWORD)][:1]
    takes_generator = bool(third)
    by_name = takes_generator and third[0].name.startswith("gen")
    if generator and not takes_generator:
        raise Mistake("the generator must be passed in: the arguments are (model, n, generator)")

    def sample(seed: int | torch.Generator = 0, model: Probe = probe, n: int = n) -> Tensor:
        given = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        if by_name:
            return tensor("samples", function(model, n, **{third[0].name: given}))
        return tensor("samples", function(model, n, *[given] * takes_generator))

    images = sample()
    z = torch.cat(probe.asked) if probe.asked else torch.empty(0)
    if z.shape != (n, 4):
        raise Mistake(f"{n} draws of z, ({n}, 4), must be decoded, got {tuple(z.shape)}")
    check_mode(probe, before, "sampling")
    _check_normal(z)
    with torch.no_grad():
        check_images(images, probe.eval().decode(z))
    if takes_generator:
        _check_generator(sample, images)
    one = sample(model=Probe(7), n=1) if generator else images[:1]
    if one.shape != (1, 1, 28, 28):
        raise Mistake(f"one sample must be (1, 1, 28, 28), got {tuple(one.shape)}: no squeeze()")


def _check_generator(sample: Callable[..., Tensor], images: Tensor) -> None:
    """The generator must decide z, and go on from where it was."""
    if not torch.equal(sample(), images):
        raise Mistake("the generator is not used: two calls with the same seed give different samples")
    same = torch.Generator().manual_seed(0)
    if torch.equal(sample(same), sample(same)) or torch.equal(sample(5), images):
        raise Mistake(
            "a seed is set inside: two calls with one generator must give different samples, because it goes on from "
            "where it was. Use the generator as it is given"
        )


def _check_normal(z: Tensor) -> None:
    """Many z, (n, 4), must look like draws from N(0, I)."""
    mean, deviation = z.mean(0), z.std(0)
    if deviation.max() == 0:
        raise Mistake("all z are the same: z must come from N(0, I)")
    if mean.abs().max() < 1e-5:
        raise Mistake(
            "the mean of all z is exactly 0, as if they were standardised: take draws from N(0, I) as they are"
        )
    if (mean.abs() > 0.08).any() or ((deviation - 1).abs() > 0.06).any():
        raise Mistake(
            f"z must come from N(0, I): its mean is {mean.mean():.2f} and its standard deviation {deviation.mean():.2f}"
            + (". rand gives numbers from 0 to 1: use randn" if z.min() >= 0 and z.max() <= 1 else "")
        )
    if (torch.corrcoef(z.T) - torch.eye(4)).abs().max() > 0.1:
        raise Mistake("the dimensions of z depend on each other: z must come from N(0, I), (n, latent_dim) numbers")
    if z.abs().max() < 2.7:
        raise Mistake(f"of {len(z)} draws none is beyond {z.abs().max():.1f}: the tails of N(0, I) are cut off")

"""Samples and walks: functions that decode, tried on a small VAE that keeps which z it is asked to decode."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .mistake import Mistake


class Probe(nn.Module):
    """A tiny VAE with a BatchNorm, whose decoder keeps what it was asked, and can be decoded back."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        pattern = torch.randn(4, 784, generator=torch.Generator().manual_seed(1)) / 28
        self.pattern = nn.Parameter(pattern, requires_grad=False)
        self.norm = nn.BatchNorm1d(4, affine=False)
        self.asked: list[Tensor] = []

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(2 * x.flatten(1) @ self.pattern.T), torch.full((len(x), 4), -1.0)

    def code(self, x: Tensor) -> Tensor:
        return self.encode(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        self.asked.append(z.detach().clone())
        return (20 * self.norm(z) @ self.pattern).view(-1, 1, 28, 28)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)), mu, logvar


def sampling(function: Callable[..., Tensor]) -> None:
    """Your sampler: function(model, n) or function(model, n, generator) decodes n draws of z ~ N(0, I), (n, 1, 28, 28).

    The model that it is given has encode, decode (logits), latent_dim, and is in training mode.
    """
    probe, n = Probe().train(), 4000
    probe.norm.running_mean.fill_(0.3)  # what an earlier training has left
    before = probe.norm.running_mean.clone()
    with_generator = len(inspect.signature(function).parameters) > 2

    def sample() -> Tensor:
        return function(probe, n, *[torch.Generator().manual_seed(0)] * with_generator)

    images = sample()
    if not isinstance(images, Tensor):
        raise Mistake(f"samples must be a tensor, got {type(images).__name__}")
    z = torch.cat(probe.asked) if probe.asked else torch.empty(0)
    if z.shape != (n, 4):
        raise Mistake(f"{n} draws of z, ({n}, 4), must be decoded, got {tuple(z.shape)}")
    _check_mode(probe, before, "sampling")
    _check_normal(z)
    with torch.no_grad():
        _check_images(images.detach(), probe.eval().decode(z))
    if with_generator and not torch.equal(sample(), images):
        raise Mistake("the generator is not used: two calls with the same seed give different samples")


def _check_normal(z: Tensor) -> None:
    """Many z, (n, 4), must look like draws from N(0, I)."""
    mean, deviation = z.mean(0), z.std(0)
    if deviation.max() == 0:
        raise Mistake("all z are the same: z must come from N(0, I)")
    if (mean.abs() > 0.08).any() or ((deviation - 1).abs() > 0.06).any():
        raise Mistake(
            f"z must come from N(0, I): its mean is {mean.mean():.2f} and its standard deviation {deviation.mean():.2f}"
            + (". rand gives numbers from 0 to 1: use randn" if z.min() >= 0 and z.max() <= 1 else "")
        )
    if (torch.corrcoef(z.T) - torch.eye(4)).abs().max() > 0.1:
        raise Mistake("the dimensions of z depend on each other: z must come from N(0, I), (n, latent_dim) numbers")


def interpolation(function: Callable[..., Tensor], steps: int = 5) -> None:
    """Your interpolation: function(model, x_a, x_b, steps), of images (1, 28, 28), gives (steps, 1, 28, 28).

    Both ends belong to it: the decoded posterior means. It is asked for two numbers of steps.
    """
    for n in (steps, steps + 2):
        _check_walk(function, n)


def _check_walk(function: Callable[..., Tensor], steps: int) -> None:
    probe = Probe().train()
    x_a, x_b = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    before = probe.norm.running_mean.clone()
    images = function(probe, x_a, x_b, steps).detach()
    _check_mode(probe, before, "interpolating")
    if not probe.asked:
        raise Mistake("nothing is decoded: the points between the two codes must go through model.decode")
    if len(images) != steps:
        raise Mistake(f"{steps} images were asked for, got {len(images)}")
    z = torch.cat(probe.asked)
    with torch.no_grad():
        a, b = probe.eval().encode(torch.stack([x_a, x_b]))[0]
        right = probe.decode(torch.lerp(a, b, torch.linspace(0, 1, steps).unsqueeze(1)))
    if images.shape == right.shape and torch.allclose(images, right.sigmoid(), atol=1e-5):
        return  # whatever else was decoded: a walk may decode its ends apart from the points between them
    _check_points(z, a, b, steps)
    _check_images(images, right)


def _check_points(z: Tensor, a: Tensor, b: Tensor, steps: int) -> None:
    """The points z must lie at even steps on the line from a to b, both ends among them."""
    t = ((z - a) @ (b - a)) / (b - a).square().sum()  # where on the line from a to b each point lies
    if not torch.allclose(z, a + t.unsqueeze(1) * (b - a), atol=1e-4):
        raise Mistake(
            "the points are not on the straight line from one posterior mean to the other: it is the codes that "
            "are interpolated, not the pixels, and without noise"
        )
    shown = ", ".join(f"{v:.2f}" for v in t.tolist())
    if torch.allclose(t, torch.linspace(1, 0, len(t)), atol=1e-4):
        raise Mistake("the walk goes from the second image to the first")
    if t.max() < 1 - 1e-4:
        raise Mistake(f"the walk misses its end: t = {shown}. t = i / n stops short, use linspace(0, 1, n)")
    if t.min() > 1e-4:
        raise Mistake(f"the walk misses its start: t = {shown}, use linspace(0, 1, n)")
    if len(t) == steps and not torch.allclose(t, torch.linspace(0, 1, steps), atol=1e-4):
        raise Mistake(f"the steps are not even: t = {shown}")


def _check_mode(probe: Probe, before: Tensor, doing: str) -> None:
    """The running mean must be as before: only BatchNorm in training mode moves it."""
    if not torch.equal(probe.norm.running_mean, before):
        raise Mistake(f"BatchNorm is in training mode while {doing}: call model.eval() first")


def _check_images(images: Tensor, logits: Tensor) -> None:
    """Images must be the sigmoid of the decoder's logits."""
    if images.shape == logits.shape:
        if torch.allclose(images, logits.sigmoid(), atol=1e-5):
            return
        if torch.allclose(images, logits, atol=1e-5):
            raise Mistake("logits are passed as pixels: an image is their sigmoid")
        if torch.allclose(images, logits.sigmoid().sigmoid(), atol=1e-5):
            raise Mistake("the sigmoid is applied twice: no pixel is below 0.5")
    raise Mistake(
        f"images must be the sigmoid of the decoder's logits, {tuple(logits.shape)}: got {tuple(images.shape)}"
    )

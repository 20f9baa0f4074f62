"""Tiny autoencoders that keep which z they are asked to decode, for checks of functions that decode."""

import torch
from torch import Tensor, nn

from .mistake import Mistake


class Probe(nn.Module):
    """A tiny VAE with a BatchNorm, whose decoder keeps what it was asked, and can be decoded back."""

    def __init__(self, latent_dim: int = 4) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.pattern = nn.Parameter(torch.randn(latent_dim, 784, generator=torch.Generator().manual_seed(1)) / 28)
        self.norm = nn.BatchNorm1d(latent_dim, affine=False)
        self.norm.running_mean.fill_(0.3)  # what an earlier training has left
        self.asked: list[Tensor] = []

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = self.code(x)
        return mu, torch.full_like(mu, -1.0)

    def code(self, x: Tensor) -> Tensor:
        return torch.tanh(2 * x.flatten(1) @ self.pattern.T)

    def decode(self, z: Tensor) -> Tensor:
        if not isinstance(z, Tensor):
            raise Mistake(f"z must be a tensor of latent points, (N, latent_dim), got {type(z).__name__}")
        if z.dtype != torch.float32:
            raise Mistake(f"z must be float32, got {z.dtype}: NumPy gives float64, so use torch's linspace and randn")
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            cause = {
                1: ": encode of an autoencoder gives z, of a VAE (mu, logvar), so that its [0] is not the same: codes "
                "gives the codes of both. decode takes a row for each point",
                2: ": the size is the model's own latent_dim",
            }.get(
                z.ndim,
                ": codes(model, x) has a row for each image, so of one image take its [0]; (steps, N, D) becomes "
                "(steps · N, D) by flatten(0, 1)",
            )
            raise Mistake(f"z must be (N, {self.latent_dim}) for this model, got {tuple(z.shape)}{cause}")
        self.asked.append(z.detach().clone())
        return (20 * self.norm(z) @ self.pattern).view(-1, 1, 28, 28)


class Plain(Probe):
    """The same as an autoencoder: encode gives z alone."""

    def encode(self, x: Tensor) -> Tensor:
        return self.code(x)


def check_mode(probe: Probe, before: Tensor, doing: str) -> None:
    """The running mean must be as before: only BatchNorm in training mode moves it."""
    if not torch.equal(probe.norm.running_mean, before):
        raise Mistake(f"BatchNorm is in training mode while {doing}: call model.eval() first")


def check_images(images: Tensor, logits: Tensor) -> None:
    """Images must be the sigmoid of the decoder's logits, without a graph."""
    if images.shape != logits.shape:
        raise Mistake(f"images must be {tuple(logits.shape)}, one for each z, got {tuple(images.shape)}")
    if torch.allclose(images, logits.sigmoid(), atol=1e-5):
        if images.requires_grad:
            raise Mistake("the images carry a graph, which no plot can show: decode them within torch.no_grad()")
        return
    if torch.allclose(images, logits, atol=1e-5):
        raise Mistake("logits are passed as pixels: an image is their sigmoid")
    if torch.allclose(images, logits.clamp(0, 1), atol=1e-5):
        raise Mistake("logits are cut off at 0 and 1: an image is their sigmoid")
    if torch.allclose(images, logits.sigmoid().sigmoid(), atol=1e-5):
        raise Mistake("the sigmoid is applied twice: no pixel is below 0.5")
    if torch.allclose(images, logits.sigmoid().round()):
        raise Mistake("the pixels are rounded: an image is the sigmoid as it is")
    raise Mistake(
        "images must be the sigmoid of what decode gives, in the order of the z: the shape is right, the numbers are "
        f"not. Compare the first: its mean pixel is {images[0].mean():.3f}, decode's {logits[0].sigmoid().mean():.3f}"
    )

"""The autoencoder and the variational autoencoder, each with a fully connected or a convolutional body (`networks`).

Both end in logits; an image is their sigmoid, also where the error is squared. A model knows its own terms of the loss
(`terms`), so a subclass that computes others trains with `fit` as it is. Notebooks 1 and 2.

Papers: Hinton & Salakhutdinov 2006, Science 313:504; Kingma & Welling 2014 (arXiv:1312.6114).
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .inputs import whole
from .losses import LOGVAR_MAX, kl_normal, reconstruction_loss
from .networks import ARCHS, initialise


class AutoEncoder(nn.Module):
    """Deterministic autoencoder: z = encode(x), logits = decode(z).

    latent_dim: length of z. arch: "mlp" or "conv". hidden: the encoder's layer sizes (mlp, any number, default
    512, 256) or channels (conv, four, default 32, 64, 128, 256); the decoder mirrors them. seed: of the initial
    weights, which depend on it alone and leave torch's global generator as it was.

    ValueError for an unknown arch or impossible sizes.
    """

    heads = 1  # numbers that the encoder gives per latent dimension

    def __init__(
        self, latent_dim: int, arch: str = "mlp", hidden: tuple[int, ...] | None = None, *, seed: int = 0
    ) -> None:
        super().__init__()
        if arch not in tuple(ARCHS):  # whatever it is, a list too
            raise ValueError(f"unknown arch {arch!r}: expected one of {', '.join(ARCHS)}")
        encoder, decoder, default = ARCHS[arch]
        hidden = default if hidden is None else tuple(hidden) if isinstance(hidden, Iterable) else (hidden,)
        latent_dim, hidden = whole("latent_dim", latent_dim), tuple(whole("each of hidden", n) for n in hidden)
        if arch == "conv" and len(hidden) != 4:
            raise ValueError(f"hidden must be four channels for conv, got {hidden}")
        seed = whole("seed", seed, least=0)
        self.latent_dim, self.arch, self.hidden, self.seed = latent_dim, arch, hidden, seed
        with torch.device("meta"):  # shapes without values, which `initialise` then draws
            self.encoder = encoder(self.heads * latent_dim, hidden)
            self.decoder = decoder(latent_dim, hidden)
        initialise(self, torch.Generator().manual_seed(seed))

    def encode(self, x: Tensor) -> Tensor:
        """Code of each image. x: (B, 1, 28, 28) in [0, 1]; returns z (B, latent_dim)."""
        return self._encoded(x)

    def _encoded(self, x: Tensor) -> Tensor:
        """What the encoder gives. ValueError if that is not as many numbers as this kind of model needs."""
        h, width = self.encoder(x), self.heads * self.latent_dim
        if h.shape[1:] != (width,):
            raise ValueError(
                f"the encoder must give (B, {width}) for latent size {self.latent_dim}, got {tuple(h.shape)}"
            )
        return h

    def decode(self, z: Tensor) -> Tensor:
        """Logits of the images. z: (B, latent_dim); returns (B, 1, 28, 28). ValueError for another latent size."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z must be (B, {self.latent_dim}), this model's latent size, got {tuple(z.shape)}")
        return self.decoder(z)

    def code(self, x: Tensor) -> Tensor:
        """The one point that stands for an image: z, (B, latent_dim)."""
        return self.encode(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the reconstruction, (B, 1, 28, 28)."""
        return self.decode(self.encode(x))

    def terms(
        self, x: Tensor, likelihood: str = "gaussian", generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """What a batch contributes to the loss: (reconstruction, KL), (B,) each, summed units; here the KL is 0.

        likelihood: as in `reconstruction_loss`; generator: of noise, if any, on the model's device. `fit` and
        `evaluate` need nothing else of a model: override this to train on another objective. A model that is trained
        for many β gives a third tensor, each image's own β; it is then evaluated at one β.
        """
        recon = reconstruction_loss(self(x), x, likelihood)
        return recon, torch.zeros_like(recon)


class Posterior(NamedTuple):
    """q(z|x) = N(mu, exp(logvar)), diagonal; both (B, latent_dim)."""

    mu: Tensor
    logvar: Tensor


def reparametrize(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """A draw from q(z|x) = N(mu, σ²) that gradients pass through: z = mu + σ · eps, where σ² = exp(logvar).

    mu, logvar: (B, D) each. eps: the noise, drawn elsewhere from N(0, I), (B, D), or (n, B, D) for n draws of each z
    at once. Returns z in the shape of eps, in the arguments' dtype, and leaves the arguments as they are. The gradient
    reaches mu and logvar. A logvar above LOGVAR_MAX counts as LOGVAR_MAX, because exp overflows; there is no bound from
    below. ValueError for other shapes, which would be broadcast. Kingma & Welling 2014, sec. 2.4.
    """
    if mu.shape != logvar.shape or eps.shape[eps.ndim - mu.ndim :] != mu.shape:
        raise ValueError(
            "mu and logvar must have one shape, in which that of eps ends, got "
            f"{tuple(mu.shape)}, {tuple(logvar.shape)}, {tuple(eps.shape)}"
        )
    return mu + torch.exp(0.5 * logvar.clamp(max=LOGVAR_MAX)) * eps


class VAE(AutoEncoder):
    """Variational autoencoder: q(z|x) = N(mu, exp(logvar)), prior N(0, I), the AutoEncoder's decoder.

    Arguments as for AutoEncoder; the only difference between the two networks is the width of the encoder's last
    layer. `VAE(20, hidden=(400,))` is the 784-400-20 network of PyTorch's VAE example.
    """

    heads = 2

    def encode(self, x: Tensor) -> Posterior:
        """(mu, logvar) of q(z|x) = N(mu, exp(logvar)), each (B, latent_dim), as a Posterior.

        x: (B, 1, 28, 28) in [0, 1]. The encoder gives 2 · latent_dim numbers for an image, which `self._encoded(x)`
        returns: the first half is mu, the second logvar, as they are. Both may take any value, and keep their gradient.
        """
        return Posterior(*self._encoded(x).chunk(2, dim=1))

    def code(self, x: Tensor) -> Tensor:
        """The one point that stands for an image: the posterior mean mu, (B, latent_dim)."""
        mu, _ = self.encode(x)
        return mu

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(logits, mu, logvar): images encoded, one z per image drawn from q(z|x), and decoded.

        x: (B, 1, 28, 28) in [0, 1]; logits (B, 1, 28, 28), as `decode` gives them; mu, logvar (B, latent_dim), as
        `encode` does; all three with their gradient. `reparametrize` draws z, with noise from N(0, I): a number of its
        own for each image and dimension, made on mu's device with `generator`, which is on that device too and goes on
        from where it is (None: torch's global one). z is drawn in evaluation mode as well as in training mode, because
        the loss of test images needs it.
        """
        mu, logvar = self.encode(x)
        eps = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        return self.decode(reparametrize(mu, logvar, eps)), mu, logvar

    def terms(
        self, x: Tensor, likelihood: str = "gaussian", generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """(reconstruction, KL) of a batch, (B,) each, with one z per image drawn with `generator`."""
        logits, mu, logvar = self(x, generator)
        return reconstruction_loss(logits, x, likelihood), kl_normal(mu, logvar)


@contextlib.contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; after it each layer has its own mode again: BatchNorm must not see samples."""
    modes = {layer: layer.training for layer in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, training in modes.items():
            layer.training = training


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are; the CPU if it has none."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))

"""The autoencoder and the variational autoencoder, each with a fully connected or a convolutional body.

Both end in logits; an image is their sigmoid, for the squared error too. `arch="mlp"` is 784-512-256-latent and
back (`hidden` sets the sizes); `arch="conv"` is the homework's network, 28→14→7→3→1 with 32, 64, 128, 256 channels.

Papers: Hinton & Salakhutdinov 2006, Science 313:504; Kingma & Welling 2014 (arXiv:1312.6114);
Radford et al. 2016 (arXiv:1511.06434) for the convolutional body.
"""

import contextlib
import inspect
import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .losses import LOGVAR_MAX, PIXELS

SHAPE = (1, 28, 28)


def mlp_encoder(n_out: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Images (B, 1, 28, 28) to (B, n_out): the 784 pixels, a linear layer and a ReLU for each size in `hidden`, and a
    last linear layer without one.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n in itertools.pairwise((PIXELS, *hidden)):
        layers += [nn.Linear(n_in, n), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear((PIXELS, *hidden)[-1], n_out))


def mlp_decoder(latent_dim: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Codes (B, latent_dim) to logits (B, 1, 28, 28): the encoder's sizes in reverse, each a linear layer and a ReLU,
    and a last linear layer to the pixels without one. No sigmoid: logits are what the loss takes.
    """
    layers: list[nn.Module] = []
    sizes = (latent_dim, *reversed(hidden))
    for n_in, n in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], PIXELS), nn.Unflatten(1, SHAPE))


def conv_encoder(n_out: int, channels: tuple[int, ...]) -> nn.Sequential:
    """Images (B, 1, 28, 28) to (B, n_out): 28 → 14 → 7 → 3 → 1 pixels wide, with the four `channels`.

    Convolutions with kernels 4, 4, 3, 3, stride 2, and padding 1 for the first two; a BatchNorm after each but the
    first (those need no bias); LeakyReLU(0.2) after each; a last linear layer.
    """
    a, b, c, d = channels

    def block(n_in, n, *geometry):
        return [nn.Conv2d(n_in, n, *geometry, bias=False), nn.BatchNorm2d(n), nn.LeakyReLU(0.2)]

    return nn.Sequential(
        nn.Conv2d(1, a, 4, 2, 1), nn.LeakyReLU(0.2),  # 28 -> 14, no BatchNorm on the first
        *block(a, b, 4, 2, 1),  # 14 -> 7
        *block(b, c, 3, 2),  # 7 -> 3
        *block(c, d, 3, 2),  # 3 -> 1
        nn.Flatten(), nn.Linear(d, n_out),
    )  # fmt: skip


def conv_decoder(latent_dim: int, channels: tuple[int, ...]) -> nn.Sequential:
    """Codes (B, latent_dim) to logits (B, 1, 28, 28), as `conv_encoder` in reverse: 1 → 3 → 7 → 14 → 28.

    A linear layer to the last of `channels`, then transposed convolutions with kernels 3, 3, 4, 4, a BatchNorm and a
    LeakyReLU(0.2) after each but the last, which gives the logits: no sigmoid.
    """
    a, b, c, d = channels

    def block(n_in, n, *geometry):
        return [nn.ConvTranspose2d(n_in, n, *geometry, bias=False), nn.BatchNorm2d(n), nn.LeakyReLU(0.2)]

    return nn.Sequential(
        nn.Linear(latent_dim, d), nn.Unflatten(1, (d, 1, 1)),
        *block(d, c, 3, 2),  # 1 -> 3
        *block(c, b, 3, 2),  # 3 -> 7
        *block(b, a, 4, 2, 1),  # 7 -> 14
        nn.ConvTranspose2d(a, 1, 4, 2, 1),  # 14 -> 28
    )  # fmt: skip


# arch: encoder, decoder, and the default of `hidden` (layer sizes, or channels).
_ARCHS: dict[str, tuple[Callable, Callable, tuple[int, ...]]] = {
    "mlp": (mlp_encoder, mlp_decoder, (512, 256)),
    "conv": (conv_encoder, conv_decoder, (32, 64, 128, 256)),
}


# Layers draw their weights from torch's default generator, of which there is one for all threads.
_building = threading.Lock()


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
        if arch not in _ARCHS:
            raise ValueError(f"unknown arch {arch!r}: expected one of {', '.join(_ARCHS)}")
        encoder, decoder, default = _ARCHS[arch]
        hidden = default if hidden is None else tuple(hidden) if isinstance(hidden, Iterable) else (hidden,)
        sizes = (latent_dim, *hidden)
        if not all(isinstance(n, int) and n > 0 for n in sizes) or (arch == "conv" and len(hidden) != 4):
            raise ValueError(
                f"latent_dim and hidden must be positive integers (four channels for conv), got {latent_dim}, {hidden}"
            )
        if not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise ValueError(f"seed must be an integer from 0 to 2**63 - 1, got {seed!r}")
        self.latent_dim, self.arch, self.hidden, self.seed = latent_dim, arch, hidden, seed
        with _building, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.encoder = encoder(self.heads * latent_dim, hidden)
            self.decoder = decoder(latent_dim, hidden)

    def encode(self, x: Tensor) -> Tensor:
        """Code of each image. x: (B, 1, 28, 28) in [0, 1]; returns z (B, latent_dim)."""
        return self.encoder(x)

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


class Posterior(NamedTuple):
    """q(z|x) = N(mu, exp(logvar)), diagonal; both (B, latent_dim)."""

    mu: Tensor
    logvar: Tensor


def reparametrize(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """z = mu + exp(½ logvar) · eps, a draw from q(z|x) that gradients pass through.

    mu, logvar, eps ~ N(0, I): one shape, with (B, D) last; returns that shape. ValueError if logvar or eps would have
    to be broadcast beyond it. Kingma & Welling 2014, sec. 2.4.
    """
    if mu.shape != logvar.shape or eps.shape[eps.ndim - mu.ndim :] != mu.shape:
        raise ValueError(
            f"mu, logvar and eps must have one shape, got {tuple(mu.shape)}, {tuple(logvar.shape)}, {tuple(eps.shape)}"
        )
    return mu + torch.exp(0.5 * logvar.clamp(max=LOGVAR_MAX)) * eps


class VAE(AutoEncoder):
    """Variational autoencoder: q(z|x) = N(mu, exp(logvar)), prior N(0, I), the AutoEncoder's decoder.

    Arguments as for AutoEncoder; the only difference between the two networks is the width of the encoder's last
    layer. `VAE(20, hidden=(400,))` is the 784-400-20 network of PyTorch's VAE example.
    """

    heads = 2

    def encode(self, x: Tensor) -> Posterior:
        """(mu, logvar) of q(z|x), each (B, latent_dim). x: (B, 1, 28, 28) in [0, 1]."""
        return Posterior(*self.encoder(x).chunk(2, dim=1))

    def code(self, x: Tensor) -> Tensor:
        """The one point that stands for an image: the posterior mean mu, (B, latent_dim)."""
        mu, _ = self.encode(x)
        return mu

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(logits, mu, logvar), with one z per image drawn with `generator` (on the model's device)."""
        mu, logvar = self.encode(x)
        eps = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        return self.decode(reparametrize(mu, logvar, eps)), mu, logvar


class ConditionedVAE(VAE):
    """One "mlp" VAE for every β in a range: what each linear layer gives is scaled and shifted by functions of log β.

    betas: (smallest, largest), the homework's unit, 0 < smallest < largest. hidden, seed: as for AutoEncoder. `fit`
    draws a β for each image (its config's beta is not used); `at(beta)` gives the plain VAE that this is at one β.

    Dosovitskiy & Djolonga 2020 ("You only train once") and Bae et al. 2023 (arXiv:2212.03905) train so; the scale and
    shift, of the heads and the output too, are those of Perez et al. 2018 (arXiv:1709.07871).
    """

    width = 16  # of the embedding of log β
    tilt = 0.1  # how much more often a small β is drawn than a large one, see draw_betas

    def __init__(
        self,
        latent_dim: int,
        hidden: tuple[int, ...] | None = None,
        betas: tuple[float, float] = (1e-5, 1e-2),
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(latent_dim, "mlp", hidden, seed=seed)
        self.betas = tuple(map(float, betas))
        if len(self.betas) != 2 or not 0 < self.betas[0] < self.betas[1] < math.inf:
            raise ValueError(f"betas must be (smallest, largest) with 0 < smallest < largest, got {betas}")
        with _building, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            n = self.width
            self.embedding = nn.Sequential(nn.Linear(1, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh())
            nn.init.normal_(self.embedding[0].weight, std=1.5)  # steps all over the range, not only in its middle
            nn.init.uniform_(self.embedding[0].bias, -2, 2)
            self.modulations = nn.ModuleList(
                nn.Linear(n, 2 * layer.out_features) for layer in _linears(self.encoder, self.decoder)
            )
            for layer in self.modulations:  # β changes nothing at first
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def draw_betas(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n β over the range, (n,), in rising order: one from each of n equally probable parts of it.

        The density of log β is proportional to β^−tilt. Without a tilt (log-uniform) the large losses at large β leave
        too little for the small β.
        """
        device = device_of(self)
        u = (torch.arange(n, device=device) + torch.rand(n, generator=generator, device=device)) / n
        low, high = (beta**-self.tilt for beta in self.betas)
        return (low + (high - low) * u) ** (-1 / self.tilt)

    def _modulate(self, betas: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """(scale, shift) for each linear layer in order, (B, features) each."""
        low, high = map(math.log, self.betas)
        standardised = (betas.log() - (low + high) / 2) / ((high - low) / math.sqrt(12))
        embedded = self.embedding(standardised.unsqueeze(1))
        for layer in self.modulations:
            scale, shift = layer(embedded).chunk(2, 1)
            yield 1 + scale, shift

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None, betas: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(logits, mu, logvar) with one β per image, (B,), by default drawn."""
        modulation = self._modulate(self.draw_betas(len(x), generator) if betas is None else betas)

        def through(network: nn.Sequential, h: Tensor) -> Tensor:
            for layer in network:
                h = layer(h)
                if isinstance(layer, nn.Linear):
                    scale, shift = next(modulation)
                    h = scale * h + shift
            return h

        mu, logvar = through(self.encoder, x).chunk(2, 1)
        eps = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        return through(self.decoder, reparametrize(mu, logvar, eps)), mu, logvar

    @torch.no_grad()
    def at(self, beta: float) -> VAE:
        """The plain VAE that this network is at one β: scale and shift go into its weights. ValueError out of range."""
        if not self.betas[0] * (1 - 1e-6) <= beta <= self.betas[1] * (1 + 1e-6):  # a float32's ends belong to it
            raise ValueError(f"β must be in {self.betas[0]:g} … {self.betas[1]:g}, this network's range, got {beta:g}")
        with torch.device("meta"):  # no weights drawn, for all are replaced
            vae = VAE(self.latent_dim, self.arch, self.hidden, seed=self.seed)
        modulation = self._modulate(torch.tensor([beta], device=device_of(self)))
        theirs, ours = _linears(vae.encoder, vae.decoder), _linears(self.encoder, self.decoder)
        for to, layer, (scale, shift) in zip(theirs, ours, modulation, strict=True):
            to.weight = nn.Parameter(scale.T * layer.weight)
            to.bias = nn.Parameter(scale[0] * layer.bias + shift[0])
        return vae.eval()

    def encode(self, x: Tensor) -> Posterior:
        """Not without a β: TypeError."""
        raise TypeError("a ConditionedVAE needs a β: use its at(beta), which is a VAE")

    decode = encode


def _linears(*networks: nn.Sequential) -> list[nn.Linear]:
    return [layer for network in networks for layer in network if isinstance(layer, nn.Linear)]


_KINDS = {kind.__name__: kind for kind in (AutoEncoder, VAE, ConditionedVAE)}


def describe(model: AutoEncoder) -> dict:
    """What it takes to build this model afresh, as JSON values. TypeError for a model that is not hw2's own."""
    if type(model) not in _KINDS.values():  # nor a subclass, which may compute something else
        raise TypeError(
            f"can save hw2's own {', '.join(_KINDS)}, got {type(model).__name__} of {type(model).__module__}"
        )
    return {"kind": type(model).__name__} | {n: getattr(model, n) for n in inspect.signature(type(model)).parameters}


def build(description: dict) -> AutoEncoder:
    """The model that `describe` described, with its initial weights."""
    return _KINDS[description["kind"]](**{name: value for name, value in description.items() if name != "kind"})


@contextlib.contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, the earlier mode restored after: BatchNorm must not see what is sampled."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next(model.parameters()).device

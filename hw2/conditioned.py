"""One VAE for every β: what each linear layer gives is scaled and shifted by functions of log β. Notebooks 2, 4.

Papers: Dosovitskiy & Djolonga 2020 ("You only train once"); Bae et al. 2023 (arXiv:2212.03905); Perez et al. 2018
(arXiv:1709.07871) for the scale and shift.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .inputs import real
from .losses import kl_normal, reconstruction_loss
from .models import VAE, Posterior, device_of, reparametrize
from .networks import initialise


class ConditionedVAE(VAE):
    """One "mlp" VAE for every β in a range.

    betas: (smallest, largest), the homework's unit, 0 < smallest < largest. hidden, seed: as for AutoEncoder. Its
    `terms` draw a β for each image (a config's beta is not used); `at(beta)` gives the plain VAE that this is at one β.

    Dosovitskiy & Djolonga 2020 and Bae et al. 2023 train so; the scale and shift, of the heads and the output too, are
    those of Perez et al. 2018.
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
        self.betas = tuple(real("each of betas", b) for b in (betas if isinstance(betas, tuple | list) else (betas,)))
        if len(self.betas) != 2 or not 0 < self.betas[0] < self.betas[1]:
            raise ValueError(f"betas must be (smallest, largest) with 0 < smallest < largest, got {betas}")
        generator, n = torch.Generator().manual_seed(self.seed), self.width
        with torch.device("meta"):
            self.embedding = nn.Sequential(nn.Linear(1, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh())
            self.modulations = nn.ModuleList(
                nn.Linear(n, 2 * layer.out_features) for layer in _linears(self.encoder, self.decoder)
            )
        initialise(self.embedding, generator)
        first = self.embedding[0]  # so that its tanh bend all over the range of log β
        nn.init.normal_(first.weight, std=1.5, generator=generator)
        nn.init.uniform_(first.bias, -2, 2, generator=generator)
        for parameter in self.modulations.float().to_empty(device="cpu").parameters():  # β changes nothing at first
            nn.init.zeros_(parameter)

    def draw_betas(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n β over the range, (n,), in rising order: one from each of n equally probable parts of it.

        The density of log β is proportional to β^−tilt. Without a tilt (log-uniform) the large losses at large β leave
        too little for the small β.
        """
        device = device_of(self)
        u = torch.rand(n, generator=generator, device=device, dtype=torch.float32)
        u = (torch.arange(n, device=device) + u) / n
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

    def terms(
        self, x: Tensor, likelihood: str = "gaussian", generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(reconstruction, KL, β) of a batch, (B,) each: every image has a β of its own, which prices its KL."""
        betas = self.draw_betas(len(x), generator)
        logits, mu, logvar = self(x, generator, betas)
        return reconstruction_loss(logits, x, likelihood), kl_normal(mu, logvar), betas

    @torch.no_grad()
    def at(self, beta: float) -> VAE:
        """The plain VAE that this network is at one β: scale and shift go into its weights. ValueError out of range."""
        beta = real("beta", beta)
        low, high = self.betas
        if not low * (1 - 1e-6) <= beta <= high * (1 + 1e-6):  # room for a float32's rounding at the ends
            raise ValueError(f"β must be in {low:g} … {high:g}, this network's range, got {beta:g}")
        vae = VAE(self.latent_dim, self.arch, self.hidden, seed=self.seed)
        modulation = self._modulate(torch.tensor([beta], device=device_of(self)).to(self.embedding[0].weight.dtype))
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

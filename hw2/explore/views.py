"""What the sliders show: settings to pictures and a line of text. No widgets here, and nothing that trains."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..conditioned import ConditionedVAE
from ..data import Digits
from ..latent import decode, path_positions, reconstruct, traverse, walk
from ..losses import effective_beta
from ..models import AutoEncoder
from ..plotting import beta_label
from ..study.judge import features, probabilities
from ..training import Terms
from .pictures import SCALE, Chart, captioned, joined, tiles


class View(NamedTuple):
    """Pictures, to be seen side by side, and what they say in words and units."""

    pictures: tuple[Image.Image, ...]
    text: str


class BetaEntry(NamedTuple):
    """What a sweep's table says of one β, measured beforehand."""

    terms: Terms  # on held-out images
    active: float  # number of active dimensions
    frechet: float  # of samples from N(0, I), in the judge's features


def nearest_beta(betas: Sequence[float], beta: float) -> float:
    """The one of `betas` that is nearest to `beta` on the log axis; 0 only for 0."""
    if beta in betas:
        return beta
    return min((b for b in betas if b > 0), key=lambda b: abs(math.log(b / beta)))


def between(entries: Mapping[float, BetaEntry], beta: float) -> BetaEntry:
    """The table's numbers at a β between its rows, linear in log β. ValueError outside the table."""
    betas = sorted(entries)
    if not betas[0] * (1 - 1e-6) <= beta <= betas[-1] * (1 + 1e-6):  # a float32's ends belong to it
        raise ValueError(f"β must be in {beta_label(betas[0])} … {beta_label(betas[-1])} here, got {beta_label(beta)}")
    at = np.log(betas)

    def number(column: Callable[[BetaEntry], float]) -> float:
        return float(np.interp(math.log(beta), at, [column(entries[b]) for b in betas]))

    terms = Terms(*(number(lambda e, i=i: e.terms[i]) for i in range(3)))
    return BetaEntry(terms, number(lambda e: e.active), number(lambda e: e.frechet))


def render_beta(
    models: Mapping[float, AutoEncoder],
    entries: Mapping[float, BetaEntry],
    plane: Chart,
    x: Tensor,
    beta: float,
    seed: int = 0,
    conditioned: tuple[ConditionedVAE, Mapping[float, BetaEntry]] | None = None,
) -> View:
    """Images, reconstructions and two rows of samples at a β, beside its place on the rate-distortion plane.

    models, entries: by the β that they were trained at, of which the nearest is shown; with `conditioned`, a model and
    its own table, the pictures are of exactly this β, if it is in the model's range. x: (N, 1, 28, 28); seed: of z.
    """
    if conditioned and conditioned[0].betas[0] <= beta <= conditioned[0].betas[1]:
        model, entry = conditioned[0].at(beta), between(conditioned[1], beta)
        source = "one network for all β, numbers between rows of its table"
    else:
        beta = nearest_beta(list(models), beta)
        model, entry, source = models[beta], entries[beta], "trained at this β"
    z = torch.randn(2 * len(x), model.latent_dim, generator=torch.Generator().manual_seed(seed))
    pictures = tiles(torch.cat([x, reconstruct(model, x), decode(model, z)]), len(x), 2)
    text = (
        f"β = {beta:.3g} (pixel-mean error, summed KL; {effective_beta(beta):.3g} with both summed), {source}: "
        f"distortion {entry.terms.recon:.1f} squared error per image, rate {entry.terms.kl:.1f} nats per image, "
        f"{entry.active:.0f} of {model.latent_dim} dimensions active, Fréchet distance of samples {entry.frechet:.0f}"
    )
    return View((pictures, plane.marked(entry.terms.kl, entry.terms.recon)), text)


def opinions(images: Tensor) -> list[str]:
    """What the judge calls each image, and how sure it is: "4 · 98 %"."""
    share, label = probabilities(features(images)).max(1)
    return [f"{c} · {100 * p:.0f} %" for c, p in zip(label.tolist(), share.tolist(), strict=True)]


def render_interpolation(
    models: Mapping[str, AutoEncoder],
    digits: Digits,
    start: tuple[int, int],
    end: tuple[int, int],
    steps: int = 7,
    position: float = 0.5,
    method: str = "linear",
) -> View:
    """A strip per model between two images, both ends included, and after a gap the image at exactly `position`.

    start, end: (class, number among the images of that class, from 0). Below each image the judge's label and its
    probability. IndexError for an image that is not there, ValueError for what `interpolate` refuses.
    """
    a, b = digits.index_of(*start), digits.index_of(*end)
    t = torch.cat([path_positions(steps), torch.tensor([float(position)])])
    strips = [walk(m, digits.images[[a]], digits.images[[b]], t, method)[:, 0] for m in models.values()]
    said = opinions(torch.cat(strips))  # of all rows at once
    rows, texts = [], []
    for i, (name, images) in enumerate(zip(models, strips, strict=True)):
        *captions, last = said[i * len(t) : (i + 1) * len(t)]
        strip = captioned(images[:-1], captions, name=name)
        rows.append(joined([strip, captioned(images[-1:], [last])], across=True, gap=29 * SCALE // 2))
        texts.append(f"{name} {last}")
    ends = f"{start[0]}@{a} → {end[0]}@{b}"
    return View((joined(rows),), f"{ends}, {method}; at position {position:.2f} the judge sees: {', '.join(texts)}")


def render_plane(model: AutoEncoder, plane: Chart, z1: float, z2: float) -> View:
    """The decoded digit at a point of a two-dimensional latent space, beside its place among the codes."""
    image = decode(model, torch.tensor([[z1, z2]], dtype=torch.float32))
    said = opinions(image)
    pictures = plane.marked(z1, z2), captioned(image, said, 8)
    return View(pictures, f"z = ({z1:.2f}, {z2:.2f}) in standard deviations of the prior; the judge sees {said[0]}")


def render_traversal(model: AutoEncoder, spread: Tensor, x: Tensor, rank: int, value: float) -> View:
    """One coordinate of x's code moved from −3 to 3, and after a gap at exactly `value`; the rest stays.

    spread: standard deviation of each coordinate over many codes, (latent_dim,), which ranks them. x: one image,
    (1, 28, 28); rank: 1 for the coordinate that varies most; value: in these standard deviations around 0.
    """
    if not 1 <= rank <= len(spread):
        raise ValueError(f"rank must be in 1 ... {len(spread)}, this model's latent size, got {rank}")
    dim = int(spread.argsort(descending=True)[rank - 1])
    values = torch.cat([torch.linspace(-3, 3, 9), torch.tensor([value])])
    images = traverse(model, x, dim, values * spread[dim])
    captions = [f"{v:+.1f} σ" for v in values.tolist()]
    pictures = captioned(images[:-1], captions[:-1]), captioned(images[-1:], captions[-1:])
    text = f"z[{dim}], number {rank} by spread over the test images (σ = {spread[dim]:.2g}), at {value:+.2f} σ"
    return View(pictures, text)

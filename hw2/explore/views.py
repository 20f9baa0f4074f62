"""What the sliders show: settings to pictures and to what is said of them. No widgets here, and nothing that trains."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ..data import Digits
from ..latent import decode, dtype_of, grid, path_positions, reconstruct, traverse, walk
from ..losses import effective_beta
from ..models import AutoEncoder, device_of, inference
from ..plotting import beta_label, latent_plane, posteriors
from ..study.judge import features, probabilities
from ..training import Terms
from .pictures import MARGIN, Chart, captioned, chart, joined, text_width, tiles


class View(NamedTuple):
    """Pictures, to be seen side by side, and what they are of: names to values with their units.

    alts: of each picture, what is seen on it, in words.
    """

    pictures: tuple[Image.Image, ...]
    said: dict[str, str]
    alts: tuple[str, ...]


def signed(number: float, sign: str = "") -> str:
    """Two decimals, with a minus that is read aloud. sign="+": with a plus, too. Zero has neither, as on a slider."""
    rounded = round(number, 2)
    return f"{rounded:{sign}.2f}".replace("-", "−") if rounded else "0.00"


class BetaEntry(NamedTuple):
    """What a sweep's table says of one β, measured beforehand."""

    terms: Terms  # on held-out images
    active: int  # number of active dimensions
    frechet: float  # of samples from N(0, I), in the judge's features


def render_beta(
    models: Mapping[float, AutoEncoder],
    entries: Mapping[float, BetaEntry],
    plane: Chart,
    x: Tensor,
    beta: float,
    seed: int = 0,
) -> View:
    """Images, reconstructions and two rows of samples at a β, beside its place on the rate-distortion plane.

    models, entries: by the β that they were trained at. x: (N, 1, 28, 28); seed: of z.
    """
    model, entry = models[beta], entries[beta]
    z = torch.randn(2 * len(x), model.latent_dim, generator=torch.Generator().manual_seed(seed))
    images = torch.cat([x, reconstruct(model, x), decode(model, z)])
    read = readings(images)
    alts = (
        f"{len(x)} images, which the judge reads as {' '.join(read[: len(x)])}. Below, their reconstructions at "
        f"β = {beta_label(beta)}, read as {' '.join(read[len(x) : 2 * len(x)])}. Below, two rows of samples, read as "
        f"{' '.join(read[2 * len(x) :])}.",
        f"Error against rate, a curve through all β. The ring is at this β: error {entry.terms.recon:.1f}, rate "
        f"{entry.terms.kl:.1f} nats.",
    )
    said = {
        "β": beta_label(beta),
        "both summed": f"{effective_beta(beta):.3g}",
        "squared error": f"{entry.terms.recon:.1f}",
        "rate": f"{entry.terms.kl:.1f} nats",
        "active": f"{entry.active} of {model.latent_dim}",
        "Fréchet score": f"{entry.frechet:.0f}",
    }
    return View((tiles(images, len(x), 2), plane.marked(entry.terms.kl, entry.terms.recon)), said, alts)


def readings(images: Tensor) -> list[str]:
    """What the judge calls each image: "4"."""
    return [said.split()[0] for said in opinions(images)]


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
    """A strip per model between two images, both ends included, and beside it the image at exactly `position`.

    start, end: (class, number among the images of that class, from 0). Below each image the judge's label and its
    probability. IndexError for an image that is not there, ValueError for what `interpolate` refuses.
    """
    a, b = digits.index_of(*start), digits.index_of(*end)
    t = torch.cat([path_positions(steps), torch.tensor([float(position)])])
    strips = [walk(m, digits.images[[a]], digits.images[[b]], t, method)[:, 0] for m in models.values()]
    said = opinions(torch.cat(strips))  # of all rows at once
    rows, ones, words, seen = [], [], [], {}
    margin = max(MARGIN, *(text_width(name) + 8 for name in models))
    for i, (name, images) in enumerate(zip(models, strips, strict=True)):
        *captions, there = said[i * len(t) : (i + 1) * len(t)]
        rows.append(captioned(images[:-1], captions, name=name, margin=margin))
        ones.append(captioned(images[-1:], [there], name=name, margin=margin))
        words.append(f"{name}: {', '.join(captions)}")
        seen[f"{name} there"] = there
    pair = {
        "from": f"{start[0]}, image {a}",
        "to": f"{end[0]}, image {b}",
        "path": method,
        "position": f"{position:.2f}",
    }
    ones_read = "; ".join(f"{name}: {there}" for name, there in zip(models, seen.values(), strict=True))
    alts = (
        f"{steps} images each, from a {start[0]} to a {end[0]}, which the judge reads as {'; '.join(words)}.",
        f"The image at {position:.2f} of the way, read as {ones_read}.",
    )
    return View((joined(rows), joined(ones)), pair | seen, alts)


class PlaneEntry(NamedTuple):
    """A VAE of two latent dimensions, with its pictures, drawn once."""

    model: AutoEncoder
    terms: Terms  # on held-out images
    posteriors: Chart
    plane: Chart


def plane_entry(model: AutoEncoder, terms: Terms, digits: Digits, limit: float = 3.2, n: int = 11) -> PlaneEntry:
    """Both pictures of a two-dimensional latent space: q(z|x) of `digits`, and a decoded grid of n by n points."""
    with inference(model):
        found = model.encode(digits.images.to(device_of(model), dtype_of(model)))
    if isinstance(found, Tensor):
        raise TypeError(f"the model must be a VAE, whose encode gives (mu, logvar), got {type(model).__name__}")
    mu, logvar = (t.cpu() for t in found)
    charts = []
    for draw in (
        lambda ax: posteriors(mu, logvar, digits.labels, limit, ax=ax),
        lambda ax: latent_plane(decode(model, grid(limit, n)), limit, ax=ax),
    ):
        figure = Figure(figsize=(2.9, 2.9), dpi=100, layout="constrained")
        charts.append(chart(draw(figure.subplots())))
    return PlaneEntry(model, terms, *charts)


def render_plane(entry: PlaneEntry, beta: float, z1: float, z2: float) -> View:
    """The decoded digit at a point of a two-dimensional latent space, beside its place among codes and pictures."""
    image = decode(entry.model, torch.tensor([[z1, z2]], dtype=torch.float32))
    (opinion,) = opinions(image)
    pictures = entry.posteriors.marked(z1, z2), entry.plane.marked(z1, z2), captioned(image, [opinion], 6)
    z, label = f"({signed(z1)}, {signed(z2)})", beta_label(float(f"{beta:.2g}"))
    said = {
        "β": label,
        "both summed": f"{effective_beta(beta):.2g}",
        "squared error": f"{entry.terms.recon:.1f}",
        "rate": f"{entry.terms.kl:.1f} nats",
        "z": z,
        "the judge sees": opinion,
    }
    alts = (
        f"Ellipses of q(z|x) in the plane of codes at β = {label}, a colour per digit. The ring is at z = {z}.",
        f"Images decoded on a grid over the same plane. The ring is at z = {z}.",
        f"The image decoded at z = {z}: the judge reads it as {opinion}.",
    )
    return View(pictures, said, alts)


def render_traversal(model: AutoEncoder, spread: Tensor, x: Tensor, rank: int, value: float) -> View:
    """One coordinate of x's code moved from −3 to 3, and after a gap at exactly `value`; the rest stays.

    spread: standard deviation of each coordinate over many codes, (latent_dim,), which ranks them. x: one image,
    (1, 28, 28); rank: 1 for the coordinate that varies most; value: in these standard deviations around 0.
    """
    if not 1 <= rank <= len(spread):
        raise ValueError(f"rank must be in 1 ... {len(spread)}, this model's latent size, got {rank}")
    dim = int(spread.argsort(descending=True)[rank - 1])
    values = torch.cat([torch.linspace(-3, 3, 7), torch.tensor([value])])
    images = traverse(model, x, dim, values * spread[dim])
    captions = [f"{signed(v, '+')} σ" for v in values.tolist()]
    pictures = captioned(images[:-1], captions[:-1]), captioned(images[-1:], captions[-1:])
    said = {
        "dimension": f"z[{dim}]",
        "rank": f"{rank} by spread",
        "σ": f"{spread[dim]:.2g}",
        "value": captions[-1],
    }
    *strip, one = readings(images)
    alts = (
        f"The image decoded while z[{dim}] moves from −3 σ to +3 σ, which the judge reads as {' '.join(strip)}.",
        f"The image decoded with z[{dim}] at {captions[-1]}, read as {one}.",
    )
    return View(pictures, said, alts)

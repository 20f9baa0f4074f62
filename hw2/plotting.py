"""Figures. Each function takes arrays, runs or histories and returns axes, or the figure where it makes several.

Nothing here shows or saves. Images are drawn with pixel 0 black and 1 white, the same in every figure. The colours
are Okabe & Ito's, and Petroff's (arXiv:2107.02270) for ten classes, with a green and a pink for a grey and a brown.
"""

import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from torch import Tensor

from .inputs import range_remedy, whole
from .losses import effective_beta

COLORS = {"AE": "#D55E00", "VAE": "#0072B2", "blend": "#555555", "pixels": "#555555"}
ERROR_UNIT = "squared error per image"
ERROR_UNITS = {"gaussian": ERROR_UNIT, "bernoulli": "cross-entropy in nats per image"}
KL_UNIT = "KL in nats per image"
BETA_UNIT = "β (pixel-mean error, summed KL)"

# For plt.style.use.
STYLE = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def _images(images: Tensor) -> Tensor:
    """Images to be drawn, on the CPU, without a graph. TypeError or ValueError for what would be drawn wrongly."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a torch.Tensor, got {type(images).__name__}")
    if images.ndim != 4 or images.shape[1:] != (1, 28, 28) or len(images) == 0:
        raise ValueError(f"images must be (N, 1, 28, 28) with N >= 1, got {tuple(images.shape)}")
    images = images.detach().cpu().float()
    low, high = (v.item() for v in images.aminmax())
    if not (low > -1e-5 and high < 1 + 1e-5):  # nor NaN
        raise ValueError(f"pixels must be in [0, 1], got [{low:g}, {high:g}]: {range_remedy(low, high)}")
    return images


def mosaic(images: Tensor, columns: int) -> np.ndarray:
    """One picture of many, row by row with a grey line between: (N, 1, 28, 28) gives (height, width) in [0, 1]."""
    from torchvision.utils import make_grid

    images, columns = _images(images), whole("columns", columns)
    if len(images) == 1:  # of which make_grid makes no grid
        return np.pad(images[0, 0].numpy(), 1, constant_values=0.5)
    return make_grid(images, nrow=columns, padding=1, pad_value=0.5)[0].numpy()


def image_grid(images: Tensor, columns: int = 4, title: str = "", ax: Axes | None = None) -> Axes:
    """Images in reading order. images: (N, 1, 28, 28)."""
    columns = whole("columns", columns)
    picture = mosaic(images, columns)
    ax = ax or plt.subplots(figsize=(3.2, 3.2 * np.ceil(len(images) / columns) / columns))[1]
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()
    ax.set_title(title)
    return ax


def image_rows(
    rows: Mapping[str, Tensor], columns: Sequence[str] = (), title: str = "", ax: Axes | None = None
) -> Axes:
    """One labelled row of images per entry, the columns under each other. Each value: (N, 1, 28, 28), N the same.

    columns: a label above each column.
    """
    if not isinstance(rows, Mapping) or isinstance(columns, str):
        raise TypeError("rows must be name: images, and columns a sequence of labels")
    columns = [c.item() if isinstance(c, Tensor) else c for c in columns]
    rows = {name: _images(images) for name, images in rows.items()}
    lengths = {len(images) for images in rows.values()}
    if len(lengths) != 1 or len(columns) not in (0, *lengths):
        raise ValueError(
            f"every row needs as many images as there are columns, got {[len(v) for v in rows.values()]} images "
            f"and {len(columns)} column labels"
        )
    n = lengths.pop()
    picture = mosaic(torch.cat(list(rows.values())), n)
    ax = ax or plt.subplots(figsize=(1.1 + 0.62 * n, 0.35 + 0.62 * len(rows)))[1]
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_yticks(15 + 29 * np.arange(len(rows)), rows)
    ax.xaxis.tick_top()
    ax.set_xticks(15 + 29 * np.arange(len(columns)), columns)
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_title(title)
    return ax


def _name_colors(names: Sequence[str]) -> dict[str, str]:
    """A colour per name: that of COLORS where it has one, others in their order."""
    others = [name for name in names if name not in COLORS]
    more = [color for color in class_colors() if color not in COLORS.values()]
    if len(others) > len(more):
        raise ValueError(f"at most {len(more)} names can be told apart by colour, got {len(others)}")
    return {name: COLORS.get(name) or more[others.index(name)] for name in names}


def beta_label(beta: float) -> str:
    """β as the figures write it: 0.001 rather than 1e-03, 1e-05 as 1e-5."""
    return f"{beta:g}".replace("e-0", "e-")


def beta_colors(betas: Sequence[float]) -> dict[float, tuple]:
    """A colour per β, dark to light in their order (viridis, without its palest end)."""
    return dict(zip(betas, plt.get_cmap("viridis")(np.linspace(0, 0.9, len(betas))), strict=True))


def curves(histories: Mapping[str, object], colors: Mapping | None = None, window: int = 50) -> Figure:
    """Training curves, reconstruction and KL per step side by side. Thin: every step, if there is one history only.

    histories: label to what `fit` returns (its `recon` and `kl`, (steps,) each, are drawn); colors: by the same labels.
    window: steps in the centred running mean that is drawn bold. An autoencoder has no KL: its panel is left out when
    every kl is 0. Circles: held-out digits after each epoch, where `fit` had them. A β that changes has its own panel.
    """
    if (
        not isinstance(histories, Mapping)
        or not histories
        or not all(hasattr(history, "recon") and len(history.recon) for history in histories.values())
    ):
        raise ValueError(f"histories must be label: what hw2.fit returns, at least one, got {histories!r:.80}")
    window = whole("window", window)
    colors = dict(colors or {})
    colors |= _name_colors([label for label in histories if label not in colors])
    units = {ERROR_UNITS[getattr(history, "likelihood", "gaussian")] for history in histories.values()}
    if len(units) > 1:
        raise ValueError(f"histories in {' and in '.join(sorted(units))} share no axis: draw them apart")
    panels = [("recon", units.pop(), "Reconstruction")]
    if any(history.kl.any() for history in histories.values()):
        panels.append(("kl", KL_UNIT, "KL to the prior"))
    if any(getattr(h, "beta", None) is not None and h.beta.min() < h.beta.max() for h in histories.values()):
        panels.append(("beta", BETA_UNIT, "β in force"))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(7.4 if len(panels) > 1 else 5, 2.8), squeeze=False, layout="constrained"
    )
    for ax, (term, unit, title) in zip(axes[0], panels, strict=True):
        top = 0
        for label, history in histories.items():
            values = getattr(history, term)
            color = colors[label]
            if values is None:  # a model that draws its own β
                continue
            if term == "beta":
                ax.plot(np.arange(1, len(values) + 1), values, color=color, lw=1.6, label=label)
                top = max(top, values.max().item())
                continue
            held_out = getattr(history, "validation", None)
            if held_out is not None:
                row = held_out[("recon", "kl").index(term)]
                ends = history.steps_per_epoch * np.arange(1, len(row) + 1)
                ax.plot(ends, row, "o", mfc="none", color=color, label="held out" if len(histories) == 1 else None)
                top = max(top, row.max().item())
            if len(histories) == 1:
                ax.plot(np.arange(1, len(values) + 1), values, color=color, alpha=0.25, lw=0.6, label="each step")
            over = min(window, max(1, len(values) // 4))  # of a short run, too, there is a curve to be seen
            if len(histories) == 1:
                label = f"mean of {over} steps"
            smooth = values.unfold(0, over, 1).mean(1)  # the running mean
            top = max(top, smooth.max().item())
            centres = np.arange(1, len(smooth) + 1) + (len(values) - len(smooth)) / 2
            ax.plot(centres, smooth, color=color, lw=1.6, label=label)
        if term == "kl" and len(histories) > 1:
            ax.set_yscale("symlog", linthresh=1)  # eight β span five decades
        # The first few steps, from untrained weights, would flatten everything after them: they are cut off.
        ax.set(xlabel="training step", ylabel=unit, title=title)
        drawn = [values for history in histories.values() if (values := getattr(history, term)) is not None]
        if all(values.min() >= 0 for values in drawn):
            ax.set_ylim(0, 1.25 * top or 1)
    axes[0, -1 if len(histories) > 1 else 0].legend(
        *axes[0, 0].get_legend_handles_labels(),  # every run is in the first panel
        fontsize="small", loc="center left" if len(histories) > 1 else "best",
        bbox_to_anchor=(1, 0.5) if len(histories) > 1 else None,
    )  # fmt: skip
    return figure


def _plot_against_beta(
    ax: Axes, betas: Sequence[float], values: Sequence[float], label: str = "", **style
) -> np.ndarray:
    """Draw values over a log axis of β, ascending; 0 stands unconnected, one and a half decades left of the next.

    Returns where each β is drawn.
    """
    start = 1 if betas[0] == 0 else 0
    smallest = betas[start] if start < len(betas) else 1e-3  # with 0 alone there is no axis to stand off
    at = np.array([b if b > 0 else smallest / 10**1.5 for b in betas])
    ax.plot(at[start:], values[start:], label=label, **style)
    ax.plot(at[:start], values[:start], **style | {"ls": "none"})
    ax.set_xscale("log")
    ax.set_xticks(at, [beta_label(b) for b in betas], rotation=90, fontsize=8)
    ax.xaxis.minorticks_off()
    return at


def _betas(table: Mapping[float, object], marked: float | None) -> list[float]:
    """The β of a table, ascending. ValueError if there is none, or if the one to be marked is not among them."""
    if not table or not all(0 <= beta < math.inf for beta in table):
        raise ValueError(f"needs at least one β, each finite and >= 0, got {list(table)}")
    if marked is not None and marked not in table:
        raise ValueError(f"marked must be one of {', '.join(map(beta_label, sorted(table)))}, got {marked}")
    return sorted(table)


Baseline = tuple[Tensor, Tensor, str]  # rate, distortion, label


def rate_distortion(
    terms: Mapping[float, Sequence[float]],
    marked: float | None = None,
    baseline: Baseline | None = None,
    ax: Axes | None = None,
    likelihood: str = "gaussian",
) -> Axes:
    """Distortion against rate, a point per β, on linear axes. The short line through each has the slope −784 β.

    terms: β (homework's unit) to (distortion, rate, …), as `evaluate` gives them; marked: the β to circle; baseline:
    (rate, distortion, label) of a curve to compare with, dashed. β = 0 may lie far to the right: an arrow says where.
    likelihood: that of the terms, which gives the distortion its unit.
    """
    betas = _betas(terms, marked)
    if not all(math.isfinite(v) and v >= 0 for b in betas for v in terms[b][:2]):
        raise ValueError("terms must be finite distortions and rates >= 0")
    ax = ax or plt.subplots(figsize=(6, 4), layout="constrained")[1]
    priced = [b for b in betas if b > 0]
    right = 1.2 * max([terms[b][1] for b in priced] or [terms[0][1]]) + 3
    top = 1.1 * max(terms[b][0] for b in betas) or 1
    shown = [b for b in betas if terms[b][1] <= right]
    ax.plot(*([terms[b][i] for b in reversed(shown)] for i in (1, 0)), color="0.7", zorder=1)
    for b, color in beta_colors(betas).items():
        distortion, rate = terms[b][:2]
        if b not in shown:
            ax.annotate(f"β = {beta_label(b)}: {rate:.0f} nats, error {distortion:.1f} →", (1, 0), (-4, 5),
                        "axes fraction", "offset points", ha="right", fontsize=8)  # fmt: skip
            continue
        ax.scatter(rate, distortion, color=color, s=40, zorder=3)
        if b > 0:
            slope = -effective_beta(b) * right / top  # of the line as it is drawn, in axes lengths
            reach = 0.09 / np.hypot(1, slope) * right
            at = np.array([-reach, reach])
            label = "slope −784 β" if b == priced[len(priced) // 2] else None
            ax.plot(rate + at, distortion - effective_beta(b) * at, color=color, lw=1.6, zorder=2, label=label)
        ax.annotate(f"β = {beta_label(b)}", (rate, distortion), (10, 5), textcoords="offset points", fontsize=8)
    if baseline:
        ax.plot(*baseline[:2], color="k", ls="--", lw=1, label=baseline[2])
    if priced:
        ax.legend(fontsize=8, loc="upper right")

    if marked is not None:
        ax.scatter(terms[marked][1], terms[marked][0], s=160, facecolors="none", edgecolors="k", zorder=4)
    ax.set(
        xlabel="rate: " + KL_UNIT,
        ylabel="distortion: " + _error_unit(likelihood),
        xlim=(-0.02 * right, right),
        ylim=(0, top),
    )
    return ax


def _error_unit(likelihood: str) -> str:
    if likelihood not in ERROR_UNITS:
        raise ValueError(f"unknown likelihood {likelihood!r}: expected one of {', '.join(ERROR_UNITS)}")
    return ERROR_UNITS[likelihood]


def terms_against_beta(
    terms: Mapping[float, Sequence[float]], marked: Sequence[float] = (), likelihood: str = "gaussian"
) -> Figure:
    """Error and rate against β, a panel each, β = 0 off the log axis. terms, likelihood: as for `rate_distortion`.

    marked: the β to point out.
    """
    betas, units = _betas(terms, None), (_error_unit(likelihood), KL_UNIT)
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.9), layout="constrained")
    for ax, i, unit, color in zip(axes, (0, 1), units, (COLORS["AE"], COLORS["VAE"]), strict=True):
        at = _plot_against_beta(ax, betas, [terms[b][i] for b in betas], color=color, marker="o")
        _mark(ax, betas, at, marked)
        ax.set(xlabel=BETA_UNIT, ylabel=unit)
    axes[0].set_ylim(0, None)
    axes[1].set_ylabel(f"{KL_UNIT}\n(logarithmic from 1 on)")
    axes[1].set_yscale("symlog", linthresh=1)
    axes[1].set_ylim(-0.1, None)
    axes[1].set_yticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    axes[1].minorticks_off()
    return figure


def _mark(ax: Axes, betas: Sequence[float], at: np.ndarray, marked: Sequence[float]) -> None:
    """A thin vertical line at each marked β."""
    for b in marked:
        if b not in betas:
            raise ValueError(f"marked must be among {', '.join(map(beta_label, betas))}, got {b}")
        ax.axvline(at[list(betas).index(b)], color="k", lw=0.8, ls=":")


def samples_against_beta(
    samples: Mapping[float, object], floor: Mapping[float, object], marked: Sequence[float] = ()
) -> Figure:
    """Fréchet score, and the share of which the judge is sure, against β, 0 off the log axis.

    samples: β to what has numbers `frechet` and `sure`, of draws from the prior; floor: the same of reconstructions,
    dashed, which the decoder's blur keeps samples from beating; marked: the β to point out.
    """
    betas = _betas(samples, None)
    if missing := samples.keys() - floor.keys():
        raise ValueError(f"floor must have an entry for each β, there is none for {sorted(missing)}")
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.9), layout="constrained")
    for ax, name, unit, scale in zip(
        axes, ("frechet", "sure"), ("Fréchet score (0 is best)", "share the judge is sure of"), ("log", "linear"),
        strict=True,
    ):  # fmt: skip
        at = _plot_against_beta(ax, betas, [getattr(samples[b], name) for b in betas], "samples from $N(0, I)$",
                                marker="o", color=COLORS["VAE"])  # fmt: skip
        _plot_against_beta(ax, betas, [getattr(floor[b], name) for b in betas], "reconstructions",
                           marker="s", ms=4, color=COLORS["blend"], ls="--")  # fmt: skip
        _mark(ax, betas, at, marked)
        ax.set(yscale=scale, xlabel=BETA_UNIT, ylabel=unit)
        ax.margins(y=0.12)
    axes[1].set_ylim(0, 1)
    axes[0].legend(fontsize=8, loc="lower right")
    return figure


def probe_accuracies(accuracy: Mapping[tuple[str, str, int], Sequence[float]]) -> Figure:
    """Accuracy against number of labels, a panel per classifier: the mean over sets of labels, and its spread as a bar.

    accuracy: (code, classifier, labels) to shares from 0 to 1, one for each set of labels.
    """
    shares = {key: 100 * torch.as_tensor(values, dtype=torch.float64).flatten() for key, values in accuracy.items()}
    if not shares or not all(len(v) and ((v >= 0) & (v <= 100)).all() for v in shares.values()):
        raise ValueError("accuracy must be shares from 0 to 1, at least one")
    kinds = list(dict.fromkeys(kind for _, kind, _ in accuracy))
    names = list(dict.fromkeys(name for name, _, _ in accuracy))
    figure, axes = plt.subplots(1, len(kinds), figsize=(7.4, 3), sharey=True, squeeze=False, layout="constrained")
    ticks = sorted({n for *_, n in accuracy})
    for ax, kind in zip(axes[0], kinds, strict=True):
        for i, (name, color) in enumerate(_name_colors(names).items()):
            aside = 1.05 ** (i - (len(names) - 1) / 2)  # so that no marker hides another
            labels = sorted(n for code, k, n in accuracy if (code, k) == (name, kind))
            found = [shares[name, kind, n] for n in labels]
            bars = [v.std().item() if len(v) > 1 else 0 for v in found]
            ax.errorbar(
                [n * aside for n in labels],
                [v.mean() for v in found],
                bars,
                marker="o",
                capsize=3,
                color=color,
                label=name,
            )
        ax.set(xscale="log", xlabel="labelled training images", title=kind)
        ax.set_xticks(ticks, [f"{n:,}" for n in ticks])
        ax.minorticks_off()
    axes[0, 0].set_ylabel("test accuracy in %")
    axes[0, 0].legend(fontsize=8)
    return figure


def class_colors() -> list[str]:
    """One for each class, so that digits that are taken for each other differ most: Petroff's, with one grey of two."""
    colors = mpl.color_sequences["petroff10"]
    classes = [colors[i] for i in (0, 1, 8, 2, 7, 9, 6, 3, 4, 5)]  # 3 red, 5 cyan, 8 purple
    classes[2], classes[9] = "#3fa34d", "#f58bb8"  # a green beside the other grey, 7's; a pink beside 3's red
    return classes


def posteriors(
    mu: Tensor, logvar: Tensor, labels: Tensor, limit: float = 3.2, title: str = "", ax: Axes | None = None
) -> Axes:
    """q(z|x) in a latent space of two dimensions: an ellipse at one σ for each image, in the colour of its class.

    A dot stands for an ellipse too small to be seen. Dotted: the prior N(0, I) at one, two and three σ. A digit
    stands at the median of its class, where there is room for it.
    mu, logvar: (N, 2); labels: (N,), whole numbers from 0 to 9. limit: the picture reaches from -limit to limit.
    """
    mu, logvar, labels = (torch.as_tensor(t).detach().cpu() for t in (mu, logvar, labels))
    mu, logvar = mu.double(), logvar.double()
    if mu.ndim != 2 or mu.shape[1] != 2 or logvar.shape != mu.shape or labels.shape != mu.shape[:1]:
        shapes = ", ".join(str(tuple(t.shape)) for t in (mu, logvar, labels))
        raise ValueError(f"mu and logvar must be (N, 2) and labels (N,), got {shapes}")
    if labels.is_floating_point() or not (mu.isfinite().all() and logvar.isfinite().all()):
        raise ValueError(f"mu and logvar must be finite and labels whole numbers, got labels of {labels.dtype}")
    if len(labels) and not 0 <= labels.min() <= labels.max() <= 9:
        raise ValueError(f"labels must be from 0 to 9, got {labels.min()} to {labels.max()}")
    ax = ax or plt.subplots(figsize=(4.2, 4.2))[1]
    sigma = (0.5 * logvar).exp()
    dots = sigma.amax(1) < limit / 100
    for label, color in enumerate(class_colors()):
        mine = labels == label
        ellipses = EllipseCollection(
            *(2 * sigma[mine & ~dots]).T, 0, units="xy", offsets=mu[mine & ~dots], offset_transform=ax.transData,
            facecolors=mpl.colors.to_rgba(color, 0.35), edgecolors=color, linewidths=0.4,
        )  # fmt: skip
        ax.add_collection(ellipses)
        ax.scatter(*mu[mine & dots].T, s=3, color=color, label=str(label))
    named: dict[int, Tensor] = {}
    for label in labels.unique().tolist():
        place = mu[labels == label].median(0).values
        apart = all((place - other).norm() > limit / 8 for other in named.values())
        if apart and place.abs().max() < limit:  # names that would overlap, or stand outside, are left out
            named[label] = place
    for label, place in named.items() if len(named) > 2 else ():
        halo = patheffects.withStroke(linewidth=2, foreground="w")
        ax.text(*place, label, size=8, weight="bold", ha="center", va="center", path_effects=[halo])
    for radius in (1, 2, 3):
        ax.add_patch(plt.Circle((0, 0), radius, fill=False, ls=":", color="k", lw=0.9))
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title=title)
    ax.grid(False)
    return ax


def latent_plane(images: Tensor, limit: float = 3.2, title: str = "", ax: Axes | None = None) -> Axes:
    """What a decoder makes of a grid over its two latent dimensions, each image at its place.

    images: (n · n, 1, 28, 28), decoded from `hw2.latent.grid(limit, n)`. The axes are those of `posteriors`.
    """
    n = math.isqrt(len(images))
    if n * n != len(images):
        raise ValueError(f"a square grid has n · n images, got {len(images)}")
    ax = ax or plt.subplots(figsize=(4.2, 4.2))[1]
    ax.imshow(mosaic(images, n), cmap="gray", vmin=0, vmax=1, extent=(-limit, limit, -limit, limit))
    for radius in (1, 2, 3):
        ax.add_patch(plt.Circle((0, 0), radius, fill=False, ls=":", color="w", lw=0.9))
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title=title)
    ax.grid(False)
    return ax

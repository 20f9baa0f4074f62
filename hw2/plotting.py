"""Figures. Each function takes arrays, runs or histories and returns axes, or the figure where it makes several.

Nothing here shows or saves. Images are drawn with pixel 0 black and 1 white, the same in every figure. The colours
are Okabe & Ito's, and Petroff's (arXiv:2107.02270) for ten classes: both are safe for colour-blind readers.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .inputs import whole
from .losses import PIXELS

COLORS = {"AE": "#D55E00", "VAE": "#0072B2", "blend": "#555555"}
ERROR_UNIT = "squared error per image"
KL_UNIT = "KL in nats per image"

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
        raise ValueError(f"pixels must be in [0, 1], got [{low:g}, {high:g}]: of logits draw the .sigmoid()")
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
    """A colour per name, in their order: those of COLORS, then matplotlib's for more."""
    more = [color for color in mpl.color_sequences["petroff10"] if color not in COLORS.values()]
    if len(names) > len(COLORS) + len(more):
        raise ValueError(f"at most {len(COLORS) + len(more)} names can be told apart by colour, got {len(names)}")
    return dict(zip(names, [*COLORS.values(), *more], strict=False))


def beta_label(beta: float) -> str:
    """β as the figures write it: 0.001 rather than 1e-03, 1e-05 as 1e-5."""
    return f"{beta:g}".replace("e-0", "e-")


def beta_colors(betas: Sequence[float]) -> dict[float, tuple]:
    """A colour per β, dark to light in their order (viridis, without its palest end)."""
    return dict(zip(betas, plt.get_cmap("viridis")(np.linspace(0, 0.9, len(betas))), strict=True))


def _running_mean(values: Tensor, window: int) -> Tensor:
    return values.unfold(0, min(window, len(values)), 1).mean(1)


def curves(histories: Mapping[str, object], colors: Mapping | None = None, window: int = 50) -> Figure:
    """Training curves, reconstruction and KL per step side by side. Thin: every step, if there is one history only.

    histories: label to what `fit` returns (its `recon` and `kl`, (steps,) each, are drawn); colors: by the same labels.
    window: steps in the running mean that is drawn bold. An autoencoder has no KL: its panel is left out when every kl
    is 0. Circles: held-out digits after each epoch, where `fit` had them. A β that changes has a panel of its own.
    """
    if not histories or not all(hasattr(history, "recon") and len(history.recon) for history in histories.values()):
        raise ValueError(f"histories must be label: what hw2.fit returns, at least one, got {histories!r:.80}")
    window = whole("window", window)
    panels = [("recon", ERROR_UNIT, "Reconstruction")]
    if any(history.kl.any() for history in histories.values()):
        panels.append(("kl", KL_UNIT, "KL to the prior"))
    if any(getattr(h, "beta", None) is not None and h.beta.min() < h.beta.max() for h in histories.values()):
        panels.append(("beta", "β (pixel-mean error, summed KL)", "β in force"))
    figure, axes = plt.subplots(1, len(panels), figsize=(4.4 * len(panels), 2.9), squeeze=False)
    for ax, (term, unit, title) in zip(axes[0], panels, strict=True):
        top = 0
        for label, history in histories.items():
            values = getattr(history, term)
            color = (colors or {}).get(label, COLORS["VAE"])
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
                label = f"mean of {window} steps"
            smooth = _running_mean(values, window)
            top = max(top, smooth.max().item())
            ax.plot(np.arange(len(values) - len(smooth), len(values)) + 1, smooth, color=color, lw=1.6, label=label)
        if term == "kl" and len(histories) > 1:
            ax.set_yscale("symlog", linthresh=1)  # eight β span five decades
        # The first few steps, from untrained weights, would flatten everything after them.
        ax.set(xlabel="training step", ylabel=unit, title=title, ylim=(0, 1.25 * top or 1))
    axes[0, -1].legend(fontsize="small", loc="center left" if len(histories) > 1 else "best",
                       bbox_to_anchor=(1, 0.5) if len(histories) > 1 else None)  # fmt: skip
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
    ax.set_xticks(at, [beta_label(b) for b in betas], rotation=45, fontsize=8)
    ax.xaxis.minorticks_off()
    return at


def _betas(table: Mapping[float, object], marked: float | None) -> list[float]:
    """The β of a table, ascending. ValueError if there is none, or if the one to be marked is not among them."""
    if not table or any(beta < 0 for beta in table):
        raise ValueError(f"needs at least one β, each >= 0, got {list(table)}")
    if marked is not None and marked not in table:
        raise ValueError(f"marked must be one of {', '.join(map(beta_label, sorted(table)))}, got {marked}")
    return sorted(table)


Baseline = tuple[Tensor, Tensor, str]  # rate, distortion, label


def rate_distortion_plane(
    terms: Mapping[float, Sequence[float]],
    marked: float | None = None,
    baseline: Baseline | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Distortion against rate, a point per β. Arguments as for `rate_distortion`."""
    betas = _betas(terms, marked)
    ax = ax or plt.subplots(figsize=(5, 3.9))[1]
    rate, distortion = ([terms[b][i] for b in betas] for i in (1, 0))
    ax.plot(rate, distortion, color="0.7", zorder=1)
    ax.scatter(rate, distortion, c=list(beta_colors(betas).values()), s=40, zorder=2)
    for b, x, y in zip(betas, rate, distortion, strict=True):
        ax.annotate(f"β = {beta_label(b)}", (x, y), (5, 5), textcoords="offset points", fontsize=8)
    if baseline:
        ax.plot(*baseline[:2], color="k", ls="--", lw=1, label=baseline[2])
        ax.legend(fontsize=8)
    if marked is not None:
        ax.scatter(terms[marked][1], terms[marked][0], s=160, facecolors="none", edgecolors="k")
    ax.set_xscale("symlog", linthresh=5)
    ax.set_xticks([0, 2, 5, 10, 20, 50, 100, 200, 500], [0, 2, 5, 10, 20, 50, 100, 200, 500])
    ax.set_xlim(-0.4, max(*rate, 1) * 2)
    ax.set(xlabel="rate: " + KL_UNIT, ylabel="distortion: " + ERROR_UNIT, title="Rate and distortion", ylim=(0, None))
    return ax


def rate_distortion(
    terms: Mapping[float, Sequence[float]], marked: float | None = None, baseline: Baseline | None = None
) -> Figure:
    """Two views of a β sweep: distortion against rate, and both against β with β = 0 off the log axis.

    terms: β (homework's unit) to (distortion, rate, …), as `evaluate` gives them; marked: the β to circle; baseline:
    (rate, distortion, label) of a curve to compare with, dashed.
    """
    betas = _betas(terms, marked)
    rate, distortion = (np.array([terms[b][i] for b in betas]) for i in (1, 0))
    figure, (plane, against) = plt.subplots(1, 2, figsize=(10, 3.9))
    rate_distortion_plane(terms, marked, baseline, plane)
    at = _plot_against_beta(against, betas, distortion, ERROR_UNIT, color=COLORS["AE"], marker="o")
    _plot_against_beta(against, betas, rate, KL_UNIT, color=COLORS["VAE"], marker="s")
    against.set_yscale("symlog", linthresh=1)
    against.set_ylim(-0.1, 2 * max(*rate, *distortion))
    against.minorticks_off()
    if betas[0] == 0:
        against.axvline(at[0] * 10**0.75, color="0.6", ls=":", lw=1)
    against.set(xlabel=f"β (pixel-mean error, summed KL); × {PIXELS}: both summed",
                title="Both terms against β; 0 stands off the axis")  # fmt: skip
    against.legend(fontsize=8)
    if marked is not None:
        against.axvline(marked, color="k", lw=0.8)
    return figure


def samples_against_beta(
    quality: Mapping[float, object], active: Mapping[float, int], floor: object, marked: float
) -> Figure:
    """Fréchet distance, the share that the judge is sure of, and active dimensions against β, 0 off the log axis.

    quality: β to what has numbers `frechet` and `sure`; active: β to number of dimensions; floor: as quality, of real
    digits, dashed; marked: the β to point out.
    """
    betas = _betas(quality, marked)
    if missing := quality.keys() - active.keys():
        raise ValueError(f"active must have a number for each β, there is none for {sorted(missing)}")
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
    panels = (
        ([quality[b].frechet for b in betas], floor.frechet, "Fréchet distance (judge's features)", "log"),
        ([quality[b].sure for b in betas], floor.sure, "share the judge is sure of", "linear"),
        ([active[b] for b in betas], None, "active dimensions", "linear"),
    )
    for ax, (values, real, label, scale) in zip(axes, panels, strict=True):
        at = _plot_against_beta(ax, betas, values, marker="o", color=COLORS["VAE"])
        if real is not None:
            ax.axhline(real, color="k", ls="--", lw=1)
            ax.annotate("real digits", (at[-1], real), (0, 4), textcoords="offset points", ha="right", fontsize=8)
        ax.axvline(marked, color="k", lw=0.8)
        ax.set(yscale=scale, xlabel="β (pixel-mean error, summed KL)", ylabel=label)
        ax.margins(y=0.12)
    return figure


def feature_paths(paths: Mapping[str, Tensor], context: Mapping[int, Tensor], ax: Axes | None = None) -> Axes:
    """Walks in feature space, on the plane of the context's first two principal components.

    paths: "AE", "VAE" or "pixel blend" to features (steps, F); context: class to features of real digits (N, F).
    """
    everything = torch.cat(list(context.values()))
    for name, path in paths.items():
        if path.ndim != 2 or path.shape[1] != everything.shape[1] or len(path) < 2:
            raise ValueError(f"path {name} must be (steps, {everything.shape[1]}), got {tuple(path.shape)}")
    ax = ax or plt.subplots(figsize=(5.6, 4.2))[1]
    plane = torch.linalg.svd(everything - everything.mean(0), full_matrices=False).Vh[:2].T
    plane = plane * plane.sum(0).sign()  # a singular vector's sign is arbitrary
    for label, points in context.items():
        ax.scatter(*(points @ plane).T, marker=f"${label}$", s=18, lw=0.2, color="0.75")
    colors = _name_colors(list(paths))
    for name, path in paths.items():
        (x, y), color = (path @ plane).T, colors[name]
        ax.plot(x, y, color=color, marker="o", ms=3, lw=1.5, label=name)
        ax.plot(x[0], y[0], color=color, marker="s", ms=7)
    ax.set(
        xlabel="first component of the judge's features", ylabel="second component", title="Walks start at the squares"
    )
    ax.legend()
    return ax


def probe_accuracies(accuracy: Mapping[tuple[str, str, int], float]) -> Figure:
    """Accuracy against number of labels, a panel per classifier. accuracy: (code, classifier, labels) to 0 … 1."""
    if not accuracy or not all(0 <= share <= 1 for share in accuracy.values()):
        raise ValueError("accuracy must be shares from 0 to 1, at least one")
    kinds = list(dict.fromkeys(kind for _, kind, _ in accuracy))
    names = list(dict.fromkeys(name for name, _, _ in accuracy))
    figure, axes = plt.subplots(1, len(kinds), figsize=(2.8 * len(kinds), 3), sharey=True, squeeze=False)
    for ax, kind in zip(axes[0], kinds, strict=True):
        for name, color in _name_colors(names).items():
            labels = sorted(n for code, k, n in accuracy if (code, k) == (name, kind))
            ax.plot(labels, [100 * accuracy[name, kind, n] for n in labels], marker="o", color=color, label=name)
        ax.set(xscale="log", xlabel="labelled training images", title=kind)
        ax.set_xticks(labels, [f"{n:,}" for n in labels])
        ax.minorticks_off()
    axes[0, 0].set_ylabel("test accuracy in %")
    axes[0, 0].legend()
    return figure


def latent_scatter(codes: Tensor, labels: Tensor, title: str = "", ax: Axes | None = None) -> Axes:
    """A 2-D latent space, each image drawn as its class's numeral, in the class's colour.

    codes: (N, 2); labels: (N,), whole numbers; from 10 on the colours come again, the numerals tell.
    """
    codes, labels = torch.as_tensor(codes).detach().cpu().double(), torch.as_tensor(labels).cpu()
    if labels.is_floating_point() or not codes.isfinite().all():
        raise ValueError(f"labels must be whole numbers and codes finite, got labels of {labels.dtype}")
    if codes.ndim != 2 or codes.shape[1] != 2 or labels.shape != (len(codes),):
        raise ValueError(f"codes must be (N, 2) and labels (N,), got {tuple(codes.shape)} and {tuple(labels.shape)}")
    ax = ax or plt.subplots(figsize=(4.6, 4.6))[1]
    colors = mpl.color_sequences["petroff10"]
    for label in labels.unique().tolist():
        ax.scatter(*codes[labels == label].T, marker=f"${label}$", s=22, lw=0.2, color=colors[int(label) % 10])
    ax.set(xlabel="$z_1$", ylabel="$z_2$", title=title, aspect="equal")
    return ax

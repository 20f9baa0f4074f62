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

from .losses import PIXELS
from .training import History, Terms

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
    "image.cmap": "gray",
}


def mosaic(images: Tensor, columns: int) -> np.ndarray:
    """One picture of many, row by row with a grey line between: (N, 1, 28, 28) gives (height, width) in [0, 1]."""
    from torchvision.utils import make_grid

    return make_grid(images, nrow=columns, padding=1, pad_value=0.5)[0].numpy()


def image_grid(images: Tensor, columns: int = 4, title: str = "", ax: Axes | None = None) -> Axes:
    """Images in reading order. images: (N, 1, 28, 28)."""
    ax = ax or plt.subplots(figsize=(3.2, 3.2 * np.ceil(len(images) / columns) / columns))[1]
    ax.imshow(mosaic(images, columns), vmin=0, vmax=1)
    ax.set_axis_off()
    ax.set_title(title)
    return ax


def image_rows(
    rows: Mapping[str, Tensor], columns: Sequence[str] = (), title: str = "", ax: Axes | None = None
) -> Axes:
    """One labelled row of images per entry, the columns under each other. Each value: (N, 1, 28, 28), N the same.

    columns: a label above each column.
    """
    n = len(next(iter(rows.values())))
    ax = ax or plt.subplots(figsize=(1.1 + 0.62 * n, 0.35 + 0.62 * len(rows)))[1]
    ax.imshow(mosaic(torch.cat(list(rows.values())), n), vmin=0, vmax=1)
    ax.set_yticks(15 + 29 * np.arange(len(rows)), rows)
    ax.xaxis.tick_top()
    ax.set_xticks(15 + 29 * np.arange(len(columns)), columns)
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_title(title)
    return ax


def beta_label(beta: float) -> str:
    """β as the figures write it: 0.001 rather than 1e-03, 1e-05 as 1e-5."""
    return f"{beta:g}".replace("e-0", "e-")


def beta_colors(betas: Sequence[float]) -> dict[float, tuple]:
    """A colour per β, dark to light in their order (viridis, without its palest end)."""
    return dict(zip(betas, plt.get_cmap("viridis")(np.linspace(0, 0.9, len(betas))), strict=True))


def _running_mean(values: Tensor, window: int) -> Tensor:
    return values.unfold(0, min(window, len(values)), 1).mean(1)


def curves(histories: Mapping[str, History], colors: Mapping | None = None, window: int = 50) -> Figure:
    """Training curves, reconstruction and KL per step side by side. Thin: every step, if there is one history only.

    histories: label to History; colors: by the same labels. window: steps in the running mean that is drawn bold.
    An autoencoder has no KL: its panel is left out when every kl is 0.
    """
    panels = [("recon", ERROR_UNIT, "Reconstruction")]
    if any(history.kl.any() for history in histories.values()):
        panels.append(("kl", KL_UNIT, "KL to the prior"))
    figure, axes = plt.subplots(1, len(panels), figsize=(4.4 * len(panels), 2.9), squeeze=False)
    for ax, (term, unit, title) in zip(axes[0], panels, strict=True):
        for label, history in histories.items():
            values = getattr(history, term)
            color = (colors or {}).get(label, COLORS["VAE"])
            if len(histories) == 1:
                ax.plot(np.arange(1, len(values) + 1), values, color=color, alpha=0.25, lw=0.6, label="each step")
                label = f"mean of {window} steps"
            smooth = _running_mean(values, window)
            ax.plot(np.arange(len(values) - len(smooth), len(values)) + 1, smooth, color=color, lw=1.6, label=label)
        ax.set(xlabel="training step", ylabel=unit, title=title, ylim=(0, None))
    axes[0, -1].legend(fontsize="small", loc="center left" if len(histories) > 1 else "best",
                       bbox_to_anchor=(1, 0.5) if len(histories) > 1 else None)  # fmt: skip
    return figure


def _off_axis(betas: Sequence[float]) -> tuple[np.ndarray, list[str]]:
    """Where to draw each β on a log axis, 0 one and a half decades left of the smallest, and the tick labels."""
    positive = [b for b in betas if b > 0]
    return np.array([b if b > 0 else min(positive) / 10**1.5 for b in betas]), [beta_label(b) for b in betas]


def rate_distortion(terms: Mapping[float, Terms], marked: float | None = None) -> Figure:
    """Two views of a β sweep: distortion against rate, and both against β with β = 0 off the log axis.

    terms: β (homework's unit) to held-out Terms; marked: the β to circle.
    """
    betas = sorted(terms)
    colors = beta_colors(betas)
    rate = np.array([terms[b].kl for b in betas])
    distortion = np.array([terms[b].recon for b in betas])
    figure, (plane, against) = plt.subplots(1, 2, figsize=(10, 3.9))
    plane.plot(rate, distortion, color="0.7", zorder=1)
    plane.scatter(rate, distortion, c=[colors[b] for b in betas], s=40, zorder=2)
    for b, x, y in zip(betas, rate, distortion, strict=True):
        plane.annotate(f"β = {beta_label(b)}", (x, y), (5, 5), textcoords="offset points", fontsize=8)
    plane.set_xscale("symlog", linthresh=5)
    plane.set_xticks([0, 2, 5, 10, 20, 50, 100, 200, 500], [0, 2, 5, 10, 20, 50, 100, 200, 500])
    plane.set_xlim(-0.4, max(rate) * 2)
    plane.set(
        xlabel="rate: " + KL_UNIT, ylabel="distortion: " + ERROR_UNIT, title="Rate and distortion", ylim=(0, None)
    )

    at, labels = _off_axis(betas)
    for values, color, marker, label in (
        (distortion, COLORS["AE"], "o", ERROR_UNIT),
        (rate, COLORS["VAE"], "s", KL_UNIT),
    ):
        shown = at > 0 if betas[0] > 0 else np.arange(len(at)) > 0
        against.plot(at[shown], values[shown], color=color, marker=marker, label=label)
        against.plot(at[~shown], values[~shown], color=color, marker=marker, ls="none")
    against.set_xscale("log")
    against.set_yscale("symlog", linthresh=1)
    against.set_ylim(-0.1, None)
    against.set_xticks(at, labels, rotation=45, fontsize=8)
    against.minorticks_off()
    if betas[0] == 0:
        against.axvline(at[0] * 10**0.75, color="0.6", ls=":", lw=1)
    against.set(xlabel=f"β (pixel-mean reconstruction, summed KL; × {PIXELS} with both summed)",
                title="Both terms against β; 0 stands off the axis")  # fmt: skip
    against.legend(fontsize=8)
    if marked is not None:
        i = betas.index(marked)
        plane.scatter(rate[i], distortion[i], s=160, facecolors="none", edgecolors="k")
        against.axvline(marked, color="k", lw=0.8)
    return figure


def latent_scatter(codes: Tensor, labels: Tensor, title: str = "", ax: Axes | None = None) -> Axes:
    """A point per image in a 2-D latent space, coloured by class, each class's number at its median.

    codes: (N, 2); labels: (N,) in 0 … 9.
    """
    ax = ax or plt.subplots(figsize=(4.6, 4.6))[1]
    for label, color in enumerate(mpl.color_sequences["petroff10"]):
        points = codes[labels == label]
        ax.scatter(*points.T, s=2, color=color, alpha=0.6, rasterized=True)
        ax.text(*points.median(0).values, str(label), weight="bold", ha="center", va="center",
                bbox={"boxstyle": "circle,pad=0.2", "fc": "white", "ec": color, "lw": 2})  # fmt: skip
    ax.set(xlabel="$z_1$", ylabel="$z_2$", title=title, aspect="equal")
    return ax

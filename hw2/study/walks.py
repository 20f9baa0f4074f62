"""Walks between images, measured: what an interpolation shows on the way. Notebook 3."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .judge import features, probabilities
from .metrics import nearest


def strokes(images: Tensor, threshold: float = 0.5) -> Tensor:
    """Number of connected pieces of an image's bright pixels, diagonal neighbours connected. (N, 1, 28, 28); (N,).

    Bright is above `threshold` times the image's own brightest pixel, so that a dim stroke is not a broken one.
    scipy.ndimage.label.
    """
    from scipy.ndimage import label

    structure = np.zeros((3, 3, 3))  # connect within an image, not from one image to the next
    structure[1] = 1
    labelled, _ = label((images > threshold * images.amax((1, 2, 3), keepdim=True))[:, 0].numpy(), structure)
    last = np.maximum.accumulate(labelled.max(axis=(1, 2)))  # pieces are numbered in the images' order
    return torch.from_numpy(np.diff(last, prepend=0))


def grey_share(images: Tensor) -> Tensor:
    """Share of an image's inked pixels (above 0.1) that are neither dark nor bright (below 0.9). Returns (N,)."""
    inked = images.flatten(1) > 0.1
    return (inked & (images.flatten(1) < 0.9)).sum(1) / inked.sum(1).clamp(min=1)


def detour(path: Tensor) -> Tensor:
    """Length of each path over the distance of its ends, 1 for a straight one. path: (steps, N, F); returns (N,)."""
    if path.ndim != 3:
        raise ValueError(f"path must be features, (steps, N, F), got {tuple(path.shape)}: .flatten(2) makes pixels so")
    return path.diff(dim=0).norm(dim=2).sum(0) / (path[-1] - path[0]).norm(dim=1)


def third_labels(labels: Tensor) -> Tensor:
    """Whether each path shows a label that is at neither of its ends. labels: (steps, N); returns (N,) bool."""
    return ((labels != labels[0]) & (labels != labels[-1])).any(0)


class Walks(NamedTuple):
    """Many walks of one model, measured: medians or shares over the pairs."""

    broken: float  # share of middles in more than one piece
    broken_more: float  # by how much that is above the share at the ends
    far: float  # distance of the middles to the nearest real digit, in the judge's features
    far_ends: float  # the same of the ends
    third: float  # share of walks on which the judge sees a third digit
    detour: float  # length over distance of the ends, in the judge's features
    grey: float  # grey share of the middles
    grey_ends: float  # the same of the ends


def measure(path: Tensor, real: Tensor) -> Walks:
    """The measures above of many walks. path: (steps, N, 1, 28, 28); real: features of digits, (M, 64).

    ValueError unless the number of steps is odd and at least 3: there must be a middle.
    """
    if len(path) < 3 or len(path) % 2 == 0:
        raise ValueError(f"a walk must have an odd number of steps, at least 3, got {len(path)}")
    if same := (path[0] == path[-1]).flatten(1).all(1).nonzero().flatten().tolist():
        raise ValueError(f"a walk needs two different images, pairs {same[:5]} have one twice")
    steps, middle = path.shape[:2], len(path) // 2
    found = features(path.flatten(0, 1))
    labels = probabilities(found).argmax(1).unflatten(0, steps)
    found = found.unflatten(0, steps)
    broken = {t: (strokes(path[t]) > 1).float().mean().item() for t in (0, middle, -1)}
    far = nearest(found[middle], real)[0].median().item()
    far_ends = nearest(found[[0, -1]].flatten(0, 1), real)[0].median().item()
    return Walks(
        broken=broken[middle],
        broken_more=broken[middle] - (broken[0] + broken[-1]) / 2,
        far=far,
        far_ends=far_ends,
        third=third_labels(labels).float().mean().item(),
        detour=detour(found).median().item(),
        grey=grey_share(path[middle]).mean().item(),
        grey_ends=grey_share(path[[0, -1]].flatten(0, 1)).mean().item(),
    )


def table(rows: Mapping[str, Walks]) -> str:
    """The measures of several models as lines of text, a row each."""
    lines = [f"{'':<12}   in pieces (ends)   far (ends)   third digit   length   grey (ends)"]
    for name, w in rows.items():
        ends = f"({100 * (w.broken - w.broken_more):.0f} %)"
        lines.append(
            f"{name:<12}{100 * w.broken:9.0f} %{ends:>7}{w.far:9.1f} ({w.far_ends:.1f})"
            f"{100 * w.third:11.0f} %{w.detour:10.2f}{100 * w.grey:7.0f} % ({100 * w.grey_ends:.0f} %)"
        )
    return "\n".join(lines)

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
    return path.diff(dim=0).norm(dim=2).sum(0) / (path[-1] - path[0]).norm(dim=1)


def largest_step(path: Tensor) -> Tensor:
    """The longest step of each path as a share of its length, 1/(steps − 1) if even. path: (steps, N, F); (N,)."""
    lengths = path.diff(dim=0).norm(dim=2)
    return lengths.amax(0) / lengths.sum(0)


def switches(labels: Tensor) -> Tensor:
    """How often each path's label changes. labels: (steps, N); returns (N,). One change is the least between digits."""
    return (labels[1:] != labels[:-1]).sum(0)


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
    switches: float  # mean number of changes of its label
    detour: float  # length over distance of the ends, in the judge's features
    largest: float  # largest step's share of the length, in pixels
    grey: float  # grey share of the middles
    grey_ends: float  # the same of the ends


def measure(path: Tensor, real: Tensor) -> Walks:
    """The measures above of many walks. path: (steps, N, 1, 28, 28); real: features of digits, (M, 64).

    ValueError unless the number of steps is odd and at least 3: there must be a middle.
    """
    if len(path) < 3 or len(path) % 2 == 0:
        raise ValueError(f"a walk must have an odd number of steps, at least 3, got {len(path)}")
    steps, middle = path.shape[:2], len(path) // 2
    found = features(path.flatten(0, 1))
    labels = probabilities(found).argmax(1).unflatten(0, steps)
    found = found.unflatten(0, steps)
    broken = {t: (strokes(path[t]) > 1).float().mean().item() for t in (0, middle, -1)}
    far, far_ends = (nearest(found[t], real)[0].median().item() for t in (middle, 0))
    return Walks(
        broken=broken[middle],
        broken_more=broken[middle] - (broken[0] + broken[-1]) / 2,
        far=far,
        far_ends=far_ends,
        third=third_labels(labels).float().mean().item(),
        switches=switches(labels).float().mean().item(),
        detour=detour(found).median().item(),
        largest=largest_step(path.flatten(2)).median().item(),
        grey=grey_share(path[middle]).mean().item(),
        grey_ends=grey_share(path[[0, -1]].flatten(0, 1)).mean().item(),
    )


def table(rows: Mapping[str, Walks]) -> str:
    """The measures of several models as lines of text, a row each."""
    lines = [f"{'':<13}broken  (ends)  far   (ends)  third digit  label changes  detour  largest step  grey   (ends)"]
    for name, w in rows.items():
        lines.append(
            f"{name:<13}{w.broken:5.2f}{w.broken - w.broken_more:8.2f}{w.far:7.1f}{w.far_ends:8.1f}{w.third:11.2f}"
            f"{w.switches:14.2f}{w.detour:11.2f}{w.largest:12.2f}{w.grey:9.2f}{w.grey_ends:8.2f}"
        )
    return "\n".join(lines)

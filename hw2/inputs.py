"""What a person passes in, checked where it enters, with a sentence that says what to do. Skip this file when reading.

Errors say what was wrong, what was expected, and the remedy for what is met often: bytes, a channel that is missing,
a transform's normalisation, a DataLoader in the place of images.
"""

import math
import operator
import os
from collections.abc import Iterable, Iterator
from numbers import Real

import torch
from torch import Tensor, nn


def whole(name: str, value: object, least: int = 1) -> int:
    """A number that a person passed in, Python's or NumPy's, as an int. ValueError with its name for any other."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if not least <= number < 2**63:
        raise ValueError(f"{name} must be an integer >= {least} and below 2**63, got {value!r}")
    return number


def real(name: str, value: object) -> float:
    """A finite number that a person passed in, Python's or NumPy's, as a float. TypeError or ValueError otherwise."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {number}")
    return number


def check_images(images: Tensor) -> None:
    """Raise unless `images` is float32 (N, 1, 28, 28) with N >= 1 and pixels in [0, 1]."""
    if not isinstance(images, Tensor):
        remedy = ": convert with torch.from_numpy" if type(images).__name__ == "ndarray" else ""
        raise TypeError(f"images must be a torch.Tensor, got {type(images).__name__}{remedy}")
    if images.dtype != torch.float32:
        remedy = "divide by 255 after .float()" if images.dtype == torch.uint8 else "convert with .float()"
        raise TypeError(f"images must be float32, got {images.dtype}: {remedy}")
    if images.ndim == 4 and images.shape[1:] == (1, 28, 28) and len(images) == 0:
        raise ValueError("there is no image, got (0, 1, 28, 28): N >= 1 is needed, so look at what selected them")
    if images.ndim != 4 or images.shape[1:] != (1, 28, 28):
        raise ValueError(f"images must be (N, 1, 28, 28) with N >= 1, got {tuple(images.shape)}{_shape_remedy(images)}")
    low, high = (v.item() for v in images.aminmax())
    if low != low:  # aminmax hands NaN on
        raise ValueError(f"images contain NaN in {int(images.isnan().flatten(1).any(1).sum())} of {len(images)} images")
    if low < 0 or high > 1:
        raise ValueError(f"pixels must be in [0, 1], got [{low:g}, {high:g}]: {range_remedy(low, high)}")


def _shape_remedy(images: Tensor) -> str:
    """What to do about a shape that is met often."""
    shape = images.shape
    if len(shape) == 3 and shape[1:] == (28, 28):
        return ": add the channel with .unsqueeze(1)" + (", or a batch with .unsqueeze(0)" if shape[0] == 1 else "")
    if len(shape) == 2 and shape[1] == 784:
        return ": give them their shape with .view(-1, 1, 28, 28)"
    if len(shape) == 4 and shape[1] == 3:
        return ": these are RGB, and the networks take one channel: average it with .mean(1, keepdim=True)"
    if len(shape) == 4 and shape[1] == 1:
        return ": the networks take 28 × 28 pixels: resize with torch.nn.functional.interpolate(images, size=28)"
    return ""


def range_remedy(low: float, high: float) -> str:
    """What to do about a range that is met often: a transform's normalisation, or bytes."""
    for mean, deviation in ((0.1307, 0.3081), (0.5, 0.5)):
        if abs(low + mean / deviation) < 0.01 and high <= (1 - mean) / deviation + 0.01:
            return (
                f"they are normalised with {mean:g} and {deviation:g}: leave Normalize out, or undo it with "
                f"(images * {deviation:g} + {mean:g}).clamp(0, 1)"
            )
    if low < 0:
        return "of logits take the .sigmoid()"
    return "divide by 255 if they are bytes"


def pairs_in(dataset: Iterable) -> Iterator[tuple]:
    """(image, label) of a Dataset, or batches of them of a DataLoader. TypeError for what is not tensors."""
    for i, pair in enumerate(dataset):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], Tensor):
            got = ", ".join(type(v).__name__ for v in pair) if isinstance(pair, tuple | list) else type(pair).__name__
            raise TypeError(
                f"item {i} must be (image as a tensor, label), got {got}: give the dataset "
                "transform=torchvision.transforms.ToTensor()"
            )
        yield pair
        if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and i + 1 == len(dataset):
            return  # a Dataset need not end by itself


def digits_remedy(data: object) -> str:
    """The line that makes Digits of what somebody has."""
    if isinstance(data, Tensor):
        return "hw2.Digits(images, labels)"
    if isinstance(data, tuple | list) and len(data) == 2 and isinstance(data[0], Tensor):
        return "hw2.Digits(*it)"
    if hasattr(data, "__getitem__") or hasattr(data, "__iter__"):  # a Dataset, a DataLoader
        return "hw2.Digits.of(it)"
    return "hw2.load(), for example"


IMPORTED_BY = os.getpid()  # a worker that was forked from this process has this number, and another of its own


def check_process() -> None:
    """RuntimeError where torch would wait for ever, or compute with other numbers than the weights are.

    A process that was forked while torch had several threads has lost them, and waits for them in the first operation
    that wants more than one. Autocast keeps copies of the weights, which a step does not change.
    """
    if os.getpid() != IMPORTED_BY and torch.get_num_threads() > 1:
        raise RuntimeError(
            "this process was forked from one that ran torch on several threads, which it has lost: call "
            'torch.set_num_threads(1) first, or make the pool with mp_context=multiprocessing.get_context("spawn")'
        )
    if any(torch.is_autocast_enabled(device) for device in ("cpu", "cuda")):
        raise RuntimeError("hw2 trains and evaluates in float32: leave the block of torch.autocast")


def check_model(model: nn.Module, *needed: str) -> None:
    """TypeError, with all that a model must have, unless `model` is a Module that has the attributes `needed`."""
    missing = [name for name in needed if not hasattr(model, name)]
    if missing or not isinstance(model, nn.Module):
        lacks = f" without {', '.join(missing)}" if isinstance(model, nn.Module) else ""
        raise TypeError(
            "model must be one of hw2's, as hw2.VAE(32), or a torch.nn.Module with terms(x, likelihood, generator), "
            "to be trained and evaluated, and code(x), decode(z) and latent_dim, to be sampled and interpolated: got "
            f"{type(model).__name__}{lacks}"
        )

"""One walk from image to image, judged by its pictures: those of the right points, or those of a known mistake."""

from collections.abc import Callable

import torch
from torch import Tensor

from .mistake import Mistake, call, cause_of, equal, tensor
from .probe import Probe, check_images, check_mode


def points(a: Tensor, b: Tensor, t: Tensor, method: str = "linear") -> Tensor:
    """The points at t from a (0) to b (1), of any one shape (...), on the line or the arc: (steps, ...)."""
    t = t.view(-1, *[1] * a.ndim)
    if method == "linear":
        return a + t * (b - a)
    angle = torch.acos(torch.cosine_similarity(a, b, dim=-1)).unsqueeze(-1)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def check_walk(
    function: Callable[..., Tensor], probe: Probe, x_a: Tensor, x_b: Tensor, t: Tensor, method: str = "linear"
) -> None:
    """The walk function(model, x_a, x_b) at t, between two images or, (N, 1, 28, 28), between many pairs."""
    probe.train()
    before = probe.norm.running_mean.clone()
    images = tensor("what it gives", call(lambda a, b: function(probe, a, b), x_a, x_b))
    check_mode(probe, before, "interpolating")
    if not probe.asked:
        raise Mistake("nothing is decoded: the points between the two codes must go through model.decode")
    asked, wanted = torch.cat(probe.asked), (len(t), *x_a.shape)
    if len(images) != len(t) and x_a.ndim == 3:
        raise Mistake(f"{len(t)} images were asked for, got {len(images)}")
    if images.shape != wanted and x_a.ndim == 4:
        raise Mistake(
            f"walks of {len(t)} steps between {len(x_a)} pairs must be {wanted}, got {tuple(images.shape)}: of z, "
            "(steps, N, D), z.flatten(0, 1) makes rows to decode, and .unflatten(0, z.shape[:2]) undoes that"
        )
    with torch.no_grad():
        probe.eval()
        a, b = (probe.code(x.view(-1, 1, 28, 28)) for x in (x_a, x_b))  # (N, D) each
        right = probe.decode(points(a, b, t, method).flatten(0, 1)).view(wanted)
        if not equal([images], [right.sigmoid()], 1e-5):  # else it may have decoded more, such as its ends once more
            on_the_arc = 'with method="slerp" ' * (method == "slerp")
            if cause := cause_of([images], _wrong(probe, x_a, x_b, t, method), 1e-5):
                raise Mistake(on_the_arc + cause)
            if _reordered(images, right.sigmoid()):
                raise Mistake(
                    f"{on_the_arc}the images are right, and in another order: images[i, n] must be step i of pair n. "
                    "The points, (steps, N, D), must become rows and steps again without a transpose() between"
                )
            if method == "linear" and (len(a) == 1 or len(asked) == len(t) * len(a)):
                _check_line(asked.view(-1, *a.shape), a, b, t)
            if method == "slerp" and not equal([images], [right], 1e-5):
                raise Mistake(
                    f"{on_the_arc}the points of slerp(a, b, t), which is given, must be decoded, and others are"
                )
    check_images(images, right)


def _wrong(probe: Probe, x_a: Tensor, x_b: Tensor, t: Tensor, method: str) -> dict[str, list[Tensor]]:
    """The images that known mistakes give."""
    a, b = (probe.code(x.view(-1, 1, 28, 28)) for x in (x_a, x_b))
    other = "linear" if method == "slerp" else "slerp"
    ways = {"linear": "the straight line, that of lerp", "slerp": "the arc, that of slerp"}
    z = {
        "all images are the first one: x_a is used at both ends, so use x_b at the second": points(a, a, t),
        "all images are the second one: x_b is used at both ends, so use x_a at the first": points(b, b, t),
        "the walk goes from the second image to the first: t = 0 must be x_a, and t = 1 x_b": points(b, a, t, method),
        f"the walk is {ways[other]}, and must be {ways[method]}: look at what is done with `method`": points(
            a, b, t, other
        ),
        "t b is added to the whole of a: the points are (1 - t) a + t b": points(a, a + b, t),
        "the positions t are not used as they are passed: evenly spaced ones are": points(
            a, b, torch.linspace(0, 1, len(t)), method
        ),
        "the positions t are not used as they are passed: sorted ones are": points(a, b, t.sort().values, method),
        "the positions t are bounded by 1: a walk may go on beyond x_b": points(a, b, t.clamp(0, 1), method),
        "pixels are interpolated, and the mixtures encoded: it is the codes that are interpolated": probe.code(
            points(x_a, x_b, t).view(-1, 1, 28, 28)
        ).view(len(t), *a.shape),
    }
    wrong = {name: probe.decode(rows.flatten(0, 1)).sigmoid().view(len(t), *x_a.shape) for name, rows in z.items()}
    first, second = (probe.decode(code).sigmoid().view(x_a.shape) for code in (a, b))
    at = t.view(-1, *[1] * x_a.ndim)
    right = probe.decode(points(a, b, t, method).flatten(0, 1)).sigmoid().view(len(t), *x_a.shape)
    wrong |= {
        "the two reconstructions are cross-faded: interpolate the codes, and decode each point": points(
            first, second, t
        ),
        "its ends are the two images themselves: they must be their reconstructions, which decode gives": torch.where(
            at == 0, x_a, torch.where(at == 1, x_b, right)
        ),
    }
    return {name: [images] for name, images in wrong.items()}


def _reordered(images: Tensor, right: Tensor) -> bool:
    """Whether these are the right images, each once, at other places."""
    if images.shape != right.shape:
        return False
    distance, place = torch.cdist(images.reshape(-1, 784), right.reshape(-1, 784)).min(1)
    return bool((distance < 1e-2).all()) and len(place.unique()) == len(place)


def _check_line(z: Tensor, a: Tensor, b: Tensor, t: Tensor) -> None:
    """The points z, (..., N, D), must lie on the lines from a to b, at t."""
    found = ((z - a) * (b - a)).sum(-1) / (b - a).square().sum(-1)  # where on its line each point lies, (..., N)
    if not torch.allclose(z, a + found.unsqueeze(-1) * (b - a), atol=1e-4):
        raise Mistake(
            "the points that are decoded are not on the straight line from one posterior mean to the other: mix the "
            "two codes, (1 - t) a + t b, without noise and not the pixels, and decode the mixtures"
        )
    check_positions(found[:, 0], t)


def check_positions(found: Tensor, expected: Tensor) -> None:
    """Where on the way the images are, from the first at 0 to the second at 1."""
    steps = len(expected)
    i = torch.arange(steps)
    causes = {
        "the walk goes from the second image to the first": expected.flip(0),
        "the walk misses its end: i / steps stops short of 1, so divide by steps - 1, or use torch.linspace": i / steps,
        "the walk misses its start: count i from 0, and divide by steps - 1, or use torch.linspace": (i + 1) / steps,
        "the walk misses its start and its end, which both belong to it": torch.linspace(0, 1, steps + 2)[1:-1],
        "the fraction is cut off, as by // or int(): divide with /": i // (steps - 1),
        "all are 0: if they are made by //, the fraction is cut off, so divide with /, by steps - 1": i // steps,
        "they are not divided: the last one must be 1, so divide by steps - 1": i,
    }
    if len(found) == steps and torch.allclose(found, expected, atol=1e-4):
        return
    cause = "the steps are not even"
    if found.max() - found.min() < 1e-4:
        cause = "all are the same"
    elif found.max() < 1 - 1e-4:
        cause = "the walk misses its end: both ends belong to it"
    elif found.min() > 1e-4:
        cause = "the walk misses its start: both ends belong to it"
    elif len(found) != steps:
        return  # its ends are decoded once more
    for name, values in causes.items():
        if len(found) == steps and torch.allclose(found, values.float(), atol=1e-4):
            cause = name
            break
    got, wanted = (", ".join(f"{round(v, 2) + 0.0:.2f}" for v in t.tolist()) for t in (found, expected))
    raise Mistake(f"the positions, 0 at the first image and 1 at the second, must be {wanted}, got {got}: {cause}")

"""Walks between two images: positions, points on a line, and their pictures, tried on tiny models that keep which z
they are asked to decode.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .explain import explained, sentence
from .mistake import Mistake, call, judge, tensor
from .probe import Plain, Probe, check_images, check_mode


@explained
def positions(function: Callable[[int], Tensor]) -> None:
    """Your positions: function(steps) gives `steps` evenly spaced float32 numbers from 0 to 1, both included."""
    for steps in (2, 5, 8):
        t = tensor("positions", function(steps))
        if t.shape != (steps,):
            raise Mistake(f"{steps} positions must have shape ({steps},), got {tuple(t.shape)}")
        if t.dtype != torch.float32:
            raise Mistake(f"positions must be float32, got {t.dtype}: NumPy gives float64, so use torch's functions")
        _check_positions(t, steps)


@explained
def line(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Your points between a and b: function(a, b, t) gives (steps, ...) for a and b of any one shape (...)."""
    generator = torch.Generator().manual_seed(0)
    for shape in ((3,), (2, 3), (1, 28, 28), (2, 1, 28, 28), (5, 3)):
        a, b = torch.randn(2, *shape, generator=generator)
        t = torch.tensor((0.0, 0.25, 0.5, 1.0, 1.5))
        try:
            points = tensor("points", call(function, a, b, t))
        except NotImplementedError:
            raise
        except RuntimeError as error:
            raise Mistake(f"a and b may have any one shape, here {shape}, also images: {error}") from None
        if points.shape != (5, *shape):
            raise Mistake(f"five points between a and b, {shape}, must be {(5, *shape)}, got {tuple(points.shape)}")
        wrong = {
            "a and b are swapped: t = 0 is a": [_points(b, a, t, "linear")],
            "t is bounded by 1: a walk may go on beyond b": [_points(a, b, t.clamp(max=1), "linear")],
            "t b is added to the whole of a": [_points(a, a + b, t, "linear")],
        }
        compare = "Compare a = 0, b = 1, where they are t itself"
        judge("points on the line", [points], [_points(a, b, t, "linear")], wrong, compare=compare)


@explained
def interpolation(
    function: Callable[..., Tensor], steps: int = 5, autoencoder: bool = False, slerp: bool = False
) -> None:
    """Your interpolation: function(model, x_a, x_b, steps), of images (1, 28, 28), gives (steps, 1, 28, 28).

    Both ends belong to it: the decoded posterior means. It is asked for two numbers of steps. autoencoder: of one it
    must work too, whose encode gives z alone. slerp: function(model, x_a, x_b, steps, "slerp") must walk on the arc.
    """
    for n in (steps, steps + 2):
        _check_walk(lambda m, a, b, n=n: function(m, a, b, n), Probe(), torch.linspace(0, 1, n))
    if autoencoder:
        try:
            _check_walk(lambda m, a, b: function(m, a, b, steps), Plain(), torch.linspace(0, 1, steps))
        except Exception as error:
            said = str(error) if isinstance(error, Mistake) else sentence(error)
            raise Mistake(f"with an autoencoder, whose encode gives z alone: {said}") from None
    if slerp:
        _check_walk(lambda m, a, b: function(m, a, b, steps, "slerp"), Probe(), torch.linspace(0, 1, steps), "slerp")


@explained
def walk(function: Callable[..., Tensor]) -> None:
    """Your walks of many pairs: function(model, x_a, x_b, t, method), of (N, 1, 28, 28), give (steps, N, 1, 28, 28)."""
    x_a, x_b = torch.rand(2, 3, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    t = torch.tensor((0.0, 0.3, 0.6, 1.0, 0.45))
    for model, options in ((Probe, ()), (Plain, ()), (Probe, ("linear",)), (Plain, ("slerp",))):
        images = tensor("what walk gives", function(model().eval(), x_a, x_b, t, *options))
        if images.shape != (5, 3, 1, 28, 28):
            raise Mistake(f"walks of 5 steps between 3 pairs must be (5, 3, 1, 28, 28), got {tuple(images.shape)}")
        for i in range(3):
            alone = lambda m, a, b, i=i: function(m, x_a, x_b, t, *options)[:, i]  # noqa: B023, E731
            _check_walk(alone, model(), t, *options, pair=(x_a[i], x_b[i]))


def _check_walk(
    function: Callable[..., Tensor], probe: Probe, t: Tensor, method: str = "linear", pair: tuple | None = None
) -> None:
    """One walk on one model, at the positions t."""
    probe.train()
    x_a, x_b = pair or torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    before = probe.norm.running_mean.clone()
    images = tensor("what it gives", call(lambda a, b: function(probe, a, b), x_a, x_b))
    check_mode(probe, before, "interpolating")
    if not probe.asked:
        raise Mistake("nothing is decoded: the points between the two codes must go through model.decode")
    if len(images) != len(t):
        raise Mistake(f"{len(t)} images were asked for, got {len(images)}")
    z = torch.cat(probe.asked)
    with torch.no_grad():
        a, b = probe.eval().code(torch.stack([x_a, x_b]))
        right = probe.decode(_points(a, b, t, method))
        ends = probe.decode(torch.stack([a, b])).sigmoid()
        faded = probe.decode(probe.code(_points(x_a, x_b, t, "linear"))).sigmoid()
    if images.shape == right.shape and torch.allclose(images, right.sigmoid(), atol=1e-5):
        check_images(images, right)
        return  # whatever else was decoded: a walk may decode its ends apart from the points between them
    if images.shape == faded.shape and torch.allclose(images, faded, atol=1e-5):
        raise Mistake("pixels are interpolated, and the mixtures encoded: it is the codes that are interpolated")
    if images.shape == right.shape and torch.allclose(images, _points(*ends, t, "linear"), atol=1e-4):
        raise Mistake("the two reconstructions are cross-faded: interpolate between the codes, and decode each point")
    if method == "slerp":
        straight = probe.decode(_points(a, b, t, "linear")).detach().sigmoid()
        if images.shape == right.shape and torch.allclose(images, straight, atol=1e-5):
            raise Mistake('method="slerp" is ignored: the walk is the straight line. slerp(a, b, t) is given')
        raise Mistake('method="slerp" must decode the points of slerp(a, b, t), which is given, and gives others')
    if pair is None:
        _check_line(z, a, b, len(t))
    check_images(images, right)


def _points(a: Tensor, b: Tensor, t: Tensor, method: str) -> Tensor:
    if method == "linear":
        return torch.stack([torch.lerp(a, b, s) for s in t.tolist()])
    angle = torch.acos(torch.cosine_similarity(a, b, dim=0))
    weights = torch.stack([torch.sin((1 - t) * angle), torch.sin(t * angle)], 1) / torch.sin(angle)
    return weights @ torch.stack([a, b])


def _check_line(z: Tensor, a: Tensor, b: Tensor, steps: int) -> None:
    """The points z must lie at even steps on the line from a to b, both ends among them."""
    t = ((z - a) @ (b - a)) / (b - a).square().sum()  # where on the line from a to b each point lies
    if not torch.allclose(z, a + t.unsqueeze(1) * (b - a), atol=1e-4):
        raise Mistake(
            "the points are not on the straight line from one posterior mean to the other: it is the codes that "
            "are interpolated, not the pixels, and without noise"
        )
    _check_positions(t, steps)


def _check_positions(t: Tensor, steps: int) -> None:
    """Where on the way the points are: evenly spaced from 0 to 1."""
    shown = ", ".join(f"{v:.2f}" for v in t.tolist())
    if torch.allclose(t, torch.linspace(1, 0, len(t)), atol=1e-4):
        raise Mistake("the walk goes from the second image to the first")
    if t.max() < 1 - 1e-4:
        raise Mistake(f"the walk misses its end: t = {shown}. t = i / n stops short: both ends belong to it")
    if t.min() > 1e-4:
        raise Mistake(f"the walk misses its start: t = {shown}: both ends belong to it")
    if len(t) == steps and not torch.allclose(t, torch.linspace(0, 1, steps), atol=1e-4):
        raise Mistake(f"the steps are not even: t = {shown}")

"""Walks between two images: positions, points on a line, and their pictures, tried on tiny models that keep which z
they are asked to decode.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .explain import explained, sentence
from .mistake import Mistake, call, judge, tensor
from .paths import check_positions, check_walk, points
from .probe import Plain, Probe


@explained
def positions(function: Callable[[int], Tensor]) -> None:
    """Your positions: function(steps) gives `steps` evenly spaced float32 numbers from 0 to 1, both included."""
    for steps in (5, 2, 8):
        t = tensor("positions", function(steps))
        if t.shape != (steps,):
            raise Mistake(f"{steps} positions must have shape ({steps},), got {tuple(t.shape)}")
        if not t.is_floating_point():
            raise Mistake(
                f"positions must be float32, got whole numbers, {t.dtype}: // and int() cut the fraction off, so "
                "divide with /, or use torch.linspace"
            )
        if t.dtype != torch.float32:
            raise Mistake(f"positions must be float32, got {t.dtype}: NumPy gives float64, so use torch's functions")
        check_positions(t, torch.linspace(0, 1, steps))


@explained
def line(function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Your points between a and b: function(a, b, t) gives (steps, ...) for a and b of any one shape (...)."""
    generator = torch.Generator().manual_seed(0)
    for shape in ((3,), (2, 3), (1, 28, 28), (2, 1, 28, 28), (5, 3)):
        a, b = torch.randn(2, *shape, generator=generator)
        t = torch.tensor((0.0, 0.25, 0.5, 1.0, 1.5))
        try:
            found = tensor("points", call(function, a, b, t))
        except NotImplementedError:
            raise
        except RuntimeError as error:
            raise Mistake(f"a and b may have any one shape, here {shape}, also images: {error}") from None
        if found.shape != (5, *shape):
            raise Mistake(f"five points between a and b, {shape}, must be {(5, *shape)}, got {tuple(found.shape)}")
        wrong = {
            "a and b are swapped: t = 0 is a": [points(b, a, t)],
            "t is bounded by 1: a walk may go on beyond b": [points(a, b, t.clamp(max=1))],
            "t b is added to the whole of a": [points(a, a + b, t)],
            "a - b stands for b - a": [points(a, 2 * a - b, t)],
            "a is left out, where the way begins": [points(0 * a, b - a, t)],
            "t is squared": [points(a, b, t**2)],
        }
        compare = "Compare a = 0, b = 1, where they are t itself"
        judge("points on the line", [found], [points(a, b, t)], wrong, compare=compare)


@explained
def interpolation(
    function: Callable[..., Tensor], steps: int = 5, autoencoder: bool = False, slerp: bool = False
) -> None:
    """Your interpolation: function(model, x_a, x_b, steps), of images (1, 28, 28), gives (steps, 1, 28, 28).

    Both ends belong to it: the decoded posterior means. It is asked for two numbers of steps. autoencoder: of one it
    must work too, whose encode gives z alone. slerp: function(model, x_a, x_b, steps, "slerp") must walk on the arc.
    """
    x_a, x_b = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for n in (steps, steps + 2):
        check_walk(lambda m, a, b, n=n: function(m, a, b, n), Probe(), x_a, x_b, torch.linspace(0, 1, n))
    if autoencoder:
        try:
            check_walk(lambda m, a, b: function(m, a, b, steps), Plain(), x_a, x_b, torch.linspace(0, 1, steps))
        except Exception as error:
            said = str(error) if isinstance(error, Mistake) else sentence(error)
            raise Mistake(f"with an autoencoder, whose encode gives z alone: {said}") from None
    if slerp:
        arc = lambda m, a, b: function(m, a, b, steps, "slerp")  # noqa: E731
        check_walk(arc, Probe(), x_a, x_b, torch.linspace(0, 1, steps), "slerp")


@explained
def walk(function: Callable[..., Tensor]) -> None:
    """Your walks of many pairs: function(model, x_a, x_b, t, method), of (N, 1, 28, 28), give (steps, N, 1, 28, 28)."""
    x_a, x_b = torch.rand(2, 3, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    within, beyond = torch.tensor((0.0, 0.3, 0.6, 1.0, 0.45)), torch.tensor((0.0, 0.3, 1.2, 1.0, 0.45))
    tried = ((Probe, within), (Plain, within), (Probe, beyond, "linear"), (Plain, beyond, "slerp"))
    for model, t, *options in tried:
        check_walk(lambda m, a, b, t=t, options=options: function(m, a, b, t, *options), model(), x_a, x_b, t, *options)

"""What a check raises, and how what a function gives is compared with what it should give, in words."""

import textwrap
from collections.abc import Callable, Mapping

import torch
from torch import Tensor


class Mistake(AssertionError):  # noqa: N818
    """What is wrong with the function that was checked, in words."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it (IPython asks for this name): the sentence, wrapped, and no traceback."""
        return self.lines()

    def lines(self, width: int = 76) -> list[str]:
        """The sentence in lines of at most `width` characters."""
        return [line for part in str(self).splitlines() for line in textwrap.wrap(part, width)]


def tensor(what: str, answer: object) -> Tensor:
    """The answer, if it is a tensor; a Mistake that says what was forgotten if not."""
    if isinstance(answer, Tensor):
        return answer
    cause = {
        "NoneType": "it gives None: is its `return` forgotten? Or is no branch taken that has one?",
        "tuple": "it gives a tuple: is there a comma at the line's end, or more than one thing returned?",
        "float": "it gives a Python number: leave .item() and float() out, because no gradient passes through them",
        "ndarray": "it gives a NumPy array: stay with torch's functions, because no gradient passes through NumPy's",
    }.get(type(answer).__name__, f"it gives a {type(answer).__name__}")
    raise Mistake(f"{what} must be a tensor, {cause}")


def call(function: Callable, *arguments: object) -> object:
    """What the function answers; a Mistake if it writes into an argument, as exp_() and += do."""
    kept = [a.detach().clone() if isinstance(a, Tensor) else None for a in arguments]
    answer = function(*arguments)
    for i, (before, after) in enumerate(zip(kept, arguments, strict=True)):
        if before is not None and not torch.equal(before, after.detach()):
            raise Mistake(f"argument {i + 1} is another after the call: {IN_PLACE}")
    return answer


IN_PLACE = (
    "a function whose name ends in _ (exp_, mul_, clamp_), or +=, writes into its tensor. Use exp, *, clamp, which "
    "give a new one"
)


def judge(
    what: str,
    found: list[Tensor],
    right: list[Tensor],
    wrong: Mapping[str, list[Tensor]],
    rtol: float = 1e-3,
    compare: str = "",
) -> None:
    """Raise a Mistake unless `found` is `right`; name the wrong candidate that it is.

    compare: what to look at next, on which input, where none is.
    """
    for a, b in zip(found, right, strict=True):
        if not (finite := a.isfinite()).all():
            expected = f", expected {b[~finite][0]:.4g}" if a.shape == b.shape else ""
            raise Mistake(f"{what} is not finite for ordinary inputs: got {a[~finite][0]}{expected}. {compare}")
    if equal(found, right, rtol):
        return
    cause = cause_of(found, wrong, rtol)
    said = f"Most likely {cause}" if cause else f"No known mistake gives this. {compare}".rstrip()
    raise Mistake(f"{what}: {_differing(found, right, rtol)}. {said}")


def cause_of(found: list[Tensor], wrong: Mapping[str, list[Tensor]], rtol: float = 1e-3) -> str:
    """The name of the wrong candidate that was found, or ""."""
    return next((name for name, values in wrong.items() if equal(found, values, rtol)), "")


def equal(found: list[Tensor], values: list[Tensor], rtol: float) -> bool:
    """Whether both are the same, up to rtol, for every input that was tried."""
    return all(
        a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=rtol, atol=rtol, equal_nan=True)
        for a, b in zip(found, values, strict=True)
    )


def _differing(found: list[Tensor], right: list[Tensor], rtol: float) -> str:
    """The first number that is another than it should be."""
    for a, b in zip(found, right, strict=True):
        if a.shape != b.shape:
            return f"got the shape {tuple(a.shape)}, expected {tuple(b.shape)}"
        off = ~torch.isclose(a.double(), b.double(), rtol=rtol, atol=rtol)
        if off.any():
            return f"got {a[off][0].item():.4g}, expected {b[off][0].item():.4g}"
    return "got nothing"

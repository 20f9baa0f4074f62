"""What a check raises, and how it finds the known mistake whose values a function gives."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Mistake(AssertionError):  # noqa: N818
    """What is wrong with the function that was checked, in words."""


def judge(
    what: str, found: list[Tensor], right: list[Tensor], wrong: Mapping[str, list[Tensor]], rtol: float = 1e-3
) -> None:
    """Raise a Mistake unless `found` is `right`; name the wrong candidate that it is."""
    if not all(torch.isfinite(f).all() for f in found):
        raise Mistake(f"{what} is not finite for ordinary inputs: got {found[0]}")
    if _equal(found, right, rtol):
        return
    cause = next((name for name, values in wrong.items() if _equal(found, values, rtol)), None)
    got, expected = (f"{t.flatten()[0].item():.4g}" for t in (found[0], right[0]))
    raise Mistake(
        f"{what}: got {got}, expected {expected}. " + (f"Most likely {cause}" if cause else "No known mistake")
    )


def _equal(found: list[Tensor], values: list[Tensor], rtol: float) -> bool:
    """Whether both are the same, up to rtol, for every input that was tried."""
    return all(
        a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=rtol, atol=rtol)
        for a, b in zip(found, values, strict=True)
    )

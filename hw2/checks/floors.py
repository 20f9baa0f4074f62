"""What keeps a log from falling, told from its numbers: a bound, or a small number that is added before it is taken."""

import math
from collections.abc import Callable

from torch import Tensor


def floor(log: Callable[[float], Tensor]) -> tuple[float, float] | None:
    """Where a log that should fall for ever, log(s) = s, stops: the number that it ends at, and how far above that
    number log lies there.

    That is 0 where the argument is bounded, and ln 2 where a small number is added before the log is taken, because
    there both are the same. None if it does not stop, or is no such log.
    """
    low = log(-200.0).item()
    if not -150 < low < 0 or abs(log(low / 2).item() - low / 2) > 0.1:
        return None
    return low, log(low).item() - low


def what_stops(log: Callable[[float], Tensor]) -> str:
    """Why log(logvar), which should be logvar, stops falling, in words; "" if it does not."""
    found = floor(log)
    if not found:
        return ""
    low, above = found
    if abs(above - math.log(2)) < 0.05:
        return f"{math.exp(low):.0e} is added to exp(logvar)"
    if abs(above - 2 * math.log(2)) < 0.05:
        return f"{math.exp(low / 2):.0e} is added to σ"
    also = "" if abs(low - round(low)) < 1e-3 else f", or exp(logvar), at {math.exp(low):.0e}"
    return f"logvar is bounded from below, at {low:.3g}{also}"

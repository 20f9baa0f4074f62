"""Claims: what an answer says, what was measured, and whether it holds.

An answer cites a claim by its id. `check` prints the claims without their values, so that a notebook's output stays
the same on any machine while the bounds hold; `measured` prints the values, for a cell whose output is not compared.
"""

import math
from dataclasses import dataclass

from ..data import ARCHIVES
from ..networks import ARCHS


@dataclass(frozen=True)
class Claim:
    """A sentence and the number that it rests on, which must stay within one or two bounds.

    id: such as "C2.3", the third claim of notebook 02. value: the measurement. at_least, at_most: inclusive. of, arch:
    the data set and the network ("mlp", "conv") that the sentence and its bounds are about, or "any".
    """

    id: str
    sentence: str
    value: float
    at_least: float = -math.inf
    at_most: float = math.inf
    of: str = "mnist"
    arch: str = "any"

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))
        if math.isnan(self.at_least) or math.isnan(self.at_most):
            raise ValueError(f"{self.id} has a bound that is not a number, so it could not hold")
        if self.of not in ("any", *ARCHIVES):
            raise ValueError(f"{self.id} is of {self.of!r}: expected any, {', '.join(ARCHIVES)}")
        if self.arch not in ("any", *ARCHS):  # it would never apply, so it could not fail
            raise ValueError(f"{self.id} is about {self.arch!r}: expected any, {', '.join(ARCHS)}")
        if self.at_least == -math.inf and self.at_most == math.inf:
            raise ValueError(f"{self.id} has no bound, so it could not fail: give at_least or at_most")

    @property
    def holds(self) -> bool:
        """Whether the value is within its bounds; NaN is not."""
        return self.at_least <= self.value <= self.at_most

    def applies(self, dataset: str, arch: str = "mlp") -> bool:
        """Whether it says anything of models of `arch` trained on `dataset`. ValueError for what hw2 does not have."""
        if dataset not in ARCHIVES:
            raise ValueError(f"unknown dataset {dataset!r}: expected one of {', '.join(ARCHIVES)}")
        if arch not in ARCHS:
            raise ValueError(f"unknown arch {arch!r}: expected one of {', '.join(ARCHS)}")
        return self.of in ("any", dataset) and self.arch in ("any", arch)

    @property
    def about(self) -> str:
        """What it is only about, in words."""
        return " and ".join(what for what in (self.of, self.arch) if what != "any")

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        parts = [f">= {self.at_least:g}"] * math.isfinite(self.at_least)
        return " and ".join(parts + [f"<= {self.at_most:g}"] * math.isfinite(self.at_most))


def check(*claims: Claim, dataset: str = "mnist", arch: str = "mlp") -> None:
    """Print one line per claim: id, sentence, verdict. AssertionError with value and bound if any does not hold.

    dataset, arch: what the models were trained on, and their kind. A claim about another is said not to apply.
    """
    for claim in claims:
        verdict = "holds" if claim.holds else "DOES NOT HOLD"
        print(
            f"{claim.id}  {claim.sentence}: {verdict if claim.applies(dataset, arch) else f'only about {claim.about}'}"
        )
    failed = [
        f"{c.id}: {c.sentence}: measured {c.value:g}, must be {c.bounds}"
        for c in claims
        if c.applies(dataset, arch) and not c.holds
    ]
    if failed:
        raise AssertionError("\n".join(failed))


def measured(*claims: Claim, dataset: str = "mnist", arch: str = "mlp") -> None:
    """Print each claim's value beside its bound."""
    for claim in claims:
        bounds = f"must be {claim.bounds}" if claim.applies(dataset, arch) else f"has no bound for {dataset}, {arch}"
        print(f"{claim.id}  {claim.value:12.4g}   {bounds}")

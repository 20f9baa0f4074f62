"""How a term of the loss is judged, whichever way it is reduced: its shape, its values and its gradients, at ordinary
inputs of two sizes, so that a factor that depends on a size shows, and at extreme ones.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .mistake import Mistake, call, cause_of, equal, judge, tensor

Formula = Callable[[Tensor, Tensor], Tensor]  # of the two inputs, gives the terms before they are reduced, (B, ...)


class Term(NamedTuple):
    """A term of the loss: its two inputs by name, its formula, and how it is reduced."""

    what: str  # "the KL"
    inputs: tuple[str, str]
    gradients: tuple[bool, bool]  # to which of the inputs they must reach
    formula: Formula
    wrong: Mapping[str, Formula]
    axis: str  # what is reduced within an image
    inner: str  # "sum" or "mean", of that
    batch: str
    per: str | None  # "term", "image" or "batch", as it must be given

    def reduced(self, terms: Tensor, like: Tensor, inner: str = "", batch: str = "") -> Tensor:
        """Terms reduced to the form in which the answer `like` came."""
        if like.ndim == terms.ndim:
            return terms
        per_image = getattr(terms.flatten(1), inner or self.inner)(1)
        return per_image if like.ndim else getattr(per_image, batch or self.batch)()


def judge_term(term: Term, function: Callable[[Tensor, Tensor], object], pairs: Sequence[tuple[Tensor, Tensor]]):
    """Judge a function at ordinary inputs."""
    found, again = (_answers(term, function, pairs) for _ in range(2))
    if not equal(found, again, 1e-6):
        raise Mistake(f"{term.what} is another in each call: it is a formula of its two inputs, without noise")
    hint = _hint(term, function, pairs[0], found[0])
    if not all(answer.isfinite().all() for answer in found):
        positive = [tuple(t.abs() for t in pair) for pair in pairs]  # where a log or a root is finite
        cause = cause_of(_answers(term, function, positive), _causes(term, positive, found))
        hint = f"Most likely {cause}" if cause else hint
    right = [term.reduced(term.formula(*pair), like) for pair, like in zip(pairs, found, strict=True)]
    judge(term.what, found, right, _causes(term, pairs, found), compare=hint)
    _judge_gradients(term, function, pairs[0])


def _answers(term: Term, function: Callable, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """What the function gives, in a shape that is allowed."""
    answers = []
    for pair in pairs:
        answer = tensor(term.what, call(function, *(t.clone().requires_grad_() for t in pair)))
        _check_shape(term, answer, tuple(pair[0].shape))
        answers.append(answer.detach())
    return answers


def _causes(term: Term, pairs: Sequence[tuple[Tensor, Tensor]], found: list[Tensor]) -> dict[str, list[Tensor]]:
    """What known mistakes give for these pairs, in the form of `found`."""

    def values(formula: Formula, **how: str) -> list[Tensor]:
        return [term.reduced(formula(*pair), like, **how) for pair, like in zip(pairs, found, strict=True)]

    other = {"sum": "mean", "mean": "sum"}
    return {name: values(formula) for name, formula in term.wrong.items()} | {
        f"{term.axis} are reduced by {other[term.inner]} instead of {term.inner}: β then means something else": values(
            term.formula, inner=other[term.inner]
        ),
        f"the batch is reduced by {other[term.batch]} instead of {term.batch}": values(
            term.formula, batch=other[term.batch]
        ),
        f"{term.axis} and the batch are both reduced by the other of sum and mean": values(
            term.formula, inner=other[term.inner], batch=other[term.batch]
        ),
        "the batch is averaged twice": [
            v / len(a) for v, (a, _) in zip(values(term.formula, batch="mean"), pairs, strict=True)
        ],
        "the root of the sum is taken": [v.abs().sqrt() for v in values(term.formula)],
    }


def _hint(term: Term, function: Callable, pair: tuple[Tensor, Tensor], found: Tensor) -> str:
    """Where to look next: at images that are mixed, at a factor, or at the smallest input on which to compare."""
    right = term.reduced(term.formula(*pair), found)
    if found.ndim and _mixed(function, pair):
        return "The number of one image depends on the others: reduce within an image, as by .flatten(1).sum(1)"
    factor = (found / right).mean()
    if found.isfinite().all() and equal([found], [factor * right], 1e-3) and not equal([found], [0 * right], 1e-3):
        return f"All of it is {factor:.3g} times what it must be"
    off = (~torch.isclose(found, right, rtol=1e-3)).flatten().int().argmax() if found.shape == pair[0].shape else 0
    a, b = (t.flatten()[off].view(1, *[1] * (t.ndim - 1)) for t in pair)
    at = f"Compare next at one image with one number, {term.inputs[0]} = [[{a.item():.3f}]] and {term.inputs[1]} = "
    at += f"[[{b.item():.3f}]], where it must be {term.formula(a, b).item():.4f}"
    try:
        answer = function(a, b)
        if torch.isclose(answer.double(), term.formula(a, b).double().sum(), rtol=1e-3).all():
            return f"For one image with one number it is right, so look at how {term.axis} and images are put together"
        return f"{at} and yours is {answer.item():.4f}"
    except Exception:
        return at


def _mixed(function: Callable, pair: tuple[Tensor, Tensor]) -> bool:
    """Whether the first image's answer changes with the other images."""
    a, b = (t.clone().requires_grad_() for t in pair)
    gradients = torch.autograd.grad(function(a, b)[0].sum(), (a, b), allow_unused=True)
    return any(g is not None and g[1:].any() for g in gradients)


def judge_extremes(term: Term, function: Callable, cases: Mapping[tuple[float, float], str], shape) -> None:
    """Judge values and gradients where all numbers are a and b: {(a, b): what is most likely wrong there}."""
    for (a, b), cause in cases.items():
        pair = torch.full(shape, float(a)), torch.full(shape, float(b))
        found = tensor(term.what, function(*(t.clone() for t in pair))).detach()
        right = term.reduced(term.formula(*(t.double() for t in pair)), found)
        at = f"{term.what} at {term.inputs[0]} = {a:g}, {term.inputs[1]} = {b:g}"
        if not found.isfinite().all() or not torch.allclose(found.double(), right, rtol=1e-3, atol=1e-4):
            got, expected = (t.flatten()[0].item() for t in (found, right))
            raise Mistake(f"{at}: got {got:.4g}, expected {expected:.4g}. Most likely {cause}")
        _judge_gradients(term, function, pair, f"{at}: ", cause)


def _judge_gradients(term: Term, function: Callable, pair, at: str = "", cause: str = "") -> None:
    """The gradients must be those of the formula, which autograd gives."""
    ours, theirs = ([t.to(dtype).requires_grad_() for t in map(Tensor.clone, pair)] for dtype in (None, torch.float64))
    answer = tensor(term.what, function(*ours))
    if not answer.requires_grad:
        raise Mistake(f"no gradient passes through {term.what}: compute it without detach(), item() or numpy()")
    found = torch.autograd.grad(answer.sum(), ours, allow_unused=True)
    right = torch.autograd.grad(term.reduced(term.formula(*theirs), answer).sum(), theirs)
    for name, wanted, a, b in zip(term.inputs, term.gradients, found, right, strict=True):
        if not wanted:
            continue
        if a is None:
            raise Mistake(f"{at}no gradient reaches {name}: {term.what} must be computed from it, without detach()")
        if not a.isfinite().all() or not equal([a], [b], 1e-3):
            got, expected = (t.flatten()[(a.double() - b).abs().nan_to_num(nan=1e9).argmax()].item() for t in (a, b))
            said = cause or "a part of it is detached, or is computed by other means than the formula"
            raise Mistake(
                f"{at}the value is right, and its gradient to {name} is {got:.4g}, expected {expected:.4g}. Most "
                f"likely {said}"
            )


def _check_shape(term: Term, answer: Tensor, shape: tuple[int, ...]) -> None:
    """The answer must be per batch, image or term, as promised, and gradients must pass through it."""
    shapes = {"batch": (), "image": shape[:1], "term": shape}
    allowed = [shapes["batch"], shapes["image"], *[shape] * (len(shape) == 2)] if not term.per else [shapes[term.per]]
    if tuple(answer.shape) not in allowed:
        expected = " or ".join(map(str, allowed))
        raise Mistake(f"{term.what} of {shape[0]} images must have shape {expected}, got {tuple(answer.shape)}")
    if not answer.requires_grad:
        raise Mistake(f"no gradient passes through {term.what}: compute it without detach(), item() or numpy()")

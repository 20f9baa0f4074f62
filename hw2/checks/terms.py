"""The two terms of the loss, compared with right and wrong formulas on random inputs of two sizes, so that a factor
that depends on a size shows.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from .mistake import Mistake, judge

_Formula = Callable[[Tensor, Tensor], Tensor]  # of the two inputs, gives the terms before they are reduced, (B, ...)


def kl(
    function: Callable[[Tensor, Tensor], Tensor], dims: str = "sum", batch: str = "mean", per: str | None = None
) -> None:
    """Your KL(q(z|x) ‖ N(0, I)): function(mu, logvar), (B, D) each, gives (B, D), (B,), or one number for the batch.

    per: which of these it must be, "term", "image" or "batch"; None for any. dims, batch: "sum" or "mean", how you say
    that it is reduced. Another reduction than the homework's sum over the dimensions is right if you say so and convert
    β (`effective_beta`).
    """
    generator = torch.Generator().manual_seed(0)
    inputs = [tuple(0.8 * torch.randn(2, b, d, generator=generator)) for b, d in ((6, 5), (9, 4))]
    answers = [function(*(t.detach().requires_grad_() for t in pair)) for pair in inputs]
    for answer, (mu, _) in zip(answers, inputs, strict=True):
        _check_shape("the KL", answer, per, tuple(mu.shape))
    found = [getattr(a, dims)(1) if a.ndim == 2 else a for a in (answer.detach() for answer in answers)]
    _judge_term("the KL", found, inputs, _kl_terms, _WRONG_KL, axis="the latent dimensions", inner=dims, batch=batch)
    mu = torch.zeros(2, 3)
    if not torch.isfinite(function(mu, torch.full((2, 3), -200.0))).all():
        raise Mistake(
            "the KL of a very small variance (logvar = -200) is not finite: use logvar itself, not its exp's log"
        )


def _kl_terms(mu: Tensor, logvar: Tensor) -> Tensor:
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


_WRONG_KL: Mapping[str, _Formula] = {
    "the sign is wrong: a KL is never negative": lambda m, v: -_kl_terms(m, v),
    "the direction is wrong: this is KL(N(0, I) ‖ q)": lambda m, v: 0.5 * ((1 + m**2) / v.exp() - 1 + v),
    "log σ² is read as log σ: the variance is exp(logvar)": lambda m, v: _kl_terms(m, 2 * v),
    "logvar is taken for σ²: exp is left out": lambda m, v: 0.5 * (m**2 + v - 1 - v.abs().log()),
    "the factor ½ is left out": lambda m, v: 2 * _kl_terms(m, v),
    "a sign within the KL is wrong: it is ½ (mu² + exp(logvar) - 1 - logvar)": lambda m, v: _kl_terms(m, v) - m**2,
    "the sign of logvar is wrong: it is ½ (mu² + exp(logvar) - 1 - logvar)": lambda m, v: _kl_terms(m, v) + v,
    "the sign of exp(logvar) is wrong: it is ½ (mu² + exp(logvar) - 1 - logvar)": (
        lambda m, v: _kl_terms(m, v) - v.exp()
    ),
    "mu is not squared": lambda m, v: _kl_terms(m, v) - 0.5 * (m**2 - m),
    "the -1 of each dimension is left out": lambda m, v: _kl_terms(m, v) + 0.5,
}


def reconstruction(
    function: Callable[[Tensor, Tensor], Tensor],
    pixels: str = "mean",
    batch: str = "mean",
    likelihood: str = "gaussian",
    per: str | None = None,
) -> None:
    """Your reconstruction term: function(logits, x), (B, 1, 28, 28) each, gives (B,) or one number for the batch.

    per: which of these it must be, "image" or "batch"; None for either. pixels, batch: "sum" or "mean", how you say
    that it is reduced; the homework's is the mean over pixels. likelihood: "gaussian" (squared error without ½) or
    "bernoulli" (cross-entropy).
    """
    generator = torch.Generator().manual_seed(0)
    sizes = [(b, 1, 28, 28) for b in (6, 9)]
    inputs = [(2 * torch.randn(size, generator=generator), torch.rand(size, generator=generator)) for size in sizes]
    answers = [function(logits.clone().requires_grad_(), x) for logits, x in inputs]
    for answer, (logits, _) in zip(answers, inputs, strict=True):
        _check_shape("the reconstruction term", answer, per, (len(logits),))
    found = [answer.detach() for answer in answers]
    right = _cross_entropy if likelihood == "bernoulli" else _squared_error
    wrong = _wrong_reconstructions(right)
    _judge_term("the reconstruction term", found, inputs, right, wrong, axis="the pixels", inner=pixels, batch=batch)


def _squared_error(logits: Tensor, x: Tensor) -> Tensor:
    return (logits.sigmoid() - x).square()


def _cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


def _wrong_reconstructions(right: _Formula) -> dict[str, _Formula]:
    return {
        "logits are passed as pixels: apply the sigmoid first": lambda logits, x: (logits - x).square(),
        "the sigmoid is applied twice": lambda logits, x: right(logits.sigmoid(), x),
        "the sign is wrong: an error is never negative": lambda logits, x: -right(logits, x),
        "there is a factor ½: β then is half of what it says": lambda logits, x: 0.5 * right(logits, x),
    }


def _check_shape(what: str, answer: object, per: str | None, shape: tuple[int, ...]) -> None:
    """The answer must be a tensor per batch, image or term, as promised, and gradients must pass through it."""
    if not isinstance(answer, Tensor):
        raise Mistake(f"{what} must be a tensor, got {type(answer).__name__}: gradients must pass through it")
    shapes = {"batch": (), "image": shape[:1], "term": shape}
    allowed = shapes.values() if per is None else [shapes[per]]
    if tuple(answer.shape) not in map(tuple, allowed):
        expected = " or ".join(str(tuple(a)) for a in allowed)
        raise Mistake(f"{what} of {shape[0]} images must have shape {expected}, got {tuple(answer.shape)}")
    if not answer.requires_grad:
        raise Mistake(f"no gradient passes through {what}: compute it without detach(), item() or numpy()")


def _judge_term(
    what: str,
    found: list[Tensor],
    inputs: list[tuple[Tensor, Tensor]],
    right: _Formula,
    wrong: Mapping[str, _Formula],
    *,
    axis: str,
    inner: str,
    batch: str,
) -> None:
    """Judge a term of the loss, found per image, (B,), or per batch, of which each image is reduced by `inner`."""

    def values(formula: _Formula, inner: str = inner, batch: str = batch) -> list[Tensor]:
        """What a function with this formula answers, in the form in which the term was found."""
        per_image = [getattr(formula(a, b).flatten(1), inner)(1) for a, b in inputs]
        return [v if f.ndim else getattr(v, batch)() for v, f in zip(per_image, found, strict=True)]

    other = {"sum": "mean", "mean": "sum"}
    causes = {name: values(formula) for name, formula in wrong.items()} | {
        f"{axis} are reduced by {other[inner]} instead of {inner}: β then means something else": values(
            right, inner=other[inner]
        ),
        f"the batch is reduced by {other[batch]} instead of {batch}": values(right, batch=other[batch]),
        "the batch is averaged twice": [
            v / len(a) for v, (a, _) in zip(values(right, batch="mean"), inputs, strict=True)
        ],
    }
    judge(what, found, values(right), causes)

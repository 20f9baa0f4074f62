"""The two terms of the loss, compared with right and wrong formulas. The right KL is torch.distributions' own."""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from .explain import explained
from .floors import floor, what_stops
from .mistake import Mistake
from .reduction import Formula, Term, judge_extremes, judge_term


@explained
def kl(
    function: Callable[[Tensor, Tensor], Tensor],
    dims: str = "sum",
    batch: str = "mean",
    per: str | None = None,
    largest: float | None = None,
) -> None:
    """Your KL(q(z|x) ‖ N(0, I)): function(mu, logvar), (B, D) each, gives (B, D), (B,), or one number for the batch.

    per: which of these it must be, "term", "image" or "batch"; None for any. dims, batch: "sum" or "mean", how you say
    that it is reduced. Another reduction than the homework's sum over the dimensions is right if you say so and convert
    β (`effective_beta`). largest: the logvar above which it counts as this; None if you do not bound it.
    """
    generator = torch.Generator().manual_seed(0)
    pairs = [tuple(0.8 * torch.randn(2, b, d, generator=generator)) for b, d in ((6, 5), (9, 4))]
    term = Term(
        "the KL", ("mu", "logvar"), (True, True), _kl, _WRONG_KL, "the latent dimensions", dims, batch, per
    )  # fmt: skip
    judge_term(term, function, pairs)
    bounded = "logvar is bounded: the KL of a narrow or wide q must grow with it"
    floored = _why_bounded(function)
    narrow = floored or bounded
    cases = {(0, -12): narrow, (0, -40): narrow, (0, 12): bounded, (0, 15): bounded, (100, 0): "mu is bounded"}
    cases[0, -80] = floored or "exp(logvar) is so small that it counts as 0, and its log is infinite: use logvar itself"
    judge_extremes(term, function, cases | ({(0, largest - 20): bounded} if largest else {}), (2, 3))
    if largest:
        _check_bound(function, largest)


def _why_bounded(function: Callable[[Tensor, Tensor], Tensor]) -> str:
    """What keeps the KL of a narrow q from growing, if anything does: its numbers tell."""

    def log(v: float) -> Tensor:
        """What stands for logvar beside its exp."""
        mu, logvar = torch.zeros(1, 1), torch.full((1, 1), v)
        return math.exp(v) - 1 - 2 * function(mu, logvar).detach().sum()

    why = what_stops(log)
    return (
        why and f"{why}: leave that out, and write logvar where its log is meant, so that the KL of a narrow q can grow"
    )


def _check_bound(function: Callable[[Tensor, Tensor], Tensor], largest: float) -> None:
    """Above the bound all must be as at the bound, and finite."""
    values = []
    for v in (float(largest), 2.0 * largest, 1e4):
        mu, logvar = torch.zeros(2, 3, requires_grad=True), torch.full((2, 3), v, requires_grad=True)
        answer = function(mu, logvar)
        gradients = torch.autograd.grad(answer.sum(), (mu, logvar), allow_unused=True)
        finite = answer.isfinite().all() and all(g is None or g.isfinite().all() for g in gradients)
        values.append(answer.detach().flatten()[0])
        if not finite or not torch.allclose(values[0], values[-1], rtol=1e-3):
            raise Mistake(
                f"the KL at logvar = {v:g} must be as at {largest:g}, LOGVAR_MAX, and finite, with a finite gradient: "
                f"got {values[-1].item():.3g} and {values[0].item():.3g}. exp overflows from 89 on: bound logvar from "
                "above before exp, and not from below"
            )


def _kl(mu: Tensor, logvar: Tensor) -> Tensor:
    return _kl_of_sigma(mu, (logvar.double() / 2).exp()).to(mu.dtype)


def _kl_of_sigma(mu: Tensor, sigma: Tensor) -> Tensor:
    return kl_divergence(Normal(mu.double(), sigma.double()), Normal(0.0, 1.0))


def _reverse(mu: Tensor, logvar: Tensor) -> Tensor:
    return kl_divergence(Normal(0.0, 1.0), Normal(mu, logvar.exp().sqrt()))


_WRONG_KL: Mapping[str, Formula] = {
    "the sign is wrong: a KL is never negative": lambda m, v: -_kl(m, v),
    "the direction is wrong: this is KL(N(0, I) ‖ q)": _reverse,
    "log σ² is read as log σ: the variance is exp(logvar)": lambda m, v: _kl(m, 2 * v),
    "logvar is taken for σ²: exp is left out": lambda m, v: _kl_of_sigma(m, v.abs().sqrt()) + 0.5 * (v - v.abs()),
    "the log of logvar is taken, which is a log already, that of σ²": lambda m, v: (
        _kl(m, v) + 0.5 * (v - v.abs().log())
    ),
    "σ stands where σ² belongs: the variance is exp(logvar)": lambda m, v: _kl(m, v) + 0.5 * ((v / 2).exp() - v.exp()),
    "the factor ½ is left out": lambda m, v: 2 * _kl(m, v),
    "the factor ½ is there twice": lambda m, v: 0.5 * _kl(m, v),
    "the factor ½ is there for mu² only": lambda m, v: 2 * _kl(m, v) - 0.5 * m**2,
    "a sign within the KL is wrong: mu² counts positive": lambda m, v: _kl(m, v) - m**2,
    "the sign of logvar is wrong: it is subtracted": lambda m, v: _kl(m, v) + v,
    "the sign of exp(logvar) is wrong: it is added": lambda m, v: _kl(m, v) - v.exp(),
    "mu is not squared": lambda m, v: _kl(m, v) - 0.5 * (m**2 - m),
    "mu² is left out": lambda m, v: _kl(0 * m, v),
    "logvar itself is left out, beside its exp": lambda m, v: _kl(m, v) + 0.5 * v,
    "the -1 of each dimension is left out": lambda m, v: _kl(m, v) + 0.5,
    "the sign of the 1 is wrong: it is subtracted": lambda m, v: _kl(m, v) + 1,
    "the 1 is subtracted once, and not for each dimension": lambda m, v: _kl(m, v) + 0.5 * (1 - 1 / m.shape[-1]),
    "-1 and logvar are left out": lambda m, v: 0.5 * (m**2 + v.exp()),
    "exp(logvar) is squared, which is σ² already": lambda m, v: _kl(m, v) + 0.5 * ((2 * v).exp() - v.exp()),
    "brackets are missing: -0.5 multiplies the 1 alone, and not the whole": lambda m, v: -0.5 + v - m**2 - v.exp(),
    "mu and logvar are swapped": lambda m, v: _kl(v, m),
    "logvar is taken for σ: it is log σ²": lambda m, v: _kl_of_sigma(m, v.abs()),
    "it is in bits: nats need the natural logarithm": lambda m, v: _kl(m, v) / math.log(2),
}


@explained
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
    pairs = [(2 * torch.randn(size, generator=generator), torch.rand(size, generator=generator)) for size in sizes]
    right, other = _squared_error, _cross_entropy
    cause = "the image is not the sigmoid of the logits where these are large"
    if likelihood == "bernoulli":
        right, other = other, right
        cause = (
            "it is computed from the sigmoid, which is exactly 0 or 1 there, so that its log is infinite or cut off "
            "and no gradient is left: use a function that takes logits"
        )
        bound = floor(lambda s: -function(torch.full((1, 1, 1, 1), -s), torch.zeros(1, 1, 1, 1)).detach().sum())
        if bound and abs(bound[0] - round(bound[0])) < 1e-3:
            cause = f"the logits are bounded to ±{-bound[0]:.3g}, beyond which no gradient is left: leave that out"
    wrong = _wrong_reconstructions(right, other, likelihood)
    what = f"the reconstruction term{' (bernoulli)' * (likelihood == 'bernoulli')}"
    term = Term(what, ("logits", "x"), (True, False), right, wrong, "the pixels", pixels, batch, per)
    judge_term(term, function, pairs)
    overflow = (
        cause if likelihood == "gaussian" else "exp(logits) overflows from 89 on: use a function that takes logits"
    )
    causes = {30: cause, 200: overflow, 1e4: overflow}
    cases = {(sign * size, x): causes[size] for size in causes for sign in (1, -1) for x in (0, 0.5, 1)}
    judge_extremes(term, function, cases, (2, 1, 28, 28))


def _squared_error(logits: Tensor, x: Tensor) -> Tensor:
    return F.mse_loss(torch.special.expit(logits), x, reduction="none")


def _cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    return F.softplus(logits) - x * logits


def _wrong_reconstructions(right: Formula, other: Formula, likelihood: str) -> dict[str, Formula]:
    other_name = "the squared error" if other is _squared_error else "the cross-entropy"
    return {
        "logits are passed as pixels: apply the sigmoid first": lambda logits, x: (logits - x).square(),
        "the sigmoid is applied twice": lambda logits, x: right(logits.sigmoid(), x),
        "the sign is wrong: an error is never negative": lambda logits, x: -right(logits, x),
        "there is a factor ½: β then is half of what it says": lambda logits, x: 0.5 * right(logits, x),
        f'it is {other_name}: look at what is done with likelihood="{likelihood}"': other,
        "logits and x are swapped": lambda logits, x: _cross_entropy(x, logits),
        "the image and x are swapped: x comes second": lambda z, x: (
            -(z.sigmoid() * x.log() + z.neg().sigmoid() * (1 - x).log())
        ),
        "the sigmoid is taken of x too, which are pixels already": lambda logits, x: right(logits, x.sigmoid()),
        "x is rounded: its grey values count": lambda logits, x: right(logits, x.round()),
        "the image is rounded": lambda logits, x: (logits.sigmoid().round() - x).square(),
        "logits are cut off at 0 and 1: an image is their sigmoid": lambda z, x: (z.clamp(0, 1) - x).square(),
        "softmax stands for the sigmoid": lambda z, x: (z.flatten(1).softmax(1).view_as(z) - x).square(),
        "pixels are multiplied by 255": lambda logits, x: 255**2 * right(logits, x),
        "F.cross_entropy is for classes, here along a dimension of one: binary is what is meant": lambda z, x: 0 * z,
        "the second half of the cross-entropy has the wrong sign": lambda z, x: (
            -x * F.logsigmoid(z) + (1 - x) * F.logsigmoid(-z)
        ),
        "1 - log p stands for log(1 - p), which is logsigmoid(-logits)": lambda z, x: (
            -x * F.logsigmoid(z) - (1 - x) * (1 - F.logsigmoid(z))
        ),
        "the differences are not squared": lambda logits, x: (logits.sigmoid() - x).abs(),
        "it is in bits: nats need the natural logarithm": lambda logits, x: right(logits, x) / math.log(2),
        "only one half of the cross-entropy is there: dark pixels count too": lambda z, x: -x * F.logsigmoid(z),
        "tanh stands for the sigmoid": lambda logits, x: (logits.tanh() - x).square(),
    }

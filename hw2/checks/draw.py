"""The draw of z, judged by its values where the noise is passed in, else by its spread and its mean, and by the
gradients that pass through it.
"""

import inspect
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .explain import explained
from .floors import what_stops
from .mistake import Mistake, call, judge, tensor


def right(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """What a draw must give."""
    return torch.addcmul(mu, logvar.exp().sqrt(), eps)


right.__qualname__ = "reparametrize"  # in whose place it is called, and whose arguments an error must name


_WRONG_SIGMA: dict[str, Callable[[Tensor], Tensor]] = {
    "there is no noise: z = mu, which is for reconstructing, not for training": torch.zeros_like,
    "exp is left out: logvar/2 itself is taken for σ, and noise at logvar = 0 vanishes at no cost": lambda v: v / 2,
    "exp is left out: logvar itself is taken for σ": lambda v: v,
    "log σ² is read as log σ, so that σ² stands where σ belongs: σ is exp(logvar / 2)": torch.exp,
    "the noise is not scaled by σ": torch.ones_like,
    "σ has a sign too many: a larger logvar must give a larger σ": lambda v: (-v / 2).exp(),
    "the root of logvar is taken for σ: exp is left out": lambda v: v.abs().sqrt(),
    "logvar is halved twice: σ is exp(logvar / 2)": lambda v: (v / 4).exp(),
    "softplus stands for exp: σ² is exp(logvar)": lambda v: F.softplus(v).sqrt(),
    "softplus stands for exp: σ is exp(logvar / 2)": F.softplus,
    "exp(logvar), which is σ², is squared: σ is its root": lambda v: (2 * v).exp(),
    "2 to the power of logvar / 2 stands for exp(logvar / 2)": lambda v: 2 ** (v / 2),
    "σ is taken for logvar: exp is taken twice": lambda v: ((v / 2).exp() / 2).exp(),
    "σ² is taken for logvar: exp is taken twice": lambda v: (v.clamp(max=4).exp() / 2).exp(),
}


def wrong_draws(mu: Tensor, logvar: Tensor, eps: Tensor) -> dict[str, Tensor]:
    """What known mistakes make of the same three, by their names."""
    sigma = logvar.exp().sqrt()
    return {name: torch.addcmul(mu, formula(logvar), eps) for name, formula in _WRONG_SIGMA.items()} | {
        "mu is left out": right(0 * mu, logvar, eps),
        "mu is added twice": right(2 * mu, logvar, eps),
        "mu and logvar are swapped: the draw takes mu, then logvar": right(logvar, mu, eps),
        "mu is multiplied by σ too": (mu + eps) * sigma,
        "mu is multiplied by the noise: it is added": mu * sigma * eps,
        "the noise is added once more": right(mu, logvar, eps) + eps,
        "a sigmoid is taken of z, which may take any value": right(mu, logvar, eps).sigmoid(),
        "a tanh is taken of z, which may take any value": right(mu, logvar, eps).tanh(),
    }


@explained
def reparametrize(function: Callable[..., Tensor], noise: bool = False, largest: float | None = None) -> None:
    """Your draw from q(z|x): function(mu, logvar) with noise of its own, or function(mu, logvar, eps); (B, D) each.

    noise: eps must be taken, also as (n, B, D), for n draws at once. largest: the logvar above which it counts as this.
    """
    takes_noise = _takes_noise(function)
    if noise and not takes_noise:
        raise Mistake("the noise must be passed in: the arguments are (mu, logvar, eps), in this order")
    generator = torch.Generator().manual_seed(0)

    def draw(mu: Tensor, logvar: Tensor) -> Tensor:
        drawn = [torch.randn(mu.shape, generator=generator, dtype=mu.dtype)] if takes_noise else []
        z = tensor("z", call(function, mu, logvar, *drawn))
        if z.shape != mu.shape:
            raise Mistake(f"z must have mu's shape {tuple(mu.shape)}, got {tuple(z.shape)}")
        if z.dtype != mu.dtype:
            raise Mistake(f"z must have the dtype of mu, {mu.dtype}, got {z.dtype}: stay with torch's functions")
        return z

    if takes_noise:
        _check_values(function, generator)
        one = torch.ones(1, 1)
        if why := what_stops(lambda v: 2 * function(0 * one, v * one, one).abs().log().sum()):
            raise Mistake(f"the noise must shrink with σ, however small that is. Most likely {why}: leave that out")
    else:
        _check_statistics(draw)
    _check_gradients(draw, torch.zeros(8, 2))
    for logvar in (-40.0, -12.0, 12.0, 15.0, *((40.0, largest - 1) if largest else ())):
        _check_gradients(draw, torch.full((8, 2), logvar))
    if noise:
        _check_several(function)
    if largest:
        z = draw(torch.zeros(8, 2), torch.full((8, 2), 2 * largest))
        expected = draw(torch.zeros(8, 2), torch.full((8, 2), float(largest)))
        if not z.isfinite().all() or not 0.1 < z.std() / expected.std() < 10:
            raise Mistake(
                f"at logvar = {2 * largest:g} z must be as at {largest:g}, LOGVAR_MAX, which keeps exp from "
                f"overflowing: got numbers around {z.abs().max():.2g}"
            )


def _takes_noise(function: Callable) -> bool:
    """Whether the third argument is the noise: it must be given, or is called so."""
    ordered = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    return len(ordered) > 2 and (ordered[2].default is inspect.Parameter.empty or ordered[2].name.startswith("eps"))


def _check_values(function: Callable[..., Tensor], generator: torch.Generator) -> None:
    """With the noise given, z is known."""
    mu, logvar, eps = torch.randn(3, 6, 4, generator=generator)
    mu = mu + 1.5
    first, second = (tensor("z", call(function, mu, logvar, eps)).detach() for _ in range(2))
    if first.shape != mu.shape:
        raise Mistake(f"z must have mu's shape {tuple(mu.shape)}, got {tuple(first.shape)}")
    if not first.isfinite().all():
        v = logvar[~first.isfinite()][0]
        raise Mistake(
            f"z is not finite at logvar = {v:.2f}: logvar may be negative, so take neither its log nor its root, but "
            "exp(logvar / 2)"
        )
    if not torch.equal(first, second):
        raise Mistake("the eps that is passed is not used: two draws with the same give different z")
    wrong = {name: [z] for name, z in wrong_draws(mu, logvar, eps).items()} | {
        "one noise serves several dimensions": [right(mu, logvar, eps[:, :1].expand_as(mu))],
        "one noise serves the whole batch": [right(mu, logvar, eps[:1].expand_as(mu))],
        "the noise is subtracted": [right(mu, logvar, -eps)],
        "the noise is made positive": [right(mu, logvar, eps.abs())],
        "the noise is shifted and scaled as if it were uniform: eps comes from N(0, I)": [
            right(mu, logvar, 2 * eps - 1)
        ],
        "the mean of the noise stands for each of its numbers": [right(mu, logvar, eps.mean().expand_as(mu))],
        "σ is added to the noise, and does not multiply it": [mu + (logvar / 2).exp() + eps],
    }
    one = [t[0, 0].item() for t in (mu, logvar, eps)]
    where = "z at mu = {:.2f}, logvar = {:.2f}, eps = {:.2f}".format(*one)
    judge(where, [first], [right(mu, logvar, eps)], wrong, compare="Compute it by hand for these three numbers")


def _check_statistics(draw: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Many draws have the mean mu, the standard deviation exp(logvar / 2) and independent dimensions."""
    n, logvar = 20_000, torch.tensor((-2.0, 0.7, 1.5))
    z = [draw(torch.full((n, 2), 1.5), torch.full((n, 2), v)).detach() for v in logvar.tolist()]
    spread = torch.stack([t.std() for t in z])
    wrong = {name: [formula(logvar).abs()] for name, formula in _WRONG_SIGMA.items()}
    what = f"the standard deviation of draws at logvar = {logvar[0].item():g}"
    compare = "Compare the spread of many draws at logvar = 0, where σ = 1"
    judge(what, [spread], [(logvar / 2).exp()], wrong, rtol=0.03, compare=compare)
    if abs(torch.corrcoef(z[0].T)[0, 1]) > 0.1:
        raise Mistake("one noise serves several dimensions: each needs its own, eps has the shape of mu")
    mean = torch.stack([t.mean() for t in z])
    if not torch.allclose(mean, torch.tensor(1.5), atol=0.1):
        raise Mistake(f"the mean of draws must be mu = 1.5, got {mean.tolist()}")


def _check_gradients(draw: Callable[[Tensor, Tensor], Tensor], logvar: Tensor) -> None:
    """dz/dmu is 1 and dz/dlogvar is half of z - mu, whatever the noise was; which also says how large z - mu is."""
    at = f"at logvar = {logvar[0, 0].item():g}"
    mu, logvar = (t.clone().requires_grad_() for t in (torch.zeros_like(logvar), logvar))
    z = draw(mu, logvar)
    gradients = torch.autograd.grad(z.sum(), (mu, logvar), allow_unused=True) if z.requires_grad else (None, None)
    for name, gradient in zip(("mu", "logvar"), gradients, strict=True):
        if gradient is None or (not gradient.any() and at.endswith(" 0")):
            raise Mistake(f"no gradient reaches {name}: z must be computed from it, without sample() or detach()")
    expected = torch.ones_like(z), z.detach() / 2  # whatever the noise was
    size = (z.detach().abs().amax() / (logvar[0, 0].detach() / 2).exp()).item()
    if not z.isfinite().all() or not 0.1 < size < 10:
        raise Mistake(
            f"{at} the noise is {size:.2g} times as large as σ: is logvar bounded, or are σ's values? It must "
            "be free, but for an upper bound that keeps exp from overflowing"
        )
    for name, gradient, wanted in zip(("mu", "logvar"), gradients, expected, strict=True):
        if not torch.allclose(gradient, wanted, rtol=1e-3, atol=0):
            raise Mistake(
                f"{at} the gradient to {name} is {gradient[0, 0].item():.4g}, expected {wanted[0, 0].item():.4g}: no "
                "detach() on the way, and no bound on logvar but LOGVAR_MAX"
            )


def _check_several(function: Callable[..., Tensor]) -> None:
    """Notebook 2 draws many z of each image at once, and `index_information` in doubles."""
    mu, logvar = torch.zeros(4, 3), torch.zeros(4, 3)
    eps = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    try:
        z = function(mu, logvar, eps)
    except Exception as error:
        raise Mistake(f"eps may be (5, 4, 3), for five draws of each z, (4, 3), at once: {error}") from None
    if z.shape != eps.shape or not torch.allclose(z, eps):
        raise Mistake(f"for eps of shape (5, 4, 3), five draws at once, z must have its shape, got {tuple(z.shape)}")
    if function(mu.double(), logvar.double(), eps.double()).dtype != torch.float64:
        raise Mistake("of doubles z must be doubles: no .float() on the way")

"""The draw of z, judged by its spread, its mean and the gradients that pass through it."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from .mistake import Mistake, judge


def reparametrize(function: Callable[..., Tensor]) -> None:
    """Your draw from q(z|x): function(mu, logvar) with noise of its own, or function(mu, logvar, eps); (B, D) each."""
    takes_noise = len(inspect.signature(function).parameters) > 2
    generator = torch.Generator().manual_seed(0)

    def draw(mu: Tensor, logvar: Tensor) -> Tensor:
        noise = [torch.randn(mu.shape, generator=generator)] if takes_noise else []
        z = function(mu, logvar, *noise)
        if not isinstance(z, Tensor) or z.shape != mu.shape:
            raise Mistake(f"z must have mu's shape {tuple(mu.shape)}, got {getattr(z, 'shape', type(z).__name__)}")
        return z

    n, logvar = 20_000, torch.tensor((-2.0, 0.7, 1.5))
    z = [draw(torch.full((n, 2), 1.5), torch.full((n, 2), v)).detach() for v in logvar.tolist()]
    _check_spread(torch.stack([t.std() for t in z]), logvar)
    if abs(torch.corrcoef(z[0].T)[0, 1]) > 0.1:
        raise Mistake("one noise serves several dimensions: each needs its own, eps has the shape of mu")
    if takes_noise:
        mu, eps = torch.zeros(8, 2), torch.randn(8, 2, generator=generator)
        if not torch.equal(function(mu, mu, eps), function(mu, mu, eps)):
            raise Mistake("the eps that is passed is not used: two draws with the same give different z")
    mean = torch.stack([t.mean() for t in z])
    if not torch.allclose(mean, torch.tensor(1.5), atol=0.1):
        raise Mistake(f"the mean of draws must be mu = 1.5, got {mean.tolist()}")
    _check_gradients(draw)


def _check_spread(spread: Tensor, logvar: Tensor) -> None:
    """The standard deviation of draws, one for each logvar, must be exp(logvar / 2)."""
    causes = {
        "there is no noise: z = mu, which is for reconstructing, not for training": torch.zeros_like(logvar),
        "exp is left out: logvar/2 itself is taken for σ, and noise at logvar = 0 vanishes at no cost": (
            logvar / 2
        ).abs(),
        "exp is left out: logvar itself is taken for σ": logvar.abs(),
        "log σ² is read as log σ: use exp(logvar / 2)": logvar.exp(),
        "the noise is not scaled by σ": torch.ones_like(logvar),
        "σ is exp(-logvar / 2): a sign too many": (-logvar / 2).exp(),
    }
    what = f"the standard deviation of draws at logvar = {logvar[0].item():g}"
    judge(what, [spread], [(logvar / 2).exp()], {name: [value] for name, value in causes.items()}, rtol=0.03)


def _check_gradients(draw: Callable[[Tensor, Tensor], Tensor]) -> None:
    """A gradient must reach both mu and logvar."""
    mu, logvar = (torch.zeros(8, 2, requires_grad=True) for _ in range(2))
    z = draw(mu, logvar)
    gradients = torch.autograd.grad(z.sum(), (mu, logvar), allow_unused=True) if z.requires_grad else (None, None)
    for name, gradient in zip(("mu", "logvar"), gradients, strict=True):
        if gradient is None or not gradient.any():
            raise Mistake(f"no gradient reaches {name}: z must be computed from it, without sample() or detach()")

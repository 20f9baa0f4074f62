"""What a VAE adds to an autoencoder: q(z|x), which encode gives, and the draw of z in its forward."""

import contextlib
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .draw import right
from .explain import explained
from .forward import check_device, check_forward, check_noise
from .mistake import Mistake, tensor
from .networks import evaluating, redrawn

# Of z for one image: so many that chance stays within the bounds on their mean and spread. Of 1,000 it did not for one
# right VAE in 7,000.
DRAWS = 4000


@explained
def vae(model: nn.Module, draw: str | None = None, halves: bool = False) -> None:
    """What your VAE adds: encode(x) gives (mu, logvar), (B, D) each; forward(x) gives (logits, mu, logvar).

    draw: the dotted name of the function that draws z for it, which is replaced by a right one for as long as this
    takes: its mistakes are `reparametrize`'s to find. halves: mu and logvar must be the two halves of what `encoder`
    gives, and the noise be made on the model's device.
    """
    x = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with mock.patch(draw, right) if draw else contextlib.nullcontext():
        _check_posterior(model, x)
        if halves:
            _check_halves(model, x)
        check_noise(model, x)
        check_forward(next(redrawn(model, 1, scale=1)), x[:1].repeat(DRAWS, 1, 1, 1))  # where σ is far from 1
        if halves:
            check_device(model, x)


def _check_posterior(model: nn.Module, x: Tensor) -> None:
    """What encode gives: two tensors of their own, free to take any value, with gradients."""
    with evaluating(model):
        posterior = model.encode(x)
        if posterior is None or isinstance(posterior, Tensor | dict) or len(posterior) != 2:
            got = "a tensor" if isinstance(posterior, Tensor) else f"a {type(posterior).__name__}"
            got += f" of {len(posterior)}" if isinstance(posterior, tuple | list) else ""
            raise Mistake(f"encode must give two tensors, mu and logvar, got {got}")
        mu, logvar = (tensor("what encode gives", t) for t in posterior)
        size = getattr(model, "latent_dim", mu.shape[-1])
        if mu.shape != logvar.shape or mu.shape != (len(x), size):
            raise Mistake(
                f"mu and logvar must be (B, latent_dim), here ({len(x)}, {size}), got {tuple(mu.shape)} and "
                f"{tuple(logvar.shape)}"
            )
        for name, t in (("mu", mu), ("logvar", logvar)):
            if not t.requires_grad:
                raise Mistake(f"no gradient passes through {name}: encode must give it without detach() or no_grad()")
        if not all(_close(a, b) for a, b in zip((mu, logvar), model.encode(x), strict=True)):
            raise Mistake(
                "two calls of encode on the same images give different numbers: it draws no noise, and makes no layers"
            )
        if torch.equal(mu, logvar):
            raise Mistake("mu and logvar are the same numbers: each needs outputs of its own")
        with torch.no_grad():
            others = [m.encode(x) for m in redrawn(model, 8)]
        if min(t[1].min() for t in others) >= 0:
            raise Mistake(
                "logvar is never negative, whatever the weights: encode must give log σ² as the encoder gives it, "
                "without exp, softplus or ReLU, because σ must be able to fall below 1"
            )
        if min(t[0].min() for t in others) >= 0:
            raise Mistake("mu is never negative, whatever the weights: there is an activation after the last layer")


def _check_halves(model: nn.Module, x: Tensor) -> None:
    """The first half of the encoder's numbers is mu, and the second logvar, with nothing done to them."""
    big = next(redrawn(model, 1, scale=20))  # whose numbers are in the hundreds, so that a bound shows
    with evaluating(big), torch.no_grad():
        h = big.encoder(x)
        mu, logvar = big.encode(x)
    a, b = h.split(h.shape[1] // 2, 1)
    causes = {
        "they are swapped: the first half is mu": (b, a),
        "every other number is taken: the first half is mu, the second logvar": (h[:, ::2], h[:, 1::2]),
        "exp is taken, which gives the variance": (a, b.exp()),
        "exp is taken, which gives σ": (a, (b / 2).exp()),
        "logvar is made positive": (a, b.relu()),
        "logvar is doubled, as if the encoder gave log σ": (a, 2 * b),
        "the log is taken of the second half, which is log σ² already": (a, b.log()),
        "the log of a softplus is taken of the second half, which is log σ² already": (a, F.softplus(b).log()),
        "a tanh is taken of logvar, which may take any value": (a, b.tanh()),
        "a tanh is taken of mu, which may take any value": (a.tanh(), b),
        "numbers of several images are mixed, as by view(2, ...): split along dimension 1": tuple(h.view(2, *a.shape)),
    }
    if torch.equal(mu, a) and torch.equal(logvar, b):
        return
    cause = next((name for name, (c, d) in causes.items() if _close(mu, c) and _close(logvar, d)), "")
    if not cause and torch.equal(mu, a) and torch.equal(logvar, b.clamp(logvar.min(), logvar.max())):
        cause = f"logvar is bounded to {logvar.min():.3g} ... {logvar.max():.3g}: it is bounded where exp is taken"
    raise Mistake(
        "mu must be the first half of the numbers that the encoder gives and logvar the second, as they are"
        + (f". Most likely {cause}" if cause else ": print both beside self.encoder(x)")
    )


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True)

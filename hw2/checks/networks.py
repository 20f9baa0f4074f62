"""Any autoencoder, judged by what its encoder and decoder give, and by what stays the same when its weights change."""

import contextlib
import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from .explain import explained
from .mistake import Mistake, tensor


@explained
def autoencoder(model: nn.Module) -> None:
    """Your encoder and decoder: encode(x) gives z, (B, D), or (mu, logvar); decode(z) gives logits, (B, 1, 28, 28)."""
    x = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with evaluating(model), torch.no_grad():
        codes = _joined(model.encode(x))
        if codes.ndim != 2 or len(codes) != 64:
            raise Mistake(f"codes must be (B, D), one row per image, got {tuple(codes.shape)} for 64 images")
        found = model.encode(x)
        size = (found if isinstance(found, Tensor) else found[0]).shape[1]  # of z, or of mu in (mu, logvar)
        if size != getattr(model, "latent_dim", size):
            raise Mistake(f"codes must have latent_dim = {model.latent_dim} numbers, got {size}")
        z = torch.randn(64, size, generator=torch.Generator().manual_seed(1))
        logits = tensor("what decode gives", model.decode(z))
        if logits.shape != (64, 1, 28, 28):
            raise Mistake(f"decode must give (B, 1, 28, 28), got {tuple(logits.shape)}")
        _check_ranges(model, x[:16], 1e4 * z[:16])
        if _affine(lambda x: _joined(model.encode(x)), x):
            raise Mistake("the encoder is linear: there is no activation between its layers")
        if _affine(model.decode, 1e4 * z):
            raise Mistake("the decoder is linear: there is no activation between its layers")


def _joined(codes: Tensor | tuple[Tensor, ...]) -> Tensor:
    """z, or mu and logvar side by side."""
    if codes is None or isinstance(codes, Tensor):
        return tensor("what encode gives", codes)
    return torch.cat(tuple(codes), 1)


def _check_ranges(model: nn.Module, x: Tensor, z: Tensor) -> None:
    """Codes and logits must vary, and be free to take any value: with these weights, or with others.

    z: so large that bounds of the decoder show.
    """
    models = [model, *redrawn(model, 8)]
    every = {"codes": [_joined(m.encode(x)) for m in models], "logits": [m.decode(z) for m in models]}
    for what, values in every.items():
        if values[0].std(0).max() == 0:
            raise Mistake(f"all {what} are the same, whatever goes in")
    low, high = (torch.stack([f(v) for v in every["logits"]]) for f in (Tensor.min, Tensor.max))
    if low.min() >= 0 and high.max() <= 1:
        raise Mistake("decode ends in a sigmoid: it must give logits, else the loss applies the sigmoid twice")
    if low.min() >= -1 and high.max() <= 1:
        raise Mistake("decode ends in a tanh: it must give logits, which have no bounds")
    for what, values in every.items():
        if min(v.min() for v in values) >= 0:
            raise Mistake(f"no {what} are negative: there is a ReLU, or the like, after the last layer")


def redrawn(model: nn.Module, n: int, scale: float = 2) -> Iterator[nn.Module]:
    """n copies of a model with other weights, `scale` times as large as ordinary: what holds for all is built in."""
    for seed in range(n):
        other, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
        for parameter in other.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            values = torch.randn(parameter.shape, generator=generator) * scale / fan_in**0.5
            parameter.data = values.to(parameter)
        yield other


def _affine(function: Callable[[Tensor], Tensor], inputs: Tensor) -> bool:
    """Whether the middle of two inputs gives the middle of what they give."""
    a, b = inputs.chunk(2)
    middle = (function(a) + function(b)) / 2
    return torch.allclose(function((a + b) / 2), middle, atol=1e-4 * middle.abs().max().item())


@contextlib.contextmanager
def evaluating(model: nn.Module, training: bool = False) -> Iterator[None]:
    """Evaluation mode, or training mode, the earlier one restored after."""
    before = model.training
    model.train(training)
    try:
        yield
    finally:
        model.train(before)

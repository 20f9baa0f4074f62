"""Models: what their encoder and decoder give, how a convolutional body is built, and what a VAE's forward returns."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from unittest import mock

import torch
from torch import Tensor, nn

from .mistake import Mistake


def autoencoder(model: nn.Module) -> None:
    """Your encoder and decoder: encode(x) gives z, (B, D), or (mu, logvar); decode(z) gives logits, (B, 1, 28, 28)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(64, 1, 28, 28, generator=generator)

    def encode(x: Tensor) -> Tensor:
        codes = model.encode(x)
        return codes if isinstance(codes, Tensor) else torch.cat(tuple(codes), 1)

    with _mode(model, training=False), torch.no_grad():
        codes = encode(x)
        if codes.ndim != 2 or len(codes) != 64:
            raise Mistake(f"codes must be (B, D), one row per image, got {tuple(codes.shape)} for 64 images")
        size = _first(model.encode(x)).shape[1]
        if size != getattr(model, "latent_dim", size):
            raise Mistake(f"codes must have latent_dim = {model.latent_dim} numbers, got {size}")
        z = 1e4 * torch.randn(64, size, generator=generator)  # so large that a bounded output shows its bounds
        logits = model.decode(z)
        if logits.shape != (64, 1, 28, 28):
            raise Mistake(f"decode must give (B, 1, 28, 28), got {tuple(logits.shape)}")
        _check_ranges(codes, logits)
        if _affine(encode, x[:32], x[32:]):
            raise Mistake("the encoder is linear: there is no activation between its layers")
        if _affine(model.decode, z[:32], z[32:]):
            raise Mistake("the decoder is linear: there is no activation between its layers")


def _check_ranges(codes: Tensor, logits: Tensor) -> None:
    """Codes and logits must vary, and be free to take any value."""
    named = (("codes", codes), ("logits", logits))
    for what, values in named:
        if values.std(0).max() == 0:
            raise Mistake(f"all {what} are the same, whatever goes in")
    if logits.min() >= 0 and logits.max() <= 1:
        raise Mistake("decode ends in a sigmoid: it must give logits, else the loss applies the sigmoid twice")
    if logits.min() >= -1 and logits.max() <= 1:
        raise Mistake("decode ends in a tanh: it must give logits, which have no bounds")
    for what, values in named:
        if values.min() >= 0:
            raise Mistake(f"no {what} are negative: there is a ReLU after the last layer")


def _affine(function: Callable[[Tensor], Tensor], a: Tensor, b: Tensor) -> bool:
    """Whether the middle of two inputs gives the middle of what they give."""
    middle = (function(a) + function(b)) / 2
    return torch.allclose(function((a + b) / 2), middle, atol=1e-4 * middle.abs().max().item())


def convolutional(model: nn.Module) -> None:
    """Your convolutional body: `encoder` 28 → 14 → 7 → 3 → 1 pixels wide, `decoder` back, BatchNorm on the inner."""
    for network, widths in ((model.encoder, [14, 7, 3, 1]), (model.decoder, [3, 7, 14, 28])):
        which = "encoder" if network is model.encoder else "decoder"
        found: list[int] = []
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        hooks = [m.register_forward_hook(lambda _m, _x, out, seen=found: seen.append(out.shape[-1])) for m in layers]
        try:
            with _mode(model, training=False), torch.no_grad():
                model.decode(_first(model.encode(torch.zeros(2, 1, 28, 28))))
        finally:
            for hook in hooks:
                hook.remove()
        if found != widths:
            raise Mistake(f"the {which}'s convolutions must give images {widths} pixels wide, got {found}")
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
        if norms != 3:
            raise Mistake(
                f"the {which} must have 3 BatchNorm2d, one for each convolution but that beside the image, got {norms}"
            )


def vae(model: nn.Module, draw: str | None = None) -> None:
    """What your VAE adds: encode(x) gives (mu, logvar), (B, D) each; forward(x) gives (logits, mu, logvar).

    draw: the dotted name of the function that draws z for it, which is replaced by a right one for as long as this
    takes: its mistakes are `reparametrize`'s to find.
    """
    x = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with mock.patch(draw, _right_draw) if draw else contextlib.nullcontext():
        _check_posterior_and_noise(model, x)
        _check_forward(model, x[:1].repeat(1000, 1, 1, 1))


def _right_draw(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mu + (logvar / 2).exp() * eps


def _check_posterior_and_noise(model: nn.Module, x: Tensor) -> None:
    """What encode gives, and that each pass in training has noise of its own, or that of the generator."""
    with _mode(model, training=True), torch.no_grad():
        posterior = model.encode(x)
        if isinstance(posterior, Tensor) or len(posterior) != 2:
            raise Mistake("encode must give two tensors, mu and logvar")
        mu, logvar = posterior
        if mu.shape != logvar.shape or mu.ndim != 2 or len(mu) != len(x):
            raise Mistake(f"mu and logvar must be (B, D), got {tuple(mu.shape)} and {tuple(logvar.shape)}")
        if torch.equal(mu, logvar):
            raise Mistake("mu and logvar are the same numbers: each needs outputs of its own")
        if torch.equal(model(x)[0], model(x)[0]):
            raise Mistake("two passes in training give the same: there is no noise, z = mu is used in training")
        if "generator" in inspect.signature(model.forward).parameters:
            first, second = (model(x, generator=torch.Generator().manual_seed(0))[0] for _ in range(2))
            if not torch.equal(first, second):
                raise Mistake("the generator is not used: two passes with the same seed give different noise")


def _check_forward(model: nn.Module, x: Tensor) -> None:
    """What z forward decodes for one image many times, and what it returns."""
    with _mode(model, training=False), _decoded(model) as asked:  # many equal images have no batch statistics
        answer = model(x)
        mu, logvar = (t.detach() for t in model.encode(x))
    if len(asked) != 1 or asked[0][0].shape != mu.shape:
        raise Mistake(f"forward must decode once, a z of mu's shape {tuple(mu.shape)}")
    z, logits = asked[0]
    if len(answer) != 3 or not all(torch.allclose(a, b) for a, b in zip(answer[1:], (mu, logvar), strict=True)):
        raise Mistake("forward must return (logits, mu, logvar) in this order, the last two as encode gives them")
    if not torch.allclose(answer[0], logits):
        if torch.allclose(answer[0], logits.sigmoid()):
            raise Mistake("forward returns images: it must return logits, else the loss applies the sigmoid twice")
        raise Mistake("forward must return the logits that decode gives for z")
    if not z.requires_grad:
        raise Mistake("no gradient reaches the encoder: z must be computed from mu and logvar, without detach()")
    noise = ((z - mu) / (logvar / 2).exp()).detach()
    if noise.std(0).max() < 0.01:
        raise Mistake("one noise serves the whole batch, or there is next to none: each image needs its own")
    if (noise.mean(0).abs() > 0.15).any() or ((noise.std(0) - 1).abs() > 0.1).any():
        raise Mistake(
            f"z must be drawn from N(mu, exp(logvar)): (z - mu) / σ has mean {noise.mean():.2f} and standard deviation "
            f"{noise.std():.2f}. Look at how forward calls the draw: mu, then logvar, and σ = exp(logvar / 2)"
        )


def _first(codes: Tensor | tuple[Tensor, ...]) -> Tensor:
    """What is decoded without noise: z, or mu of (mu, logvar)."""
    return codes if isinstance(codes, Tensor) else codes[0]


@contextlib.contextmanager
def _mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Training or evaluation mode, the earlier one restored after."""
    before = model.training
    model.train(training)
    try:
        yield
    finally:
        model.train(before)


@contextlib.contextmanager
def _decoded(model: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """What is decoded meanwhile, z and logits: by the module `decoder` if there is one, or else by `decode`."""
    asked: list[tuple[Tensor, Tensor]] = []
    decoder, decode = getattr(model, "decoder", None), model.decode

    def watch(z: Tensor) -> Tensor:
        asked.append((z, decode(z)))
        return asked[-1][1]

    if isinstance(decoder, nn.Module):
        with decoder.register_forward_hook(lambda _decoder, args, out: asked.append((args[0], out))):
            yield asked
        return
    model.decode = watch
    try:
        yield asked
    finally:
        del model.decode

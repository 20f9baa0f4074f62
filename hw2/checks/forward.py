"""A VAE's forward: what it returns, and the z that it draws, with noise of its own for each image and in both modes."""

import contextlib
import inspect
import typing
from collections.abc import Iterator
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .draw import right, wrong_draws
from .mistake import Mistake
from .networks import evaluating


def check_noise(model: nn.Module, x: Tensor) -> None:
    """Each pass has noise of its own, in both modes, or that of the generator."""
    with torch.no_grad():
        for training in (True, False):
            with evaluating(model, training):
                first, second = (_answer(model, x) for _ in range(2))
                if model.training != training:
                    raise Mistake("forward and encode must leave the model's mode as it is: no eval(), no train()")
            if torch.equal(first[0], second[0]):
                raise Mistake(
                    "two passes in training give the same: there is no noise, z = mu is used in training, or the noise "
                    "is seeded anew"
                    if training
                    else "there is noise in training mode only: forward draws z in evaluation mode too, where the loss "
                    "on test images is measured. Leave self.training out"
                )
        if "generator" not in inspect.signature(model.forward).parameters:
            return
        with evaluating(model):
            generators = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
            same, again, other = (_answer(model, x, generator=generator)[0] for generator in generators)
            later = _answer(model, x, generator=generators[0])[0]
        if not torch.equal(same, again):
            raise Mistake("the generator is not used: two passes with the same seed give different noise")
        if torch.equal(same, other) or torch.equal(same, later):
            raise Mistake(
                "the generator is seeded anew in forward, or another one is used: two passes with one generator must "
                "give different noise, because it goes on from where it was"
            )


class _Answer(typing.NamedTuple):
    logits: Tensor
    mu: Tensor
    logvar: Tensor


def _answer(model: nn.Module, x: Tensor, **options: object) -> _Answer:
    """What forward gives, if that is three tensors in this order."""
    answer = model(x, **options)
    wanted = "forward must return a tuple of three tensors, (logits, mu, logvar), in this order"
    if not isinstance(answer, tuple | list) or len(answer) != 3 or not all(isinstance(t, Tensor) for t in answer):
        kinds = f" of {len(answer)}" if isinstance(answer, tuple | list) else ""
        forgotten = ": is its `return` forgotten?" if answer is None else ""
        raise Mistake(f"{wanted}: got {type(answer).__name__}{kinds}{forgotten}")
    logits, mu, logvar = answer
    if logits.shape != x.shape or mu.ndim != 2 or mu.shape != logvar.shape:
        shapes = ", ".join(str(tuple(t.shape)) for t in answer)
        raise Mistake(f"{wanted}, here {tuple(x.shape)} and twice ({len(x)}, latent_dim): got {shapes}")
    return _Answer(logits, mu, logvar)


def check_forward(model: nn.Module, x: Tensor) -> None:
    """What z forward decodes for one image many times, and what it returns."""
    with evaluating(model), _decoded(model) as asked:  # many equal images have no batch statistics
        answer = _answer(model, x)
        mu, logvar = model.encode(x)
    if len(asked) != 1 or asked[0][0].shape != mu.shape:
        raise Mistake(f"forward must decode once, a z of mu's shape {tuple(mu.shape)}")
    wrong = [name for name, t in (("mu", mu), ("logvar", logvar)) if not torch.allclose(getattr(answer, name), t)]
    if wrong:
        raise Mistake(
            "forward must return (logits, mu, logvar) in this order, the last two as encode gives them: here "
            f"{' and '.join(wrong)} differ{'s' * (len(wrong) == 1)}"
        )
    for name, of in (("logits", "reconstruction"), ("mu", "KL"), ("logvar", "KL")):
        if not getattr(answer, name).requires_grad:
            raise Mistake(f"forward returns {name} detached: no gradient of the {of} gets further back")
    z, logits = asked[0]
    found, right_ones = answer.logits.flatten(1), logits.flatten(1)
    if not torch.allclose(found, right_ones, atol=1e-6):
        if torch.allclose(found, right_ones.sigmoid()):
            raise Mistake("forward returns images: it must return logits, else the loss applies the sigmoid twice")
        raise Mistake("forward must return the logits that decode gives for z")
    if not z.requires_grad:
        raise Mistake("no gradient reaches the encoder: z must be computed from mu and logvar, without detach()")
    noise = ((z - mu) / (logvar / 2).exp()).detach()
    _check_normal(noise, _cause(z.detach(), mu.detach(), logvar.detach()))
    _check_gradient(model, z, right(mu, logvar, noise), mu)


def _cause(z: Tensor, mu: Tensor, logvar: Tensor) -> str:
    """The known mistake whose draws have the mean and the spread of these z, (N, D); "" if there is none."""
    eps = torch.randn(z.shape, generator=torch.Generator().manual_seed(3))
    eps = (eps - eps.mean(0)) / eps.std(0)
    for name, wrong in wrong_draws(mu, logvar, eps).items():
        spread = wrong.std(0)
        if torch.allclose(z.std(0), spread, rtol=0.1) and ((z - wrong).mean(0).abs() <= 0.15 * spread + 1e-6).all():
            return name
    return ""


def _check_normal(noise: Tensor, cause: str) -> None:
    """Noise, (N, D), must be N(0, I), another one in each row and column."""
    if noise.std(0).max() < 0.01:
        raise Mistake("one noise serves the whole batch, or there is next to none: each image needs its own")
    if noise.shape[1] > 1 and (torch.corrcoef(noise.T)[0, 1:].abs() > 0.2).any():
        raise Mistake("one noise serves several dimensions: each needs its own, eps has the shape of mu")
    off = torch.maximum(noise.mean(0).abs() / 0.15, (noise.std(0) - 1).abs() / 0.1)
    if off.max() > 1:
        d = off.argmax()
        mean, deviation = noise[:, d].mean(), noise[:, d].std()
        said = f"Most likely {cause}" if cause else "Look at how forward calls the draw: mu, then logvar, and what σ is"
        if not cause and noise.mean(0).abs().max() < 0.15 and noise.std(0).min() > 0.8 * noise.std(0).max():
            said = "Most likely the noise is scaled: eps must come from N(0, I), one draw as it is"
        raise Mistake(
            f"z must be drawn from N(mu, exp(logvar)): in dimension {d} of z, (z - mu) / σ has mean {mean:.2f} and "
            f"standard deviation {deviation:.2f}, expected 0 and 1. {said}"
        )


def _check_gradient(model: nn.Module, z: Tensor, wanted: Tensor, mu: Tensor) -> None:
    """z must pass the gradient on to mu and to logvar."""
    weights = torch.randn(z.shape, generator=torch.Generator().manual_seed(2))
    parameters = [p for p in model.parameters() if p.requires_grad]

    def gradient(t: Tensor) -> Tensor:
        grads = torch.autograd.grad((t * weights).sum(), parameters, retain_graph=True, materialize_grads=True)
        return torch.cat([g.flatten() for g in grads])

    found, expected = gradient(z), gradient(wanted)
    close = 1e-3 * expected.abs().max().item()
    if not torch.allclose(found, expected, atol=close):
        cause = ", and none passes through logvar" if torch.allclose(found, gradient(mu), atol=close) else ""
        raise Mistake(f"the gradient of z must reach the encoder through mu and logvar{cause}: no detach() on the way")


class _Factories(TorchFunctionMode):
    """Sees whether a tensor is made without saying where."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        made = function in (torch.randn, torch.rand, torch.zeros, torch.ones, torch.empty)
        made |= function is torch.normal and not any(isinstance(a, Tensor) for a in (*args, *kwargs.values()))
        if made and not kwargs.get("device"):
            raise Mistake(
                "the noise is made on the CPU, wherever the model is: make it where mu is, with device=mu.device, "
                "where the generator is too"
            )
        return function(*args, **kwargs)


def check_device(model: nn.Module, x: Tensor) -> None:
    """The noise must be made where mu is."""
    with _Factories():
        model(x)


@contextlib.contextmanager
def _decoded(model: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """What is decoded meanwhile, z and logits: by `decode`, or by the module `decoder` where forward calls that."""
    asked: list[tuple[Tensor, Tensor]] = []
    inside: list[tuple[Tensor, Tensor]] = []
    decode = model.decode
    layers = [m for m in (decode, getattr(model, "decoder", None)) if isinstance(m, nn.Module)]

    def watch(z: Tensor) -> Tensor:
        asked.append((z, decode(z)))
        return asked[-1][1]

    with contextlib.ExitStack() as stack:
        for layer in layers[:1]:
            stack.enter_context(layer.register_forward_hook(lambda _layer, args, out: inside.append((args[0], out))))
        if decode not in layers:
            stack.enter_context(mock.patch.object(model, "decode", watch))
        yield asked
    if not asked:
        asked += inside

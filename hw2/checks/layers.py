"""What passes through a network, layer by layer: the shapes on the way, and the first layer that they do not fit."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .explain import sentence
from .mistake import Mistake
from .networks import evaluating


class Passed(NamedTuple):
    """A layer, and how wide the images are that it gives."""

    layer: nn.Module
    width: int


def trace(network: nn.Sequential, which: str, x: Tensor) -> tuple[list[Passed], str]:
    """The innermost layers in the order in which x passes them, and what is wrong with a shape on the way, or "".

    which: "encoder" or "decoder". What does the same as one of PyTorch's layers stands as that one: a module of one's
    own, or a function that is called between two layers.
    """
    found: list[Passed] = []
    entered: list[tuple[nn.Module, Tensor]] = []
    gave: list[Tensor] = []

    def between(given: object) -> None:
        alike = gave and isinstance(given, Tensor) and given.dtype == gave[-1].dtype
        if alike and not torch.equal(gave[-1], given) and (own := _of_torch(gave[-1], given)):
            found.append(Passed(own, given.shape[-1]))

    def enter(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        between(inputs[0])
        entered.append((layer, inputs[0].clone()))  # a ReLU may write into it

    def leave(layer: nn.Module, _inputs: tuple[Tensor, ...], out: Tensor) -> None:
        given = entered[-1][1]
        gave.append(out.clone())
        own = type(layer).__module__.startswith("torch.") or [*layer.parameters()]
        found.append(Passed(layer if own else _of_torch(given, out) or layer, out.shape[-1]))
        if len(out) != len(x):
            raise Mistake(
                f"in the {which}, {described(layer)} makes {tuple(out.shape)} of {tuple(given.shape)}: the first "
                f"dimension is B, here {len(x)}, and must stay"
            )

    innermost = [layer for layer in network.modules() if not [*layer.children()]]
    hooks = [layer.register_forward_pre_hook(enter) for layer in innermost]
    hooks += [layer.register_forward_hook(leave) for layer in innermost]
    try:
        with evaluating(network), torch.no_grad():
            between(network(x))
    except Mistake as mistake:
        return found, str(mistake)
    except NotImplementedError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        if len(entered) == len(gave):  # between layers
            raise
        layer, given = entered[-1]
        return found, f"in the {which}, {described(layer)} cannot take {tuple(given.shape)}. {sentence(error)}"
    finally:
        for hook in hooks:
            hook.remove()
    return found, ""


def _of_torch(given: Tensor, gives: Tensor) -> nn.Module | None:
    """PyTorch's layer without parameters that makes the second of the first, if one does."""
    for own in (nn.Flatten(), nn.ReLU(), nn.LeakyReLU(0.2), nn.LeakyReLU(), nn.Sigmoid(), nn.Tanh()):
        if torch.equal(own(given), gives):
            return own
    return nn.Unflatten(1, tuple(gives.shape[1:])) if torch.equal(given.flatten(), gives.flatten()) else None


def described(layer: nn.Module) -> str:
    """The layer in the form in which it is expected: its kind, and what its docstring says of it."""
    name = type(layer).__name__
    if isinstance(layer, nn.Linear):
        return f"Linear({layer.in_features}, {layer.out_features}{', bias=False' * (layer.bias is None)})"
    if isinstance(layer, nn.LeakyReLU):
        return f"LeakyReLU({layer.negative_slope:g})"
    if isinstance(layer, nn.BatchNorm2d) and not layer.affine:
        return "BatchNorm2d without its scale and shift"
    return name


def sequential(model: nn.Module, which: str) -> nn.Sequential:
    """The encoder or decoder, if it is what its docstring promises."""
    network = getattr(model, which)
    if network is None:
        raise Mistake(f"the {which} is None: is the function's `return` forgotten?")
    if not isinstance(network, nn.Sequential):
        raise Mistake(f"the {which} must be an nn.Sequential, got {type(network).__name__}")
    return network

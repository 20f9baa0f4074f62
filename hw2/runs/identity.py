"""What decides a run: the network, its training, the data and the code. A run is kept, found and resumed by this.

Two models that compute different things must never be taken for each other. What a constructor's arguments tell is in
`describe`; whatever else has been done to a model is named by `alterations`, and such a model is refused.
"""

import builtins
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import FunctionType, ModuleType

import torch
from torch import Tensor, nn

from .. import conditioned, config, losses, models, networks, training
from ..conditioned import ConditionedVAE
from ..config import TrainConfig
from ..models import VAE, AutoEncoder

KINDS = {kind.__name__: kind for kind in (AutoEncoder, VAE, ConditionedVAE)}
CODE = (losses, networks, models, conditioned, config, training)  # what computes a run
# Of a module's attributes, those that are looked at apart, or that say nothing (a backward hook's flag outlives it).
OWN = ("training", "_parameters", "_buffers", "_modules", "_is_full_backward_hook")


def describe(model: AutoEncoder) -> dict:
    """What it takes to build this model afresh, as JSON values. TypeError for a model that is not hw2's own."""
    if type(model) not in KINDS.values():  # nor a subclass, which may compute something else
        raise TypeError(
            f"can keep and save hw2's own {', '.join(KINDS)}, got {type(model).__name__} of {type(model).__module__}. "
            "Train it with hw2.fit and keep its weights with torch.save(model.state_dict(), path)"
        )
    return {"kind": type(model).__name__} | {n: getattr(model, n) for n in inspect.signature(type(model)).parameters}


def build(description: Mapping) -> AutoEncoder:
    """The model that `describe` described, with its initial weights."""
    return KINDS[description["kind"]](**{name: value for name, value in description.items() if name != "kind"})


def alterations(model: AutoEncoder) -> list[str]:
    """In what, besides the values of its tensors, a model is not as its constructor makes it, in words."""
    fresh, mine = dict(_structure(build(describe(model)))), dict(_structure(model))
    of_all = vars(nn.modules.module).items()  # hooks that torch calls in every module
    lines = [f"{n} of torch.nn has hooks" for n, v in of_all if n.startswith("_global_") and isinstance(v, dict) and v]
    for name in mine | fresh:
        if name not in fresh:
            lines.append(f"{name} was added")
        elif name not in mine:
            lines.append(f"{name} is gone")
        elif not _same(mine[name], fresh[name]):
            lines.append(f"{name} is {_words(mine[name])}, not {_words(fresh[name])}")
    return lines


def check_unaltered(model: AutoEncoder) -> None:
    """ValueError, with what differs and the remedy, for a model that its constructor's arguments do not tell."""
    if lines := alterations(model):
        more = f"; and {len(lines) - 4} more" * (len(lines) > 4)
        raise ValueError(
            f"this {type(model).__name__} is not as its constructor makes it: {'; '.join(lines[:4])}{more}. Only what "
            "the constructor's arguments tell can be kept and found again: train it with hw2.fit, and keep its weights "
            "with torch.save(model.state_dict(), path)"
        )


def _structure(model: nn.Module) -> Iterator[tuple[str, object]]:
    """All that a model is but its values: classes, settings, hooks, the order of layers, tensors' types and memory."""
    first: dict[tuple, str] = {}  # the name under which a tensor's memory was met first
    for at, module in model.named_modules(remove_duplicate=False):
        dot = f"{at}." if at else ""
        yield at or "the model", type(module)
        yield f"the order of {at or 'the model'}'s layers", tuple(module._modules)
        for name, value in vars(module).items():
            if name not in OWN:
                yield dot + name, value
        for kind, tensors in (("parameter", module._parameters), ("buffer", module._buffers)):
            for name, tensor in tensors.items():
                if tensor is None:
                    yield dot + name, None
                    continue
                hooks = bool(tensor._backward_hooks) or bool(getattr(tensor, "_post_accumulate_grad_hooks", None))
                trains = "to be trained" if tensor.requires_grad else "frozen" if kind == "parameter" else "a buffer"
                words = [str(tensor.dtype), str(tuple(tensor.shape)), trains]
                words[:0] = ["with hooks"] * hooks
                if tensor.layout != torch.strided or not tensor.is_contiguous():
                    words.insert(0, "laid out otherwise")
                elif tensor.numel():
                    owner = first.setdefault((tensor.device, tensor.data_ptr()), dot + name)
                    words[:0] = [f"shared with {owner}"] * (owner != dot + name)
                yield f"the type of {dot}{name}", type(tensor)
                yield dot + name, ", ".join(words)


def _same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a.cpu(), b.cpu())
    try:
        return type(a) is type(b) and bool(a == b)
    except Exception:  # values that cannot be compared are not the same
        return False


def _words(value: object) -> str:
    text = value.__name__ if isinstance(value, type) else str(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def identity(model: AutoEncoder, settings: TrainConfig | None, data_digest: str) -> dict:
    """What decides a run, as JSON values; of a model without a known run, settings of None.

    data_digest: `Digits.digest()`. ValueError as of `check_unaltered`.
    """
    if settings is not None and type(settings) is not TrainConfig:  # its methods may compute something else
        raise TypeError(
            f"can keep a run of hw2.TrainConfig itself, got {type(settings).__name__}: train it with hw2.fit"
        )
    check_unaltered(model)
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set by torch's newer names, which the older one then refuses to tell
        precision = torch.backends.fp32_precision
    numerics = {"matmul": precision}
    network, known = describe(model), settings and settled(settings)
    return {"torch": torch.__version__, "numerics": numerics, "data": data_digest, "model": network, "config": known}


def settled(config: TrainConfig) -> dict:
    """A config's values, in place of the device "auto" the one that it is here, which decides the bits."""
    device = config.torch_device().type if config.device == "auto" else config.device
    return asdict(config) | {"device": device}


def differences(found: Mapping, expected: Mapping) -> list[str]:
    """What differs between two identities, in words: "config.beta is 0.01 there and 0.001 here"."""
    lines = []
    for name, value in expected.items():
        other = found.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            lines += [f"{name}.{line}" for line in differences(other, value)]
        elif _plain(value) != _plain(other):
            lines.append(f"{name} is {_shown(other)} there and {_shown(value)} here")
    return lines


def _shown(value: object) -> str:
    """As text; a digest by its beginning."""
    return repr(value) if not isinstance(value, str) or len(value) < 64 else f"{value[:12]}…"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value  # JSON has no tuples


def _code_on_disk() -> str:
    sources = [Path(module.__file__).read_text(encoding="utf-8") for module in CODE]
    return hashlib.sha256("".join(sources).encode()).hexdigest()


def _definitions(module: ModuleType) -> Iterator[tuple[str, tuple]]:
    """What a module's names stand for, by dotted names: in its own classes and tables, what is in them.

    A function with its code and its defaults, which can be replaced in place.
    """
    for name, value in vars(module).items():
        found = {name: value}
        if isinstance(value, type) and value.__module__ == module.__name__:
            found = {f"{name}.{n}": v for n, v in vars(value).items() if _is_own(n, v)}
        elif isinstance(value, dict) and _is_own(name, value):
            found = {f"{name}[{key!r}]": v for key, v in value.items()}
        for dotted, v in found.items():
            if _is_own(name, value):
                yield dotted, (v, getattr(v, "__code__", None), getattr(v, "__defaults__", None))


def _is_own(name: str, value: object) -> bool:
    return isinstance(value, FunctionType) or not name.startswith("__")


def _alike(a: tuple, b: tuple) -> bool:
    return len(a) == len(b) and all(one is other for one, other in zip(a, b, strict=True))


_CODE = _code_on_disk()  # as it was imported
_DEFINED = {module: dict(_definitions(module)) for module in CODE}


def code() -> str:
    """Hash of the code that computes a run. RuntimeError if this process runs another than the files hold."""
    if _code_on_disk() != _CODE:
        raise RuntimeError("hw2's code has changed since this kernel imported it: restart the kernel, then train")
    for module, defined in _DEFINED.items():
        now = dict(_definitions(module))
        # A new name in a module is nothing that its code uses (torch.compile adds some), unless it hides a builtin.
        names = [n for n in defined | now if n in defined or "." in n or hasattr(builtins, n)]
        if changed := [name for name in names if not _alike(now.get(name, ()), defined.get(name, ()))]:
            raise RuntimeError(
                f"{module.__name__}.{changed[0]} was replaced in this kernel, and a run of it would be kept as hw2's "
                "own: write a subclass and train it with hw2.fit, or restart the kernel"
            )
    return _CODE

"""A run on disk, ended or under way, in one file as `files` writes it: what it is of, and what is in it.

The file holds the weights, the loss of every step, and what model this is, how it is trained and on which data. To go
on, it also holds what the next step needs: Adam's moments, its settings, and the states of the generators.
"""

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ..conditioned import ConditionedVAE
from ..models import VAE, AutoEncoder
from ..training import TrainConfig
from .files import pack, replacing, unpack

FORMAT = 3
TERMS = ("recon", "kl", "loss")
GENERATORS = ("order", "noise")
KINDS = {kind.__name__: kind for kind in (AutoEncoder, VAE, ConditionedVAE)}


def describe(model: AutoEncoder) -> dict:
    """What it takes to build this model afresh, as JSON values. TypeError for a model that is not hw2's own."""
    if type(model) not in KINDS.values():  # nor a subclass, which may compute something else
        raise TypeError(
            f"can save hw2's own {', '.join(KINDS)}, got {type(model).__name__} of {type(model).__module__}"
        )
    return {"kind": type(model).__name__} | {n: getattr(model, n) for n in inspect.signature(type(model)).parameters}


def build(description: dict) -> AutoEncoder:
    """The model that `describe` described, with its initial weights."""
    return KINDS[description["kind"]](**{name: value for name, value in description.items() if name != "kind"})


def identity(model: AutoEncoder, config: TrainConfig | None, data_digest: str) -> dict:
    """What decides a run, as JSON values; of a model without a known run, a config of None. data_digest:
    `Digits.digest()`.
    """
    known = config and asdict(config)
    return {"torch": torch.__version__, "data": data_digest, "model": describe(model), "config": known}


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


def write_run(path: Path, about: dict, state: Mapping) -> None:
    """Write a run, atomically. about: its `identity` and what the history needs; state: a `Training.state_dict`, or a
    part of it.
    """
    tensors = {f"model.{name}": tensor for name, tensor in state["model"].items()}
    about = {"format": FORMAT} | about
    if "record" in state:
        tensors |= {f"history.{term}": row for term, row in zip(TERMS, state["record"], strict=True)}
    if "optimizer" in state:
        about["param_groups"] = state["optimizer"]["param_groups"]
        moments = state["optimizer"]["state"]
        tensors |= {f"optimizer.{i}.{name}": t for i, of in moments.items() for name, t in of.items()}
        tensors |= {f"generator.{name}": state[name] for name in GENERATORS}
    with replacing(path) as temporary:
        temporary.write_bytes(pack(tensors, about))


def read_run(path: Path) -> tuple[dict[str, Tensor], dict]:
    """(tensors, about) of a file of this format. ValueError with the path for any other."""
    tensors, about = unpack(path)
    if about.get("format") != FORMAT:
        raise ValueError(f"{path} has checkpoint format {about.get('format')}, this version of hw2 reads {FORMAT}")
    return tensors, about


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below a prefix, without it."""
    return {n.removeprefix(prefix): tensor for n, tensor in tensors.items() if n.startswith(prefix)}


def training_state(tensors: dict[str, Tensor], about: dict) -> dict:
    """The `Training.state_dict` of a run under way, from what `read_run` gave."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part(tensors, "optimizer.").items():
        i, _, key = name.partition(".")
        moments.setdefault(int(i), {})[key] = tensor
    return {
        "model": part(tensors, "model."),
        "optimizer": {"state": moments, "param_groups": about["param_groups"]},
        "record": torch.stack([tensors[f"history.{term}"] for term in TERMS]),
    } | {name: tensors[f"generator.{name}"] for name in GENERATORS}

"""A run on disk, ended or under way, in one file as `files` writes it: what it is of, and what is in it.

The file holds the weights, the loss of every step, and what model this is, how it is trained and on which data. To go
on, it also holds what the next step needs: Adam's moments, its settings, and the states of the generators.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .files import pack, replacing, unpack

FORMAT = 5
TERMS = ("recon", "kl", "loss")
EXTRA = ("beta", "validation")  # of a history, where it has them
GENERATORS = ("order", "noise")


def write_run(path: Path, about: dict, state: Mapping) -> None:
    """Write a run, atomically. about: its `identity` and what the history needs; state: a `Training.state_dict`, or a
    part of it.
    """
    tensors = {f"model.{name}": tensor for name, tensor in state["model"].items()}
    about = {"format": FORMAT} | about
    if "record" in state:
        tensors |= {f"history.{term}": row for term, row in zip(TERMS, state["record"], strict=True)}
    tensors |= {f"history.{name}": state[name] for name in EXTRA if state.get(name) is not None}
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

"""A run on disk, ended or under way, in one file as `hw2.files` writes it.

The file holds the weights, the loss of every step, and what model this is, how it is trained and on which data. Of a
run under way it also holds what the next step needs: Adam's moments, its settings, and the states of the generators.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from .files import pack, replacing, unpack
from .models import AutoEncoder, describe

FORMAT = 2
TERMS = ("recon", "kl", "loss")


def identity(model: AutoEncoder, config, data_digest: str) -> dict:
    """What decides a run, as JSON values. config: a TrainConfig; data_digest: `Digits.digest()`."""
    return {"torch": torch.__version__, "data": data_digest, "model": describe(model), "config": asdict(config)}


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


def write_run(
    path: Path,
    about: dict,
    model: AutoEncoder,
    record: Tensor,
    steps_per_epoch: int,
    optimizer: torch.optim.Optimizer | None = None,
    generators: Mapping[str, torch.Generator] | None = None,
) -> None:
    """Write a run, atomically. about: its `identity`; record: the loss terms so far, (3, steps).

    With optimizer and generators it is a run under way.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"history.{term}": row for term, row in zip(TERMS, record, strict=True)}
    about = {"format": FORMAT, "steps_per_epoch": steps_per_epoch} | about
    if optimizer is not None:
        state = optimizer.state_dict()
        about["param_groups"] = state["param_groups"]
        tensors |= {f"optimizer.{i}.{name}": t for i, s in state["state"].items() for name, t in s.items()}
        tensors |= {f"generator.{name}": generator.get_state() for name, generator in (generators or {}).items()}
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


def resume_run(
    path: Path,
    about: dict,
    model: AutoEncoder,
    optimizer: torch.optim.Optimizer,
    generators: Mapping[str, torch.Generator],
) -> tuple[Tensor, int]:
    """Bring model, optimiser and generators to where the run in `path` was; return its record, (3, steps), and threads.

    ValueError, before anything changes, for a file that is damaged or of another run; it names what differs.
    """
    tensors, found = read_run(path)
    if different := differences(found, about):
        raise ValueError(
            f"{path} is of another run: {'; '.join(different)}. Choose another path, or delete it to train anew"
        )
    model.load_state_dict(part(tensors, "model."))
    if "param_groups" in found:
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part(tensors, "optimizer.").items():
            i, _, key = name.partition(".")
            state.setdefault(int(i), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": found["param_groups"]})
        for name, generator in generators.items():
            generator.set_state(tensors[f"generator.{name}"])
    return torch.stack([tensors[f"history.{term}"] for term in TERMS]), found["threads"]

"""Trained models on disk, and the runs that are kept so that nothing trains twice.

A checkpoint is one safetensors file: the weights, the history, and, as JSON in its header, what model this is, how
it was trained and on which data. The header also holds the SHA-256 of the whole file (with that field zeroed): a
safetensors file with a flipped bit loads silently, this one is refused. Nothing in it can run code.

`train_or_load` keeps each run under a hash of everything that decides it.
"""

import hashlib
import inspect
import json
import re
import warnings
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch

from . import losses, models, training
from .data import Digits
from .files import cache_folder, replacing
from .models import VAE, AutoEncoder
from .training import History, TrainConfig, fit

FORMAT = 1
_KINDS = {"AutoEncoder": AutoEncoder, "VAE": VAE}
_NO_HASH = "0" * 64


class Run(NamedTuple):
    """A trained model, the loss of every step, and how it was trained."""

    model: AutoEncoder
    history: History
    config: TrainConfig


def describe(model: AutoEncoder) -> dict:
    """What it takes to build this model afresh, as JSON values."""
    if type(model).__name__ not in _KINDS:
        raise TypeError(f"can save {' and '.join(_KINDS)}, got {type(model).__name__}")
    return {"kind": type(model).__name__} | {n: getattr(model, n) for n in ("latent_dim", "arch", "hidden", "seed")}


def save(path: Path | str, model: AutoEncoder, history: History, config: TrainConfig, data_digest: str = "") -> None:
    """Write a checkpoint, atomically: the old file stays until the new one is complete on disk.

    data_digest: `Digits.digest()` of what the model was trained on.
    """
    about = {
        "format": FORMAT,
        "torch": torch.__version__,
        "data": data_digest,
        "model": describe(model),
        "config": asdict(config),
        "steps_per_epoch": history.steps_per_epoch,
    }
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    tensors |= {f"history.{term}": getattr(history, term).contiguous() for term in ("recon", "kl", "loss")}
    data = safetensors.torch.save(tensors, {"about": json.dumps(about), "sha256": _NO_HASH})
    data = data.replace(_NO_HASH.encode(), hashlib.sha256(data).hexdigest().encode(), 1)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def load_checkpoint(path: Path | str) -> Run:
    """Read a checkpoint back, on the CPU, in evaluation mode.

    FileNotFoundError if there is none; ValueError with the path if it is damaged or of another format.
    """
    path = Path(path)
    data = path.read_bytes()
    header_size = int.from_bytes(data[:8], "little")
    found = re.search(rb'"sha256":"([0-9a-f]{64})"', data[: 8 + header_size])
    if not found or _digest_with_zeroed_field(data, found.start(1)) != found.group(1).decode():
        raise ValueError(f"{path} is damaged or not an hw2 checkpoint: its content hash does not match. Delete it")
    about = json.loads(json.loads(data[8 : 8 + header_size])["__metadata__"]["about"])
    if about["format"] != FORMAT:
        raise ValueError(f"{path} has checkpoint format {about['format']}, this version of hw2 reads {FORMAT}")
    tensors = safetensors.torch.load(data)
    spec = dict(about["model"])
    model = _KINDS[spec.pop("kind")](**spec)
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    terms = (tensors[f"history.{term}"] for term in ("recon", "kl", "loss"))
    return Run(model.eval(), History(*terms, about["steps_per_epoch"]), TrainConfig(**about["config"]))


def _digest_with_zeroed_field(data: bytes, at: int) -> str:
    sha = hashlib.sha256(data[:at])
    sha.update(_NO_HASH.encode())
    sha.update(memoryview(data)[at + len(_NO_HASH) :])
    return sha.hexdigest()


@cache
def _code_digest() -> str:
    return hashlib.sha256("".join(map(inspect.getsource, (losses, models, training))).encode()).hexdigest()


def run_key(model: AutoEncoder, digits: Digits, config: TrainConfig) -> str:
    """Hash of all that decides a run: model, config, data, torch version, and the code of model, loss and loop."""
    about = [describe(model), asdict(config), digits.digest(), torch.__version__, _code_digest()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def train_or_load(model: AutoEncoder, digits: Digits, config: TrainConfig | None = None, **fit_options) -> Run:
    """The run of a fresh `model` under `config`: read from `$HW2_CACHE` if it is kept there, else trained and kept.

    `$HW2_CACHE` is by default a folder in the user's cache. A damaged file is said and trained again; a folder that
    cannot be written is said before training. ValueError for a model that is not as its constructor made it: its
    weights would not be part of the key.
    """
    config = config or TrainConfig()
    spec = describe(model)
    fresh = type(model)(**{name: value for name, value in spec.items() if name != "kind"}).state_dict()
    if not all(torch.equal(tensor.cpu(), fresh[name]) for name, tensor in model.state_dict().items()):
        raise ValueError("train_or_load takes a fresh model, this one's weights were changed: use fit")
    key = run_key(model, digits, config)
    path = cache_folder("HW2_CACHE", "runs") / f"{key}.safetensors"
    if path.exists():
        try:
            return load_checkpoint(path)
        except (ValueError, OSError) as error:
            warnings.warn(f"training again: {error}", stacklevel=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path.with_suffix(".probe")) as temporary:
            temporary.touch()
        path.with_suffix(".probe").unlink(missing_ok=True)
        keep = True
    except OSError as error:
        warnings.warn(f"this run will not be kept ({error}): set HW2_CACHE to a writable folder", stacklevel=2)
        keep = False
    history = fit(model, digits, config, **fit_options)
    if keep:
        save(path, model, history, config, digits.digest())
    return Run(model, history, config)

"""Trained models on disk, and the runs that are kept so that nothing trains twice.

A checkpoint is one file of weights as `hw2.files` writes it: the model's, the history, and what model this is, how it
was trained and on which data.

`train_or_load` keeps each run under a hash of everything that decides it.
"""

import hashlib
import inspect
import json
import tempfile
import warnings
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from . import losses, models, training
from .data import Digits
from .files import cache_folder, pack, replacing, unpack
from .models import VAE, AutoEncoder, ConditionedVAE
from .training import History, TrainConfig, check_run, fit

FORMAT = 1
_KINDS = {kind.__name__: kind for kind in (AutoEncoder, VAE, ConditionedVAE)}


class Run(NamedTuple):
    """A trained model, the loss of every step, and how it was trained."""

    model: AutoEncoder
    history: History
    config: TrainConfig


def describe(model: AutoEncoder) -> dict:
    """What it takes to build this model afresh, as JSON values."""
    if type(model) not in _KINDS.values():  # nor a subclass, which may compute something else
        raise TypeError(
            f"can save hw2's own {', '.join(_KINDS)}, got {type(model).__name__} of {type(model).__module__}"
        )
    return {"kind": type(model).__name__} | {n: getattr(model, n) for n in inspect.signature(type(model)).parameters}


def _build(description: dict) -> AutoEncoder:
    """The model that `describe` described, with its initial weights."""
    return _KINDS[description["kind"]](**{name: value for name, value in description.items() if name != "kind"})


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
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"history.{term}": getattr(history, term) for term in ("recon", "kl", "loss")}
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(pack(tensors, about))


def load_checkpoint(path: Path | str) -> Run:
    """Read a checkpoint back, on the CPU, in evaluation mode.

    FileNotFoundError if there is none; ValueError with the path if it is damaged or of another format.
    """
    path = Path(path)
    tensors, about = unpack(path)
    if about.get("format") != FORMAT:
        raise ValueError(f"{path} has checkpoint format {about.get('format')}, this version of hw2 reads {FORMAT}")
    try:
        model = _build(about["model"])
        model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
        terms = (tensors[f"history.{term}"] for term in ("recon", "kl", "loss"))
        return Run(model.eval(), History(*terms, about["steps_per_epoch"]), TrainConfig(**about["config"]))
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold what an hw2 checkpoint holds: {error}") from error


@cache
def _code_digest() -> str:
    return hashlib.sha256("".join(map(inspect.getsource, (losses, models, training))).encode()).hexdigest()


def run_key(model: AutoEncoder, digits: Digits, config: TrainConfig) -> str:
    """Hash of all that decides a run: model, config, data, torch version, and the code of model, loss and loop."""
    about = [describe(model), asdict(config), digits.digest(), torch.__version__, _code_digest()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def train_or_load(model: AutoEncoder, digits: Digits, config: TrainConfig | None = None, **fit_options) -> Run:
    """The run of a fresh `model` under `config`: read from `$HW2_CACHE` if it is kept there, else trained and kept.

    Either way `model` itself ends trained, in evaluation mode, and is the run's.

    `$HW2_CACHE` is by default a folder in the user's cache. A damaged file is said and trained again; a folder that
    cannot be written is said before training. ValueError for a model that is not as its constructor made it (weights or
    BatchNorm statistics): the key would not tell.
    """
    config = config or TrainConfig()
    check_run(model, digits, config)
    fresh = _build(describe(model)).state_dict()
    state = model.state_dict()
    if state.keys() != fresh.keys() or not all(torch.equal(state[name].cpu(), fresh[name]) for name in fresh):
        raise ValueError("train_or_load takes a fresh model, this one has been used in training mode: make it anew")
    key = run_key(model, digits, config)
    path = cache_folder("HW2_CACHE", "runs") / f"{key}.safetensors"
    if path.exists():
        try:
            kept = load_checkpoint(path)
            if describe(kept.model) != describe(model):
                raise ValueError(f"{path} holds another model than its name says")
            model.load_state_dict(kept.model.state_dict())
            return kept._replace(model=model.eval())
        except (ValueError, OSError) as error:
            warnings.warn(f"training again: {error}", stacklevel=2)
    keep = True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        warnings.warn(f"this run will not be kept ({error}): set HW2_CACHE to a writable folder", stacklevel=2)
        keep = False
    history = fit(model, digits, config, **fit_options)
    if keep:
        try:
            save(path, model, history, config, digits.digest())
        except OSError as error:
            warnings.warn(f"this run could not be kept: {error}", stacklevel=2)
    return Run(model, history, config)

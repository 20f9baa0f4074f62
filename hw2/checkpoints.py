"""Trained models on disk, and the runs that are kept so that nothing trains twice.

A checkpoint is one file, see `hw2.state`. `train_or_load` keeps each run under a hash of everything that decides it.
"""

import hashlib
import json
import threading
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch

from . import losses, models, training
from .data import Digits
from .files import cache_folder
from .models import AutoEncoder, build, describe
from .state import TERMS, differences, identity, part, read_run, write_run
from .training import History, TrainConfig, check_run, fit


class Run(NamedTuple):
    """A trained model, the loss of every step, and how it was trained."""

    model: AutoEncoder
    history: History
    config: TrainConfig


def save(path: Path | str, model: AutoEncoder, history: History, config: TrainConfig, data_digest: str = "") -> None:
    """Write a checkpoint, atomically: the old file stays until the new one is complete on disk.

    data_digest: `Digits.digest()` of what the model was trained on. TypeError for anything that is not of its kind.
    """
    for name, value, kind in (
        ("history", history, History),
        ("config", config, TrainConfig),
        ("data_digest", data_digest, str),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")
    record = torch.stack([getattr(history, term) for term in TERMS])
    about = identity(model, config, data_digest) | {"threads": history.threads}
    write_run(Path(path), about, model, record, history.steps_per_epoch)


def load_checkpoint(
    path: Path | str,
    model: AutoEncoder | None = None,
    config: TrainConfig | None = None,
    digits: Digits | None = None,
) -> Run:
    """Read the checkpoint of an ended run back, on the CPU, in evaluation mode.

    model, config, digits: those of them that are given must be what the run was of; a model's weights do not count.
    FileNotFoundError if there is none; ValueError with the path if it is damaged, of another format, of a run under
    way, or of another run than expected, with what differs.
    """
    path = Path(path)
    if config is not None and not isinstance(config, TrainConfig):
        raise TypeError(f"config must be a hw2.TrainConfig, got {type(config).__name__}")
    if digits is not None and not isinstance(digits, Digits):
        raise TypeError(f"digits must be hw2.Digits, got {type(digits).__name__}")
    tensors, about = read_run(path)
    expected: dict = {} if model is None else {"model": describe(model)}
    expected |= {} if config is None else {"config": asdict(config)}
    expected |= {} if digits is None else {"data": digits.digest()}
    if different := differences(about, expected):
        raise ValueError(f"{path} is of another run: {'; '.join(different)}. Load it as what it is, or choose another")
    try:
        terms = [tensors[f"history.{term}"] for term in TERMS]
        if "param_groups" in about:
            done, epochs = len(terms[0]) // about["steps_per_epoch"], about["config"]["epochs"]
            raise ValueError(
                f"{path} is of a run under way, {done} of {epochs} epochs are done: "
                "end it with fit(..., checkpoint=..., resume=True)"
            )
        model = build(about["model"])
        model.load_state_dict(part(tensors, "model."))
        history = History(*terms, about["steps_per_epoch"], about["threads"])
        return Run(model.eval(), history, TrainConfig(**about["config"]))
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold what an hw2 checkpoint holds: {error}") from error


def _code_on_disk() -> str:
    sources = [Path(module.__file__).read_text(encoding="utf-8") for module in (losses, models, training)]
    return hashlib.sha256("".join(sources).encode()).hexdigest()


_CODE = _code_on_disk()  # as it was imported


def run_key(model: AutoEncoder, data_digest: str, config: TrainConfig) -> str:
    """Hash of all that decides a run: model, config, data, torch version, and the code of model, loss and loop.

    RuntimeError if that code is no longer what its files say: a run of the old code would be kept as the new one's.
    """
    if _code_on_disk() != _CODE:
        raise RuntimeError("hw2's code has changed since this kernel imported it: restart the kernel, then train")
    about = [identity(model, config, data_digest), _CODE]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def kept_run(model: AutoEncoder, config: TrainConfig, data_digest: str) -> tuple[Path, Run | None]:
    """Where the run of a fresh `model` is kept, and the run if it is there, with `model` trained.

    data_digest: `Digits.digest()` of what it trains on. A damaged file is said and counts as none. ValueError for a
    model that is not as its constructor made it (weights or BatchNorm statistics): the key would not tell.
    """
    fresh, state = build(describe(model)).state_dict(), model.state_dict()
    if state.keys() != fresh.keys() or not all(torch.equal(state[name].cpu(), fresh[name]) for name in fresh):
        raise ValueError("train_or_load takes a fresh model, this one has been used in training mode: make it anew")
    path = cache_folder("HW2_CACHE", "runs") / f"{run_key(model, data_digest, config)}.safetensors"
    if path.exists():
        try:
            return path, adopted(model, load_checkpoint(path, model, config))
        except (ValueError, OSError) as error:
            warnings.warn(f"training again: {error}", stacklevel=3)
    return path, None


def adopted(model: AutoEncoder, run: Run) -> Run:
    """The run with `model` in place of its model, whose weights it takes over."""
    if run.model is not model:
        model.load_state_dict(run.model.state_dict())
    return run._replace(model=model.eval())


def keep_run(path: Path, run: Run, data_digest: str) -> bool:
    """Save a run where `kept_run` will look; what prevents that is said, no error. Whether it was saved."""
    try:
        save(path, *run, data_digest)
    except OSError as error:
        warnings.warn(f"this run could not be kept: {error}", stacklevel=3)
        return False
    return True


def train_or_load(
    model: AutoEncoder,
    digits: Digits,
    config: TrainConfig | None = None,
    *,
    progress: bool = True,
    stop: threading.Event | None = None,
) -> Run:
    """The run of a fresh `model` under `config`: read from `$HW2_CACHE` if it is kept there, else trained and kept.

    Either way `model` itself ends trained, in evaluation mode, and is the run's. A run that was stopped goes on after
    its last whole epoch. A kept run is taken whatever number of threads it was trained on, which its history tells.

    `$HW2_CACHE` is by default a folder in the user's cache. A damaged file is said and trained again; a place that
    cannot be written is said before training, which goes on without it. progress, stop, and errors: as of `fit`;
    ValueError as of `kept_run`.
    """
    config = config or TrainConfig()
    check_run(model, digits, config)
    data_digest = digits.digest()
    path, kept = kept_run(model, config, data_digest)
    if kept:
        return kept
    under_way = path.with_suffix(".under-way")
    options = {"progress": progress, "stop": stop}
    try:
        try:
            history = fit(model, digits, config, checkpoint=under_way, resume=True, **options)
        except ValueError as error:
            if not under_way.exists():
                raise
            warnings.warn(f"training from the start: {error}", stacklevel=2)
            under_way.unlink(missing_ok=True)
            history = fit(model, digits, config, checkpoint=under_way, resume=True, **options)
    except OSError as error:  # at once: later ones are said by `fit`, and cost no training
        warnings.warn(f"this run will not be kept: {error}. Set HW2_CACHE to a writable folder", stacklevel=2)
        return Run(model, fit(model, digits, config, **options), config)
    run = Run(model, history, config)
    if keep_run(path, run, data_digest):
        under_way.unlink(missing_ok=True)
    return run

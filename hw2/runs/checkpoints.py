"""A trained model in a file, and training that goes on from a file. What such a file holds: see `state`."""

import os
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from ..data import Digits
from ..inputs import IMPORTED_BY
from ..models import AutoEncoder
from ..training import History, TrainConfig, Training, run
from .identity import build, check_unaltered, code, describe, differences, identity, settled
from .state import EXTRA, TERMS, part, read_run, training_state, write_run


class OtherRun(ValueError):  # noqa: N818
    """A file that a run cannot go on from: damaged, or of another run."""


class Run(NamedTuple):
    """A trained model, the loss of every step, and how it was trained; None for what a file does not say."""

    model: AutoEncoder
    history: History | None
    config: TrainConfig | None


def save(
    path: Path | str,
    model: AutoEncoder,
    history: History | None = None,
    config: TrainConfig | None = None,
    data_digest: str = "",
) -> None:
    """Write a checkpoint, atomically: the old file stays until the new one is complete on disk.

    history, config: of its training; data_digest: `Digits.digest()` of what it was trained on. TypeError for anything
    that is not of its kind; ValueError for a model that was altered after it was made, which the file could not tell.
    """
    for name, value, kind in (
        ("history", history, History | None),
        ("config", config, TrainConfig | None),
        ("data_digest", data_digest, str),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {getattr(kind, '__name__', kind)}, got {type(value).__name__}")
    about = identity(model, config, data_digest)
    state: dict = {"model": model.state_dict()}
    if history is not None:
        state["record"] = torch.stack([getattr(history, term) for term in TERMS])
        state |= {name: getattr(history, name) for name in EXTRA if getattr(history, name) is not None}
        about |= {name: getattr(history, name) for name in ("threads", "steps_per_epoch", "problem", "likelihood")}
    write_run(Path(path), about, state)


def load_checkpoint(
    path: Path | str,
    model: AutoEncoder | None = None,
    config: TrainConfig | None = None,
    digits: Digits | None = None,
) -> Run:
    """Read the checkpoint of an ended run back, on the CPU, in evaluation mode.

    model, config, digits: those of them that are given must be what the run was of. A model that is given takes over
    the run's weights, whatever its own were, and is the run's.
    FileNotFoundError if there is none; ValueError with the path if it is damaged, of another format, of a run under
    way, or of another run than expected, with what differs.
    """
    path = Path(path)
    if config is not None and not isinstance(config, TrainConfig):
        raise TypeError(f"config must be a hw2.TrainConfig, got {type(config).__name__}")
    if digits is not None and not isinstance(digits, Digits):
        raise TypeError(f"digits must be hw2.Digits, got {type(digits).__name__}")
    if model is not None:
        check_unaltered(model)
    tensors, about = read_run(path)
    expected: dict = {} if model is None else {"model": describe(model)}
    expected |= {} if config is None else {"config": settled(config)}
    expected |= {} if digits is None else {"data": digits.digest()}
    if different := differences(about, expected):
        raise ValueError(f"{path} is of another run: {'; '.join(different)}. Load it as what it is, or choose another")
    try:
        trained = build(about["model"])
        trained.load_state_dict(part(tensors, "model."))
        if config is None and about["config"] is not None:
            config = TrainConfig(**about["config"])
        history = None
        if "steps_per_epoch" in about:
            terms = [tensors[f"history.{term}"] for term in TERMS]
            extra = {name: tensors.get(f"history.{name}") for name in EXTRA}
            said = {name: about[name] for name in ("problem", "likelihood")}
            history = History(*terms, about["steps_per_epoch"], about["threads"], **extra, **said)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold what an hw2 checkpoint holds: {error}") from error
    under_way = "param_groups" in about and history and config
    if under_way and len(history.loss) < config.epochs * history.steps_per_epoch:
        raise ValueError(
            f"{path} is of a run under way, {len(history.loss) // history.steps_per_epoch} of {config.epochs} epochs "
            "are done: end it with hw2.runs.fit_with_checkpoint(model, digits, config, path)"
        )
    if model is None:
        model = trained
    else:  # now that nothing can fail any more
        model.load_state_dict(trained.state_dict())
    return Run(model.eval(), history, config)


def fit_with_checkpoint(
    model: AutoEncoder,
    digits: Digits,
    config: TrainConfig | None,
    path: Path | str,
    *,
    progress: bool = True,
    stop: threading.Event | None = None,
) -> History:
    """`hw2.fit` with a file that holds the run as it was after its last whole epoch, written after each.

    A run that is there goes on, whatever weights `model` has, on the number of threads that it began with, and ends
    bitwise as if it had not been stopped. One that has ended goes on, too, if `config` has more epochs and a constant
    rate, as if it had been planned so. stop: once set, from any thread, stops the run as an interrupt does.

    ValueError before the first step for a file of another run, with what differs; OSError for one that cannot be
    written (later that is a warning); KeyboardInterrupt, which says how to go on; else as `hw2.fit`.
    """
    config = TrainConfig() if config is None else config
    check_unaltered(model)  # first, because an altered model may not even run
    with Training(model, digits, config) as training:
        about = identity(model, config, digits.digest()) | {"code": code()}
        return run_to_file(training, about, Path(path), progress, stop)


def run_to_file(training: Training, about: dict, path: Path, progress: bool, stop: threading.Event | None) -> History:
    """Run the epochs that are left, from the file if it is there, and write after each. about: the run's identity."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: path is the name of a file")
    threads = torch.get_num_threads()

    def write() -> None:
        now = {"threads": torch.get_num_threads(), "steps_per_epoch": training.steps_per_epoch}
        history = training.history
        write_run(
            path,
            about | now | {"problem": history.problem, "likelihood": history.likelihood},
            training.state_dict() | {"beta": history.beta},
        )

    try:
        if os.path.exists(path):  # Path's raises where a folder may not be read
            torch.set_num_threads(_go_on(training, path, about))  # those that it began with, for the same bits
        if not training.ended:
            try:
                write()  # now rather than after an epoch
            except OSError as error:
                raise OSError(f"{path} cannot be written ({error}): make room, or choose another place") from error
        for epoch in run(training, progress, stop):
            try:
                write()
            except OSError as error:
                warnings.warn(f"epoch {epoch} could not be written: {error}", stacklevel=2)
        history = training.history
        if history.problem:
            warnings.warn(history.problem, RuntimeWarning, stacklevel=2)
        return history
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped. {path} has the epochs that ended; the same call goes on") from None
    finally:
        torch.set_num_threads(threads)


def _go_on(training: Training, path: Path, about: dict) -> int:
    """Bring a training to where the run in `path` was; return its number of threads.

    OtherRun, before anything changes, for a file that is damaged or of another run; it names what differs.
    """
    try:
        tensors, found = read_run(path)
    except ValueError as error:
        raise OtherRun(str(error)) from error
    if "param_groups" not in found:
        raise OtherRun(f"{path} is a model as hw2.save writes it, nothing to go on from: choose another path")
    config, planned = training.config, (found.get("config") or {}).get("epochs", 0)
    longer = planned < config.epochs and not differences(
        found, about | {"config": settled(replace(config, epochs=max(planned, 1)))}
    )
    if longer and config.schedule != "constant":
        raise OtherRun(
            f"{path} is of a {config.schedule} run of {planned} epochs, whose rate was planned to end there: a longer "
            "one trains anew, so choose another path"
        )
    if not longer and (different := differences(found, about)):
        raise OtherRun(
            f"{path} is of another run: {'; '.join(different)}. Choose another path, or delete it to train anew"
        )
    if found.get("threads", 1) > 1 and os.getpid() != IMPORTED_BY:
        raise OtherRun(f"{path} was begun on {found['threads']} threads, which a forked worker has lost")
    try:
        training.load_state_dict(training_state(tensors, found))
    except (KeyError, ValueError, RuntimeError) as error:  # such as a generator of another device
        raise OtherRun(f"{path} cannot be gone on with here ({error}): choose another path") from error
    return found["threads"]

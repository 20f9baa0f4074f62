"""Runs that are kept so that nothing trains twice: `train_or_load`, which all notebooks train with.

Each run is a file in `$HW2_CACHE`, by default a folder in the user's cache, under a hash of everything that decides it.
"""

import copy
import hashlib
import json
import os
import threading
import warnings
from pathlib import Path

import torch

from ..data import Digits
from ..guards import check
from ..models import AutoEncoder
from ..training import History, TrainConfig, Training, fit
from .checkpoints import OtherRun, Run, load_checkpoint, run_to_file, save
from .files import cache_folder
from .identity import build, check_unaltered, code, describe, identity


def run_key(model: AutoEncoder, data_digest: str, config: TrainConfig) -> str:
    """Hash of all that decides a run: model, config, data, torch version, and the code of model, loss and loop.

    data_digest: `Digits.digest()`, which reads all pixels, so it is computed once and handed on. ValueError for a model
    that was altered after it was made; RuntimeError if the code is no longer what its files say.
    """
    about = [identity(model, config, data_digest), code()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def kept_run(model: AutoEncoder, data_digest: str, config: TrainConfig) -> tuple[Path, Run | None]:
    """Where the run of a fresh `model` is kept, and the run if it is there, with `model` trained.

    A damaged file is said and counts as none. ValueError for a model that is neither as its constructor made it, since
    the key would not tell, nor as this run left it.
    """
    path, run = cache_folder("HW2_CACHE", "runs") / f"{run_key(model, data_digest, config)}.safetensors", None
    if os.path.exists(path):  # of a folder that may not be read Path's would raise
        try:
            run = load_checkpoint(path, build(describe(model)), config)
        except (ValueError, OSError) as error:
            warnings.warn(f"training again: {error}", stacklevel=3)
    if not any(_alike(model, other) for other in (build(describe(model)), run and run.model) if other):
        raise ValueError("a fresh model is needed, the weights or statistics of this one have moved: make it anew")
    return path, run and adopted(model, run)


def _alike(model: AutoEncoder, other: AutoEncoder) -> bool:
    state, theirs = model.state_dict(), other.state_dict()
    return all(torch.equal(state[name].cpu(), theirs[name]) for name in theirs)


def adopted(model: AutoEncoder, run: Run) -> Run:
    """The run with `model` in place of its model, whose weights it takes over."""
    if run.model is not model:
        model.load_state_dict(run.model.state_dict())
    return run._replace(model=model.eval())


def keep_run(path: Path, run: Run, data_digest: str, stacklevel: int = 3) -> bool:
    """Save a run where `kept_run` will look; what prevents that is said, no error. Whether it was saved."""
    try:
        save(path, *run, data_digest)
    except OSError as error:
        warnings.warn(f"this run could not be kept: {error}", stacklevel=stacklevel)
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
    config = TrainConfig() if config is None else config
    check_unaltered(model)  # first, because an altered model may not even run
    check(model, digits, config)
    data_digest = digits.digest()
    path, kept = kept_run(model, data_digest, config)
    return kept or train_and_keep(model, digits, config, path, data_digest, progress, stop)


def train_and_keep(
    model: AutoEncoder,
    digits: Digits,
    config: TrainConfig,
    path: Path,
    data_digest: str,
    progress: bool,
    stop: threading.Event | None,
) -> Run:
    """Train a fresh model that was checked, from where it was stopped, and keep the run at `path`."""
    under_way = path.with_suffix(".under-way")
    about = identity(model, config, data_digest)
    fresh = copy.deepcopy(model.state_dict())

    def trained() -> History:
        model.load_state_dict(fresh)
        with Training(model, digits, config) as training:
            return run_to_file(training, about, under_way, progress, stop)

    try:
        try:
            history = trained()
        except OtherRun as error:
            warnings.warn(f"training from the start: {error}", stacklevel=3)
            under_way.unlink(missing_ok=True)
            history = trained()
    except OSError as error:  # at once: later ones are said, and cost no training
        warnings.warn(f"this run will not be kept: {error}. Set HW2_CACHE to a writable folder", stacklevel=3)
        model.load_state_dict(fresh)  # a file that could be read, but not written, has moved the weights
        return Run(model, fit(model, digits, config, progress=progress, stop=stop), config)
    except KeyboardInterrupt:
        model.load_state_dict(fresh)  # so that the same call goes on
        raise
    run = Run(model, history, config)
    # A run that is no good, which was said, is not kept.
    if history.problem or keep_run(path, run, data_digest, stacklevel=4):
        under_way.unlink(missing_ok=True)
    return run

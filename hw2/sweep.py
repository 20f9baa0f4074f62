"""A grid of runs, one after the other or on any `concurrent.futures.Executor`."""

from collections.abc import Hashable, Mapping
from concurrent.futures import Executor, wait
from typing import TypeVar

from .checkpoints import Run, train_or_load
from .data import Digits
from .models import AutoEncoder
from .training import TrainConfig

Cell = TypeVar("Cell", bound=Hashable)


def sweep(
    grid: Mapping[Cell, tuple[AutoEncoder, TrainConfig]], digits: Digits, executor: Executor | None = None
) -> dict[Cell, Run]:
    """Train, or load, each cell of `grid` on `digits`: {cell: (fresh model, config)} gives {cell: Run}, in order.

    Each run is kept as `train_or_load` keeps it, so a second call trains only what is missing. With an executor the
    cells are its jobs, and no bars are shown; an exception in one cell is raised once the others have ended.
    """
    if executor is None:
        return {cell: train_or_load(model, digits, config) for cell, (model, config) in grid.items()}
    futures = {
        cell: executor.submit(train_or_load, model, digits, config, progress=False)
        for cell, (model, config) in grid.items()
    }
    wait(futures.values())
    return {cell: future.result() for cell, future in futures.items()}

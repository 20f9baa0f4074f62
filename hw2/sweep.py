"""A grid of runs, on all cores or on any `concurrent.futures.Executor`."""

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed, wait
from typing import TypeVar

import torch
from tqdm.auto import tqdm

from .checkpoints import Run, train_or_load
from .data import Digits
from .models import AutoEncoder
from .training import TrainConfig

Cell = TypeVar("Cell", bound=Hashable)


def sweep(
    grid: Mapping[Cell, tuple[AutoEncoder, TrainConfig]], digits: Digits, executor: Executor | None = None
) -> dict[Cell, Run]:
    """Train, or load, each cell of `grid` on `digits`: {cell: (fresh model, config)} gives {cell: Run}, in order.

    Each run is kept as `train_or_load` keeps it, so a second call trains only what is missing. Without an executor as
    many cells run at a time as torch has threads, each on one thread, which is faster than one after the other on all
    of them and gives the same weights on any number of cores. With an executor the cells are its jobs, and no bar is
    shown. An exception in one cell is raised once the others have ended; an interrupt waits for those under way.
    """

    def submit(to: Executor) -> dict[Cell, Future]:
        return {
            cell: to.submit(train_or_load, model, digits, config, progress=False)
            for cell, (model, config) in grid.items()
        }

    if executor is None:
        futures = _one_thread_each(submit)
    else:
        futures = submit(executor)
        wait(futures.values())
    return {cell: future.result() for cell, future in futures.items()}


def _one_thread_each(submit: Callable[[Executor], dict[Cell, Future]]) -> dict[Cell, Future]:
    """The ended jobs of a pool of torch.get_num_threads() workers, a bar over them."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        futures = submit(pool)
        for _ in tqdm(as_completed(futures.values()), total=len(futures), unit="run"):
            pass
        return futures
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # a part of this setting is the process's

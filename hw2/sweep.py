"""A grid of runs, on all cores or on any `concurrent.futures.Executor`, such as dask's over many machines."""

import contextlib
from collections.abc import Callable, Generator, Hashable, Mapping
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from threading import Event
from typing import TypeVar

import torch
from tqdm.auto import tqdm

from .checkpoints import Run, adopted, keep_run, kept_run, train_or_load
from .data import Digits
from .models import AutoEncoder, build, describe
from .training import TrainConfig

Cell = TypeVar("Cell", bound=Hashable)


def sweep(
    grid: Mapping[Cell, tuple[AutoEncoder, TrainConfig]],
    digits: Digits | Callable[[], Digits],
    executor: Executor | None = None,
    *,
    threads: int = 1,
) -> dict[Cell, Run]:
    """Train, or load, each cell of `grid` on `digits`: {cell: (fresh model, config)} gives {cell: Run}, in order.

    Each cell is a job. Its run comes back as data and is kept here under a hash of all that decides it, as
    `train_or_load` keeps it, as soon as it ends: a job that runs twice does no harm, and a second call trains only what
    is missing. A bar shows the cell that ended last.

    digits: or a function that gives them, which then is what travels to the jobs. threads: torch's threads in each job,
    set there and recorded in the history; one number gives the same bits on any executor and any number of cores.
    executor: without one, as many cells run at a time as torch has threads here, which is faster than one after the
    other on all of them. A process pool whose worker died is made once more for the cells that are left.

    Raises the error of the first cell that failed, once the others have ended, with a note on all that failed.
    An interrupt stops cells under way here, and cancels those that wait elsewhere.
    """
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    data = digits() if callable(digits) else digits
    runs, paths, failed = {}, {}, {}
    with tqdm(total=len(grid), unit="run") as bar:
        for cell, (model, config) in grid.items():
            try:
                paths[cell], run = kept_run(model, data, config)
            except Exception as error:  # reported at the end, as that of any other cell
                failed[cell] = error
                continue
            if run:
                runs[cell] = run
                bar.update()
        missing = {cell: grid[cell] for cell in paths if cell not in runs}
        try:
            with contextlib.closing(_ended(missing, digits, executor, threads)) as ended:
                for cell, run in ended:
                    if isinstance(run, BaseException):
                        failed[cell] = run
                        continue
                    if not paths[cell].exists():
                        keep_run(paths[cell], run, data)
                    runs[cell] = adopted(grid[cell][0], run)
                    last = f"recon {run.history.recon[-1]:.2f}, KL {run.history.kl[-1]:.2f}"
                    bar.set_postfix_str(f"{cell}: {last}", refresh=False)
                    bar.update()
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped. Runs and epochs that ended are kept; the same call goes on") from None
    if failed:
        first = next(failed[cell] for cell in grid if cell in failed)
        first.add_note(
            f"{len(failed)} of the sweep's {len(grid)} cells failed: "
            + "; ".join(f"{cell!r} ({type(error).__name__})" for cell, error in failed.items())
            + ". The other runs are kept: a second call trains only what is missing"
        )
        raise first
    return {cell: runs[cell] for cell in grid}


def _job(
    description: dict, digits: Digits | Callable[[], Digits], config: TrainConfig, threads: int, stop: Event | None
) -> Run:
    """What runs for one cell, wherever that is.

    The model is built there: to another process torch passes tensors as shared memory, and one that is killed while it
    trains would leave half-trained weights here.
    """
    torch.set_num_threads(threads)
    data = digits() if callable(digits) else digits
    return train_or_load(build(description), data, config, progress=False, stop=stop)


def _ended(
    cells: Mapping[Cell, tuple[AutoEncoder, TrainConfig]],
    digits: Digits | Callable[[], Digits],
    executor: Executor | None,
    threads: int,
) -> Generator[tuple[Cell, Run | BaseException], None, None]:
    """(cell, its run or its error) as they end."""
    here = torch.get_num_threads()
    own, stop = (None, None) if executor else (ThreadPoolExecutor(max(1, here // threads)), Event())
    futures = {}
    try:
        broken = yield from _submitted(cells, digits, executor or own, threads, stop, futures)
        if broken and isinstance(executor, ProcessPoolExecutor):
            # A pool does not tell how it was made but for these, which have had their names since Python 3.7.
            made = executor._max_workers, executor._mp_context, executor._initializer, executor._initargs
            with ProcessPoolExecutor(*made) as again:
                left = {cell: cells[cell] for cell in broken}
                broken = yield from _submitted(left, digits, again, threads, stop, futures)
        yield from broken.items()
    finally:
        if stop:
            stop.set()
        for future in futures:
            future.cancel()
        if own:
            own.shutdown()
        torch.set_num_threads(here)  # a part of this setting is the process's


def _submitted(cells, digits, executor: Executor, threads: int, stop: Event | None, futures: dict):
    """As `_ended`, once; returns {cell: error} of those whose executor broke."""
    broken = {}
    for cell, (model, config) in cells.items():
        try:
            futures[executor.submit(_job, describe(model), digits, config, threads, stop)] = cell
        except BrokenExecutor as error:
            broken[cell] = error
    for future in as_completed(list(futures)):
        cell = futures.pop(future)
        try:
            error = future.exception()
        except CancelledError as cancelled:
            error = cancelled
        if isinstance(error, BrokenExecutor):
            broken[cell] = error
        else:
            yield cell, error or future.result()
    return broken

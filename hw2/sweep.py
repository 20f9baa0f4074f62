"""A grid of runs, on all cores or on any `concurrent.futures.Executor`, such as dask's over many machines."""

import contextlib
import secrets
from collections.abc import Callable, Generator, Hashable, Mapping
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from pathlib import Path
from threading import Event
from typing import TypeVar

import torch
from tqdm.auto import tqdm

from .checkpoints import Run, adopted, keep_run, kept_run, run_key, train_or_load
from .data import Digits
from .models import AutoEncoder, build, describe
from .training import TrainConfig, check_run

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
    is missing. A job that would train something else there (other images, another hw2 or torch) fails. A bar shows the
    cell that ended last.

    digits: or a function that gives them: to another process it travels in their place; it is called here too, for the
    hash. threads: torch's threads in each job, set there and recorded in the history; one number gives the same bits on
    any executor and any number of cores. executor: without one, as many cells run at a time as torch has threads here,
    which is faster than one after the other on all of them. A process pool whose worker died is made once more for the
    cells that are left; if it breaks again, they run one by one, in a process each.

    Raises the error of the first cell that failed, once the others have ended, with a note on all that failed.
    An interrupt stops cells under way in this process, and cancels those that wait elsewhere.
    """
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise ValueError(f"threads must be an integer >= 1, got {threads!r}")
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}")
    cell_of = {}
    for cell, (model, _) in grid.items():
        if (other := cell_of.setdefault(id(model), cell)) != cell:
            raise ValueError(
                f"cells {other!r} and {cell!r} have one model: make one for each, a run trains it in place"
            )
    data = digits() if callable(digits) else digits
    if not isinstance(data, Digits):
        raise TypeError(f"digits must be hw2.Digits, or a function that gives them, got {type(data).__name__}")
    data_digest = data.digest()
    runs, paths, damaged, failed = {}, {}, set(), {}
    with tqdm(total=len(grid), unit="run") as bar:
        for cell, (model, config) in grid.items():
            try:
                check_run(model, data, config)
                paths[cell], run = kept_run(model, config, data_digest)
            except Exception as error:  # reported at the end, as that of any other cell
                failed[cell] = error
                continue
            if run:
                runs[cell] = run
                bar.update()
            elif paths[cell].exists():
                damaged.add(cell)
        missing = {cell: grid[cell] for cell in paths if cell not in runs}
        try:
            with contextlib.closing(_ended(missing, paths, digits, data, executor, threads)) as ended:
                for cell, run in ended:
                    if isinstance(run, BaseException):
                        failed[cell] = run
                        continue
                    if cell in damaged or not paths[cell].exists():
                        keep_run(paths[cell], run, data_digest)
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
    description: dict,
    digits: Digits | Callable[[], Digits],
    config: TrainConfig,
    threads: int,
    key: str,
    stop: Event | None,
    _token: str,
) -> Run:
    """What runs for one cell, wherever that is.

    The model is built there: to another process torch passes tensors as shared memory, and one that is killed while it
    trains would leave half-trained weights here. dask takes jobs with equal arguments for one, and hands out the error
    of an earlier one again: the token makes each its own.
    """
    torch.set_num_threads(threads)
    data = digits() if callable(digits) else digits
    model = build(description)
    if run_key(model, data.digest(), config) != key:
        raise RuntimeError("the job has other images, another hw2 or another torch than the caller: make them the same")
    return train_or_load(model, data, config, progress=False, stop=stop)


def _ended(
    cells: Mapping[Cell, tuple[AutoEncoder, TrainConfig]],
    paths: Mapping[Cell, Path],
    digits: Digits | Callable[[], Digits],
    data: Digits,
    executor: Executor | None,
    threads: int,
) -> Generator[tuple[Cell, Run | BaseException], None, None]:
    """(cell, its run or its error) as they end."""
    before = torch.get_num_threads()
    own = None if executor else ThreadPoolExecutor(max(1, before // threads))
    here = executor is None or isinstance(executor, ThreadPoolExecutor)
    stop = Event() if here else None
    futures = {}

    def submitted(left, to: Executor):
        """As `_ended`, once; returns {cell: error} of those whose executor broke."""
        broken = {}
        for cell in left:
            model, config = cells[cell]
            payload = describe(model), data if here else digits, config, threads, paths[cell].stem, stop
            try:
                futures[to.submit(_job, *payload, secrets.token_hex(8))] = cell
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

    try:
        broken = yield from submitted(cells, executor or own)
        if isinstance(executor, ProcessPoolExecutor):
            # A pool does not tell how it was made but for these, which have had their names since Python 3.7.
            workers, *made = executor._max_workers, executor._mp_context, executor._initializer, executor._initargs
            if broken:
                with ProcessPoolExecutor(workers, *made) as again:
                    broken = yield from submitted(list(broken), again)
            for cell in list(broken):
                with ProcessPoolExecutor(1, *made) as alone:
                    if not (yield from submitted([cell], alone)):
                        del broken[cell]
        yield from broken.items()
    finally:
        if stop:
            stop.set()
        for future in futures:
            future.cancel()
        if own:
            own.shutdown()
        torch.set_num_threads(before)  # a part of this setting is the process's

"""A grid of runs, on all cores or on any `concurrent.futures.Executor`, such as dask's on many machines. Notebook 2."""

import os
import pickle
import secrets
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from contextlib import closing
from threading import Event
from typing import TypeVar

import torch
from tqdm.auto import tqdm

from ..data import Digits
from ..guards import check
from ..inputs import IMPORTED_BY, whole
from ..models import AutoEncoder
from ..training import TrainConfig
from .checkpoints import Run
from .identity import build, check_unaltered, describe
from .kept import adopted, keep_run, kept_run, run_key, train_and_keep

Cell = TypeVar("Cell", bound=Hashable)
TRAVEL = "pass the digits themselves, or a function of a module that the workers can import"


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
    which is faster than one after the other on all of them. A process pool whose worker dies loses all that it had not
    ended, which the error says; dask's executor gives such a cell to another worker.

    Raises the error of the first cell that failed, once the others have ended, with a note on all that failed.
    An interrupt stops cells under way in this process, and cancels those that wait elsewhere.
    """
    data = _check_sweep(grid, digits, executor, threads)
    data_digest = data.digest()
    runs, paths, replaced, failed = {}, {}, set(), {}
    for cell, (model, config) in grid.items():
        try:
            check_unaltered(model)
            check(model, data, config)
            paths[cell], run = kept_run(model, data_digest, config)
        except Exception as error:  # reported at the end, as that of any other cell
            failed[cell] = error
            continue
        if run:
            runs[cell] = run
        elif os.path.exists(paths[cell]):  # damaged
            replaced.add(cell)
    jobs = {
        cell: (describe(model), config, threads, paths[cell].stem)
        for cell, (model, config) in grid.items()
        if cell in paths and cell not in runs
    }
    with tqdm(total=len(grid), initial=len(runs), unit="run", disable=not jobs) as bar:
        try:
            here = executor is None or isinstance(executor, ThreadPoolExecutor)
            sent = (data, data_digest) if here else (_packed(digits, executor), "")
            with closing(_ended(jobs, sent, executor, here)) as ended:
                for cell, run in ended:
                    if isinstance(run, BaseException):
                        failed[cell] = run
                        continue
                    if run.history.problem:
                        if not here:  # where it was trained, nobody saw the warning
                            warnings.warn(f"{cell!r}: {run.history.problem}", RuntimeWarning, stacklevel=2)
                    elif cell in replaced or not os.path.exists(paths[cell]):
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


def _check_sweep(grid: Mapping, digits: object, executor: object, threads: object) -> Digits:
    """The digits, once all that a person passed in is what it must be. ValueError or TypeError."""
    whole("threads", threads)
    if executor is not None and (isinstance(executor, type) or not hasattr(executor, "submit")):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}")
    if not isinstance(grid, Mapping) or not all(isinstance(v, tuple | list) and len(v) == 2 for v in grid.values()):
        raise TypeError("grid must be {cell: (model, config)}, a mapping from names to pairs")
    cell_of: dict[int, Hashable] = {}
    for cell, (model, _) in grid.items():
        if isinstance(model, type):
            raise TypeError(f"the model of cell {cell!r} must be made: {model.__name__}(...)")
        for tensor in (model, *getattr(model, "parameters", list)()):
            if (other := cell_of.setdefault(id(tensor), cell)) != cell:
                raise ValueError(
                    f"cells {other!r} and {cell!r} have one model, or share layers: make one for each, as a run "
                    "trains in place"
                )
    data = digits() if callable(digits) else digits
    if not isinstance(data, Digits):
        raise TypeError(f"digits must be hw2.Digits, or a function that gives them, got {type(data).__name__}")
    return data


def _packed(digits: Digits | Callable[[], Digits], executor: Executor) -> object:
    """What travels to the executor's workers in the place of `digits`.

    To a process pool, bytes. A forked worker must set its number of threads before it makes a tensor (see `_job`), so
    it may not find one among its arguments; and a worker that cannot find a function should say so, not break the pool.
    """
    if not isinstance(executor, ProcessPoolExecutor):
        return digits
    try:
        return pickle.dumps(digits)
    except Exception as error:
        raise TypeError(f"digits cannot travel to a process pool ({error}): {TRAVEL}") from error


def _unpacked(sent: object) -> Digits:
    try:
        digits = pickle.loads(sent) if isinstance(sent, bytes) else sent
    except (AttributeError, ImportError) as error:  # a function of a notebook, in a worker that was not forked from it
        raise RuntimeError(f"a worker does not find the function that gives the digits ({error}): {TRAVEL}") from None
    return digits() if callable(digits) else digits


def _job(
    description: dict,
    config: TrainConfig,
    threads: int,
    key: str,
    sent: object,
    data_digest: str,
    stop: Event | None,
    _token: str,
) -> Run | bytes:
    """What runs for one cell, wherever that is. For a process pool, which `sent` is packed for, the run is packed too.

    The model is built there: to another process torch passes tensors as shared memory, and one that is killed while it
    trains would leave half-trained weights here. dask takes jobs with equal arguments for one, and hands out the error
    of an earlier one again: the token makes each its own.

    A process that was forked while torch had several threads has lost them, and waits for them for ever in the first
    operation that wants more than one.
    """
    if threads > 1 and os.getpid() != IMPORTED_BY:
        raise RuntimeError(
            f"a forked worker cannot run torch on {threads} threads: leave threads=1, or make the pool with "
            'mp_context=multiprocessing.get_context("spawn")'
        )
    torch.set_num_threads(threads)
    data = _unpacked(sent)
    model, data_digest = build(description), data_digest or data.digest()
    if run_key(model, data_digest, config) != key:
        raise RuntimeError(
            "the job has other images, another hw2, another torch or another float32 precision than the caller: make "
            "them the same"
        )
    path, kept = kept_run(model, data_digest, config)
    run = kept or train_and_keep(model, data, config, path, data_digest, False, stop)
    return pickle.dumps(run) if isinstance(sent, bytes) else run  # shared memory would hold files open


def _ended(
    jobs: Mapping[Cell, tuple], data: tuple, executor: Executor | None, here: bool
) -> Iterator[tuple[Cell, Run | BaseException]]:
    """(cell, its run or its error) as they end."""
    before = torch.get_num_threads()
    threads = max((job[2] for job in jobs.values()), default=1)
    own = None if executor else ThreadPoolExecutor(max(1, before // threads))
    stop = Event() if here else None
    futures: dict[Future, Cell] = {}
    try:
        for cell, job in jobs.items():
            try:
                future = (executor or own).submit(_job, *job, *data, stop, secrets.token_hex(8))
            except Exception as error:  # a pool that broke while others were submitted takes no more
                yield cell, error
            else:
                futures[future] = cell
        for future in as_completed(list(futures)):
            cell = futures.pop(future)
            try:
                run = future.exception() or future.result()
                yield cell, pickle.loads(run) if isinstance(run, bytes) else run
            except CancelledError as error:
                yield cell, error
    finally:
        if stop:
            stop.set()
        for future in futures:
            future.cancel()
        if own:
            own.shutdown()
        torch.set_num_threads(before)  # a part of this setting is the process's

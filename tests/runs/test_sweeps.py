"""A sweep gives what its cells give one by one, on any executor, and trains only what is missing."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import hw2.runs.kept
from hw2 import VAE, AutoEncoder, ConditionedVAE, Digits, TrainConfig, fit, sweep, train_or_load
from hw2.runs import Run
from hw2.runs.checkpoints import run_to_file
from hw2.runs.identity import build, describe
from hw2.runs.kept import run_key
from hw2.runs.state import read_run

pytestmark = pytest.mark.slow

CELLS = ["ae", 0.0, 10.0, 0.001, ("conv", 0.01), "every beta"]  # in no sorted order


@pytest.fixture
def grid():
    def config(beta):
        return TrainConfig(beta=beta, epochs=2, batch_size=10)

    return {
        "ae": (AutoEncoder(3, hidden=(8,)), config(0.0)),
        0.0: (VAE(3, hidden=(8,)), config(0.0)),
        10.0: (VAE(3, hidden=(8,)), config(10.0)),
        0.001: (VAE(3, hidden=(8, 6), seed=1), config(0.001)),
        ("conv", 0.01): (VAE(3, "conv", (2, 3, 4, 5)), config(0.01)),
        "every beta": (ConditionedVAE(3, (8,), betas=(1e-4, 0.1)), config(0.5)),
    }


@pytest.fixture
def expected(grid, digits, monkeypatch, tmp_path):
    """The cells one by one, kept elsewhere."""
    with monkeypatch.context() as patch:
        patch.setenv("HW2_CACHE", str(tmp_path / "one by one"))
        return {c: train_or_load(fresh_like(m), digits, config, progress=False) for c, (m, config) in grid.items()}


def fresh_like(model):
    """A fresh model like this one: a run trains its model in place."""
    return build(describe(model))


def spawning(workers, *initializer):
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), *initializer)


def trained_here(monkeypatch, act=lambda model, config: None):
    """A list to which each run that is trained from here on, in this process, adds its config, after `act`."""
    configs = []

    def run(training, *arguments):
        act(training.model, training.config)
        configs.append(training.config)
        return run_to_file(training, *arguments)

    monkeypatch.setattr(hw2.runs.kept, "run_to_file", run)
    return configs


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """A pool of one process, which keeps runs in a folder of its own."""
    folder = tmp_path_factory.mktemp("there")
    with spawning(1, use_cache, (str(folder),)) as pool:
        pool.folder = folder
        yield pool


@pytest.fixture
def elsewhere(process):
    """The same, with nothing kept there yet."""
    for path in process.folder.iterdir():
        path.unlink()
    return process


@pytest.mark.parametrize(
    "make_executor",
    [
        pytest.param(lambda: None, id="none"),
        pytest.param(lambda: ThreadPoolExecutor(3), id="threads"),
        pytest.param(lambda: spawning(2), id="processes", marks=pytest.mark.slow),
    ],
)
def test_every_executor_gives_the_same_runs_in_the_grids_order(
    make_executor, grid, expected, digits, same_run, forbid_training
):
    executor = make_executor()
    try:
        runs = sweep(grid, digits, executor)
    finally:
        if executor:
            executor.shutdown()
    assert list(runs) == CELLS
    assert all(same_run(runs[cell], expected[cell]) for cell in CELLS)
    assert all(runs[cell].model is grid[cell][0] for cell in CELLS)

    forbid_training()
    again = sweep({cell: (fresh_like(model), config) for cell, (model, config) in grid.items()}, digits)
    assert list(again) == CELLS
    assert all(same_run(again[cell], runs[cell]) for cell in CELLS)


def test_only_what_is_missing_is_trained(grid, digits, monkeypatch):
    sweep({cell: grid.pop(cell) for cell in ("ae", 0.0, 10.0)}, digits)
    trained = trained_here(monkeypatch)
    model, config = VAE(3, hidden=(8,)), TrainConfig(beta=0.0, epochs=2, batch_size=10)
    assert list(sweep({0.0: (model, config)} | grid, digits)) == [0.0, 0.001, ("conv", 0.01), "every beta"]
    assert [config.beta for config in trained] == [0.001, 0.01, 0.5]


def test_threads_that_build_many_models_at_once_do_not_disturb_each_other(digits, same_run, global_rng_untouched):
    """Each cell builds its model in its thread, and one more to see that it is fresh."""
    config = TrainConfig(epochs=1, batch_size=48)
    grid = {seed: (VAE(4, hidden=(64, 64), seed=seed), config) for seed in range(30)}
    with ThreadPoolExecutor(4) as executor:
        runs = sweep(grid, digits, executor)
    assert list(runs) == list(range(30))
    assert_bitwise_as_serial({29: runs[29]}, grid, digits, same_run)


@pytest.mark.parametrize("make_executor", [lambda: None, lambda: ThreadPoolExecutor(1)], ids=["none", "threads"])
def test_an_empty_grid_has_no_runs(make_executor, digits):
    executor = make_executor()
    assert sweep({}, digits, executor) == {}
    if executor:
        executor.shutdown()


def test_one_failing_cell_is_raised_after_the_others_were_kept(grid, digits, forbid_training):
    stale = VAE(3, hidden=(8,))
    fit(stale, digits, TrainConfig(epochs=1), progress=False)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ValueError, match="fresh model"):
            sweep({"stale": (stale, TrainConfig(epochs=1))} | grid, digits, executor)
        forbid_training()  # from here on, before the executor has waited
    fresh = {cell: (fresh_like(model), config) for cell, (model, config) in grid.items()}
    assert list(sweep(fresh, digits)) == CELLS


@pytest.mark.parametrize("make_executor", [lambda: None, lambda: ThreadPoolExecutor(1)], ids=["none", "threads"])
def test_a_bar_counts_the_ended_runs_and_names_the_last(make_executor, grid, digits, capsys):
    executor = make_executor()
    sweep({"ae": grid["ae"]}, digits, executor)
    sweep({"ae": (fresh_like(grid["ae"][0]), grid["ae"][1]), 0.001: grid[0.001]}, digits, executor)
    first, second = capsys.readouterr().err.strip().split("\n")
    assert "1/1" in first
    assert "ae: recon " in first
    assert "2/2" in second
    assert "0.001: recon " in second
    sweep({"ae": (fresh_like(grid["ae"][0]), grid["ae"][1])}, digits, executor)
    assert capsys.readouterr().err == ""  # everything was kept: no bar stays behind
    if executor:
        executor.shutdown()


@pytest.mark.usefixtures("two_threads")
def test_runs_are_the_same_on_any_number_of_threads(digits, same_run, monkeypatch, tmp_path):
    """The default network: its matrix products are large enough for two threads to add in another order."""

    def runs(threads, folder):
        monkeypatch.setenv("HW2_CACHE", str(tmp_path / folder))
        torch.set_num_threads(threads)
        config = {beta: TrainConfig(beta=beta, epochs=1, batch_size=20) for beta in (0.0, 0.001)}
        result = sweep({beta: (VAE(32), config[beta]) for beta in config}, digits)
        assert torch.get_num_threads() == threads
        return result

    one, two = runs(1, "one"), runs(2, "two")
    assert all(same_run(one[beta], two[beta]) for beta in one)


@pytest.mark.usefixtures("two_threads")
def test_each_cell_has_one_thread_and_the_callers_number_is_restored_also_where_one_fails(grid, digits, monkeypatch):
    seen = []

    def failing(_model, config):
        seen.append(torch.get_num_threads())
        if config.beta == 10.0:
            raise FloatingPointError("planted")

    trained_here(monkeypatch, failing)
    with pytest.raises(FloatingPointError, match="planted"):
        sweep(grid, digits)
    assert seen == [1] * len(CELLS)
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as new:  # takes over what was set last, in whichever thread
        assert new.submit(torch.get_num_threads).result() == 2


# Failures, and machines that are elsewhere


class Deadly:
    """Kills the process that unpickles it, unless that is `here`."""

    def __init__(self, here: int) -> None:
        self.here = here

    def __reduce__(self):
        return _kill, (self.here,)


def _kill(here: int) -> Deadly:
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return Deadly(here)


def make_deadly(cell):
    object.__setattr__(cell[1], "deadly", Deadly(os.getpid()))  # travels with the config


def use_cache(folder: str) -> None:
    os.environ["HW2_CACHE"] = folder


def when(true, act):
    """Calls `act`, from another thread, once `true()`; join what is returned."""

    def watch():
        end = time.monotonic() + 60
        while not true():
            if time.monotonic() > end:
                return
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def large_grid(n, epochs=2):
    return {
        seed: (VAE(3, hidden=(8,), seed=seed), TrainConfig(epochs=epochs, batch_size=10, seed=seed))
        for seed in range(n)
    }


def assert_bitwise_as_serial(runs, grid, digits, same_run):
    """Trained anew, one by one; the tests run on one thread."""
    assert runs
    for cell, run in runs.items():
        model, config = grid[cell]
        other = fresh_like(model)
        assert same_run(run, Run(other, fit(other, digits, config, progress=False), config))
        assert run.history.threads == 1


def test_results_come_back_as_data_and_are_kept_here(grid, digits, forbid_training, elsewhere, same_run):
    """The workers have a disk of their own."""
    runs = sweep(grid, digits, elsewhere)
    assert all(runs[cell].model is grid[cell][0] for cell in CELLS)
    forbid_training()
    again = sweep({cell: (fresh_like(model), config) for cell, (model, config) in grid.items()}, digits)
    assert all(same_run(again[cell], runs[cell]) for cell in CELLS)
    assert {p.name for p in elsewhere.folder.iterdir()} == {p.name for p in Path(os.environ["HW2_CACHE"]).iterdir()}


def test_digits_may_be_a_function_that_gives_them(grid, digits, expected, same_run):
    calls = []

    def make():
        calls.append(threading.get_ident())
        return digits

    runs = sweep(grid, make)
    assert all(same_run(runs[cell], expected[cell]) for cell in CELLS)
    assert len(calls) == 1  # in this process they are shared


def forty_eight(spoilt_in=None):
    """A function of a module, as a worker can find it. spoilt_in: a process whose digits are others."""
    coarse = torch.rand(48, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(coarse, size=28, mode="bilinear").clamp(0, 1)
    if spoilt_in is not None and os.getpid() != spoilt_in:
        images = images.flip(0)
    return Digits(images, torch.arange(48) % 10)


def test_a_worker_calls_the_function_itself(digits, same_run, elsewhere):
    grid = large_grid(1)
    runs = sweep(grid, forty_eight, elsewhere)
    assert_bitwise_as_serial(runs, grid, digits, same_run)


def test_a_worker_with_other_images_is_refused_and_nothing_kept(elsewhere):
    with pytest.raises(RuntimeError, match="the job has other images"):
        sweep(large_grid(1), partial(forty_eight, os.getpid()), elsewhere)
    assert [*Path(os.environ["HW2_CACHE"]).glob("*"), *elsewhere.folder.iterdir()] == []


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_run_that_diverged_is_said_and_not_kept(where, digits, request):
    """Also when it was trained in another process, where nobody saw the warning."""
    executor = request.getfixturevalue("elsewhere") if where == "elsewhere" else None
    grid = large_grid(2)
    grid["far"] = (VAE(3, hidden=(8,)), TrainConfig(epochs=2, batch_size=10, lr=1000.0))
    with pytest.warns(RuntimeWarning, match="do not use this run"):
        runs = sweep(grid, digits, executor)
    assert [bool(run.history.problem) for run in runs.values()] == [False, False, True]
    assert len([*Path(os.environ["HW2_CACHE"]).iterdir()]) == 2
    if executor:
        assert len([*executor.folder.iterdir()]) == 2


def test_a_function_that_cannot_travel_is_said_at_once(digits, elsewhere):
    with pytest.raises(TypeError, match=r"digits cannot travel to a process pool .*pass the digits themselves"):
        sweep(large_grid(1), lambda: digits, elsewhere)
    assert [*Path(os.environ["HW2_CACHE"]).glob("*")] == []


FORKED = """
import multiprocessing, sys, torch, hw2
from concurrent.futures import ProcessPoolExecutor
torch.set_num_threads(2)
torch.rand(1000, 1000) @ torch.rand(1000, 1000)  # torch's threads are there, and lost in a fork
digits = hw2.Digits(*torch.load(sys.argv[1]))

def grid(first):
    config = hw2.TrainConfig(epochs=2, batch_size=10)
    return {seed: (hw2.VAE(32, seed=seed), config) for seed in range(first, first + 3)}

with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
    runs = hw2.sweep(grid(0), digits, executor)
    try:
        hw2.sweep(grid(5), digits, executor, threads=2)
    except RuntimeError as error:
        print(error)
assert torch.get_num_threads() == 2
torch.save({seed: run.model.state_dict() for seed, run in runs.items()}, sys.argv[2])
"""


def run_script(*command, **environment):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True, text=True, timeout=240, env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_workers_of_a_parent_with_two_threads_give_the_same_bits(digits, tmp_path, monkeypatch):
    torch.save((digits.images, digits.labels), tmp_path / "digits.pt")
    ended = run_script("-c", FORKED, tmp_path / "digits.pt", tmp_path / "runs.pt")
    assert ended.returncode == 0, ended.stderr
    assert "a forked worker cannot run torch on 2 threads: leave threads=1, or" in ended.stdout
    theirs = torch.load(tmp_path / "runs.pt")
    monkeypatch.setenv("HW2_CACHE", str(tmp_path / "here"))
    config = TrainConfig(epochs=2, batch_size=10)
    runs = sweep({seed: (VAE(32, seed=seed), config) for seed in range(3)}, digits)
    for seed, run in runs.items():
        weights = run.model.state_dict()
        assert all(torch.equal(theirs[seed][name], tensor) for name, tensor in weights.items())


UNFOUND = """
import multiprocessing, sys, torch, hw2
from concurrent.futures import ProcessPoolExecutor

def mine():
    return hw2.Digits(*torch.load(sys.argv[1]))

if __name__ == "__main__":
    config = hw2.TrainConfig(epochs=1)
    grid = {seed: (hw2.VAE(2, hidden=(4,), seed=seed), config) for seed in range(2)}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        try:
            hw2.sweep(grid, mine, executor)
        except RuntimeError as error:
            print(error, *error.__notes__)
"""


@pytest.mark.slow
def test_a_function_that_a_spawned_worker_does_not_find_is_a_clear_error_of_each_cell(digits, tmp_path):
    """As in a notebook: `__main__` has no file."""
    torch.save((digits.images, digits.labels), tmp_path / "digits.pt")
    ended = run_script("-c", UNFOUND, tmp_path / "digits.pt")
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"a worker does not find the function .*mine.*: pass the digits themselves", ended.stdout)
    assert "2 of the sweep's 2 cells failed: 0 (RuntimeError); 1 (RuntimeError)" in ended.stdout


def test_one_model_in_two_cells_is_refused(digits, unchanged):
    model = VAE(3, hidden=(8,))
    with unchanged(model), pytest.raises(ValueError, match="cells 'a' and 'b' have one model"):
        sweep({"a": (model, TrainConfig(epochs=1)), "b": (model, TrainConfig(epochs=1, beta=1))}, digits)


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_a_number_of_threads_that_is_none_is_refused(threads, digits):
    with pytest.raises(ValueError, match="threads must be an integer"):
        sweep(large_grid(1), digits, threads=threads)


def test_what_is_no_executor_is_refused(digits):
    with pytest.raises(TypeError, match=r"must be a concurrent\.futures\.Executor, got int"):
        sweep(large_grid(1), digits, 4)


def test_a_damaged_kept_run_is_replaced_also_when_the_worker_keeps_its_own(digits, elsewhere, forbid_training):
    sweep(large_grid(1), digits)
    (path,) = Path(os.environ["HW2_CACHE"]).iterdir()
    path.write_bytes(b"junk")
    with pytest.warns(UserWarning, match="training again"):
        sweep(large_grid(1), digits, elsewhere)
    forbid_training()
    sweep(large_grid(1), digits)


@pytest.mark.usefixtures("two_threads")
def test_threads_are_set_in_the_job_and_recorded(digits, elsewhere):
    assert sweep(large_grid(1), digits, threads=2)[0].history.threads == 2
    assert sweep(large_grid(2), digits, elsewhere, threads=2)[1].history.threads == 2
    assert torch.get_num_threads() == 2


def test_all_that_failed_are_named_and_the_others_kept(digits, monkeypatch, forbid_training):
    def failing(model, _config):
        if model.seed in (1, 3):
            raise FloatingPointError(f"planted {model.seed}")

    with monkeypatch.context() as patch:
        trained_here(patch, failing)
        with pytest.raises(FloatingPointError, match="planted 1") as caught:
            sweep(large_grid(5), digits)
    (note,) = caught.value.__notes__
    assert note.startswith("2 of the sweep's 5 cells failed: ")
    assert "1 (FloatingPointError)" in note
    assert "3 (FloatingPointError)" in note
    forbid_training()
    grid = large_grid(5)
    assert list(sweep({seed: grid[seed] for seed in (0, 2, 4)}, digits)) == [0, 2, 4]


def check_broken(grid, executor, error, digits, same_run, monkeypatch):
    """A sweep that loses workers names the cells that failed, which are returned, and keeps the others.

    And a second call, here and with the same cells, trains what is missing and nothing else.
    """
    with executor, pytest.raises(error) as caught:
        sweep(grid, digits, executor)
    (note,) = caught.value.__notes__
    failed = {int(cell) for cell in re.findall(rf"(\d+) \({error.__name__}\)", note)}
    assert note.startswith(f"{len(failed)} of the sweep's {len(grid)} cells failed: ")
    assert note.endswith("a second call trains only what is missing")

    folder = Path(os.environ["HW2_CACHE"])
    fresh = {cell: (fresh_like(model), replace(config)) for cell, (model, config) in grid.items()}
    files = {
        cell: folder / f"{run_key(model, digits.digest(), config)}.safetensors"
        for cell, (model, config) in fresh.items()
    }
    missing = {cell for cell, file in files.items() if not file.exists()}
    assert missing <= failed  # a worker may have ended and kept a run without having been able to say so
    trained = trained_here(monkeypatch)
    runs = sweep(fresh, digits)
    assert {config.seed for config in trained} == missing
    assert list(runs) == list(grid)
    assert_bitwise_as_serial(runs, grid, digits, same_run)
    return failed


@pytest.mark.slow
def test_a_cell_that_kills_its_worker_breaks_the_pool_and_what_ended_is_kept(digits, same_run, monkeypatch):
    grid = large_grid(5)
    make_deadly(grid[3])
    assert check_broken(grid, spawning(1), BrokenProcessPool, digits, same_run, monkeypatch) == {3, 4}


@pytest.mark.slow
def test_a_worker_that_is_killed_in_mid_run_breaks_the_pool_and_what_ended_is_kept(digits, same_run, monkeypatch):
    grid = large_grid(6, epochs=40)
    executor = spawning(2)
    victim = executor.submit(os.getpid).result()  # a worker starts
    folder = Path(os.environ["HW2_CACHE"])

    def both_train():  # one killed while it sends a result would leave half of it, for whose end Python's pool waits
        return any(folder.glob("*.safetensors")) and len(list(folder.glob("*.under-way"))) == 2

    killer = when(both_train, lambda: os.kill(victim, signal.SIGKILL))
    failed = check_broken(grid, executor, BrokenProcessPool, digits, same_run, monkeypatch)
    killer.join()
    assert 5 in failed


def test_a_pool_that_is_broken_already_takes_nothing_and_all_cells_are_named(digits):
    with spawning(1) as executor:
        with pytest.raises(BrokenProcessPool):
            executor.submit(_kill, 0).result()
        with pytest.raises(BrokenProcessPool) as caught:
            sweep(large_grid(3), digits, executor)
    assert caught.value.__notes__[0].startswith("3 of the sweep's 3 cells failed: 0 (BrokenProcessPool); 1")


@pytest.mark.parametrize("make_executor", [lambda: None, lambda: ThreadPoolExecutor(2)], ids=["none", "threads"])
def test_an_interrupt_stops_the_runs_under_way_and_keeps_their_epochs(make_executor, digits):
    """Runs that would take minutes."""
    grid, executor = large_grid(3, epochs=3000), make_executor()

    def ended():
        paths = Path(os.environ["HW2_CACHE"]).glob("*.under-way")
        return [len(read_run(path)[0]["history.recon"]) // 5 for path in paths]

    when(lambda: any(ended()), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        sweep(grid, digits, executor)
    if executor:
        executor.shutdown()
    assert 0 < max(ended()) < 3000


def test_a_cancelled_job_is_that_cells_failure(digits):
    class Cancelling(ThreadPoolExecutor):
        def submit(self, job, description, *args):
            if description["seed"] == 1:
                future = Future()
                future.cancel()
                future.set_running_or_notify_cancel()
                return future
            return super().submit(job, description, *args)

    with Cancelling(1) as executor, pytest.raises(CancelledError) as caught:
        sweep(large_grid(3), digits, executor)
    assert "1 (CancelledError)" in caught.value.__notes__[0]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    distributed = pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("workers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HW2_CACHE", str(folder))  # which the workers inherit
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster:
        cluster.folder = folder
        yield cluster


@pytest.fixture
def client(cluster):
    from distributed import Client

    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.mark.slow
def test_dask_gives_the_serial_bits_also_when_a_worker_is_killed(client, cluster, digits, same_run):
    grid = large_grid(6, epochs=20)
    victim = cluster.workers[0]
    before = victim.process.pid
    kept = Path(cluster.folder).glob
    killer = when(lambda: any(kept("*.safetensors")), lambda: os.kill(before, signal.SIGKILL))
    runs = sweep(grid, digits, client.get_executor())
    killer.join()
    assert list(runs) == list(range(6))
    end = time.monotonic() + 60
    while (pid := getattr(victim.process, "pid", None)) in (None, before):  # dask starts another
        assert time.monotonic() < end
        time.sleep(0.05)
    assert pid != before
    assert_bitwise_as_serial(runs, grid, digits, same_run)


@pytest.mark.slow
def test_dask_reports_a_cell_that_always_kills_its_worker_and_the_others_are_kept(
    client, digits, same_run, monkeypatch
):
    """A cell that was on the same worker each time may be named, too."""
    from distributed.scheduler import KilledWorker

    grid = large_grid(4)
    make_deadly(grid[2])
    assert 2 in check_broken(grid, client.get_executor(), KilledWorker, digits, same_run, monkeypatch)


def failing_digits(flag):
    if not Path(flag).exists():
        raise OSError("no digits yet")
    return forty_eight()


@pytest.mark.slow
def test_dask_runs_a_cell_again_once_the_cause_is_mended(client, digits, tmp_path):
    """And does not hand out the error of the first call."""
    flag, here = tmp_path / "flag", os.getpid()
    flag.touch()
    with pytest.raises(OSError, match="no digits yet"):
        sweep(large_grid(1), partial(not_elsewhere, flag, here), client.get_executor())
    flag.with_name("mended").touch()
    assert list(sweep(large_grid(1), partial(not_elsewhere, flag, here), client.get_executor())) == [0]


def not_elsewhere(flag, here):
    """Digits that a worker has only once the flag's neighbour is there."""
    return failing_digits(flag if os.getpid() == here else flag.with_name("mended"))


@pytest.mark.slow
def test_the_documented_cluster_listens_on_this_machine_only(client, cluster):
    psutil = pytest.importorskip("psutil")
    process = psutil.Process()
    listening = [c for p in (process, *process.children(recursive=True)) for c in p.net_connections("inet")
                 if c.status == psutil.CONN_LISTEN]  # fmt: skip
    assert any(c.laddr.port == int(cluster.scheduler_address.rpartition(":")[2]) for c in listening)
    assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("make_executor", [lambda: None, lambda: ThreadPoolExecutor(2)], ids=["none", "threads"])
def test_the_images_are_read_once_for_the_key_in_this_process(make_executor, digits, monkeypatch):
    """Reading 60,000 of them takes as long as many steps."""
    calls, digest = [], Digits.digest
    monkeypatch.setattr(Digits, "digest", lambda self: calls.append(1) or digest(self))
    sweep(large_grid(3), digits, make_executor())
    assert len(calls) == 1
    train_or_load(VAE(4, hidden=(8,)), digits, TrainConfig(epochs=1), progress=False)
    assert len(calls) == 2


def test_the_same_grid_again_gives_the_same_runs(grid, digits, same_run):
    first, second = sweep(grid, digits), sweep(grid, digits)
    assert all(same_run(first[cell], second[cell]) for cell in grid)


def test_a_class_in_the_place_of_a_model_is_said(digits):
    with pytest.raises(TypeError, match=r"the model of cell 'a' must be made: VAE\(\.\.\.\)"):
        sweep({"a": (VAE, TrainConfig())}, digits)


def test_models_that_share_layers_are_refused(digits):
    one, other = VAE(3, hidden=(8,)), VAE(3, hidden=(8,), seed=1)
    other.decoder = one.decoder
    with pytest.raises(ValueError, match="share layers"):
        sweep({"a": (one, TrainConfig()), "b": (other, TrainConfig())}, digits)


@pytest.mark.parametrize("grid", [[(VAE(3, hidden=(8,)), TrainConfig())], {1: VAE(3, hidden=(8,))}])
def test_a_grid_of_another_form_is_said(grid, digits):
    with pytest.raises(TypeError, match="grid must be"):
        sweep(grid, digits)

"""A sweep gives what its cells give one by one, on any executor, and trains only what is missing."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch

import hw2.checkpoints
import hw2.state
from hw2 import VAE, AutoEncoder, Digits, TrainConfig, fit, sweep, train_or_load

CELLS = ["ae", 0.0, 10.0, 0.001, ("conv", 0.01)]  # in no sorted order


def no_training(*_args, **_options):
    raise AssertionError("this trained")


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
    }


@pytest.fixture
def expected(grid, digits, monkeypatch, tmp_path):
    """The cells one by one, kept elsewhere."""
    with monkeypatch.context() as patch:
        patch.setenv("HW2_CACHE", str(tmp_path / "one by one"))
        return {c: train_or_load(fresh_like(m), digits, config, progress=False) for c, (m, config) in grid.items()}


def fresh_like(model):
    """A fresh model like this one: a run trains its model in place."""
    return type(model)(model.latent_dim, model.arch, model.hidden, seed=model.seed)


def executors():
    yield "none", lambda: None
    yield "threads", lambda: ThreadPoolExecutor(3)
    yield (
        "processes",
        lambda: ProcessPoolExecutor(
            2, multiprocessing.get_context("spawn"), torch.set_num_threads, (torch.get_num_threads(),)
        ),
    )  # the same bits are promised for the same number of threads


@pytest.mark.parametrize("make_executor", [make for _, make in executors()], ids=[name for name, _ in executors()])
def test_every_executor_gives_the_same_runs_in_the_grids_order(
    make_executor, grid, expected, digits, same_run, monkeypatch
):
    executor = make_executor()
    try:
        runs = sweep(grid, digits, executor)
    finally:
        if executor:
            executor.shutdown()
    assert list(runs) == CELLS
    assert all(same_run(runs[cell], expected[cell]) for cell in CELLS)

    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    again = sweep({cell: (fresh_like(model), config) for cell, (model, config) in grid.items()}, digits)
    assert list(again) == CELLS
    assert all(same_run(again[cell], runs[cell]) for cell in CELLS)


def test_only_what_is_missing_is_trained(grid, digits, monkeypatch):
    sweep({cell: grid.pop(cell) for cell in ("ae", 0.0, 10.0)}, digits)
    trained = []
    monkeypatch.setattr(hw2.checkpoints, "fit", lambda m, d, c, **o: (trained.append(c.beta), fit(m, d, c, **o))[1])
    model, config = VAE(3, hidden=(8,)), TrainConfig(beta=0.0, epochs=2, batch_size=10)
    assert list(sweep({0.0: (model, config)} | grid, digits)) == [0.0, 0.001, ("conv", 0.01)]
    assert trained == [0.001, 0.01]


def test_threads_that_build_many_models_at_once_do_not_disturb_each_other(digits, global_rng_untouched):
    """Each cell builds a model to see that its own is fresh, which seeds torch's one default generator."""
    grid = {
        seed: (VAE(4, hidden=(64, 64), seed=seed), TrainConfig(epochs=1, batch_size=48, seed=seed))
        for seed in range(30)
    }
    with ThreadPoolExecutor(4) as executor:
        runs = sweep(grid, digits, executor)
    assert list(runs) == list(range(30))


@pytest.mark.parametrize("make_executor", [lambda: None, lambda: ThreadPoolExecutor(1)], ids=["none", "threads"])
def test_an_empty_grid_has_no_runs(make_executor, digits):
    executor = make_executor()
    assert sweep({}, digits, executor) == {}
    if executor:
        executor.shutdown()


def test_one_failing_cell_is_raised_after_the_others_were_kept(grid, digits, monkeypatch):
    stale = VAE(3, hidden=(8,))
    fit(stale, digits, TrainConfig(epochs=1), progress=False)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ValueError, match="fresh model"):
            sweep({"stale": (stale, TrainConfig(epochs=1))} | grid, digits, executor)
        monkeypatch.setattr(hw2.checkpoints, "fit", no_training)  # from here on, before the executor has waited
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

    def failing(model, digits, config, **options):
        seen.append(torch.get_num_threads())
        if config.beta == 10.0:
            raise FloatingPointError("planted")
        return fit(model, digits, config, **options)

    monkeypatch.setattr(hw2.checkpoints, "fit", failing)
    with pytest.raises(FloatingPointError, match="planted"):
        sweep(grid, digits)
    assert seen == [1] * len(CELLS)
    assert torch.get_num_threads() == 2


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


def spawning(workers):
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def kill_in_mid_run(folder, kill):
    """Calls `kill` once a first run has been kept in `folder`; join what is returned."""

    def watch():
        while not list(Path(folder).glob("*.safetensors")):
            time.sleep(0.005)
        kill()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def large_grid(n, epochs=2):
    return {seed: (VAE(3, hidden=(8,), seed=seed), TrainConfig(epochs=epochs, batch_size=10)) for seed in range(n)}


def assert_bitwise_as_serial(runs, grid, digits, same_run):
    """Trained anew, one by one; the tests run on one thread."""
    assert runs
    for cell, run in runs.items():
        model, config = grid[cell]
        other = fresh_like(model)
        assert same_run(run, hw2.checkpoints.Run(other, fit(other, digits, config, progress=False), config))
        assert run.history.threads == 1


def test_the_runs_model_is_the_one_passed_in_wherever_it_was_trained(grid, digits):
    with spawning(1) as executor:
        runs = sweep({"ae": grid["ae"]}, digits, executor)
    assert runs["ae"].model is grid["ae"][0]


def test_results_come_back_as_data_and_are_kept_here(grid, digits, monkeypatch, tmp_path, same_run):
    """The workers have a disk of their own."""
    there = str(tmp_path / "there")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), use_cache, (there,)) as executor:
        runs = sweep(grid, digits, executor)
    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    again = sweep({cell: (fresh_like(model), config) for cell, (model, config) in grid.items()}, digits)
    assert all(same_run(again[cell], runs[cell]) for cell in CELLS)
    assert {path.name for path in (tmp_path / "there").iterdir()} == {p.name for p in (tmp_path / "runs").iterdir()}


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


def test_a_worker_calls_the_function_itself(digits, same_run):
    grid = large_grid(1)
    with spawning(1) as executor:
        runs = sweep(grid, forty_eight, executor)
    assert_bitwise_as_serial(runs, grid, digits, same_run)


def test_a_worker_with_other_images_is_refused_and_nothing_kept():
    with spawning(1) as executor, pytest.raises(RuntimeError, match="the job has other images"):
        sweep(large_grid(1), partial(forty_eight, os.getpid()), executor)
    assert list(Path(os.environ["HW2_CACHE"]).glob("*")) == []


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


def test_a_damaged_kept_run_is_replaced_also_when_the_worker_keeps_its_own(digits, tmp_path, monkeypatch):
    sweep(large_grid(1), digits)
    (path,) = Path(os.environ["HW2_CACHE"]).iterdir()
    path.write_bytes(b"junk")
    there = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), use_cache, (str(tmp_path / "there"),))
    with there as executor, pytest.warns(UserWarning, match="training again"):
        sweep(large_grid(1), digits, executor)
    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    sweep(large_grid(1), digits)


@pytest.mark.usefixtures("two_threads")
def test_threads_are_set_in_the_job_and_recorded(digits):
    assert sweep(large_grid(1), digits, threads=2)[0].history.threads == 2
    with spawning(1) as executor:
        assert sweep(large_grid(2), digits, executor, threads=2)[1].history.threads == 2
    assert torch.get_num_threads() == 2


def test_all_that_failed_are_named_and_the_others_kept(digits, monkeypatch):
    def failing(model, digits, config, **options):
        if model.seed in (1, 3):
            raise FloatingPointError(f"planted {model.seed}")
        return fit(model, digits, config, **options)

    with monkeypatch.context() as patch:
        patch.setattr(hw2.checkpoints, "fit", failing)
        with pytest.raises(FloatingPointError, match="planted 1") as caught:
            sweep(large_grid(5), digits)
    (note,) = caught.value.__notes__
    assert note.startswith("2 of the sweep's 5 cells failed: ")
    assert "1 (FloatingPointError)" in note
    assert "3 (FloatingPointError)" in note
    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    grid = large_grid(5)
    assert list(sweep({seed: grid[seed] for seed in (0, 2, 4)}, digits)) == [0, 2, 4]


def test_a_broken_process_pool_is_made_once_more(digits, same_run):
    """One of two workers is killed while it works."""
    grid = large_grid(6, epochs=100)
    with spawning(2) as executor:
        executor.submit(os.getpid).result()  # a worker starts
        victim = next(iter(executor._processes.values()))
        killer = kill_in_mid_run(os.environ["HW2_CACHE"], victim.kill)
        runs = sweep(grid, digits, executor)
        killer.join()
    assert not victim.is_alive()
    assert list(runs) == list(range(6))
    assert_bitwise_as_serial({0: runs[0], 5: runs[5]}, grid, digits, same_run)


def test_a_cell_that_always_kills_its_worker_is_named_and_the_others_of_the_pool_are_kept(digits, monkeypatch):
    grid = large_grid(3)
    make_deadly(grid[1])
    with spawning(2) as executor, pytest.raises(Exception, match="terminated abruptly") as caught:
        sweep(grid, digits, executor)
    assert caught.value.__notes__[0].startswith("1 of the sweep's 3 cells failed: 1 (BrokenProcessPool)")
    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    grid = large_grid(3)
    assert list(sweep({seed: grid[seed] for seed in (0, 2)}, digits)) == [0, 2]


@pytest.mark.parametrize("make_executor", [lambda: None, lambda: ThreadPoolExecutor(2)], ids=["none", "threads"])
def test_an_interrupt_stops_the_runs_under_way_and_keeps_their_epochs(make_executor, digits):
    """Runs that would take minutes."""
    grid = large_grid(3, epochs=3000)
    timer = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        sweep(grid, digits, make_executor())
    assert time.monotonic() - start < 20
    under_way = list((hw2.checkpoints.cache_folder("HW2_CACHE", "runs")).glob("*.under-way"))
    assert under_way
    ended = hw2.state.read_run(under_way[0])[0]["history.recon"]
    assert 0 < len(ended) < 3000 * 5


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


def test_dask_gives_the_serial_bits_also_when_a_worker_is_killed(client, cluster, digits, same_run):
    grid = large_grid(8, epochs=100)
    victim = cluster.workers[0]
    before = victim.process.pid
    killer = kill_in_mid_run(cluster.folder, lambda: os.kill(before, signal.SIGKILL))
    runs = sweep(grid, digits, client.get_executor())
    killer.join()
    assert list(runs) == list(range(8))
    end = time.monotonic() + 60
    while (pid := getattr(victim.process, "pid", None)) in (None, before):  # dask starts another
        assert time.monotonic() < end
        time.sleep(0.05)
    assert pid != before
    assert_bitwise_as_serial(runs, grid, digits, same_run)


def test_dask_reports_a_cell_that_always_kills_its_worker_and_the_others_are_kept(client, digits, monkeypatch):
    from distributed.scheduler import KilledWorker

    grid = large_grid(4)
    make_deadly(grid[2])
    with pytest.raises(KilledWorker) as caught:
        sweep(grid, digits, client.get_executor())
    (note,) = caught.value.__notes__
    assert note.startswith("1 of the sweep's 4 cells failed: 2 (KilledWorker)")
    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    grid = large_grid(4)
    assert list(sweep({seed: grid[seed] for seed in (0, 1, 3)}, digits)) == [0, 1, 3]


def failing_digits(flag):
    if not Path(flag).exists():
        raise OSError("no digits yet")
    return forty_eight()


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


def test_the_documented_cluster_listens_on_this_machine_only(client, cluster):
    psutil = pytest.importorskip("psutil")
    process = psutil.Process()
    listening = [c for p in (process, *process.children(recursive=True)) for c in p.net_connections("inet")
                 if c.status == psutil.CONN_LISTEN]  # fmt: skip
    assert any(c.laddr.port == int(cluster.scheduler_address.rpartition(":")[2]) for c in listening)
    assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::1"}

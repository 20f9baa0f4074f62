"""A sweep gives what its cells give one by one, on any executor, and trains only what is missing."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import torch

import hw2.checkpoints
from hw2 import VAE, AutoEncoder, TrainConfig, fit, sweep, train_or_load

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


def test_a_bar_is_shown_only_without_an_executor(grid, digits, capsys):
    cell = {"ae": grid["ae"]}
    with ThreadPoolExecutor(1) as executor:
        sweep(cell, digits, executor)
    assert capsys.readouterr().err == ""
    sweep({0.0: grid[0.0]}, digits)
    assert "1/1" in capsys.readouterr().err


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


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

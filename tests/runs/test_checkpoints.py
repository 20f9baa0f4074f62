"""What was saved comes back bit by bit or not at all, and a run that was stopped goes on to the same bits."""

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import hw2.runs.checkpoints
from hw2 import VAE, AutoEncoder, ConditionedVAE, TrainConfig, fit, load_checkpoint, reconstruct, save
from hw2.runs import Run, fit_with_checkpoint
from hw2.runs.checkpoints import OtherRun
from hw2.runs.state import read_run

CONFIG = TrainConfig(beta=0.02, epochs=2, batch_size=20, lr=3e-3, likelihood="bernoulli", seed=4)
LONG = TrainConfig(beta=0.01, epochs=4, batch_size=16, lr=3e-3, seed=5)  # 3 steps an epoch, to be stopped in
ARCHS = [("mlp", (8,)), ("mlp", ()), ("conv", (2, 3, 4, 5))]
MODELS = {
    "AE": lambda: AutoEncoder(3, hidden=(8,)),
    "VAE": lambda: VAE(3, hidden=(8,)),
    "conv": lambda: VAE(3, "conv", (2, 3, 4, 5)),
    "conditioned": lambda: ConditionedVAE(3, hidden=(8,)),
}


@pytest.fixture
def run(digits):
    model = VAE(3, hidden=(6,), seed=2)
    return Run(model, fit(model, digits, CONFIG, progress=False), CONFIG)


def fitted(model, digits, config):
    """The run as it is in one go, without a file."""
    return Run(model, fit(model, digits, config, progress=False), config)


def gone_on(model, digits, config, path):
    """The run as it is with a file."""
    return Run(model, fit_with_checkpoint(model, digits, config, path, progress=False), config)


# Save and load


@pytest.mark.parametrize(("arch", "hidden"), ARCHS)
@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_round_trip_is_bitwise(kind, arch, hidden, path, digits, same_run, unchanged):
    """Weights, BatchNorm's statistics, history and config."""
    model = kind(3, arch, hidden, seed=7)
    run = fitted(model, digits, CONFIG)
    with unchanged(model):
        save(path, *run, digits.digest())
    back = load_checkpoint(path)
    assert same_run(run, back)
    assert back.history.threads == run.history.threads == torch.get_num_threads()
    assert type(back.model) is kind
    assert (back.model.latent_dim, back.model.arch, back.model.hidden, back.model.seed) == (3, arch, hidden, 7)
    assert torch.equal(reconstruct(back.model, digits.images), reconstruct(model, digits.images))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_alone_can_be_saved(make, path, digits):
    model = make()
    fit(model, digits, CONFIG, progress=False)
    save(path, model)
    back = load_checkpoint(path)
    assert back.history is back.config is None
    assert type(back.model) is type(model)
    assert not back.model.training
    weights = model.state_dict()
    assert back.model.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in back.model.state_dict().items())


@pytest.mark.parametrize("given", [*itertools.product([False, True], repeat=3)])
def test_what_is_left_out_is_none_and_what_is_given_comes_back(given, path, run, digits, make_digits):
    history, config, data = given
    parts = {"history": run.history} if history else {}
    parts |= {"config": run.config} if config else {}
    parts |= {"data_digest": digits.digest()} if data else {}
    save(path, run.model, **parts)

    back = load_checkpoint(path, VAE(3, hidden=(6,), seed=2))
    assert all(torch.equal(a, b) for a, b in zip(back.model.parameters(), run.model.parameters(), strict=True))
    assert back.config == (run.config if config else None)
    assert (back.history is not None) == history
    if history:
        assert all(torch.equal(getattr(back.history, t), getattr(run.history, t)) for t in ("recon", "kl", "loss"))
        assert back.history.steps_per_epoch == run.history.steps_per_epoch
        assert back.history.threads == run.history.threads

    for expected, said in (({"digits": digits}, data), ({"config": CONFIG}, config)):
        if said:
            assert load_checkpoint(path, **expected).config == back.config
        else:
            with pytest.raises(ValueError, match=r"data is '' there|config is None there"):
                load_checkpoint(path, **expected)


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ({"model": VAE(3, hidden=(7,))}, "model.hidden is [6] there and (7,) here"),
        ({"model": AutoEncoder(3, hidden=(6,))}, "model.kind is 'VAE' there and 'AutoEncoder' here"),
        ({"config": replace(CONFIG, likelihood="gaussian")}, "config.likelihood is 'bernoulli' there"),
        ({"config": replace(CONFIG, beta=0.1, seed=5)}, "config.beta is 0.02 there and 0.1 here; config.seed"),
        ({"digits": "others"}, "data is"),
    ],
)
def test_the_wrong_run_names_what_differs(expected, says, path, run, digits, make_digits):
    save(path, *run, digits.digest())
    if "digits" in expected:
        expected = {"digits": make_digits(48, seed=1)}
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        load_checkpoint(path, **expected)
    assert str(path) in str(error.value)


def test_what_is_of_another_kind_is_said(path, run, digits):
    with pytest.raises(TypeError, match=r"history must be a .*History.*, got TrainConfig"):
        save(path, run.model, run.config, run.history)
    with pytest.raises(TypeError, match=r"config must be a .*TrainConfig.*, got dict"):
        save(path, run.model, run.history, {})
    with pytest.raises(TypeError, match="data_digest must be a str, got Digits"):
        save(path, *run, digits)
    assert not path.exists()
    save(path, *run, digits.digest())
    with pytest.raises(TypeError, match=r"digits must be hw2\.Digits, got Tensor"):
        load_checkpoint(path, digits=digits.images)
    with pytest.raises(TypeError, match=r"config must be a hw2\.TrainConfig, got dict"):
        load_checkpoint(path, config={})


def test_the_expected_run_loads_whatever_its_weights(path, run, digits, same_run):
    save(path, *run, digits.digest())
    assert same_run(run, load_checkpoint(path, VAE(3, hidden=(6,), seed=2), CONFIG, digits))


def test_loaded_model_is_in_evaluation_mode_on_the_cpu_and_can_be_trained_on(path, run, digits):
    save(path, *run)
    model = load_checkpoint(path).model
    assert not model.training
    assert all(p.requires_grad and p.device.type == "cpu" for p in model.parameters())
    assert fit(model, digits, TrainConfig(epochs=1), progress=False).recon[0] < run.history.recon[0] * 10


def test_loading_leaves_the_global_generator_alone(path, run, global_rng_untouched):
    save(path, *run)
    load_checkpoint(path)


def test_paths_may_be_strings(path, run, digits, same_run):
    save(str(path), *run)
    assert same_run(run, load_checkpoint(str(path)))
    path.unlink()
    assert same_run(run, gone_on(VAE(3, hidden=(6,), seed=2), digits, CONFIG, str(path)))
    assert same_run(run, load_checkpoint(str(path)))


def test_file_is_plain_safetensors(path, run):
    """So that it can be read without this package, and cannot run code."""
    save(path, *run)
    tensors = safetensors.torch.load_file(path)
    weights = run.model.state_dict()
    assert all(any(torch.equal(t, tensor) for tensor in tensors.values()) for t in weights.values())


def test_missing_file_is_not_found(path):
    with pytest.raises(FileNotFoundError, match=r"run\.safetensors"):
        load_checkpoint(path)


def test_only_the_modules_own_kinds_of_model_are_saved(path, run):
    with pytest.raises(TypeError, match="AutoEncoder, VAE, ConditionedVAE, got Linear"):
        save(path, nn.Linear(2, 2), run.history, run.config)
    assert not path.exists()


def test_all_of_a_history_comes_back(path, digits, make_digits):
    model, config = VAE(3, hidden=(8,)), replace(CONFIG, warmup=1)
    history = fit(model, digits, config, validation=make_digits(9, seed=1), progress=False)
    assert history.beta[0] == 0 < history.beta[-1]
    assert history.validation.shape == (3, 2)
    for problem in ("", "it went nowhere"):
        save(path, model, replace(history, problem=problem), config)
        back = load_checkpoint(path).history
        assert torch.equal(back.beta, history.beta)
        assert torch.equal(back.validation, history.validation)
        assert back.problem == problem
    save(path, model, replace(history, beta=None, validation=None), config)
    back = load_checkpoint(path).history
    assert back.beta is back.validation is None


def test_a_run_with_a_file_has_the_beta_of_each_step(path, digits, same_run):
    config = replace(LONG, warmup=2)
    run, whole = gone_on(VAE(3, hidden=(8,)), digits, config, path), fitted(VAE(3, hidden=(8,)), digits, config)
    assert same_run(run, whole)
    for history in (run.history, load_checkpoint(path).history):
        assert torch.equal(history.beta, whole.history.beta)


# Damage


def refuse(path):
    with pytest.raises(ValueError, match="is damaged") as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("place", range(30))
def test_one_flipped_bit_is_refused(place, path, run):
    """30 places: every other one in the header, the others anywhere in the file, the last bit among them."""
    save(path, *run)
    data = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    within = header if place % 2 == 0 else len(data)
    position = round(place / 29 * (8 * within - 1))
    data[position // 8] ^= 1 << position % 8
    path.write_bytes(data)
    refuse(path)


def test_every_flipped_bit_of_the_length_and_of_the_hash_is_refused(path, run):
    save(path, *run)
    data = path.read_bytes()
    at = data.index(b"sha256")
    for position in [*range(64), *range(8 * (at - 2), 8 * (at + 75))]:
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        refuse(path)


@pytest.mark.parametrize("share", [0, 0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(share, path, run):
    save(path, *run)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refuse(path)


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: d[:-64] + d[-64:][::-1]])
def test_shortened_lengthened_and_shuffled_files_are_refused(change, path, run):
    save(path, *run)
    path.write_bytes(change(path.read_bytes()))
    refuse(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"{}", b"\xff" * 1000, b"PK\x03\x04 a pickle"])
def test_other_files_are_refused(content, path):
    path.parent.mkdir()
    path.write_bytes(content)
    refuse(path)


def test_safetensors_of_somebody_else_are_refused(path, run):
    path.parent.mkdir()
    safetensors.torch.save_file(run.model.state_dict(), path)
    refuse(path)


@pytest.mark.parametrize("method", ["replace", "fsync", "write_bytes"])
def test_failing_write_leaves_the_old_file(method, path, run, same_run, monkeypatch):
    save(path, *run)

    def fail(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path if method == "write_bytes" else os, method, fail)
        with pytest.raises(OSError, match="No space left"):
            save(path, AutoEncoder(2, hidden=(4,)), run.history, run.config)
    assert same_run(run, load_checkpoint(path))
    assert list(path.parent.iterdir()) == [path]


# Going on


@pytest.fixture
def interrupted(path, digits, stop_before):
    """Leaves in `path` a run that was stopped before that step; returns what the interrupt said."""

    def interrupt(model, config, step):
        stop_before(model, step)
        with pytest.raises(KeyboardInterrupt) as caught:
            fit_with_checkpoint(model, digits, config, path, progress=False)
        return str(caught.value)

    return interrupt


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
@pytest.mark.parametrize("step", [1, 3, 4, 8, 12])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_stopped_run_ends_bitwise_as_one_that_was_not(
    make, step, schedule, path, digits, same_run, interrupted, steps_of
):
    config = replace(LONG, schedule=schedule)
    whole = fitted(make(), digits, config)
    message = interrupted(make(), config, step)
    assert str(path) in message
    assert "the same call goes on" in message

    model = make()
    trained = steps_of(model)
    assert same_run(gone_on(model, digits, config, path), whole)
    assert len(trained) == 12 - (step - 1) // 3 * 3  # the epochs that had ended are not trained again
    assert not model.training
    assert same_run(load_checkpoint(path, make(), config, digits), whole)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_with_a_file_a_run_is_bitwise_as_without(make, path, digits, same_run, global_rng_untouched):
    assert same_run(gone_on(make(), digits, LONG, path), fitted(make(), digits, LONG))


def test_a_run_may_be_stopped_often(path, digits, same_run, interrupted):
    for step in (5, 5, 2):
        interrupted(VAE(3, hidden=(8,)), LONG, step)
    assert same_run(gone_on(VAE(3, hidden=(8,)), digits, LONG, path), fitted(VAE(3, hidden=(8,)), digits, LONG))


def test_a_run_goes_on_whatever_weights_the_model_has(path, digits, same_run, interrupted):
    """The very model that was interrupted in mid-epoch, for one."""
    model = VAE(3, "conv", (2, 3, 4, 5))
    interrupted(model, LONG, 8)
    whole = fitted(VAE(3, "conv", (2, 3, 4, 5)), digits, LONG)
    assert same_run(gone_on(model, digits, LONG, path), whole)


def test_a_run_under_way_is_refused_as_a_checkpoint(path, interrupted):
    interrupted(VAE(3, hidden=(8,)), LONG, 8)
    with pytest.raises(ValueError, match=r"run under way, 2 of 4 epochs.*fit_with_checkpoint") as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


def test_an_ended_run_is_not_trained_again(path, digits, same_run, stop_before):
    run = gone_on(VAE(3, hidden=(8,)), digits, LONG, path)
    second = VAE(3, hidden=(8,))
    stop_before(second, 1, AssertionError("this trained"))
    assert same_run(gone_on(second, digits, LONG, path), run)
    assert not second.training


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_an_ended_run_goes_on_with_more_epochs_to_the_bits_of_one_planned_so(
    make, warmup, path, digits, same_run, steps_of
):
    longer = replace(LONG, warmup=warmup if make is not MODELS["conditioned"] else 0)
    gone_on(make(), digits, replace(longer, epochs=2), path)
    model, whole = make(), fitted(make(), digits, longer)
    steps = steps_of(model)
    run = gone_on(model, digits, longer, path)
    assert len(steps) == 6
    assert same_run(run, whole)
    if whole.history.beta is None:
        assert run.history.beta is None
    else:
        assert torch.equal(run.history.beta, whole.history.beta)
    assert same_run(load_checkpoint(path, make(), longer, digits), whole)


def test_a_run_under_way_goes_on_with_more_epochs_too(path, digits, same_run, interrupted):
    interrupted(VAE(3, hidden=(8,)), replace(LONG, epochs=2), 5)
    assert same_run(gone_on(VAE(3, hidden=(8,)), digits, LONG, path), fitted(VAE(3, hidden=(8,)), digits, LONG))


def test_a_one_cycle_run_says_why_it_cannot_be_made_longer(path, digits):
    config = replace(LONG, schedule="one-cycle", epochs=2)
    gone_on(VAE(3, hidden=(8,)), digits, config, path)
    before = path.read_bytes()
    with pytest.raises(OtherRun, match=r"one-cycle run of 2 epochs, whose rate was planned to end there") as caught:
        gone_on(VAE(3, hidden=(8,)), digits, replace(config, epochs=4), path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_the_model_of_a_run_that_was_cut_short_can_be_saved_and_loaded(path, digits):
    """What a file without an optimiser holds is not under way."""
    model = VAE(3, hidden=(8,))
    history = fit(model, digits, replace(LONG, epochs=1), progress=False)
    save(path, model, history, LONG)
    assert len(load_checkpoint(path).history.loss) == 3


@pytest.mark.parametrize("parts", [("history", "config"), ("config",)])
def test_a_saved_model_is_nothing_to_go_on_from_and_is_not_overwritten(parts, path, run, digits, unchanged):
    """It has the run's identity, but not the optimiser's state."""
    save(path, run.model, data_digest=digits.digest(), **{name: getattr(run, name) for name in parts})
    before = path.read_bytes()
    model = VAE(3, hidden=(6,), seed=2).eval()
    with unchanged(model), pytest.raises(OtherRun, match=re.escape(str(path)) + ".* nothing to go on from"):
        fit_with_checkpoint(model, digits, CONFIG, path, progress=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m, d, c: (m, d, replace(c, beta=0.5)), r"config\.beta is 0\.01 there and 0\.5 here"),
        (lambda m, d, c: (m, d, replace(c, epochs=3)), r"config\.epochs is 4 there and 3 here"),
        (lambda m, d, c: (m, d, replace(c, epochs=9, seed=6)), r"config\.epochs is 4 there and 9 here; config\.seed"),
        (lambda m, d, c: (m, d, replace(c, likelihood="bernoulli")), r"config\.likelihood is 'gaussian' there"),
        (lambda m, d, c: (VAE(2, hidden=(8,)), d, c), r"model\.latent_dim is 3 there and 2 here"),
        (lambda m, d, c: (VAE(3, hidden=(8, 8)), d, c), r"model\.hidden is \[8\] there and \(8, 8\) here"),
        (lambda m, d, c: (AutoEncoder(3, hidden=(8,)), d, c), r"model\.kind is 'VAE' there and 'AutoEncoder' here"),
        (lambda m, d, c: (m, d[:32], c), r"data is \w{12}… there"),
    ],
    ids=["beta", "fewer epochs", "more epochs and a seed", "likelihood", "latent size", "hidden", "kind", "data"],
)
def test_another_runs_file_is_refused_with_what_differs(change, named, path, digits, unchanged, interrupted):
    interrupted(VAE(3, hidden=(8,)), LONG, 5)
    before = path.read_bytes()
    model, data, config = change(VAE(3, hidden=(8,)), digits, LONG)
    model.eval()
    with unchanged(model), pytest.raises(OtherRun, match=named) as caught:
        fit_with_checkpoint(model, data, config, path, progress=False)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_another_torch_is_said(path, digits, monkeypatch, interrupted):
    interrupted(VAE(3, hidden=(8,)), LONG, 5)
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    with pytest.raises(ValueError, match=r"torch is '.*' there and '2\.99\.0' here"):
        fit_with_checkpoint(VAE(3, hidden=(8,)), digits, LONG, path)


@pytest.mark.parametrize("share", [0, 0.3, 0.999])
def test_a_damaged_file_is_refused_with_its_path_and_left_as_it_is(share, path, digits, interrupted):
    interrupted(VAE(3, hidden=(8,)), LONG, 5)
    path.write_bytes(damaged := path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(OtherRun, match=r"run\.safetensors is damaged"):
        fit_with_checkpoint(VAE(3, hidden=(8,)), digits, LONG, path, progress=False)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"model": type("VAE", (VAE,), {})(3)}, TypeError, "hw2's own .*, got VAE"),
        ({"digits": torch.zeros(2, 1, 28, 28)}, TypeError, r"digits must be hw2\.Digits, got Tensor"),
        ({"config": "slowly"}, TypeError, r"config must be a hw2\.TrainConfig, got str"),
        ({"model": AutoEncoder(3, "conv", (2, 3, 4, 5)), "config": replace(LONG, batch_size=47)},
         ValueError, "leave a batch of one image"),
    ],
    ids=["a student's own model", "digits", "config", "a batch of one image"],
)  # fmt: skip
def test_what_cannot_be_trained_is_said_and_leaves_no_file(change, error, said, path, digits):
    run = {"model": VAE(3, hidden=(8,)), "digits": digits, "config": LONG} | change
    with pytest.raises(error, match=said):
        fit_with_checkpoint(*run.values(), path, progress=False)
    assert not path.parent.exists()


def test_a_place_that_cannot_be_written_is_said_before_training(digits, tmp_path, stop_before):
    (tmp_path / "a file").touch()
    model = VAE(3, hidden=(8,))
    stop_before(model, 1, AssertionError("this trained"))
    with pytest.raises(OSError, match=r"a file/run cannot be written .*make room, or choose another place"):
        fit_with_checkpoint(model, digits, LONG, tmp_path / "a file" / "run")


@pytest.mark.parametrize("name", ["", ".", "folder"])
def test_a_folder_is_no_checkpoint(name, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder: path is the name of a file"):
        fit_with_checkpoint(VAE(3, hidden=(8,)), digits, LONG, name)


def test_a_disk_that_fills_costs_no_training(path, digits, monkeypatch, same_run):
    replace_, calls = os.replace, []

    def full(*names):
        calls.append(names)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        replace_(*names)

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=r"epoch \d could not be written: .*No space left"):
        run = gone_on(VAE(3, hidden=(8,)), digits, LONG, path)
    assert same_run(run, fitted(VAE(3, hidden=(8,)), digits, LONG))
    with pytest.raises(ValueError, match="1 of 4 epochs"):  # what was written last is whole
        load_checkpoint(path)


def test_a_diverged_run_leaves_the_last_good_epoch(path, digits, before_step):
    """Weights that give a mu whose square overflows, from the second step of the third epoch on."""
    model = VAE(3, hidden=(8,))

    def spoil(n):
        if n == 7:  # Adam moves them on from there
            with torch.no_grad():
                model.encoder[-1].bias += 1e25

    before_step(spoil)
    with pytest.raises(FloatingPointError, match="kl is inf at step 8"):
        fit_with_checkpoint(model, digits, LONG, path, progress=False)
    with pytest.raises(ValueError, match="2 of 4 epochs"):
        load_checkpoint(path)
    fit_with_checkpoint(model, digits, LONG, path, progress=False)
    assert load_checkpoint(path).history.loss.isfinite().all()


def test_another_thread_can_stop_a_run_with_a_file(path, digits):
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt, match="goes on"):
        fit_with_checkpoint(VAE(3, hidden=(8,)), digits, LONG, path, progress=False, stop=stop)
    with pytest.raises(ValueError, match="0 of 4 epochs"):
        load_checkpoint(path)


@pytest.mark.parametrize("how", ["interrupt", "stop"])
def test_an_interrupt_without_a_file_is_just_that(how, digits, stop_before, steps_of, before_step):
    model, stop, steps = VAE(3, hidden=(8,)), threading.Event(), steps_of(None)
    if how == "interrupt":
        stop_before(model, 4)
    else:
        before_step(lambda n: stop.set() if n == 3 else None)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(model, digits, LONG, progress=False, stop=stop)
    assert str(caught.value) == ""
    assert len(steps) == {"interrupt": 4, "stop": 3}[how]
    assert not model.training


def test_the_bar_goes_on_where_the_run_was(path, digits, capsys, interrupted):
    interrupted(VAE(3, hidden=(8,)), LONG, 8)
    assert capsys.readouterr().err == ""
    fit_with_checkpoint(VAE(3, hidden=(8,)), digits, LONG, path)
    shown = capsys.readouterr().err
    assert " 6/12 " in shown.partition("\r")[2].partition("\r")[0]
    assert " 12/12 " in shown
    assert "epoch 4/4" in shown


@pytest.mark.usefixtures("two_threads")
def test_a_run_goes_on_with_the_number_of_threads_that_it_began_with(path, digits, same_run, interrupted):
    """The default network: with two threads the bits are others."""
    torch.set_num_threads(1)
    whole = fitted(VAE(32), digits, LONG)
    interrupted(VAE(32), LONG, 5)
    torch.set_num_threads(2)
    again = gone_on(VAE(32), digits, LONG, path)
    assert same_run(again, whole)
    assert again.history.threads == load_checkpoint(path).history.threads == 1
    assert torch.get_num_threads() == 2


# Real signals

SCRIPT = """
import sys, torch, hw2
from hw2.runs import fit_with_checkpoint
torch.set_num_threads(1)
digits = hw2.Digits(*torch.load(sys.argv[1]))
config = hw2.TrainConfig(epochs=100, batch_size=16)
fit_with_checkpoint(hw2.VAE(3, hidden=(8,)), digits, config, sys.argv[2], progress=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_leaves_what_another_goes_on_from(kill, digits, path, tmp_path, same_run):
    torch.save((digits.images, digits.labels), tmp_path / "digits.pt")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "digits.pt"), str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (path.exists() and len(read_run(path)[0]["history.loss"])) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(kill)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    if kill == signal.SIGINT:
        assert f"KeyboardInterrupt: stopped. {path} has the epochs that ended; the same call goes on" in errors
    with pytest.raises(ValueError, match=r"under way, [1-9]\d* of 100 epochs"):
        load_checkpoint(path)

    config = TrainConfig(epochs=100, batch_size=16)
    assert same_run(gone_on(VAE(3, hidden=(8,)), digits, config, path), fitted(VAE(3, hidden=(8,)), digits, config))


def test_a_model_that_is_given_takes_over_the_weights(path, run):
    save(path, *run)
    other = type(run.model)(run.model.latent_dim, run.model.arch, run.model.hidden, seed=run.model.seed)
    loaded = load_checkpoint(path, other)
    assert loaded.model is other
    assert all(torch.equal(t, run.model.state_dict()[name]) for name, t in other.state_dict().items())


@pytest.mark.parametrize("wrong", [None, "vae", VAE, {}])
def test_what_is_no_model_is_said(wrong, path):
    with pytest.raises(TypeError, match=r"can keep and save hw2's own"):
        save(path, wrong)


def test_a_run_under_other_code_is_not_gone_on_with(path, digits, interrupted, monkeypatch):
    interrupted(VAE(3, hidden=(8,)), LONG, 4)
    monkeypatch.setattr(hw2.runs.checkpoints, "code", lambda: "another")
    with pytest.raises(ValueError, match="is of another run: code is"):
        fit_with_checkpoint(VAE(3, hidden=(8,)), digits, LONG, path, progress=False)


def test_without_a_config_it_is_the_default_one(path, make_digits, same_run):
    few = make_digits(4)
    history = fit_with_checkpoint(AutoEncoder(3, hidden=(8,)), few, None, path, progress=False)
    assert len(history.loss) == TrainConfig().epochs
    assert load_checkpoint(path).config == TrainConfig()

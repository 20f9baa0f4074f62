"""Nothing trains twice unless something changed, and what was stopped goes on."""

import dataclasses
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import hw2.losses
import hw2.runs.identity
import hw2.runs.kept
import hw2.runs.state
from hw2 import VAE, AutoEncoder, ConditionedVAE, TrainConfig, fit, load_checkpoint, save, train_or_load
from hw2.runs import Run, fit_with_checkpoint
from hw2.runs.identity import describe
from hw2.runs.kept import run_key
from hw2.runs.state import read_run

CONFIG = TrainConfig(beta=0.02, epochs=2, batch_size=20, lr=3e-3, likelihood="bernoulli", seed=4)
LONG = TrainConfig(beta=0.01, epochs=4, batch_size=16, lr=3e-3, seed=5)  # 3 steps an epoch, to be stopped in
ARCHS = [("mlp", (8,)), ("mlp", ()), ("conv", (2, 3, 4, 5))]


def kept():
    return list(Path(os.environ["HW2_CACHE"]).glob("*"))


def fitted(model, digits, config):
    return Run(model, fit(model, digits, config, progress=False), config)


# The key


@pytest.mark.slow
def test_the_key_is_the_same_in_another_process(digits, tmp_path):
    """It may not depend on Python's salted hash, nor on the order in which something was imported."""
    key = run_key(VAE(3, hidden=(6,)), digits.digest(), CONFIG)
    torch.save((digits.images, digits.labels), tmp_path / "digits.pt")
    script = (
        "import sys, torch, hw2; from hw2.runs.kept import run_key\n"
        "digits = hw2.Digits(*torch.load(sys.argv[1]))\n"
        "config = hw2.TrainConfig(seed=4, likelihood='bernoulli', lr=3e-3, batch_size=20, epochs=2, beta=0.02)\n"
        "print(run_key(hw2.VAE(3, hidden=(6,)), digits.digest(), config))\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "digits.pt")], capture_output=True, text=True, timeout=120
    )
    assert other.stdout.strip() == key, other.stderr


CHANGES = [{"beta": 0.03}, {"epochs": 3}, {"batch_size": 21}, {"lr": 2e-3}, {"schedule": "one-cycle"},
           {"warmup": 1}, {"likelihood": "gaussian"}, {"seed": 5}, {"device": "mps"}]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_another_config_is_another_run(change, digits):
    model = VAE(3, hidden=(6,))
    assert run_key(model, digits.digest(), CONFIG) != run_key(model, digits.digest(), replace(CONFIG, **change))


def test_any_device_is_the_one_that_there_is(digits):
    model, config = VAE(3, hidden=(6,)), replace(CONFIG, device="auto")
    there = replace(CONFIG, device=config.torch_device().type)
    assert run_key(model, digits.digest(), config) == run_key(model, digits.digest(), there)


def test_a_run_on_any_device_is_found_again(digits, same_run, steps_of):
    config = replace(CONFIG, device="auto")
    run = train_or_load(VAE(3, hidden=(6,)), digits, config, progress=False)
    model = VAE(3, hidden=(6,))
    steps = steps_of(model)
    again = train_or_load(model, digits, config, progress=False)
    assert same_run(run, again)
    assert again.config == config
    assert len(steps) == 0


def test_the_list_above_has_every_field_of_the_config():
    assert {name for change in CHANGES for name in change} == {f.name for f in dataclasses.fields(TrainConfig)}


@pytest.mark.parametrize(
    "other",
    [
        AutoEncoder(3, hidden=(6,)),
        VAE(4, hidden=(6,)),
        VAE(3, hidden=(7,)),
        VAE(3, hidden=(6, 6)),
        VAE(3, hidden=(6,), seed=1),
        VAE(3, "conv", (2, 3, 4, 5)),
        ConditionedVAE(3, hidden=(6,)),
    ],
    ids=["kind", "latent size", "hidden size", "depth", "seed", "arch", "conditioned"],
)
def test_another_model_is_another_run(other, digits):
    assert run_key(VAE(3, hidden=(6,)), digits.digest(), CONFIG) != run_key(other, digits.digest(), CONFIG)


def test_another_range_of_beta_is_another_run(digits):
    wide, narrow = (ConditionedVAE(3, hidden=(6,), betas=betas) for betas in ((1e-5, 1e-2), (1e-4, 1e-2)))
    assert run_key(wide, digits.digest(), CONFIG) != run_key(narrow, digits.digest(), CONFIG)


def test_other_data_is_another_run(digits, make_digits):
    model = VAE(3, hidden=(6,))
    keys = {run_key(model, d.digest(), CONFIG) for d in (digits, digits[:47], make_digits(48, seed=1))}
    assert len(keys) == 3
    assert run_key(model, make_digits(48).digest(), CONFIG) in keys


def test_other_torch_or_code_is_another_run(digits, monkeypatch):
    model = VAE(3, hidden=(6,))
    keys = {run_key(model, digits.digest(), CONFIG)}
    for patched in ((torch, "__version__", "2.99.0"), (hw2.runs.identity, "_CODE", "0" * 64)):
        with monkeypatch.context() as patch:
            patch.setattr(*patched)
            patch.setattr(hw2.runs.identity, "_code_on_disk", lambda: hw2.runs.identity._CODE)
            keys.add(run_key(model, digits.digest(), CONFIG))
    assert len(keys) == 3


@pytest.mark.parametrize("module", ["losses", "models", "conditioned", "training"])
def test_code_that_changed_after_its_import_is_refused(module, digits, monkeypatch, tmp_path):
    """Else what the old code trains would be kept, and found, as the new code's."""
    changed = tmp_path / f"{module}.py"
    changed.write_text("# mended", encoding="utf-8")
    monkeypatch.setattr(sys.modules[f"hw2.{module}"], "__file__", str(changed))
    with pytest.raises(RuntimeError, match="restart the kernel"):
        train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert kept() == []


# Trained once


@pytest.mark.parametrize(("arch", "hidden"), ARCHS)
@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_second_call_reads_what_the_first_one_trained(kind, arch, hidden, digits, same_run, forbid_training):
    first = train_or_load(kind(3, arch, hidden), digits, CONFIG, progress=False)
    forbid_training()
    second = train_or_load(kind(3, arch, hidden), digits, CONFIG, progress=False)
    assert same_run(first, second)
    assert first.model.training == second.model.training == False  # noqa: E712
    assert len(kept()) == 1


def test_a_conditioned_network_is_kept_like_any_other(digits, same_run, forbid_training):
    def make():
        return ConditionedVAE(3, hidden=(8,), betas=(1e-4, 1e-3), seed=2)

    config = TrainConfig(epochs=1, batch_size=16)
    first = train_or_load(make(), digits, config, progress=False)
    forbid_training()
    again = train_or_load(make(), digits, config, progress=False)
    assert same_run(first, again)
    assert again.model.betas == (1e-4, 1e-3)
    assert describe(again.model) == describe(make())


def test_the_model_passed_in_is_the_runs_model_whether_trained_or_read(digits):
    first, second = VAE(3, hidden=(8,)), VAE(3, hidden=(8,))
    trained = train_or_load(first, digits, CONFIG, progress=False)
    read = train_or_load(second, digits, CONFIG, progress=False)
    assert trained.model is first
    assert read.model is second
    assert not second.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_train_or_load_trains_as_fit_does(digits, same_run):
    expected = fitted(VAE(3, hidden=(6,)), digits, CONFIG)
    assert same_run(train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False), expected)


def test_a_kept_run_is_a_checkpoint_of_its_model_config_and_digits(digits, same_run):
    run = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    (path,) = kept()
    assert same_run(load_checkpoint(path, VAE(3, hidden=(6,)), CONFIG, digits), run)


def test_config_may_be_left_out(make_digits, same_run):
    digits = make_digits(4)
    first = train_or_load(AutoEncoder(2, hidden=(4,)), digits, progress=False)
    assert first.config == TrainConfig()
    assert same_run(first, train_or_load(AutoEncoder(2, hidden=(4,)), digits, TrainConfig(), progress=False))


def test_changed_run_trains_beside_the_kept_one(digits):
    train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    train_or_load(VAE(3, hidden=(6,)), digits, replace(CONFIG, beta=0.0), progress=False)
    assert len(kept()) == 2


def test_digits_that_were_written_to_are_trained_on_anew(make_digits):
    digits = make_digits(48)

    def halve_by_torch():
        digits.images[0].mul_(0.5)

    def halve_by_numpy():
        digits.images.numpy()[0] *= 0.5

    def relabel():
        digits.labels[0] = 9

    for runs, change in enumerate((lambda: None, halve_by_torch, halve_by_numpy, relabel), 1):
        change()
        for _ in range(2):
            train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
            assert len(kept()) == runs


@pytest.mark.parametrize("how", ["flipped", "truncated", "emptied", "a later format"])
def test_damaged_kept_run_is_said_and_trained_again(how, digits, same_run, monkeypatch, forbid_training):
    first = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    (path,) = kept()
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[-100] ^= 4
    path.write_bytes(data[: {"truncated": -1, "emptied": 0}.get(how, len(data))])
    if how == "a later format":
        with monkeypatch.context() as patch:
            patch.setattr(hw2.runs.state, "FORMAT", 99)
            save(path, *first)
    with pytest.warns(UserWarning, match=f"training again.*{path.name}"):
        again = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert same_run(first, again)
    forbid_training()
    assert same_run(first, train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False))


# A disk that does not take it


@pytest.mark.parametrize("below", ["runs", "", "runs/of/mine"])
def test_cache_that_cannot_be_written_is_said_before_training(below, digits, tmp_path, monkeypatch, before_step):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("HW2_CACHE", str(tmp_path / "a file" / below))
    steps, said_by_then = [], []
    before_step(lambda n: steps.append(n) or (n == 1 and said_by_then.extend(str(w.message) for w in record)))
    with pytest.warns(UserWarning, match=r"not be kept.*HW2_CACHE") as record:
        run = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert any("not be kept" in message for message in said_by_then)
    assert len(steps) == len(run.history.loss) == 6


def test_disk_that_fills_while_training_does_not_lose_the_run(digits, monkeypatch, same_run, forbid_training):
    """The write after training fails although those before it did not."""
    with monkeypatch.context() as patch:
        replace_ = os.replace

        def full(source, target):
            if str(target).endswith(".safetensors"):
                raise OSError(28, "No space left on device")
            replace_(source, target)

        patch.setattr(os, "replace", full)
        with pytest.warns(UserWarning, match="No space left"):
            run = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert len(run.history.loss) == 6
    assert [path.suffix for path in kept()] == [".under-way"]  # the ended run, all the same
    forbid_training()
    assert same_run(train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False), run)
    assert [path.suffix for path in kept()] == [".safetensors"]


def test_disk_that_is_full_from_the_start_is_said_and_trained_all_the_same(digits, monkeypatch, same_run):
    expected = fitted(VAE(3, hidden=(6,)), digits, CONFIG)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=r"not be kept.*No space left.*HW2_CACHE"):
        run = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert same_run(run, expected)
    assert kept() == []


def stop_in_the_second_epoch(digits, stop_before):
    model = VAE(3, hidden=(6,))
    hook = stop_before(model, 5)
    with pytest.raises(KeyboardInterrupt):
        train_or_load(model, digits, CONFIG, progress=False)
    hook.remove()


def test_stopped_and_then_on_a_full_disk_it_trains_from_fresh_weights(digits, monkeypatch, same_run, stop_before):
    """The file of the stopped run can be read, and its next write fails: its weights are no place to begin."""
    expected = fitted(VAE(3, hidden=(6,)), digits, CONFIG)
    stop_in_the_second_epoch(digits, stop_before)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=r"not be kept.*No space left"):
        assert same_run(train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False), expected)


def test_a_run_under_way_that_fails_halfway_leaves_no_weights_behind(digits, monkeypatch, same_run, stop_before):
    expected = fitted(VAE(3, hidden=(6,)), digits, CONFIG)
    stop_in_the_second_epoch(digits, stop_before)
    load = hw2.Training.load_state_dict

    def fails_at_the_end(training, state):
        load(training, state)
        raise RuntimeError("a generator of another device")

    with monkeypatch.context() as patch:
        patch.setattr(hw2.Training, "load_state_dict", fails_at_the_end)
        with pytest.raises(RuntimeError, match=r"Training\.load_state_dict was replaced"):  # such runs are not kept
            train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
        patch.setattr(hw2.runs.kept, "code", lambda: hw2.runs.identity._CODE)
        with pytest.warns(UserWarning, match=r"from the start.*another device"):
            assert same_run(train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False), expected)


def test_a_cache_under_an_impossible_name_is_said_and_trained_all_the_same(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("HW2_CACHE", str(tmp_path / ("x" * 300)))
    with pytest.warns(UserWarning, match=r"not be kept"):
        assert len(train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False).history.loss) == 6


def test_folder_in_the_place_of_a_run_under_way_is_said(digits):
    path = Path(os.environ["HW2_CACHE"]) / f"{run_key(VAE(3, hidden=(6,)), digits.digest(), CONFIG)}.under-way"
    path.mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"not be kept.*under-way is a folder"):
        assert len(train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False).history.loss) == 6


# What is not kept


def trained(model, digits):
    fit(model, digits, TrainConfig(epochs=1), progress=False)


def scaled(model, _digits):
    model.decoder[-2].bias.data += 1e-3


def replaced(model, _digits):
    model.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 6))


def renamed(model, _digits):
    model.encoder = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(784, 6)))


def enlarged(model, _digits):
    model.extra = nn.Linear(2, 2)


def emptied(model, _digits):
    model.encoder = nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(6))


@pytest.mark.parametrize(
    ("change", "said"),
    [(trained, "fresh model"), (scaled, "fresh model")]
    + [(change, "not as its constructor makes it") for change in (replaced, renamed, enlarged, emptied)],
)
def test_model_that_is_not_fresh_is_refused(change, said, digits, forbid_training):
    """What its constructor does not know is not part of the key."""
    model = VAE(3, hidden=(6,))
    change(model, digits)
    forbid_training()
    with pytest.raises(ValueError, match=said):
        train_or_load(model, digits, CONFIG, progress=False)
    assert kept() == []


def test_a_students_own_vae_is_not_kept_as_ours(digits, forbid_training):
    """It has the same weights, and may compute something else with them."""

    class VAE(hw2.VAE):
        def decode(self, z):
            return 2 * super().decode(z)

    forbid_training()
    with pytest.raises(TypeError, match="hw2's own"):
        train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert kept() == []


def test_what_cannot_be_trained_is_not_kept(make_digits):
    model = AutoEncoder(3, "conv", (2, 3, 4, 5))
    with pytest.raises(ValueError, match="one image"):
        train_or_load(model, make_digits(21), CONFIG, progress=False)
    assert kept() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digits": torch.zeros(2, 1, 28, 28)}, r"digits must be hw2\.Digits, got Tensor"),
        ({"config": "slowly"}, "config must"),
    ],
    ids=["digits", "config"],
)
def test_what_is_of_another_kind_is_said_as_by_fit(change, said, digits):
    run = {"model": VAE(3, hidden=(6,)), "digits": digits, "config": CONFIG} | change
    with pytest.raises(TypeError, match=said):
        train_or_load(**run, progress=False)
    assert kept() == []


def test_a_run_that_diverged_is_said_and_not_kept(digits):
    config = replace(CONFIG, lr=1000.0)
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="do not use this run"):
            run = train_or_load(VAE(3, hidden=(6,)), digits, config, progress=False)
        assert "learning rate" in run.history.problem
        assert len(run.history.loss) == 6
        assert kept() == []


# Runs that were stopped


@pytest.mark.parametrize("step", [1, 8])
def test_a_kept_run_that_was_stopped_goes_on(step, digits, same_run, stop_before, steps_of):
    model = VAE(3, hidden=(8,))
    stop_before(model, step)
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        train_or_load(model, digits, LONG, progress=False)
    assert [path.suffix for path in kept()] == [".under-way"]
    model = VAE(3, hidden=(8,))
    steps = steps_of(model)
    again = train_or_load(model, digits, LONG, progress=False)
    assert len(steps) == {1: 12, 8: 6}[step]
    assert same_run(again, fitted(VAE(3, hidden=(8,)), digits, LONG))
    assert [path.suffix for path in kept()] == [".safetensors"]


def test_the_same_call_goes_on_with_the_same_model_and_gives_an_ended_run_again(digits, same_run):
    model, stop = VAE(3, hidden=(8,)), threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        train_or_load(model, digits, LONG, progress=False, stop=stop)
    run = train_or_load(model, digits, LONG, progress=False)
    assert same_run(run, fitted(VAE(3, hidden=(8,)), digits, LONG))
    assert same_run(train_or_load(model, digits, LONG, progress=False), run)
    with pytest.raises(ValueError, match="a fresh model is needed"):  # which is trained, but not so
        train_or_load(model, digits, replace(LONG, seed=9), progress=False)


def test_another_thread_can_stop_a_kept_run(digits):
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        train_or_load(VAE(3, hidden=(8,)), digits, LONG, progress=False, stop=stop)


@pytest.mark.parametrize("what", ["half of it", "a model alone"])
def test_a_spoilt_run_under_way_is_said_and_trained_from_the_start(what, digits, same_run):
    model = VAE(3, hidden=(8,))
    path = Path(os.environ["HW2_CACHE"]) / f"{run_key(model, digits.digest(), CONFIG)}.under-way"
    if what == "half of it":
        path.parent.mkdir()
        path.write_bytes(b"half of it")
    else:
        save(path, model, None, CONFIG, digits.digest())
    with pytest.warns(UserWarning, match=rf"from the start.*{re.escape(path.name)} is"):
        run = train_or_load(model, digits, CONFIG, progress=False)
    assert same_run(run, fitted(VAE(3, hidden=(8,)), digits, CONFIG))
    assert [path.suffix for path in kept()] == [".safetensors"]


def test_a_run_under_way_in_the_place_of_an_ended_one_is_not_taken_for_it(digits, same_run, path, stop_before):
    whole = train_or_load(VAE(3, hidden=(8,)), digits, LONG, progress=False)
    model = VAE(3, hidden=(8,))
    stop_before(model, 5)
    with pytest.raises(KeyboardInterrupt):
        fit_with_checkpoint(model, digits, LONG, path, progress=False)
    (place,) = kept()
    path.replace(place)
    with pytest.warns(UserWarning, match="training again.*under way"):
        assert same_run(train_or_load(VAE(3, hidden=(8,)), digits, LONG, progress=False), whole)


CELL = """
import torch, hw2
torch.set_num_threads(1)
digits = hw2.Digits(*torch.load({digits!r}))
config = hw2.TrainConfig(epochs=100, batch_size=16)
run = hw2.train_or_load(hw2.VAE(3, hidden=(8,)), digits, config, progress=False)
"""


@pytest.mark.slow
def test_an_interrupted_cell_stops_run_all_and_run_again_goes_on(digits, tmp_path, same_run):
    """In a kernel of its own, with the next cell already waiting."""
    manager = pytest.importorskip("jupyter_client.manager")
    torch.save((digits.images, digits.labels), tmp_path / "digits.pt")
    cell = CELL.format(digits=str(tmp_path / "digits.pt"))
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    try:

        def reply(sent):
            while (message := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != sent:
                pass
            return message["content"]

        def epochs_ended():
            return sum(len(read_run(p)[0]["history.loss"]) // 3 for p in kept() if p.suffix == ".under-way")

        training, next_cell = client.execute(cell), client.execute("print('went on')")
        deadline = time.monotonic() + 60
        while not epochs_ended() and time.monotonic() < deadline:
            time.sleep(0.01)
        kernel.interrupt_kernel()
        answer = reply(training)
        assert answer["ename"] == "KeyboardInterrupt"
        assert "the same call goes on" in answer["evalue"]
        assert reply(next_cell)["status"] == "aborted"
        assert [path.suffix for path in kept()] == [".under-way"]
        assert 0 < epochs_ended() < 100
        assert reply(client.execute(cell))["status"] == "ok"
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    (path,) = kept()
    config = TrainConfig(epochs=100, batch_size=16)
    assert same_run(load_checkpoint(path), fitted(VAE(3, hidden=(8,)), digits, config))

"""A run that was stopped goes on to the same bits, and is never taken for one that ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hw2 import VAE, AutoEncoder, ConditionedVAE, TrainConfig, fit, load_checkpoint, save, train_or_load
from hw2.checkpoints import Run
from hw2.state import differences

CONFIG = TrainConfig(beta=0.01, epochs=4, batch_size=16, lr=3e-3, seed=5)  # 3 steps an epoch
MODELS = {
    "AE": lambda: AutoEncoder(3, hidden=(8,)),
    "VAE": lambda: VAE(3, hidden=(8,)),
    "conv": lambda: VAE(3, "conv", (2, 3, 4, 5)),
    "conditioned": lambda: ConditionedVAE(3, hidden=(8,)),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some" / "run.safetensors"


def stop_before(model, step, error=KeyboardInterrupt):
    """The model raises in training, before its forward pass of that step, counted from 1."""
    calls = []

    def count(module, _args):
        calls.append(module.training)
        if sum(calls) == step:
            raise error

    return model.encoder[0].register_forward_pre_hook(count)  # which a ConditionedVAE calls too


def interrupted(model, digits, config, path, step):
    hook = stop_before(model, step)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(model, digits, config, progress=False, checkpoint=path)
    hook.remove()
    return str(caught.value)


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
@pytest.mark.parametrize("step", [1, 3, 4, 8, 12])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_stopped_run_ends_bitwise_as_one_that_was_not(make, step, schedule, path, digits, same_run):
    config = replace(CONFIG, schedule=schedule)
    whole = make()
    whole = Run(whole, fit(whole, digits, config, progress=False), config)
    message = interrupted(make(), digits, config, path, step)
    assert str(path) in message
    assert "resume=True" in message

    trained, model = [], make()
    model.encoder[0].register_forward_pre_hook(lambda module, _args: trained.append(module.training))
    again = Run(model, fit(model, digits, config, progress=False, checkpoint=path, resume=True), config)
    assert same_run(again, whole)
    assert sum(trained) == 12 - (step - 1) // 3 * 3  # the epochs that had ended are not trained again
    assert same_run(load_checkpoint(path), whole)


def test_a_run_may_be_stopped_often(path, digits, same_run):
    whole = VAE(3, hidden=(8,))
    whole = Run(whole, fit(whole, digits, CONFIG, progress=False), CONFIG)
    for step in (5, 5, 2):
        model = VAE(3, hidden=(8,))
        stop_before(model, step)
        with pytest.raises(KeyboardInterrupt):
            fit(model, digits, CONFIG, progress=False, checkpoint=path, resume=True)
    model = VAE(3, hidden=(8,))
    assert same_run(Run(model, fit(model, digits, CONFIG, progress=False, checkpoint=path, resume=True), CONFIG), whole)


def test_a_run_under_way_is_refused_as_a_checkpoint(path, digits):
    interrupted(VAE(3, hidden=(8,)), digits, CONFIG, path, 8)
    with pytest.raises(ValueError, match=r"run under way, 2 of 4 epochs.*resume=True") as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


def test_an_ended_run_is_not_trained_again(path, digits, same_run):
    first, second = VAE(3, hidden=(8,)), VAE(3, hidden=(8,))
    run = Run(first, fit(first, digits, CONFIG, progress=False, checkpoint=path), CONFIG)
    stop_before(second, 1, AssertionError("this trained"))
    assert same_run(Run(second, fit(second, digits, CONFIG, checkpoint=path, resume=True), CONFIG), run)
    assert not second.training


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m, d, c: (m, d, replace(c, beta=0.5)), r"config\.beta is 0\.01 there and 0\.5 here"),
        (lambda m, d, c: (m, d, replace(c, epochs=9)), r"config\.epochs is 4 there and 9 here"),
        (lambda m, d, c: (m, d, replace(c, likelihood="bernoulli")), r"config\.likelihood is 'gaussian' there"),
        (lambda m, d, c: (VAE(2, hidden=(8,)), d, c), r"model\.latent_dim is 3 there and 2 here"),
        (lambda m, d, c: (VAE(3, hidden=(8, 8)), d, c), r"model\.hidden is \[8\] there and \(8, 8\) here"),
        (lambda m, d, c: (AutoEncoder(3, hidden=(8,)), d, c), r"model\.kind is 'VAE' there and 'AutoEncoder' here"),
        (lambda m, d, c: (m, d[:32], c), r"data is \w{12}… there"),
    ],
    ids=["beta", "epochs", "likelihood", "latent size", "hidden", "kind", "data"],
)
def test_another_runs_file_is_refused_with_what_differs(change, named, path, digits, unchanged):
    interrupted(VAE(3, hidden=(8,)), digits, CONFIG, path, 5)
    before = path.read_bytes()
    model, data, config = change(VAE(3, hidden=(8,)), digits, CONFIG)
    model.eval()
    with unchanged(model), pytest.raises(ValueError, match=named) as caught:
        fit(model, data, config, progress=False, checkpoint=path, resume=True)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_another_torch_is_said(path, digits, monkeypatch):
    interrupted(VAE(3, hidden=(8,)), digits, CONFIG, path, 5)
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    with pytest.raises(ValueError, match=r"torch is '.*' there and '2\.99\.0' here"):
        fit(VAE(3, hidden=(8,)), digits, CONFIG, checkpoint=path, resume=True)


def test_a_file_that_is_there_is_not_overwritten_without_being_asked(path, digits):
    interrupted(VAE(3, hidden=(8,)), digits, CONFIG, path, 5)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"run\.safetensors exists.*resume=True"):
        fit(VAE(3, hidden=(8,)), digits, CONFIG, progress=False, checkpoint=path)
    assert path.read_bytes() == before


def test_resuming_needs_a_file_name_and_starts_where_there_is_none(path, digits):
    with pytest.raises(ValueError, match="checkpoint=path"):
        fit(VAE(3, hidden=(8,)), digits, CONFIG, resume=True)
    fit(VAE(3, hidden=(8,)), digits, CONFIG, progress=False, checkpoint=path, resume=True)
    assert load_checkpoint(path).config == CONFIG


@pytest.mark.parametrize("share", [0, 0.3, 0.999])
def test_a_damaged_file_is_refused_with_its_path(share, path, digits):
    interrupted(VAE(3, hidden=(8,)), digits, CONFIG, path, 5)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"run\.safetensors is damaged"):
        fit(VAE(3, hidden=(8,)), digits, CONFIG, progress=False, checkpoint=path, resume=True)


def test_a_place_that_cannot_be_written_is_said_before_training(digits, tmp_path):
    (tmp_path / "a file").touch()
    model = VAE(3, hidden=(8,))
    stop_before(model, 1, AssertionError("this trained"))
    with pytest.raises(OSError, match="a file"):
        fit(model, digits, CONFIG, checkpoint=tmp_path / "a file" / "run")


def test_a_disk_that_fills_costs_no_training(path, digits, monkeypatch, same_run):
    whole, model, replace_, calls = VAE(3, hidden=(8,)), VAE(3, hidden=(8,)), os.replace, []

    def full(*names):
        calls.append(names)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        replace_(*names)

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=r"epoch \d could not be written: .*No space left"):
        run = Run(model, fit(model, digits, CONFIG, progress=False, checkpoint=path), CONFIG)
    assert same_run(run, Run(whole, fit(whole, digits, CONFIG, progress=False), CONFIG))
    with pytest.raises(ValueError, match="1 of 4 epochs"):  # what was written last is whole
        load_checkpoint(path)


def test_a_diverged_run_leaves_the_last_good_epoch(path, digits):
    """An encoder that gives a mu whose square overflows, from the second step of the third epoch on."""
    model, calls = VAE(3, hidden=(8,)), []

    def spoil(module, _args, out):
        calls.append(module.training)
        return out + 1e25 if sum(calls) >= 8 else out

    hook = model.encoder.register_forward_hook(spoil)
    with pytest.raises(FloatingPointError, match="kl is inf at step 8"):
        fit(model, digits, CONFIG, progress=False, checkpoint=path)
    with pytest.raises(ValueError, match="2 of 4 epochs"):
        load_checkpoint(path)
    hook.remove()
    fit(VAE(3, hidden=(8,)), digits, CONFIG, progress=False, checkpoint=path, resume=True)
    assert load_checkpoint(path).history.loss.isfinite().all()


def test_another_thread_can_stop_a_run(path, digits):
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt, match="goes on"):
        fit(VAE(3, hidden=(8,)), digits, CONFIG, progress=False, checkpoint=path, stop=stop)


def test_an_interrupt_without_a_file_is_just_that(digits):
    model = VAE(3, hidden=(8,))
    stop_before(model, 4)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(model, digits, CONFIG, progress=False)
    assert str(caught.value) == ""
    assert not model.training


@pytest.mark.parametrize("name", ["", ".", "folder"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_is_no_checkpoint(name, resume, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder: checkpoint is the name of a file"):
        fit(VAE(3, hidden=(8,)), digits, CONFIG, checkpoint=name, resume=resume)


@pytest.mark.usefixtures("two_threads")
def test_a_run_goes_on_with_the_number_of_threads_that_it_began_with(path, digits, same_run):
    """The default network: with two threads the bits are others."""
    torch.set_num_threads(1)
    whole = VAE(32)
    whole = Run(whole, fit(whole, digits, CONFIG, progress=False), CONFIG)
    interrupted(VAE(32), digits, CONFIG, path, 5)
    torch.set_num_threads(2)
    model = VAE(32)
    again = Run(model, fit(model, digits, CONFIG, progress=False, checkpoint=path, resume=True), CONFIG)
    assert same_run(again, whole)
    assert again.history.threads == 1
    assert torch.get_num_threads() == 2


def test_differences_are_named_from_outside_in():
    found = {"a": 1, "b": {"c": [1, 2], "d": 4}, "more": 0}
    assert differences(found, {"a": 1, "b": {"c": (1, 2), "d": 4}}) == []
    assert differences(found, {"a": 2, "b": {"c": (1, 3), "d": 4}, "e": None}) == [
        "a is 1 there and 2 here",
        "b.c is [1, 2] there and (1, 3) here",
    ]


# Kept runs


@pytest.mark.parametrize("step", [1, 8])
def test_a_kept_run_that_was_stopped_goes_on(step, digits, same_run):
    whole = VAE(3, hidden=(8,))
    whole = Run(whole, fit(whole, digits, CONFIG, progress=False), CONFIG)
    model = VAE(3, hidden=(8,))
    stop_before(model, step)
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        train_or_load(model, digits, CONFIG, progress=False)
    trained, model = [], VAE(3, hidden=(8,))
    model.encoder[0].register_forward_pre_hook(lambda module, _args: trained.append(module.training))
    assert same_run(train_or_load(model, digits, CONFIG, progress=False), whole)
    assert sum(trained) == {1: 12, 8: 6}[step]
    assert [path.suffix for path in Path(os.environ["HW2_CACHE"]).iterdir()] == [".safetensors"]


def test_a_damaged_run_under_way_is_said_and_trained_from_the_start(digits, same_run):
    whole = train_or_load(VAE(3, hidden=(8,)), digits, replace(CONFIG, epochs=2), progress=False)
    (path,) = Path(os.environ["HW2_CACHE"]).iterdir()
    path.rename(path.with_suffix(".under-way"))
    path.with_suffix(".under-way").write_bytes(b"half of it")
    with pytest.warns(UserWarning, match=r"from the start.*under-way is damaged"):
        again = train_or_load(VAE(3, hidden=(8,)), digits, replace(CONFIG, epochs=2), progress=False)
    assert same_run(again, whole)


def test_a_run_under_way_in_the_place_of_an_ended_one_is_not_taken_for_it(digits, same_run, path):
    whole = train_or_load(VAE(3, hidden=(8,)), digits, CONFIG, progress=False)
    interrupted(VAE(3, hidden=(8,)), digits, CONFIG, path, 5)
    (place,) = Path(os.environ["HW2_CACHE"]).iterdir()
    path.replace(place)
    with pytest.warns(UserWarning, match="training again.*under way"):
        assert same_run(train_or_load(VAE(3, hidden=(8,)), digits, CONFIG, progress=False), whole)


# Real signals

SCRIPT = """
import sys, torch, hw2
torch.set_num_threads(1)
digits = hw2.Digits(*torch.load(sys.argv[1]))
config = hw2.TrainConfig(epochs=500, batch_size=16)
model = hw2.VAE(3, hidden=(8,))
print("training", flush=True)
hw2.fit(model, digits, config, progress=False, checkpoint=sys.argv[2], resume=True)
"""


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_leaves_what_another_goes_on_from(kill, digits, path, tmp_path, same_run):
    torch.save((digits.images, digits.labels), tmp_path / "digits.pt")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "digits.pt"), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "training\n"
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(kill)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    if kill == signal.SIGINT:
        assert f"KeyboardInterrupt: stopped. {path} has the epochs that ended; the same call goes on" in errors
    with pytest.raises(ValueError, match="under way"):
        load_checkpoint(path)

    config = TrainConfig(epochs=500, batch_size=16)
    model, whole = VAE(3, hidden=(8,)), VAE(3, hidden=(8,))
    run = Run(model, fit(model, digits, config, progress=False, checkpoint=path, resume=True), config)
    assert same_run(run, Run(whole, fit(whole, digits, config, progress=False), config))


CELL = """
import torch, hw2
torch.set_num_threads(1)
digits = hw2.Digits(*torch.load({digits!r}))
config = hw2.TrainConfig(epochs=500, batch_size=16)
run = hw2.train_or_load(hw2.VAE(3, hidden=(8,)), digits, config, progress=False)
"""


def test_an_interrupted_cell_stops_run_all_and_run_again_goes_on(digits, tmp_path, same_run):
    """In a kernel of its own, with the next cell already waiting."""
    manager = pytest.importorskip("jupyter_client.manager")
    torch.save((digits.images, digits.labels), tmp_path / "digits.pt")
    cell = CELL.format(digits=str(tmp_path / "digits.pt"))
    runs = Path(os.environ["HW2_CACHE"])
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    try:

        def reply(sent):
            while (message := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != sent:
                pass
            return message["content"]

        training, next_cell = client.execute(cell), client.execute("print('went on')")
        deadline = time.monotonic() + 60
        while not list(runs.glob("*.under-way")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        kernel.interrupt_kernel()
        answer = reply(training)
        assert answer["ename"] == "KeyboardInterrupt"
        assert "the same call goes on" in answer["evalue"]
        assert reply(next_cell)["status"] == "aborted"
        assert [path.suffix for path in runs.iterdir()] == [".under-way"]
        assert reply(client.execute(cell))["status"] == "ok"
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    (path,) = runs.iterdir()
    config = TrainConfig(epochs=500, batch_size=16)
    whole = VAE(3, hidden=(8,))
    assert same_run(load_checkpoint(path), Run(whole, fit(whole, digits, config, progress=False), config))


def test_the_number_of_threads_is_recorded(path, digits):
    model = VAE(3, hidden=(8,))
    history = fit(model, digits, CONFIG, progress=False)
    assert history.threads == torch.get_num_threads()
    save(path, model, history, CONFIG)
    assert load_checkpoint(path).history.threads == history.threads

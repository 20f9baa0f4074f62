"""What was saved comes back bit by bit or not at all, and nothing trains twice unless something changed."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import hw2.checkpoints
import hw2.losses
import hw2.state
from hw2 import VAE, AutoEncoder, ConditionedVAE, TrainConfig, fit, load_checkpoint, reconstruct, save, train_or_load
from hw2.checkpoints import Run, describe, run_key

CONFIG = TrainConfig(beta=0.02, epochs=2, batch_size=20, lr=3e-3, likelihood="bernoulli", seed=4)
ARCHS = [("mlp", (8,)), ("mlp", ()), ("conv", (2, 3, 4, 5))]


@pytest.fixture
def run(digits):
    model = VAE(3, hidden=(6,), seed=2)
    return Run(model, fit(model, digits, CONFIG, progress=False), CONFIG)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some" / "model.safetensors"


def kept():
    return list(Path(os.environ["HW2_CACHE"]).glob("*"))


def no_training(*_args, **_options):
    raise AssertionError("this trained")


# Save and load


@pytest.mark.parametrize(("arch", "hidden"), ARCHS)
@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_round_trip_is_bitwise(kind, arch, hidden, path, digits, same_run, unchanged):
    """Weights, BatchNorm's statistics, history and config."""
    model = kind(3, arch, hidden, seed=7)
    run = Run(model, fit(model, digits, CONFIG, progress=False), CONFIG)
    with unchanged(model):
        save(path, *run, digits.digest())
    back = load_checkpoint(path)
    assert same_run(run, back)
    assert type(back.model) is kind
    assert (back.model.latent_dim, back.model.arch, back.model.hidden, back.model.seed) == (3, arch, hidden, 7)
    assert torch.equal(reconstruct(back.model, digits.images), reconstruct(model, digits.images))


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ({"model": VAE(3, hidden=(7,))}, "model.hidden is [6] there and (7,) here"),
        ({"model": AutoEncoder(3, hidden=(6,))}, "model.kind is 'VAE' there and 'AutoEncoder' here"),
        ({"config": dataclasses.replace(CONFIG, likelihood="gaussian")}, "config.likelihood is 'bernoulli' there"),
        (
            {"config": dataclasses.replace(CONFIG, beta=0.1, seed=5)},
            "config.beta is 0.02 there and 0.1 here; config.seed",
        ),
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
    with pytest.raises(TypeError, match="history must be a History, got TrainConfig"):
        save(path, run.model, run.config, run.history)
    with pytest.raises(TypeError, match="data_digest must be a str, got Digits"):
        save(path, *run, digits)
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


def test_paths_may_be_strings(path, run, same_run):
    save(str(path), *run)
    assert same_run(run, load_checkpoint(str(path)))


def test_file_is_plain_safetensors(path, run):
    """So that it can be read without this package, and cannot run code."""
    save(path, *run)
    tensors = safetensors.torch.load_file(path)
    weights = run.model.state_dict()
    assert all(any(torch.equal(t, tensor) for tensor in tensors.values()) for t in weights.values())


def test_missing_file_is_not_found(path):
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_checkpoint(path)


def test_only_the_modules_own_kinds_of_model_are_saved(path, run):
    with pytest.raises(TypeError, match="AutoEncoder, VAE, ConditionedVAE, got Linear"):
        save(path, nn.Linear(2, 2), run.history, run.config)
    assert not path.exists()


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


def test_checkpoint_of_a_later_format_is_refused_by_its_number(path, run, monkeypatch):
    monkeypatch.setattr(hw2.state, "FORMAT", 99)
    save(path, *run)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format 99") as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("method", ["replace", "fsync", "write_bytes"])
def test_failing_write_leaves_the_old_file(method, path, run, digits, same_run, monkeypatch):
    save(path, *run)

    def fail(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path if method == "write_bytes" else os, method, fail)
        with pytest.raises(OSError, match="No space left"):
            save(path, AutoEncoder(2, hidden=(4,)), run.history, run.config)
    assert same_run(run, load_checkpoint(path))
    assert list(path.parent.iterdir()) == [path]


# Kept runs


@pytest.mark.parametrize(("arch", "hidden"), ARCHS)
@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_second_call_reads_what_the_first_one_trained(kind, arch, hidden, digits, same_run, monkeypatch):
    first = train_or_load(kind(3, arch, hidden), digits, CONFIG, progress=False)
    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    second = train_or_load(kind(3, arch, hidden), digits, CONFIG, progress=False)
    assert same_run(first, second)
    assert first.model.training == second.model.training == False  # noqa: E712
    assert len(kept()) == 1


def test_train_or_load_trains_as_fit_does(digits, same_run):
    model = VAE(3, hidden=(6,))
    fitted = Run(model, fit(model, digits, CONFIG, progress=False), CONFIG)
    assert same_run(train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False), fitted)


def test_config_may_be_left_out(make_digits, same_run):
    digits = make_digits(4)
    first = train_or_load(AutoEncoder(2, hidden=(4,)), digits, progress=False)
    assert first.config == TrainConfig()
    assert same_run(first, train_or_load(AutoEncoder(2, hidden=(4,)), digits, TrainConfig(), progress=False))


def test_kept_run_is_read_in_another_process(digits, tmp_path):
    """The key may not depend on Python's salted hash, nor on the order in which something was imported."""
    key = run_key(VAE(3, hidden=(6,)), digits.digest(), CONFIG)
    torch.save((digits.images, digits.labels), tmp_path / "digits.pt")
    script = (
        "import sys, torch, hw2; from hw2.checkpoints import run_key\n"
        "digits = hw2.Digits(*torch.load(sys.argv[1]))\n"
        "config = hw2.TrainConfig(seed=4, likelihood='bernoulli', lr=3e-3, batch_size=20, epochs=2, beta=0.02)\n"
        "print(run_key(hw2.VAE(3, hidden=(6,)), digits.digest(), config))\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "digits.pt")], capture_output=True, text=True, timeout=120
    )
    assert other.stdout.strip() == key, other.stderr


@pytest.mark.parametrize(
    "change",
    [{"beta": 0.03}, {"epochs": 3}, {"batch_size": 21}, {"lr": 2e-3}, {"schedule": "one-cycle"},
     {"likelihood": "gaussian"}, {"seed": 5}, {"device": "auto"}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_another_config_is_another_run(change, digits):
    model = VAE(3, hidden=(6,))
    assert run_key(model, digits.digest(), CONFIG) != run_key(
        model, digits.digest(), dataclasses.replace(CONFIG, **change)
    )


def test_the_list_above_has_every_field_of_the_config():
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    assert names == {"beta", "epochs", "batch_size", "lr", "schedule", "likelihood", "seed", "device"}


@pytest.mark.parametrize(
    "other",
    [
        AutoEncoder(3, hidden=(6,)),
        VAE(4, hidden=(6,)),
        VAE(3, hidden=(7,)),
        VAE(3, hidden=(6, 6)),
        VAE(3, hidden=(6,), seed=1),
        VAE(3, "conv", (2, 3, 4, 5)),
    ],
    ids=["kind", "latent size", "hidden size", "depth", "seed", "arch"],
)
def test_another_model_is_another_run(other, digits):
    assert run_key(VAE(3, hidden=(6,)), digits.digest(), CONFIG) != run_key(other, digits.digest(), CONFIG)


def test_other_data_is_another_run(digits, make_digits):
    model = VAE(3, hidden=(6,))
    keys = {run_key(model, d.digest(), CONFIG) for d in (digits, digits[:47], make_digits(48, seed=1))}
    assert len(keys) == 3
    assert run_key(model, make_digits(48).digest(), CONFIG) in keys


def test_other_torch_or_code_is_another_run(digits, monkeypatch):
    model = VAE(3, hidden=(6,))
    keys = {run_key(model, digits.digest(), CONFIG)}
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "2.99.0")
        keys.add(run_key(model, digits.digest(), CONFIG))
    assert len(keys) == 2


def test_code_that_changed_after_its_import_is_refused(digits, monkeypatch, tmp_path):
    """Else what the old code trains would be kept, and found, as the new code's."""
    changed = tmp_path / "losses.py"
    changed.write_text("# mended", encoding="utf-8")
    monkeypatch.setattr(hw2.losses, "__file__", str(changed))
    with pytest.raises(RuntimeError, match="restart the kernel"):
        train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert kept() == []


def test_changed_run_trains_beside_the_kept_one(digits):
    train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    train_or_load(VAE(3, hidden=(6,)), digits, dataclasses.replace(CONFIG, beta=0.0), progress=False)
    assert len(kept()) == 2


@pytest.mark.parametrize("how", ["flipped", "truncated", "emptied", "a later format"])
def test_damaged_kept_run_is_said_and_trained_again(how, digits, same_run, monkeypatch, recwarn):
    first = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    (path,) = kept()
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[-100] ^= 4
    path.write_bytes(data[: {"truncated": -1, "emptied": 0}.get(how, len(data))])
    if how == "a later format":
        with monkeypatch.context() as patch:
            patch.setattr(hw2.state, "FORMAT", 99)
            save(path, *first)
    with pytest.warns(UserWarning, match=f"training again.*{path.name}"):
        again = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert same_run(first, again)
    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    assert same_run(first, train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False))


@pytest.mark.parametrize("below", ["runs", "", "runs/of/mine"])
def test_cache_that_cannot_be_written_is_said_before_training(below, digits, tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("HW2_CACHE", str(tmp_path / "a file" / below))
    said_by_then = []

    def training(*args, **options):
        said_by_then.extend(str(warning.message) for warning in record)
        return fit(*args, **options)

    monkeypatch.setattr(hw2.checkpoints, "fit", training)
    with pytest.warns(UserWarning, match=r"not be kept.*HW2_CACHE") as record:
        run = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert any("not be kept" in message for message in said_by_then)
    assert len(run.history.loss) == 6


def test_disk_that_fills_while_training_does_not_lose_the_run(digits, monkeypatch, same_run):
    """The write after training fails although the one before it did not."""
    replace, path_of_cache = os.replace, os.environ["HW2_CACHE"]

    def full(source, target):
        if str(target).endswith(".safetensors"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match="No space left"):
        run = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert len(run.history.loss) == 6
    assert [path.suffix for path in kept()] == [".under-way"]  # the ended run, all the same
    monkeypatch.undo()
    monkeypatch.setenv("HW2_CACHE", str(path_of_cache))
    model = VAE(3, hidden=(6,))
    model.encoder.register_forward_pre_hook(lambda module, _args: no_training() if module.training else None)
    assert same_run(train_or_load(model, digits, CONFIG, progress=False), run)
    assert [path.suffix for path in kept()] == [".safetensors"]


def test_disk_that_is_full_from_the_start_is_said_and_trained_all_the_same(digits, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=r"not be kept.*cannot be written.*No space left.*HW2_CACHE"):
        run = train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert len(run.history.loss) == 6
    assert kept() == []


def test_folder_in_the_place_of_a_run_under_way_is_said(digits):
    path = Path(os.environ["HW2_CACHE"]) / f"{run_key(VAE(3, hidden=(6,)), digits.digest(), CONFIG)}.under-way"
    path.mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"not be kept.*under-way is a folder"):
        assert len(train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False).history.loss) == 6


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


@pytest.mark.parametrize("change", [trained, scaled, replaced, renamed, enlarged, emptied])
def test_model_that_is_not_fresh_is_refused(change, digits, monkeypatch):
    """What its constructor does not know is not part of the key."""
    model = VAE(3, hidden=(6,))
    change(model, digits)
    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    with pytest.raises(ValueError, match="fresh model"):
        train_or_load(model, digits, CONFIG, progress=False)
    assert kept() == []


def test_a_students_own_vae_is_not_kept_as_ours(digits, monkeypatch):
    """It has the same weights, and may compute something else with them."""

    class VAE(hw2.VAE):
        def decode(self, z):
            return 2 * super().decode(z)

    monkeypatch.setattr(hw2.checkpoints, "fit", no_training)
    with pytest.raises(TypeError, match="hw2's own"):
        train_or_load(VAE(3, hidden=(6,)), digits, CONFIG, progress=False)
    assert kept() == []


def test_another_kind_of_file_of_weights_is_refused_with_its_path():
    with pytest.raises(ValueError, match="judge"):
        load_checkpoint(hw2.data.ASSETS / "judge.safetensors")


def test_what_cannot_be_trained_is_not_kept(make_digits):
    model = AutoEncoder(3, "conv", (2, 3, 4, 5))
    with pytest.raises(ValueError, match="one image"):
        train_or_load(model, make_digits(21), CONFIG, progress=False)
    assert kept() == []


def test_a_conditioned_network_is_kept_like_any_other(digits, same_run):
    config = TrainConfig(epochs=1, batch_size=16)
    make = lambda: ConditionedVAE(3, hidden=(8,), betas=(1e-4, 1e-3), seed=2)  # noqa: E731
    first, again = (train_or_load(make(), digits, config, progress=False) for _ in range(2))
    assert same_run(first, again)
    assert again.model.betas == (1e-4, 1e-3)
    assert describe(again.model) == describe(make())


def test_the_model_passed_in_is_the_runs_model_whether_trained_or_read(digits):
    config = TrainConfig(epochs=1, batch_size=10)
    first, second = VAE(3, hidden=(8,)), VAE(3, hidden=(8,))
    trained = train_or_load(first, digits, config, progress=False)
    read = train_or_load(second, digits, config, progress=False)
    assert trained.model is first
    assert read.model is second
    assert not second.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

"""What a run is of, in words and in a file: nothing that decides it is left out, and nothing is lost on the way."""

import json
import re
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

import hw2.data
import hw2.runs.state
from hw2 import VAE, AutoEncoder, ConditionedVAE, TrainConfig, Training, fit, load_checkpoint
from hw2.runs.state import build, describe, differences, identity, read_run, training_state, write_run

CONFIG = TrainConfig(beta=0.02, epochs=2, batch_size=16, lr=3e-3, schedule="one-cycle", seed=4)
MODELS = {
    "AE": lambda: AutoEncoder(3, hidden=(8,), seed=2),
    "no hidden layer": lambda: VAE(3, hidden=()),
    "VAE": lambda: VAE(2, hidden=(8, 6), seed=2**63 - 1),
    "conv": lambda: VAE(3, "conv", (2, 3, 4, 5), seed=7),
    "conditioned": lambda: ConditionedVAE(3, (8,), betas=(1e-4, 0.3), seed=2),
}
CHANGES = {"beta": 0.03, "epochs": 3, "batch_size": 21, "lr": 2e-3, "schedule": "constant", "likelihood": "bernoulli",
           "seed": 5, "device": "auto"}  # fmt: skip


def test_the_list_above_has_every_field_of_the_config():
    assert set(CHANGES) == {field.name for field in fields(TrainConfig)}


# Describe and build


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_is_built_again_from_its_description_as_json(make, global_rng_untouched):
    model = make()
    again = build(json.loads(json.dumps(describe(model))))
    assert type(again) is type(model)
    assert describe(again) == describe(model)
    assert again.hidden == model.hidden
    weights = model.state_dict()
    assert again.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in again.state_dict().items())


def test_a_description_is_of_the_constructors_arguments_not_of_the_weights(digits):
    model = VAE(3, hidden=(8,))
    fit(model, digits, TrainConfig(epochs=1), progress=False)
    assert describe(model) == describe(VAE(3, hidden=(8,)))


def test_only_the_modules_own_kinds_of_model_are_described():
    class VAE(hw2.VAE):
        """A student's own: of the same name and weights, and may compute something else with them."""

    for model in (nn.Linear(2, 2), VAE(3)):
        with pytest.raises(
            TypeError, match=r"AutoEncoder, VAE, ConditionedVAE, got (Linear|VAE) of (torch|test_state)"
        ):
            describe(model)


# Identity and differences


def test_an_identity_holds_all_that_decides_a_run_as_json(digits):
    about = identity(VAE(3, hidden=(8,)), CONFIG, digits.digest())
    found = json.loads(json.dumps(about))
    assert differences(found, about) == []
    assert found["config"] == {field.name: getattr(CONFIG, field.name) for field in fields(TrainConfig)}
    assert found["model"] | {"kind": "VAE", "latent_dim": 3, "hidden": [8], "arch": "mlp", "seed": 0} == found["model"]
    assert (found["torch"], found["data"]) == (torch.__version__, digits.digest())


@pytest.mark.parametrize("name", CHANGES)
def test_another_config_is_another_identity(name):
    here = identity(VAE(3), CONFIG, "")
    there = identity(VAE(3), replace(CONFIG, **{name: CHANGES[name]}), "")
    assert differences(there, here) == [f"config.{name} is {CHANGES[name]!r} there and {getattr(CONFIG, name)!r} here"]


def test_a_model_without_a_known_run_has_an_identity_too(digits):
    unknown, known = identity(VAE(3), None, ""), identity(VAE(3), CONFIG, digits.digest())
    assert differences(json.loads(json.dumps(unknown)), unknown) == []
    data, config = differences(unknown, known)
    assert data == f"data is '' there and {digits.digest()[:12]}… here"
    assert config.startswith("config is None there and {'beta': 0.02")


def test_differences_are_named_from_outside_in():
    found = {"a": 1, "b": {"c": [1, 2], "d": 4}, "more": 0}
    assert differences(found, {"a": 1, "b": {"c": (1, 2), "d": 4}}) == []
    assert differences(found, {"a": 2, "b": {"c": (1, 3), "d": 4}, "e": None, "f": 5}) == [
        "a is 1 there and 2 here",
        "b.c is [1, 2] there and (1, 3) here",
        "f is None there and 5 here",
    ]


# The file


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
@pytest.mark.parametrize("epochs", [0, 1, 2])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_all_that_the_next_step_needs_comes_back_bitwise(make, epochs, schedule, digits, path):
    def same(a, b):
        if isinstance(a, torch.Tensor):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
        elif isinstance(a, dict):
            assert a.keys() == b.keys()
            for name in a:
                same(a[name], b[name])
        elif isinstance(a, list | tuple):
            assert len(a) == len(b)
            for one, other in zip(a, b, strict=True):
                same(one, other)
        else:
            assert a == b

    with Training(make(), digits, replace(CONFIG, schedule=schedule)) as training:
        for _ in range(epochs):
            training.run_epoch()
        state = training.state_dict()
    write_run(path, {"said": "so"}, state)
    tensors, about = read_run(path)
    assert about["said"] == "so"
    same(training_state(tensors, about), state)


@pytest.mark.parametrize("number", [2, 99])
def test_another_format_is_refused_by_its_number_and_path(number, path, monkeypatch):
    monkeypatch.setattr(hw2.runs.state, "FORMAT", number)
    write_run(path, {}, {"model": VAE(3).state_dict()})
    monkeypatch.undo()
    for read in (read_run, load_checkpoint):
        with pytest.raises(ValueError, match=rf"{re.escape(str(path))} has checkpoint format {number}, .* reads 3"):
            read(path)


def test_another_kind_of_file_of_weights_is_refused_with_its_path():
    with pytest.raises(ValueError, match="judge"):
        read_run(hw2.data.ASSETS / "judge.safetensors")

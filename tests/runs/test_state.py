"""A run in a file: nothing that the next step needs is lost on the way."""

import re
from dataclasses import replace

import pytest
import torch
from kinds import CONFIG, MODELS

import hw2.data
import hw2.runs.state
from hw2 import VAE, Training, load_checkpoint
from hw2.runs.state import FORMAT, read_run, training_state, write_run


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
    assert state.pop("held_out") == []  # a run in a file has no held-out digits
    mine = len(training.images), training.config.batch_size
    assert (state.pop("images"), state.pop("batch_size")) == mine  # which the run's identity tells
    write_run(path, {"said": "so"}, state)
    tensors, about = read_run(path)
    assert about["said"] == "so"
    same(training_state(tensors, about), state)


@pytest.mark.parametrize("number", [FORMAT - 1, 99])
def test_another_format_is_refused_by_its_number_and_path(number, path, monkeypatch):
    monkeypatch.setattr(hw2.runs.state, "FORMAT", number)
    write_run(path, {}, {"model": VAE(3).state_dict()})
    monkeypatch.undo()
    for read in (read_run, load_checkpoint):
        with pytest.raises(
            ValueError, match=rf"{re.escape(str(path))} has checkpoint format {number}, .* reads {FORMAT}"
        ):
            read(path)


def test_another_kind_of_file_of_weights_is_refused_with_its_path():
    with pytest.raises(ValueError, match="judge"):
        read_run(hw2.data.ASSETS / "judge.safetensors")

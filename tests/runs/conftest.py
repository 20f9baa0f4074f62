"""What the tests of runs share: a place for a file, models that stop or count, and a ban on training."""

import pytest

import hw2.training


@pytest.fixture
def path(tmp_path):
    """A file that is not there yet, nor is its folder."""
    return tmp_path / "some" / "run.safetensors"


def _before_each_step(model, act):
    """Calls `act` with the number of the step, from 1, before the forward pass of each. Returns the hook."""
    calls = []

    def count(module, _args):
        if module.training:  # what looks at a model before it is trained does so in evaluation mode
            calls.append(1)
            act(len(calls))

    return model.encoder[0].register_forward_pre_hook(count)  # which a ConditionedVAE calls too


@pytest.fixture(scope="session")
def stop_before():
    """The model raises in training, before its forward pass of that step, counted from 1."""

    def register(model, step, error=KeyboardInterrupt):
        def stop(n):
            if n == step:
                raise error

        return _before_each_step(model, stop)

    return register


@pytest.fixture(scope="session")
def steps_of():
    """A list to which each training step of the model adds its number."""

    def register(model):
        steps = []
        _before_each_step(model, steps.append)
        return steps

    return register


@pytest.fixture
def forbid_training(monkeypatch):
    """Once this is called, any step of training, in this process, is an error."""

    def trained(*_args, **_options):
        raise AssertionError("this trained")

    return lambda: monkeypatch.setattr(hw2.training, "training_step", trained)

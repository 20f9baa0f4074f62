"""What the tests of runs share: a place for a file, models that stop or count, and a ban on training."""

import pytest
from torch.optim.optimizer import register_optimizer_step_pre_hook


@pytest.fixture
def path(tmp_path):
    """A file that is not there yet, nor is its folder."""
    return tmp_path / "some" / "run.safetensors"


@pytest.fixture
def _steps(request):
    """Hooks on torch's optimisers, taken away at the test's end: a hook on the model would be an altered model."""

    def register(act):
        calls = []

        def count(*_args):
            calls.append(1)
            act(len(calls))

        hook = register_optimizer_step_pre_hook(count)
        request.addfinalizer(hook.remove)
        return hook

    return register


@pytest.fixture
def before_step(_steps):
    """Calls a function, before each step of the optimiser from here on, with its number."""
    return _steps


@pytest.fixture
def stop_before(_steps):
    """Training raises before the optimiser's step of that number, counted from 1 from here on."""

    def register(_model, step, error=KeyboardInterrupt):
        def stop(n):
            if n == step:
                raise error

        return _steps(stop)

    return register


@pytest.fixture
def steps_of(_steps):
    """A list to which each step of the optimiser, from here on, adds its number."""

    def register(_model):
        steps = []
        _steps(steps.append)
        return steps

    return register


@pytest.fixture
def forbid_training(_steps):
    """Once this is called, any step of training, in this process, is an error."""

    def trained(_n):
        raise AssertionError("this trained")

    return lambda: _steps(trained)

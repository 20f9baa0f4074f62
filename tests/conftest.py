"""What the tests share: folders that nobody else uses, a handful of images, and a look at a model's weights."""

import contextlib
import signal

import pytest
import torch
from hypothesis import settings

from hw2 import Digits

# The same examples on every machine and in every run, and no clock: the machine may be busy.
settings.register_profile("hw2", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("hw2")

torch.set_num_threads(1)  # on tensors this small threads only wait for each other, on a busy machine for long


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: none is left for the end, when other processes have nothing more to do."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """No test reads or writes the user's kept runs and downloads, nor those of another test; and none downloads."""
    downloads = tmp_path / "downloads"
    monkeypatch.setenv("HW2_CACHE", str(tmp_path / "runs"))
    monkeypatch.setenv("HW2_DATA", str(downloads))
    yield
    assert not downloads.exists(), "a test downloaded, or wrote where only downloads belong"


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """It is heard, also where a shell runs the tests in the background, for which it ignores Ctrl+C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def make_digits():
    """n smooth random grey images, all different; the same for the same seed."""

    def make(n: int, seed: int = 0) -> Digits:
        coarse = torch.rand(n, 1, 7, 7, generator=torch.Generator().manual_seed(seed))
        images = torch.nn.functional.interpolate(coarse, size=28, mode="bilinear").clamp(0, 1)
        return Digits(images, torch.arange(n) % 10)

    return make


@pytest.fixture(scope="session")
def digits(make_digits):
    """48 images. Tests that write to images make their own."""
    return make_digits(48)


@pytest.fixture(scope="session")
def unchanged():
    """A context in which neither a model's weights and buffers nor its mode may change."""

    @contextlib.contextmanager
    def check(model):
        mode, before = model.training, {name: tensor.clone() for name, tensor in model.state_dict().items()}
        yield
        after = model.state_dict()
        assert after.keys() == before.keys()
        assert [name for name in before if not torch.equal(before[name], after[name])] == []
        assert model.training == mode

    return check


@pytest.fixture
def global_rng_untouched():
    """The test may not draw from, or seed, torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def same_run():
    """Whether two runs have bitwise the same weights and history, and the same config."""

    def check(a, b) -> bool:
        weights, others = a.model.state_dict(), b.model.state_dict()
        return (
            weights.keys() == others.keys()
            and all(torch.equal(weights[name], others[name]) for name in weights)
            and all(torch.equal(getattr(a.history, t), getattr(b.history, t)) for t in ("recon", "kl", "loss"))
            and a.history.steps_per_epoch == b.history.steps_per_epoch
            and a.config == b.config
        )

    return check

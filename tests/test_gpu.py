"""What holds on a GPU as it does on a CPU. Skipped where there is none."""

import pytest
import torch

from hw2 import VAE, AutoEncoder, ConditionedVAE, TrainConfig, evaluate, fit, sweep, train_or_load
from hw2.models import device_of
from hw2.runs import Run
from hw2.training import Training

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason=f"no device {DEVICE}")
CONFIG = TrainConfig(epochs=2, batch_size=16, device=DEVICE)
MODELS = {
    "AE": lambda: AutoEncoder(4, hidden=(32,)),
    "VAE": lambda: VAE(4, hidden=(32,)),
    "conv AE": lambda: AutoEncoder(64, "conv"),  # its own sizes: how cuDNN computes depends on them
    "conv VAE": lambda: VAE(64, "conv"),
    "conditioned VAE": lambda: ConditionedVAE(4, hidden=(32,)),
}


@pytest.fixture(params=MODELS)
def make(request):
    return MODELS[request.param]


@pytest.fixture
def some(make_digits):
    return make_digits(70)


def trained(model, digits, config=CONFIG):
    return Run(model, fit(model, digits, config, progress=False), config)


def test_a_run_gives_the_same_bits_twice_and_its_model_comes_back(make, some, same_run):
    first, second = (trained(make(), some) for _ in range(2))
    assert same_run(first, second)
    assert device_of(first.model).type == first.history.loss.device.type == "cpu"


def test_a_run_goes_on_from_its_state_to_the_same_bits(make, some, same_run):
    whole, first, second = trained(make(), some), make(), make()
    with Training(first, some, CONFIG) as training:
        training.run_epoch()
        state = training.state_dict()
    with Training(second, some, CONFIG) as training:
        training.load_state_dict(state)
        training.run_epoch()
        history = training.history
    assert same_run(whole, Run(second, history, CONFIG))


def test_without_noise_it_is_the_cpus_run_but_for_rounding(some):
    there, here = (trained(MODELS["AE"](), some, TrainConfig(epochs=2, device=d)) for d in (DEVICE, "cpu"))
    torch.testing.assert_close(there.history.recon, here.history.recon, rtol=1e-4, atol=1e-4)
    assert evaluate(there.model, some).recon == pytest.approx(evaluate(here.model, some).recon, rel=1e-4)


def test_runs_are_kept_apart_from_the_cpus_and_found_by_auto_and_by_a_sweep(some, same_run):
    model, other = MODELS["VAE"], TrainConfig(epochs=2, batch_size=16, device="cpu")
    run = train_or_load(model(), some, CONFIG, progress=False)
    found = train_or_load(model(), some, TrainConfig(epochs=2, batch_size=16, device="auto"), progress=False)
    assert torch.equal(found.history.loss, run.history.loss)
    assert not torch.equal(train_or_load(model(), some, other, progress=False).history.loss, run.history.loss)
    (swept,) = sweep({0: (model(), CONFIG)}, some).values()
    assert same_run(swept, run)

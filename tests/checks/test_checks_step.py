"""Right training steps pass, faulty ones are named."""

import pytest
import torch

import hw2
from hw2 import checks
from hw2.training import TrainConfig, loss_terms


def right_step(model, optimizer, x):
    optimizer.zero_grad()
    loss_terms(model, x, TrainConfig())[2].backward()
    optimizer.step()


def right_step_that_zeroes_last(model, optimizer, x):
    loss_terms(model, x, TrainConfig())[2].backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("step", [right_step, right_step_that_zeroes_last])
@pytest.mark.parametrize("kind", [hw2.VAE, hw2.AutoEncoder])
def test_right_training_steps_pass(step, kind):
    checks.training_step(step, kind(3, hidden=(8,)))


def never_zeroed(model, optimizer, x):
    loss_terms(model, x, TrainConfig())[2].backward()
    optimizer.step()


def no_backward(model, optimizer, x):
    optimizer.zero_grad()
    loss_terms(model, x, TrainConfig())
    optimizer.step()


def zeroed_too_late(model, optimizer, x):
    loss_terms(model, x, TrainConfig())[2].backward()
    optimizer.zero_grad()
    optimizer.step()


def no_step(model, optimizer, x):
    optimizer.zero_grad()
    loss_terms(model, x, TrainConfig())[2].backward()


def step_before_backward(model, optimizer, x):
    optimizer.step()
    optimizer.zero_grad()
    loss_terms(model, x, TrainConfig())[2].backward()


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (step_before_backward, "before any gradient"),
        (never_zeroed, "not zeroed"),
        (no_backward, "backward"),
        (zeroed_too_late, "backward"),
        (no_step, "0 steps"),
    ],
)
def test_faulty_training_steps_are_named(step, named):
    with pytest.raises(checks.Mistake, match=named):
        checks.training_step(step, hw2.VAE(3, hidden=(8,)))


def follows(sign=1, whole=True):
    def step(model, optimizer, x):
        optimizer.zero_grad()
        recon, _, loss = loss_terms(model, x, TrainConfig(), torch.Generator().manual_seed(0))
        (sign * (loss if whole else recon)).backward()
        optimizer.step()

    return step


def the_loss(model, x):
    return loss_terms(model, x, TrainConfig(), torch.Generator().manual_seed(0))[2]


def test_a_step_must_follow_the_loss_if_one_is_given():
    vae = hw2.VAE(3, hidden=(8,))
    checks.training_step(follows(), vae, the_loss)
    for step, named in ((follows(-1), "the step climbs"), (follows(whole=False), "not that of the loss")):
        checks.training_step(step, vae)
        with pytest.raises(checks.Mistake, match=named):
            checks.training_step(step, vae, the_loss)

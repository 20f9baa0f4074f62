"""Right samplers and walks pass, whatever they decode at a time; faulty ones are named."""

import pytest
import torch
from torch import nn

import hw2
from hw2 import checks
from hw2.checks.probe import Probe


@torch.no_grad()
def right_sample(model, n, generator):
    model.eval()
    return model.decode(torch.randn(n, model.latent_dim, generator=generator)).sigmoid()


@torch.no_grad()
def right_sample_in_parts(model, n):
    model.eval()
    return torch.cat([torch.sigmoid(model.decode(torch.randn(n // 4, model.latent_dim))) for _ in range(4)])


@torch.no_grad()
def right_walk(model, x_a, x_b, steps):
    model.eval()
    a, b = model.encode(torch.stack([x_a, x_b]))[0]
    return torch.cat([model.decode(torch.lerp(a, b, t)[None]).sigmoid() for t in torch.linspace(0, 1, steps)])


@torch.no_grad()
def walk_that_begins_at_its_ends(model, x_a, x_b, steps):
    model.eval()
    a, b = model.encode(torch.stack([x_a, x_b]))[0]
    first, last = model.decode(torch.stack([a, b])).sigmoid().split(1)
    inner = torch.linspace(0, 1, steps)[1:-1, None]
    return torch.cat([first, model.decode(a + inner * (b - a)).sigmoid(), last])


def right_sample_anywhere(model, n, device="cpu"):
    return right_sample(model, n, torch.default_generator)


def right_sample_of_any_length(model, n, latent_dim=4):
    return right_sample(model, n, torch.default_generator)


def right_sample_by_name(model, n, *, generator=None):
    return right_sample(model, n, generator)


def right_sample_with_more(model, n, device="cpu", generator=None):
    return right_sample(model, n, generator)


RIGHT = [
    (checks.sampling, right_sample_anywhere, {}),
    (checks.sampling, right_sample_of_any_length, {}),
    (checks.sampling, right_sample_by_name, {"generator": True}),
    (checks.sampling, right_sample_with_more, {"generator": True}),
    (checks.sampling, hw2.sample_prior, {}),
    (checks.sampling, right_sample, {}),
    (checks.sampling, right_sample_in_parts, {}),
    (checks.interpolation, hw2.interpolate, {}),
    (checks.interpolation, right_walk, {}),
    (checks.interpolation, right_walk, {"steps": 2}),
    (checks.interpolation, walk_that_begins_at_its_ends, {}),
]


@pytest.mark.parametrize(("check", "submission", "options"), RIGHT, ids=lambda v: getattr(v, "__name__", None))
def test_right_submissions_pass(check, submission, options):
    check(submission, **options)


def sampled(change=lambda t: t, mode="eval", draw=torch.randn):
    @torch.no_grad()
    def sample(model, n):
        getattr(model, mode)()
        return change(model.decode(draw(n, model.latent_dim)))

    return sample


def walked(positions, change=torch.sigmoid, mode="eval"):
    @torch.no_grad()
    def walk(model, x_a, x_b, steps):
        getattr(model, mode)()
        a, b = model.encode(torch.stack([x_a, x_b]))[0]
        return change(model.decode(a + positions(steps)[:, None] * (b - a)))

    return walk


@torch.no_grad()
def sample_without_generator(model, n, generator):
    return right_sample(model, n, None)


@torch.no_grad()
def walk_of_pixels(model, x_a, x_b, steps):
    model.eval()
    return model.decode(model.encode(hw2.blend(x_a, x_b, steps))[0]).sigmoid()


@torch.no_grad()
def noisy_walk(model, x_a, x_b, steps):
    model.eval()
    mu, logvar = model.encode(torch.stack([x_a, x_b]))
    a, b = hw2.reparametrize(mu, logvar, torch.randn_like(mu))
    return model.decode(a + torch.linspace(0, 1, steps)[:, None] * (b - a)).sigmoid()


FAULTY = {
    "one number per sample": (
        checks.sampling,
        sampled(torch.sigmoid, draw=lambda n, d: torch.randn(n, 1).expand(n, d)),
        "depend on each other",
    ),
    "samples clamped": (checks.sampling, sampled(torch.sigmoid, draw=lambda n, d: torch.randn(n, d).clamp(-1, 1)), "N"),
    "samples of 0": (checks.sampling, sampled(torch.sigmoid, draw=torch.zeros), "all z are the same"),
    "walk of pixels": (checks.interpolation, walk_of_pixels, "pixels are interpolated"),
    "walk of five": (checks.interpolation, lambda m, a, b, n: right_walk(m, a, b, 5), "7 images were asked for"),
    "walk without decoding": (checks.interpolation, lambda m, a, b, n: hw2.blend(a, b, n), "nothing is decoded"),
    "samples of their own": (checks.sampling, sample_without_generator, "the generator is not used"),
    "sample in train mode": (checks.sampling, sampled(torch.sigmoid, "train"), "BatchNorm is in training mode"),
    "sample of logits": (checks.sampling, sampled(), "logits are passed as pixels"),
    "sample, two sigmoids": (checks.sampling, sampled(lambda t: t.sigmoid().sigmoid()), "applied twice"),
    "sample by rand": (checks.sampling, sampled(torch.sigmoid, draw=torch.rand), "use randn"),
    "walk stops short": (checks.interpolation, walked(lambda n: torch.arange(n) / n), "misses its end"),
    "walk starts late": (checks.interpolation, walked(lambda n: torch.arange(1, n + 1) / n), "misses its start"),
    "walk backwards": (checks.interpolation, walked(lambda n: torch.linspace(1, 0, n)), "from the second"),
    "walk uneven": (checks.interpolation, walked(lambda n: torch.linspace(0, 1, n) ** 2), "not even"),
    "walk too long": (checks.interpolation, walked(lambda n: torch.linspace(0, 1, n + 1)), "images were asked for"),
    "walk with noise": (checks.interpolation, noisy_walk, "posterior mean"),
    "walk in train mode": (
        checks.interpolation,
        walked(lambda n: torch.linspace(0, 1, n), mode="train"),
        "BatchNorm is in training mode",
    ),
    "walk of logits": (
        checks.interpolation,
        walked(lambda n: torch.linspace(0, 1, n), change=lambda t: t),
        "logits are passed as pixels",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("check", "submission", "named"), FAULTY.values(), ids=FAULTY)
def test_faulty_submissions_are_named(check, submission, named):
    with pytest.raises(checks.Mistake, match=named):
        check(submission)


def test_a_probe_is_a_module_with_batchnorm():
    """Else the checks for its mode could not fail."""
    assert any(isinstance(module, nn.BatchNorm1d) for module in Probe().modules())

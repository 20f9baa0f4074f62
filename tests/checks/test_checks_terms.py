"""Right terms of the loss pass, however they are reduced if they say so; faulty ones are named."""

import pytest
import torch
import torch.nn.functional as F

import hw2
from hw2 import checks


def right_kl_by_einsum(mu, logvar):
    return 0.5 * (torch.einsum("bd,bd->b", mu, mu) + (logvar.clamp(max=30).exp() - logvar - 1).sum(1))


def right_kl_of_torch(mu, logvar):
    q = torch.distributions.Normal(mu, (logvar / 2).exp().clamp(min=1e-30))
    return torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()


def right_kl_per_dimension(mu, logvar):
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp())


def right_kl_mean_over_dimensions(mu, logvar):
    return -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())


def right_kl_sum_over_the_batch(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def right_recon(logits, x):
    return F.mse_loss(torch.sigmoid(logits), x)


def right_recon_per_image_summed(logits, x):
    return torch.einsum("bchw->b", (logits.sigmoid() - x) ** 2)


def right_cross_entropy(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def right_cross_entropy_by_logsigmoid(logits, x):
    return -(x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).flatten(1).sum(1)


def right_kl_of_torch_per_image(mu, logvar):
    q = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    return torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)


def right_kl_by_log_of_exp(mu, logvar):
    """Right wherever a network comes: exp(-80) is a float32, and its log is -80."""
    return (0.5 * (mu**2 + logvar.exp() - 1 - torch.log(logvar.exp()))).sum(1)


RIGHT = [
    (checks.kl, hw2.kl_normal, {}),
    (checks.kl, hw2.kl_per_dimension, {}),
    (checks.kl, right_kl_by_einsum, {}),
    (checks.kl, right_kl_per_dimension, {}),
    (checks.kl, right_kl_mean_over_dimensions, {"dims": "mean"}),
    (checks.kl, right_kl_sum_over_the_batch, {"batch": "sum"}),
    (checks.reconstruction, hw2.reconstruction_loss, {"pixels": "sum"}),
    (checks.reconstruction, right_recon, {}),
    (checks.reconstruction, right_recon_per_image_summed, {"pixels": "sum"}),
    (checks.reconstruction, right_cross_entropy, {"pixels": "sum", "likelihood": "bernoulli"}),
    (checks.reconstruction, right_cross_entropy_by_logsigmoid, {"pixels": "sum", "likelihood": "bernoulli"}),
    (checks.kl, right_kl_of_torch, {}),
    (checks.kl, right_kl_of_torch_per_image, {}),
    (checks.kl, right_kl_by_log_of_exp, {}),
    (checks.kl, hw2.kl_normal, {"per": "image", "largest": 60}),
    (checks.kl, hw2.kl_per_dimension, {"per": "term"}),
]


@pytest.mark.parametrize(("check", "submission", "options"), RIGHT, ids=lambda v: getattr(v, "__name__", None))
def test_right_submissions_pass(check, submission, options):
    check(submission, **options)


def terms(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


FAULTY = {
    "kl sign": (checks.kl, lambda m, v: -terms(m, v).sum(1), "the sign is wrong"),
    "kl direction": (checks.kl, lambda m, v: (0.5 * ((1 + m**2) / v.exp() - 1 + v)).sum(1), "the direction"),
    "kl mean": (checks.kl, lambda m, v: terms(m, v).mean(1), "by mean instead of sum"),
    "kl mean of all": (checks.kl, lambda m, v: terms(m, v).mean(), "by mean instead of sum"),
    "kl sum of all": (checks.kl, lambda m, v: terms(m, v).sum(), "batch is reduced by sum instead of mean"),
    "kl log sigma": (checks.kl, lambda m, v: terms(m, 2 * v).sum(1), "log σ² is read as log σ"),
    "kl without half": (checks.kl, lambda m, v: 2 * terms(m, v).sum(1), "factor ½"),
    "kl batch twice": (checks.kl, lambda m, v: terms(m, v).sum(1).mean() / len(m), "averaged twice"),
    "kl of sigma": (checks.kl, lambda m, v: (terms(m, v) + 0.5).sum(1), "-1 of each dimension"),
    "logits as pixels": (checks.reconstruction, lambda z, x: F.mse_loss(z, x), "logits are passed as pixels"),
    "two sigmoids": (checks.reconstruction, lambda z, x: F.mse_loss(z.sigmoid().sigmoid(), x), "applied twice"),
    "pixels summed": (checks.reconstruction, lambda z, x: right_recon_per_image_summed(z, x), "by sum instead of mean"),
    "half the error": (checks.reconstruction, lambda z, x: 0.5 * right_recon(z, x), "factor ½"),
    "error batch twice": (checks.reconstruction, lambda z, x: right_recon(z, x) / len(x), "averaged twice"),
    "kl detached": (checks.kl, lambda m, v: terms(m, v).sum(1).detach(), "no gradient passes"),
    "kl as a number": (checks.kl, lambda m, v: terms(m, v).sum(1).mean().item(), "leave .item\\(\\)"),
    "kl over the batch": (checks.kl, lambda m, v: terms(m, v).sum(0), "must have shape"),
    "kl sign of mu": (checks.kl, lambda m, v: (terms(m, v) - m**2).sum(1), "a sign within the KL"),
    "kl sign of logvar": (checks.kl, lambda m, v: (terms(m, v) + v).sum(1), "the sign of logvar"),
    "error detached": (checks.reconstruction, lambda z, x: right_recon(z, x).detach(), "no gradient passes"),
    "error per pixel": (checks.reconstruction, lambda z, x: (z.sigmoid() - x) ** 2, "must have shape"),
    "error negative": (checks.reconstruction, lambda z, x: -right_recon(z, x), "the sign is wrong"),
}  # fmt: skip


@pytest.mark.parametrize(("check", "submission", "named"), FAULTY.values(), ids=FAULTY)
def test_faulty_submissions_are_named(check, submission, named):
    with pytest.raises(checks.Mistake, match=named):
        check(submission)


@pytest.mark.parametrize("per", ["term", "image", "batch"])
def test_a_kl_of_another_shape_than_promised_is_refused(per):
    answers = {"term": hw2.kl_per_dimension, "image": hw2.kl_normal, "batch": lambda m, v: hw2.kl_normal(m, v).mean()}
    for shape, function in answers.items():
        if shape == per:
            checks.kl(function, per=per)
        else:
            with pytest.raises(checks.Mistake, match="must have shape"):
                checks.kl(function, per=per)

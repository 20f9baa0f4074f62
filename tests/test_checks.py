"""Faulty submissions are named, right ones pass, however they are written."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import hw2
from hw2 import checks
from hw2.training import TrainConfig, loss_terms


def normal(mu):
    return torch.randn_like(mu)


# --- Right submissions, some of them unusual -------------------------------------------------------------------------


def right_draw_of_torch(mu, logvar):
    return torch.distributions.Normal(mu, torch.exp(0.5 * logvar)).rsample()


def right_draw_by_square_root(mu, logvar):
    return mu + logvar.clamp(max=20).exp().sqrt() * normal(mu)


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
    return F.binary_cross_entropy(logits.sigmoid(), x, reduction="sum") / len(x)


def right_sample(model, n, generator):
    model.eval()
    return model.decode(torch.randn(n, model.latent_dim, generator=generator)).sigmoid()


def right_sample_in_parts(model, n):
    model.eval()
    return torch.cat([torch.sigmoid(model.decode(torch.randn(n // 4, model.latent_dim))) for _ in range(4)])


def right_walk(model, x_a, x_b, steps):
    model.eval()
    a, b = model.encode(torch.stack([x_a, x_b]))[0]
    return torch.cat([model.decode(torch.lerp(a, b, t)[None]).sigmoid() for t in torch.linspace(0, 1, steps)])


def walk_that_begins_at_its_ends(model, x_a, x_b, steps):
    model.eval()
    a, b = model.encode(torch.stack([x_a, x_b]))[0]
    first, last = model.decode(torch.stack([a, b])).sigmoid().split(1)
    inner = torch.linspace(0, 1, steps)[1:-1, None]
    return torch.cat([first, model.decode(a + inner * (b - a)).sigmoid(), last])


def right_step(model, optimizer, x):
    optimizer.zero_grad()
    loss_terms(model, x, TrainConfig())[2].backward()
    optimizer.step()


def right_step_that_zeroes_last(model, optimizer, x):
    loss_terms(model, x, TrainConfig())[2].backward()
    optimizer.step()
    optimizer.zero_grad()


def forward(change):
    """A VAE whose forward is `change(model, mu, logvar, eps)`."""

    class Changed(hw2.VAE):
        def forward(self, x, generator=None):
            mu, logvar = self.encode(x)
            eps = torch.randn(mu.shape, generator=generator)
            return change(self, mu, logvar, eps)

    return Changed(3, hidden=(8,))


def drawn(z_of):
    return forward(lambda model, mu, logvar, eps: (model.decode(z_of(mu, logvar, eps)), mu, logvar))


def changed(kind=hw2.AutoEncoder, **networks):
    """A small model with some of its networks replaced: encoder, decoder."""
    model = kind(3, hidden=(8,))
    for name, network in networks.items():
        setattr(model, name, network)
    return model


def without_norm():
    model = hw2.AutoEncoder(3, "conv", (2, 3, 4, 5))
    model.encoder = nn.Sequential(*[layer for layer in model.encoder if not isinstance(layer, nn.BatchNorm2d)])
    return model


def stretched():
    """The first convolution without its stride."""
    model = hw2.AutoEncoder(3, "conv", (2, 3, 4, 5))
    rest = [nn.AdaptiveAvgPool2d(14), *model.encoder[1:]]
    model.encoder = nn.Sequential(nn.Conv2d(1, 2, 4, 1, 1), *rest)
    return model


def decoder(*last, activation=nn.ReLU):
    return nn.Sequential(nn.Linear(3, 64), activation(), nn.Linear(64, 784), *last, nn.Unflatten(1, (1, 28, 28)))


def encoder(*last, activation=nn.ReLU):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), activation(), nn.Linear(64, 3), *last)


ARCHS = [("mlp", (8,)), ("mlp", None), ("conv", (2, 3, 4, 5)), ("conv", None)]
RIGHT = [
    (checks.reparametrize, hw2.reparametrize, {}),
    (checks.reparametrize, right_draw_of_torch, {}),
    (checks.reparametrize, right_draw_by_square_root, {}),
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
    (checks.sampling, hw2.sample_prior, {}),
    (checks.sampling, right_sample, {}),
    (checks.sampling, right_sample_in_parts, {}),
    (checks.interpolation, hw2.interpolate, {}),
    (checks.interpolation, right_walk, {}),
    (checks.interpolation, right_walk, {"steps": 2}),
    (checks.interpolation, walk_that_begins_at_its_ends, {}),
    (checks.kl, hw2.kl_normal, {"per": "image"}),
    (checks.kl, hw2.kl_per_dimension, {"per": "term"}),
    *[(checks.vae, hw2.VAE(3, arch, hidden), {}) for arch, hidden in ARCHS],
    *[(checks.autoencoder, kind(3, arch, hidden), {}) for arch, hidden in ARCHS for kind in (hw2.VAE, hw2.AutoEncoder)],
    *[(checks.convolutional, kind(3, "conv", (2, 3, 4, 5)), {}) for kind in (hw2.VAE, hw2.AutoEncoder)],
    (checks.autoencoder, changed(decoder=decoder(activation=nn.Tanh)), {}),
    (checks.autoencoder, changed(encoder=encoder(activation=nn.Sigmoid)), {}),
]


@pytest.mark.parametrize(("check", "submission", "options"), RIGHT, ids=lambda v: getattr(v, "__name__", None))
def test_right_submissions_pass(check, submission, options):
    check(submission, **options)


@pytest.mark.parametrize("step", [right_step, right_step_that_zeroes_last])
@pytest.mark.parametrize("kind", [hw2.VAE, hw2.AutoEncoder])
def test_right_training_steps_pass(step, kind):
    checks.training_step(step, kind(3, hidden=(8,)))


# --- Faulty ones -----------------------------------------------------------------------------------------------------


class SigmoidInside(hw2.VAE):
    def decode(self, z):
        return super().decode(z).sigmoid()


class OneHead(hw2.VAE):
    def encode(self, x):
        mu, _ = super().encode(x)
        return mu, mu


class OneTensor(hw2.VAE):
    def encode(self, x):
        return self.encoder(x)


class OwnNoise(hw2.VAE):
    def forward(self, x, generator=None):
        return super().forward(x)


class Constant(hw2.AutoEncoder):
    def encode(self, x):
        return torch.ones(len(x), self.latent_dim)


class NoNoise(hw2.VAE):
    def forward(self, x, generator=None):
        mu, logvar = self.encode(x)
        return self.decode(mu), mu, logvar


def sampled(change=lambda t: t, mode="eval", draw=torch.randn):
    def sample(model, n):
        getattr(model, mode)()
        return change(model.decode(draw(n, model.latent_dim)))

    return sample


def walked(positions, change=torch.sigmoid, mode="eval"):
    def walk(model, x_a, x_b, steps):
        getattr(model, mode)()
        a, b = model.encode(torch.stack([x_a, x_b]))[0]
        return change(model.decode(a + positions(steps)[:, None] * (b - a)))

    return walk


def sample_without_generator(model, n, generator):
    return right_sample(model, n, None)


def walk_of_pixels(model, x_a, x_b, steps):
    model.eval()
    return model.decode(model.encode(hw2.blend(x_a, x_b, steps))[0]).sigmoid()


def noisy_walk(model, x_a, x_b, steps):
    model.eval()
    mu, logvar = model.encode(torch.stack([x_a, x_b]))
    a, b = hw2.reparametrize(mu, logvar, normal(mu))
    return model.decode(a + torch.linspace(0, 1, steps)[:, None] * (b - a)).sigmoid()


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


def terms(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)


TWICE = "applied twice"
FAULTY = {
    "no exp, half": (checks.reparametrize, lambda m, v: m + 0.5 * v * normal(m), "exp is left out"),
    "no exp": (checks.reparametrize, lambda m, v: m + v * normal(m), "exp is left out: logvar itself"),
    "log sigma": (checks.reparametrize, lambda m, v: m + v.exp() * normal(m), "log σ² is read as log σ"),
    "no noise": (checks.reparametrize, lambda m, v: m + 0 * v, "no noise"),
    "noise of one": (checks.reparametrize, lambda m, v: m + normal(m) + 0 * v, "not scaled by σ"),
    "precision": (checks.reparametrize, lambda m, v: m + (-v / 2).exp() * normal(m), "a sign too many"),
    "mean lost": (checks.reparametrize, lambda m, v: (v / 2).exp() * normal(m), "mean of draws"),
    "detached": (
        checks.reparametrize,
        lambda m, v: torch.distributions.Normal(m, (v / 2).exp()).sample(),
        "no gradient reaches mu",
    ),
    "sigma detached": (
        checks.reparametrize,
        lambda m, v: m + (v / 2).exp().detach() * normal(m),
        "no gradient reaches logvar",
    ),
    "kl sign": (checks.kl, lambda m, v: -terms(m, v).sum(1), "the sign is wrong"),
    "kl direction": (checks.kl, lambda m, v: (0.5 * ((1 + m**2) / v.exp() - 1 + v)).sum(1), "the direction"),
    "kl mean": (checks.kl, lambda m, v: terms(m, v).mean(1), "by mean instead of sum"),
    "kl mean of all": (checks.kl, lambda m, v: terms(m, v).mean(), "by mean instead of sum"),
    "kl sum of all": (checks.kl, lambda m, v: terms(m, v).sum(), "batch is reduced by sum instead of mean"),
    "kl log sigma": (checks.kl, lambda m, v: terms(m, 2 * v).sum(1), "log σ² is read as log σ"),
    "kl without half": (checks.kl, lambda m, v: 2 * terms(m, v).sum(1), "factor ½"),
    "kl batch twice": (checks.kl, lambda m, v: terms(m, v).sum(1).mean() / len(m), "averaged twice"),
    "kl of sigma": (checks.kl, lambda m, v: (terms(m, v) + 0.5).sum(1), "-1 of each dimension"),
    "kl by log of exp": (
        checks.kl,
        lambda m, v: (0.5 * (m**2 + v.exp() - 1 - torch.log(v.exp()))).sum(1),
        "logvar = -200",
    ),
    "logits as pixels": (checks.reconstruction, lambda z, x: F.mse_loss(z, x), "logits are passed as pixels"),
    "two sigmoids": (checks.reconstruction, lambda z, x: F.mse_loss(z.sigmoid().sigmoid(), x), TWICE),
    "pixels summed": (checks.reconstruction, lambda z, x: right_recon_per_image_summed(z, x), "by sum instead of mean"),
    "half the error": (checks.reconstruction, lambda z, x: 0.5 * right_recon(z, x), "factor ½"),
    "error batch twice": (checks.reconstruction, lambda z, x: right_recon(z, x) / len(x), "averaged twice"),
    "sigmoid inside": (checks.autoencoder, SigmoidInside(3, hidden=(8,)), "decode ends in a sigmoid"),
    "tanh inside": (checks.autoencoder, changed(decoder=decoder(nn.Tanh())), "decode ends in a tanh"),
    "relu after the logits": (checks.autoencoder, changed(decoder=decoder(nn.ReLU())), "no logits are negative"),
    "relu after the codes": (checks.autoencoder, changed(encoder=encoder(nn.ReLU())), "no codes are negative"),
    "linear encoder": (checks.autoencoder, changed(encoder=encoder(activation=nn.Identity)), "the encoder is linear"),
    "linear decoder": (checks.autoencoder, changed(decoder=decoder(activation=nn.Identity)), "the decoder is linear"),
    "blind encoder": (checks.autoencoder, Constant(3, hidden=(8,)), "all codes are the same"),
    "flat logits": (checks.autoencoder, changed(decoder=nn.Linear(3, 784)), r"must give \(B, 1, 28, 28\)"),
    "codes like images": (checks.autoencoder, changed(encoder=nn.Identity()), r"codes must be \(B, D\)"),
    "no convolution": (checks.convolutional, hw2.AutoEncoder(3), r"encoder's convolutions .* got \[\]"),
    "no norm": (checks.convolutional, without_norm(), "encoder must have 3 BatchNorm2d"),
    "same width": (checks.convolutional, stretched(), r"must give images .* got \[27"),
    "z is mu": (checks.vae, NoNoise(3, hidden=(8,)), "z = mu is used in training"),
    "one head": (checks.vae, OneHead(3, hidden=(8,)), "the same numbers"),
    "no heads": (checks.vae, OneTensor(3, hidden=(8,)), "two tensors"),
    "noise of its own": (checks.vae, OwnNoise(3, hidden=(8,)), "the generator is not used"),
    "forward without exp": (checks.vae, drawn(lambda m, v, e: m + v * e), "there is next to none|must be drawn"),
    "forward swaps": (checks.vae, drawn(lambda m, v, e: v + (m / 2).exp() * e), "mu, then logvar"),
    "forward of noise alone": (checks.vae, drawn(lambda m, v, e: e + 0.5), "no gradient reaches"),
    "one noise for the batch": (checks.vae, drawn(lambda m, v, e: m + (v / 2).exp() * e[:1]), "serves the whole batch"),
    "forward detached": (checks.vae, drawn(lambda m, v, e: (m + (v / 2).exp() * e).detach()), "no gradient reaches"),
    "forward of images": (
        checks.vae,
        forward(lambda model, m, v, e: (model.decode(m + (v / 2).exp() * e).sigmoid(), m, v)),
        "forward returns images",
    ),
    "forward in another order": (
        checks.vae, forward(lambda model, m, v, e: (model.decode(m + (v / 2).exp() * e), v, m)), "in this order",
    ),
    "shared noise": (checks.reparametrize, lambda m, v: m + (v / 2).exp() * normal(m[:, :1]), "several dimensions"),
    "eps ignored": (checks.reparametrize, lambda m, v, e: m + (v / 2).exp() * normal(m), "eps that is passed"),
    "kl detached": (checks.kl, lambda m, v: terms(m, v).sum(1).detach(), "no gradient passes"),
    "kl as a number": (checks.kl, lambda m, v: terms(m, v).sum(1).mean().item(), "must be a tensor, got float"),
    "kl over the batch": (checks.kl, lambda m, v: terms(m, v).sum(0), "must have shape"),
    "kl sign of mu": (checks.kl, lambda m, v: (terms(m, v) - m**2).sum(1), "a sign within the KL"),
    "kl sign of logvar": (checks.kl, lambda m, v: (terms(m, v) + v).sum(1), "the sign of logvar"),
    "error detached": (checks.reconstruction, lambda z, x: right_recon(z, x).detach(), "no gradient passes"),
    "error per pixel": (checks.reconstruction, lambda z, x: (z.sigmoid() - x) ** 2, "must have shape"),
    "error negative": (checks.reconstruction, lambda z, x: -right_recon(z, x), "the sign is wrong"),
    "one number per sample": (
        checks.sampling,
        sampled(torch.sigmoid, draw=lambda n, d: torch.randn(n, 1).expand(n, d)),
        "depend on each other",
    ),
    "samples clamped": (checks.sampling, sampled(torch.sigmoid, draw=lambda n, d: torch.randn(n, d).clamp(-1, 1)), "N"),
    "samples of 0": (checks.sampling, sampled(torch.sigmoid, draw=torch.zeros), "all z are the same"),
    "walk of pixels": (checks.interpolation, walk_of_pixels, "not the pixels"),
    "walk of five": (checks.interpolation, lambda m, a, b, n: right_walk(m, a, b, 5), "7 images were asked for"),
    "walk without decoding": (checks.interpolation, lambda m, a, b, n: hw2.blend(a, b, n), "nothing is decoded"),
    "samples of their own": (checks.sampling, sample_without_generator, "the generator is not used"),
    "sample in train mode": (checks.sampling, sampled(torch.sigmoid, "train"), "BatchNorm is in training mode"),
    "sample of logits": (checks.sampling, sampled(), "logits are passed as pixels"),
    "sample, two sigmoids": (checks.sampling, sampled(lambda t: t.sigmoid().sigmoid()), TWICE),
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


@pytest.mark.parametrize("per", ["term", "image", "batch"])
def test_a_kl_of_another_shape_than_promised_is_refused(per):
    answers = {"term": hw2.kl_per_dimension, "image": hw2.kl_normal, "batch": lambda m, v: hw2.kl_normal(m, v).mean()}
    for shape, function in answers.items():
        if shape == per:
            checks.kl(function, per=per)
        else:
            with pytest.raises(checks.Mistake, match="must have shape"):
                checks.kl(function, per=per)


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


def test_an_unknown_mistake_is_said_to_be_unknown():
    with pytest.raises(checks.Mistake, match="No known mistake"):
        checks.kl(lambda mu, logvar: 3.7 * terms(mu, logvar).sum(1))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_said(value):
    with pytest.raises(checks.Mistake, match="not finite"):
        checks.kl(lambda mu, logvar: terms(mu, logvar).sum(1) * value)


def test_a_wrong_draw_is_not_counted_against_the_forward_that_calls_it(monkeypatch):
    monkeypatch.setattr(hw2.models, "reparametrize", lambda mu, logvar, eps: mu + logvar * eps)
    with pytest.raises(checks.Mistake):
        checks.vae(hw2.VAE(3))
    checks.vae(hw2.VAE(3), draw="hw2.models.reparametrize")


def test_a_model_keeps_its_mode_and_weights(unchanged):
    model = hw2.VAE(3, hidden=(8,)).eval()
    with unchanged(model):
        checks.autoencoder(model)
        checks.vae(model)


def test_a_probe_is_a_module_with_batchnorm():
    """Else the checks for its mode could not fail."""
    assert any(isinstance(module, nn.BatchNorm1d) for module in checks._Probe().modules())

"""The functions that students write, written from their docstrings alone, each in the narrowest reading and in another
way than the solution: `test_from_docstrings.py` puts their bodies into a student edition and runs the notebooks.
"""
# ruff: noqa: F821

import torch
import torch.nn.functional as F
from torch import nn


def mlp_encoder(n_out, hidden):
    network = nn.Sequential(nn.Flatten())
    size = 784
    for width in hidden:
        network.append(nn.Linear(size, width))
        network.append(nn.ReLU(inplace=True))
        size = width
    network.append(nn.Linear(size, n_out))
    return network


def mlp_decoder(latent_dim, hidden):
    parts = []
    size = latent_dim
    for width in hidden[::-1]:
        parts.append(nn.Linear(size, width))
        parts.append(nn.ReLU())
        size = width
    parts.append(nn.Linear(size, 784))
    parts.append(nn.Unflatten(1, (1, 28, 28)))
    return nn.Sequential(*parts)


def conv_encoder(n_out, channels):
    size, parts = 1, []
    for i, (width, kernel, padding) in enumerate(zip(channels, (4, 4, 3, 3), (1, 1, 0, 0), strict=True)):
        parts.append(nn.Conv2d(size, width, kernel, stride=2, padding=padding, bias=i == 0))
        if i > 0:
            parts.append(nn.BatchNorm2d(width))
        parts.append(nn.LeakyReLU(0.2))
        size = width
    return nn.Sequential(nn.Sequential(*parts), nn.Flatten(), nn.Linear(size, n_out))


def conv_decoder(latent_dim, channels):
    first, second, third, size = channels
    parts = [nn.Linear(latent_dim, size), nn.Unflatten(1, (size, 1, 1))]
    for width, kernel, padding in ((third, 3, 0), (second, 3, 0), (first, 4, 1)):
        parts.append(nn.ConvTranspose2d(size, width, kernel, stride=2, padding=padding, bias=False))
        parts.append(nn.BatchNorm2d(width))
        parts.append(nn.LeakyReLU(0.2))
        size = width
    return nn.Sequential(*parts, nn.ConvTranspose2d(first, 1, 4, stride=2, padding=1))


def reparametrize(mu, logvar, eps):
    capped = torch.minimum(logvar, torch.full_like(logvar, LOGVAR_MAX))
    variance = capped.exp()
    return mu + variance.sqrt() * eps


class VAE:
    def encode(self, x):
        numbers = self._encoded(x)
        d = self.latent_dim
        return Posterior(numbers[:, :d], numbers[:, d:])

    def forward(self, x, generator=None):
        posterior = self.encode(x)
        eps = torch.empty_like(posterior.mu).normal_(generator=generator)
        z = reparametrize(posterior.mu, posterior.logvar, eps)
        return self.decode(z), posterior.mu, posterior.logvar


def reconstruction_loss(logits, x, likelihood="gaussian"):
    if likelihood == "bernoulli":
        error = -(x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits))
    else:
        error = (x - torch.sigmoid(logits)) ** 2
    return error.reshape(len(x), -1).sum(dim=1)


def kl_per_dimension(mu, logvar):
    logvar = torch.clamp(logvar, max=LOGVAR_MAX)
    return (mu**2 + torch.exp(logvar) - 1 - logvar) / 2


def kl_normal(mu, logvar):
    return kl_per_dimension(mu, logvar).sum(dim=1)


def training_step(model, optimizer, x, config, generator=None):
    optimizer.zero_grad()
    terms = loss_terms(model, x, config, generator)
    terms[2].backward()
    optimizer.step()
    return tuple(term.detach() for term in terms)


def sample_prior(model, n, generator):
    z = torch.randn((n, model.latent_dim), generator=generator)
    return decode(model, z)


def lerp(a, b, t):
    return torch.stack([(1 - s) * a + s * b for s in t])


def path_positions(steps):
    if steps < 2:
        raise ValueError("steps must be at least 2")
    return torch.arange(steps) / (steps - 1)


def walk(model, x_a, x_b, t, method="linear"):
    if method not in ("linear", "slerp"):
        raise ValueError(f"unknown method {method!r}")
    between = slerp if method == "slerp" else lerp
    points = between(codes(model, x_a), codes(model, x_b), t)
    return torch.stack([decode(model, z) for z in points])


def interpolate(model, x_a, x_b, steps=7, method="linear"):
    images = walk(model, _one(x_a), _one(x_b), path_positions(steps), method)
    return images.squeeze(1)

"""Eight β: one network after the other, `hw2.sweep`, or all as one stack of parameters?

    python tools/bench/stacked.py [DEVICE]    "cpu" by default; not tried on others

The stack trains all β in one loop on the same batches and the same noise: `torch.func` adds a dimension to the plain
model (`vmap`), or each layer's products are written as one `torch.baddbmm`. Both are first checked against separate
training. Each side trains one epoch of 50,000 images in each round.
"""

import math
import os
import sys
import tempfile

import torch
import torch.nn.functional as F
from timing import in_turn, keep
from torch import Tensor, nn

import hw2
from hw2.training import drop_denormals

BETAS = (0.0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 10.0)
SIZES = {"784-400-20": (20, (400,)), "784-512-256-32": (32, (512, 256))}
ROUNDS = 3


def batches(digits: hw2.Digits, config: hw2.TrainConfig, latent_dim: int, device: str):
    """(images, noise) in the order in which `hw2.fit` takes and draws them."""
    order = torch.Generator().manual_seed(config.seed)
    noise = torch.Generator(device).manual_seed(config.seed)
    images = digits.images.to(device)
    for rows in torch.randperm(len(digits), generator=order).split(config.batch_size):
        eps = torch.randn(len(rows), latent_dim, generator=noise, device=device)
        yield images.index_select(0, rows.to(device)), eps


def terms(logits: Tensor, mu: Tensor, logvar: Tensor, x: Tensor, beta: Tensor | float) -> Tensor:
    return hw2.reconstruction_loss(logits, x).mean() + hw2.effective_beta(1) * beta * hw2.kl_normal(mu, logvar).mean()


class WithNoise(nn.Module):
    """A VAE's loss as a function of images, noise and β, for `torch.func`, which can't pass a generator on."""

    def __init__(self, vae: hw2.VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, eps: Tensor, beta: Tensor) -> Tensor:
        mu, logvar = self.vae.encode(x)
        return terms(self.vae.decode(hw2.reparametrize(mu, logvar, eps)), mu, logvar, x, beta)


class Vmap:
    """All models as one, by `torch.func.vmap`."""

    def __init__(self, models: list[hw2.VAE]) -> None:
        stack = [WithNoise(model) for model in models]
        self.parameters, _ = torch.func.stack_module_state(stack)
        self.base = stack[0]

    def losses(self, x: Tensor, eps: Tensor, betas: Tensor) -> Tensor:
        def loss(parameters, beta):
            return torch.func.functional_call(self.base, parameters, (x, eps, beta))

        return torch.vmap(loss)(self.parameters, betas)


class Baddbmm:
    """All models as one, layer by layer."""

    def __init__(self, models: list[hw2.VAE]) -> None:
        layers = zip(*([m for m in (*v.encoder, *v.decoder) if isinstance(m, nn.Linear)] for v in models), strict=True)
        self.parameters = {}
        for i, copies in enumerate(layers):
            weight = torch.stack([c.weight.detach().T for c in copies]).contiguous()
            bias = torch.stack([c.bias.detach()[None] for c in copies])
            self.parameters |= {f"w{i}": weight.requires_grad_(), f"b{i}": bias.requires_grad_()}
        self.depth, self.half = len(self.parameters) // 2, len(models[0].hidden) + 1

    def losses(self, x: Tensor, eps: Tensor, betas: Tensor) -> Tensor:
        p, n = self.parameters, len(betas)
        h = x.flatten(1).expand(n, -1, -1)
        for i in range(self.depth):
            if i == self.half:
                mu, logvar = h.chunk(2, -1)
                h = hw2.reparametrize(mu, logvar, eps.expand_as(mu))
            h = torch.baddbmm(p[f"b{i}"], h, p[f"w{i}"])
            if i not in (self.half - 1, self.depth - 1):
                h = F.relu(h)
        x = x.expand(n, *x.shape)
        recon = hw2.reconstruction_loss(h.view_as(x).flatten(0, 1), x.flatten(0, 1)).view(n, -1).mean(1)
        kl = hw2.kl_normal(mu.flatten(0, 1), logvar.flatten(0, 1)).view(n, -1).mean(1)
        return recon + hw2.effective_beta(1) * betas * kl


def train(stack: Vmap | Baddbmm, digits: hw2.Digits, config: hw2.TrainConfig, latent_dim: int, device: str) -> Tensor:
    """One epoch; the loss of every step, (steps, betas)."""
    optimizer = torch.optim.Adam(stack.parameters.values(), lr=config.lr, fused=True)
    betas, losses = torch.tensor(BETAS, device=device), []
    for step, (x, eps) in enumerate(batches(digits, config, latent_dim, device), 1):
        loss = stack.losses(x, eps, betas)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        losses.append(loss.detach())
        if step % 50 == 0:
            drop_denormals(optimizer)
    return torch.stack(losses).cpu()


def main(device: str = "cpu") -> None:
    digits = hw2.load("mnist", "train")[:50_000]
    configs = {beta: hw2.TrainConfig(beta=beta, epochs=1, device=device) for beta in BETAS}
    rows = []
    for name, (latent_dim, hidden) in SIZES.items():

        def models(latent_dim=latent_dim, hidden=hidden) -> list[hw2.VAE]:
            return [hw2.VAE(latent_dim, hidden=hidden) for _ in BETAS]

        def serial(part: hw2.Digits = digits, models=models) -> list[hw2.training.History]:
            return [hw2.fit(m, part, c, progress=False) for m, c in zip(models(), configs.values(), strict=True)]

        def pool(models=models) -> None:
            with tempfile.TemporaryDirectory() as os.environ["HW2_CACHE"]:
                hw2.sweep(dict(zip(BETAS, zip(models(), configs.values(), strict=True), strict=True)), digits)

        def stacked(kind, part: hw2.Digits = digits, models=models, latent_dim=latent_dim) -> Tensor:
            stack = kind([model.to(device) for model in models()])
            return train(stack, part, configs[BETAS[0]], latent_dim, device)

        few = digits[:2560]
        expected = torch.stack([history.loss for history in serial(few)], 1)
        for kind in (Vmap, Baddbmm):
            torch.testing.assert_close(stacked(kind, few), expected, rtol=1e-3, atol=1e-3)
        sides = {"one after the other, all threads": serial}
        if device == "cpu":
            sides["`hw2.sweep`: a run per thread"] = pool
        sides |= {"stacked, vmap": lambda f=stacked: f(Vmap), "stacked, baddbmm": lambda f=stacked: f(Baddbmm)}
        times = in_turn(sides, ROUNDS)
        first = next(iter(times.values()))
        steps = len(BETAS) * math.ceil(len(digits) / 128)
        for what, seconds in times.items():
            rows.append((name, what, f"{1000 * seconds / steps:.2f}", f"{first / seconds:.2f}"))
    keep("stacked", ("eight β, batch 128", "", "milliseconds per step and β", "times as fast"), rows)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""How near a training step comes to the machine's matrix products, and where the rest goes.

    python tools/bench/limit.py

The limit is the step's floating-point operations (every linear layer: forward, weight gradient, and, but for the first,
input gradient) over the rate of a large float32 matrix product measured in the same run. Beside `hw2.fit`'s step stand
its matrix products alone, in the step's order and on the step's arrays, and the whole step written out without
autograd: what no loop over eager PyTorch, with these products, can beat by much.
"""

import itertools

import torch
import torch.nn.functional as F
from timing import in_turn, keep, sgemm
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import hw2
from hw2.training import drop_denormals, loss_terms

BATCH, STEPS, ROUNDS = 128, 200, 7
SIZES = {"784-400-20": (20, (400,)), "784-512-256-32": (32, (512, 256))}
CONFIG = hw2.TrainConfig(beta=1 / 784, likelihood="bernoulli")


def linears(model: hw2.VAE) -> list[nn.Linear]:
    return [layer for layer in (*model.encoder, *model.decoder) if isinstance(layer, nn.Linear)]


def operations(model: hw2.VAE) -> int:
    """Floating-point operations of one step's matrix products."""
    first, *others = (2 * BATCH * layer.in_features * layer.out_features for layer in linears(model))
    return 2 * first + 3 * sum(others)


class Step:
    """A model and its optimiser, and the ways to take a step."""

    def __init__(self, latent_dim: int, hidden: tuple[int, ...], images: Tensor) -> None:
        self.model = hw2.VAE(latent_dim, hidden=hidden).train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)
        self.noise = torch.Generator().manual_seed(0)
        self.images = images
        layers = linears(self.model)
        self.weights = [layer.weight.detach() for layer in layers]  # views: the optimiser's steps reach them
        self.biases = [layer.bias.detach() for layer in layers]
        for p in self.model.parameters():
            p.grad = torch.zeros_like(p)
        self.weight_grads = [layer.weight.grad for layer in layers]
        self.bias_grads = [layer.bias.grad for layer in layers]
        self.encoder_depth = len(hidden) + 1

    def batches(self):
        for rows in itertools.islice(torch.randperm(len(self.images)).split(BATCH), STEPS):
            yield self.images.index_select(0, rows)

    def gradients(self, x: Tensor) -> None:
        """As in `hw2.fit`."""
        *_, loss = loss_terms(self.model, x, CONFIG, self.noise)
        self.optimizer.zero_grad()
        loss.backward()

    @torch.no_grad()
    def gradients_by_hand(self, x: Tensor) -> None:
        """The same, without autograd, into the same memory at each step."""
        n, split, last = len(x), self.encoder_depth, len(self.weights) - 1
        inputs, h = [], x.flatten(1)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i == split:
                mu, logvar = h.chunk(2, 1)
                sigma = torch.exp(0.5 * logvar)
                eps = torch.randn(mu.shape, generator=self.noise)
                h = torch.addcmul(mu, sigma, eps)
            inputs.append(h)
            h = torch.addmm(bias, h, weight.T)
            if i not in (split - 1, last):
                h = h.relu_()
        flat = x.flatten(1)
        self.loss = (F.softplus(h).sum() - (flat * h).sum() + 0.5 * (mu * mu + sigma * sigma - 1 - logvar).sum()) / n
        g = h.sigmoid_().sub_(flat).div_(n)
        for i in reversed(range(last + 1)):
            torch.mm(g.T, inputs[i], out=self.weight_grads[i])
            torch.sum(g, 0, out=self.bias_grads[i])
            if i == 0:
                break
            g = g @ self.weights[i]
            if i == split:
                g = torch.cat([g + mu / n, 0.5 * (g * eps * sigma + (sigma * sigma - 1) / n)], 1)
            else:
                g = g.masked_fill_(inputs[i] == 0, 0)

    @torch.no_grad()
    def products(self, x: Tensor) -> None:
        """The matrix products alone."""
        hs = [x.flatten(1)]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = hs[-1] if i != self.encoder_depth else hs[-1][:, : weight.shape[1]]
            hs.append(torch.addmm(bias, h, weight.T))
        g = hs[-1]
        for i in reversed(range(len(self.weights))):
            h = hs[i][:, : self.weights[i].shape[1]]
            torch.mm(g.T, h, out=self.weight_grads[i])
            if i:
                g = g @ self.weights[i]
                if i == self.encoder_depth:
                    g = torch.cat([g, g], 1)

    def run(self, gradients, optimise: bool = True, drop: bool = True) -> None:
        """Many steps, as `hw2.fit` takes them."""
        for i, x in enumerate(self.batches(), 1):
            gradients(x)
            if optimise:
                self.optimizer.step()
                if drop and i % 50 == 0:
                    drop_denormals(self.optimizer)


def agree(step: Step) -> None:
    """The step by hand computes what autograd computes."""
    x = next(step.batches())
    step.noise.manual_seed(0)
    step.gradients_by_hand(x)
    by_hand = [g.clone() for g in (*step.weight_grads, *step.bias_grads)]
    step.noise.manual_seed(0)
    step.gradients(x)
    layers = linears(step.model)
    torch.testing.assert_close(by_hand, [p.weight.grad for p in layers] + [p.bias.grad for p in layers])


def shown(step: Step) -> str:
    """The profile of `hw2.fit`'s step."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        step.run(step.gradients)
    return profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=14, max_name_column_width=42)


def main() -> None:
    images = hw2.load("mnist", "train").images
    rows = []
    for name, (latent_dim, hidden) in SIZES.items():
        step = Step(latent_dim, hidden, images)
        agree(step)
        free = Step(latent_dim, hidden, images)  # its gradients stay where they are
        left = Step(latent_dim, hidden, images)
        sides = {
            "`hw2.fit`'s step": lambda step=step: step.run(step.gradients),
            "the same without `drop_denormals`": lambda left=left: left.run(left.gradients, drop=False),
            "without the optimiser": lambda step=step: step.run(step.gradients, optimise=False),
            "by hand, without autograd": lambda free=free: free.run(free.gradients_by_hand),
            "by hand, without the optimiser": lambda free=free: free.run(free.gradients_by_hand, optimise=False),
            "its matrix products alone": lambda free=free: free.run(free.products, optimise=False),
        }
        in_turn(sides, 10)  # 2,000 steps: denormals take some 900 to come
        before = sgemm()
        times = in_turn(sides, ROUNDS)
        limit = operations(step.model) / max(before, sgemm())
        for what, seconds in times.items():
            rows.append((name, what, f"{1000 * seconds / STEPS:.2f}", f"{100 * limit * STEPS / seconds:.0f} %"))
        rows.append((name, "limit", f"{1000 * limit:.2f}", "100 %"))
        print(name, shown(step), sep="\n", flush=True)
    keep("limit", ("network, batch 128", "", "milliseconds per step", "of the limit"), rows)


if __name__ == "__main__":
    main()

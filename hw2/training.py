"""Training: the data in memory, a plain loop, every step remembered.

A `TrainConfig` holds everything that decides the result besides the model and the data: the same three on the
same machine (torch build, instruction set, thread count, device) give bitwise the same weights. `Training` is a run
under way, an epoch at a time; `fit` runs it to its end. Notebook 1 trains an autoencoder so, notebook 2 the VAEs.

Papers: Kingma & Ba 2015 (arXiv:1412.6980); Smith & Topin 2019 (arXiv:1708.07120) for the one-cycle rate.
"""

import copy
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from .data import Digits, check_images
from .losses import LIKELIHOODS, effective_beta
from .models import AutoEncoder, device_of, inference

SCHEDULES = ("constant", "one-cycle")
DEVICES = ("cpu", "auto", "cuda", "mps")


@dataclass(frozen=True)
class TrainConfig:
    """What decides a run besides model and data. ValueError at once for a value that makes no sense."""

    beta: float = 0.001  # weight of the KL, homework's unit: pixel-mean reconstruction, dimension-summed KL
    epochs: int = 5  # passes over the images
    batch_size: int = 128  # images per step; the last batch of an epoch may be smaller
    lr: float = 1e-3  # Adam's step size; the peak of it if one-cycle
    schedule: str = "constant"  # "constant" (the homework's) or "one-cycle"
    likelihood: str = "gaussian"  # "gaussian": squared error; "bernoulli": cross-entropy in nats
    seed: int = 0  # of the image order and of the noise in z (a model's own seed is of its weights)
    device: str = "cpu"  # "cpu", "cuda", "mps", or "auto": the first there is of cuda, mps, cpu

    def __post_init__(self) -> None:
        effective_beta(self.beta)  # raises for a β that makes no sense
        for name in ("beta", "lr"):  # so that 10 and 10.0 are the same run
            object.__setattr__(self, name, float(getattr(self, name)))
        for name, least in (("seed", 0), ("epochs", 1), ("batch_size", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
                raise ValueError(f"{name} must be an integer >= {least} and below 2**63, got {value!r}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr must be a finite number > 0, got {self.lr}")
        for name, known in (("schedule", SCHEDULES), ("likelihood", LIKELIHOODS), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: expected one of {', '.join(known)}")

    def torch_device(self) -> torch.device:
        """The device meant; RuntimeError if this machine has none of that kind."""
        present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        name = next(d for d in present if present[d]) if self.device == "auto" else self.device
        if not present[name]:
            raise RuntimeError(f'device {name!r} is not available here: use "cpu" or "auto"')
        return torch.device(name)


@dataclass(frozen=True, eq=False)
class History:
    """The loss of every step, in summed units per image (squared error or nats), each (steps,) float32.

    `loss` = recon + effective β · kl. An autoencoder has kl = 0. `steps_per_epoch` turns steps into epochs. `threads`:
    torch's number of threads, on which the last bits depend.
    """

    recon: Tensor
    kl: Tensor
    loss: Tensor
    steps_per_epoch: int
    threads: int = 0

    def per_epoch(self, term: str) -> Tensor:
        """Mean of "recon", "kl" or "loss" over each epoch, (epochs,)."""
        return getattr(self, term).view(-1, self.steps_per_epoch).mean(1)


class Terms(NamedTuple):
    """Averages per image in summed units: squared error or nats, nats, and recon + effective β · kl."""

    recon: float
    kl: float
    loss: float


def loss_terms(
    model: AutoEncoder, x: Tensor, config: TrainConfig, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(recon, kl, recon + effective β · kl) averaged over the batch, scalars in summed units per image.

    The terms are the model's own. β is the config's, or each image's own where the model's terms come with one.
    """
    recon, kl, *betas = model.terms(x, config.likelihood, generator)  # (B,) each
    if betas:
        return recon.mean(), kl.mean(), (recon + effective_beta(1) * betas[0] * kl).mean()
    recon, kl = recon.mean(), kl.mean()
    return recon, kl, recon + effective_beta(config.beta) * kl


def training_step(
    model: AutoEncoder,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    config: TrainConfig,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One step on a batch: the gradient of its loss alone, and one step of the optimiser along it.

    x: (B, 1, 28, 28). Returns (recon, kl, loss) of `loss_terms` as they were before the step, without their graph.
    """
    recon, kl, loss = loss_terms(model, x, config, generator)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return recon.detach(), kl.detach(), loss.detach()


def check(model: AutoEncoder, digits: Digits, config: TrainConfig) -> None:
    """What a person hands to training and evaluation. TypeError or ValueError."""
    for name, value, kind, what in (
        ("model", model, nn.Module, "torch.nn.Module such as hw2.VAE(32)"),
        ("digits", digits, Digits, "hw2.Digits (wrap images and labels in it)"),
        ("config", config, TrainConfig, "hw2.TrainConfig"),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {what}, got {type(value).__name__}")
    check_images(digits.images)  # again: a tensor can be written to after Digits looked at it
    with inference(model):  # what cannot be computed is said before the first step
        x = digits.images[:2].to(device_of(model))
        terms = model.terms(x, config.likelihood, torch.Generator(x.device).manual_seed(config.seed))
    if len(terms) not in (2, 3) or any(term.shape != (len(x),) for term in terms):
        shapes = ", ".join(str(tuple(term.shape)) for term in terms)
        raise ValueError(f"terms must give (reconstruction, KL), a number per image, ({len(x)},) each, got {shapes}")


class Training:
    """A run under way: all that a step changes, an epoch at a time, with Adam.

        with Training(model, digits, config) as training:
            while not training.ended:
                training.run_epoch()

    The model trains in place on the config's device; at the end of the `with` it is back where it was, in evaluation
    mode. `state_dict()` after an epoch, given to the `load_state_dict()` of a new Training of the same three, goes on
    to bitwise the same end. TypeError, ValueError or, for a device that is not here, RuntimeError before any step.
    """

    def __init__(self, model: AutoEncoder, digits: Digits, config: TrainConfig | None = None) -> None:
        config = config or TrainConfig()
        check(model, digits, config)
        n, size = len(digits), config.batch_size
        if 1 in (size, n % size) and any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in model.modules()):
            raise ValueError(
                f"{n} images in batches of {size} leave a batch of one image, which BatchNorm cannot normalise: "
                "choose another batch_size"
            )
        self.config, self.home, device = config, device_of(model), config.torch_device()
        self.model, self.images = model.to(device), digits.images.to(device)
        self.order = torch.Generator().manual_seed(config.seed)
        self.noise = torch.Generator(device).manual_seed(config.seed)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
        self.steps_per_epoch = math.ceil(n / size)
        self.record = torch.zeros(3, config.epochs * self.steps_per_epoch, device=device)  # to read it, a GPU waits
        self.epoch = 0  # how many have ended
        self.scheduler = None
        if config.schedule == "one-cycle":
            self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
                self.optimizer, max_lr=config.lr, total_steps=self.record.shape[1]
            )

    def __enter__(self) -> "Training":
        return self

    def __exit__(self, *_error) -> None:
        self.model.to(self.home).eval()

    @property
    def ended(self) -> bool:
        """Whether all epochs have run."""
        return self.epoch == self.config.epochs

    @property
    def history(self) -> History:
        """The loss of every step of the epochs that have ended."""
        return History(*self._done().cpu(), self.steps_per_epoch, torch.get_num_threads())

    def _done(self) -> Tensor:
        return self.record[:, : self.epoch * self.steps_per_epoch]

    def run_epoch(self, bar: tqdm | None = None, stop: threading.Event | None = None) -> Terms:
        """One pass over the images, in an order drawn anew. Returns the mean of each term.

        bar: is moved with each step. stop: once set, from any thread, raises KeyboardInterrupt before the next step; an
        epoch that was interrupted is run again from its first step. RuntimeError when all epochs have run;
        FloatingPointError, with step and term, after an epoch whose loss was not finite.
        """
        if self.ended:
            raise RuntimeError(f"all {self.config.epochs} epochs have run: a longer run needs a config with more")
        first = step = self.epoch * self.steps_per_epoch
        if self.scheduler:
            self.scheduler.last_epoch = first  # its rate is a function of this
        self.model.train()
        for rows in torch.randperm(len(self.images), generator=self.order).split(self.config.batch_size):
            if stop is not None and stop.is_set():
                raise KeyboardInterrupt
            x = self.images.index_select(0, rows.to(self.images.device))
            self.record[:, step] = torch.stack(training_step(self.model, self.optimizer, x, self.config, self.noise))
            if self.scheduler:
                self.scheduler.step()
            step += 1
            if step % 50 == 0:
                drop_denormals(self.optimizer)
            if bar is not None:
                bar.update()
        _check_finite(self.record[:, first:step], first, self.config)
        self.epoch += 1
        return Terms(*self.record[:, first:step].mean(1).tolist())

    def state_dict(self) -> dict:
        """A copy of all that the next epoch needs, and of the record so far."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.order.get_state(),
            "noise": self.noise.get_state(),
            "record": self._done(),
        }
        return copy.deepcopy(state)

    def load_state_dict(self, state: dict) -> None:
        """Go on from where the run that `state` is of was, whatever weights the model has now."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        self.noise.set_state(state["noise"])
        self.epoch = state["record"].shape[1] // self.steps_per_epoch
        self._done().copy_(state["record"])


def run(training: Training, progress: bool = True, stop: threading.Event | None = None) -> Iterator[int]:
    """The epochs that are left, under a bar: the number of each as it has ended."""
    done, steps = training.history.loss.shape[0], training.record.shape[1]
    with tqdm(total=steps, initial=done, unit="step", disable=not progress) as bar:
        while not training.ended:
            recon, kl, _ = training.run_epoch(bar, stop)
            bar.set_description(f"epoch {training.epoch}/{training.config.epochs}", refresh=False)
            bar.set_postfix(recon=f"{recon:.2f}", KL=f"{kl:.2f}")
            yield training.epoch


def fit(
    model: AutoEncoder,
    digits: Digits,
    config: TrainConfig | None = None,
    *,
    progress: bool = True,
    stop: threading.Event | None = None,
) -> History:
    """Train `model` in place with Adam on `digits` and return the loss of every step.

    The loss is recon + effective_beta(config.beta) · kl, both summed per image and averaged over the batch. The
    model ends in evaluation mode, on the device it came from, also where training fails. `hw2.train_or_load` keeps the
    run on disk, too. stop: once set, from any thread, stops the run as an interrupt does. Errors: those of `Training`
    and its `run_epoch`.
    """
    with Training(model, digits, config) as training:
        for _epoch in run(training, progress, stop):
            pass
        return training.history


def drop_denormals(optimizer: torch.optim.Optimizer) -> None:
    """Set the first moments that have decayed to next to nothing to 0.

    A pixel that is hardly ever lit gives its weights no gradient, and their first moment shrinks to 0.9 of itself at
    each step, until it sticks among the denormal floats, with which a CPU computes many times as slowly. Below 1e-30
    it moves no weight.
    """
    for state in optimizer.state.values():
        state["exp_avg"].masked_fill_(state["exp_avg"].abs() < 1e-30, 0)


def _check_finite(record: Tensor, first_step: int, config: TrainConfig) -> None:
    bad = ~record.isfinite()
    if bad.any():
        step = int(bad.any(0).nonzero()[0])
        term = ("recon", "kl", "loss")[int(bad[:, step].nonzero()[0])]
        raise FloatingPointError(
            f"{term} is {record[:, step][bad[:, step]][0].item()} at step {first_step + step + 1}: "
            f"most likely the learning rate ({config.lr:g}) or beta ({config.beta:g}) is too large"
        )


def evaluate(model: AutoEncoder, digits: Digits, config: TrainConfig | None = None, *, batch_size: int = 1000) -> Terms:
    """The loss on held-out `digits`, with one sampled z per image, drawn with config.seed. Trains nothing.

    Uses the config's beta, likelihood and seed. Returns averages per image in summed units. TypeError for a model that
    draws its own β, such as a ConditionedVAE, which is evaluated at one: `evaluate(model.at(beta), …)`.
    """
    config = config or TrainConfig()
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    check(model, digits, config)
    noise = torch.Generator(device_of(model)).manual_seed(config.seed)
    total = torch.zeros(2, dtype=torch.float64)
    with inference(model):
        for x in digits.images.split(batch_size):
            recon, kl, *betas = model.terms(x.to(device_of(model)), config.likelihood, noise)
            if betas:
                raise TypeError(f"a {type(model).__name__} is evaluated at one β: evaluate(model.at(beta), ...)")
            total += torch.stack((recon, kl)).double().sum(1).cpu()
    recon, kl = (total / len(digits)).tolist()
    return Terms(recon, kl, recon + effective_beta(config.beta) * kl)

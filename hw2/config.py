"""What decides a run and what it leaves: its settings, the loss of every step, and whether it is any good."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .inputs import real, whole
from .losses import LIKELIHOODS, effective_beta

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
    warmup: int = 0  # epochs over which beta rises from 0, a little at each step; it may outlast the run; 0: none
    likelihood: str = "gaussian"  # "gaussian": squared error; "bernoulli": cross-entropy in nats
    seed: int = 0  # of the image order and of the noise in z (a model's own seed is of its weights)
    device: str = "cpu"  # "cpu", "cuda", "mps", or "auto": the first there is of cuda, mps, cpu

    def __post_init__(self) -> None:
        effective_beta(self.beta)  # raises for a β that makes no sense
        for name in ("beta", "lr"):  # so that 10 and 10.0, 0 and -0.0, and NumPy's, are the same run
            object.__setattr__(self, name, real(name, getattr(self, name)) + 0.0)
        for name, least in (("seed", 0), ("epochs", 1), ("batch_size", 1), ("warmup", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        if self.lr <= 0:
            raise ValueError(f"lr must be a finite number > 0, got {self.lr}")
        for name, known in (("schedule", SCHEDULES), ("likelihood", LIKELIHOODS), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: expected one of {', '.join(known)}")

    def beta_at(self, step: Tensor | int, steps_per_epoch: int) -> Tensor | float:
        """The β in force at a step, or at many, counted from 0."""
        rise = self.warmup * steps_per_epoch
        if not rise:
            return self.beta + 0.0 * step
        share = step / rise
        return self.beta * (share.clamp(max=1) if isinstance(share, Tensor) else min(share, 1.0))

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
    torch's number of threads, on which the last bits depend. beta: the β in force at each step, (steps,), in the
    homework's unit; None for a model that draws a β for each image. validation: the held-out recon, kl and loss after
    each epoch, (3, epochs), where `fit` was given digits for it. problem: why this is not a good run, see `diverged`.
    likelihood: the config's, which gives recon its unit.
    """

    recon: Tensor
    kl: Tensor
    loss: Tensor
    steps_per_epoch: int
    threads: int = 0
    beta: Tensor | None = None
    validation: Tensor | None = None
    problem: str = ""
    likelihood: str = "gaussian"

    def per_epoch(self, term: str) -> Tensor:
        """Mean of "recon", "kl" or "loss" over each epoch's steps, (epochs,). A smaller last batch counts as any."""
        if term not in Terms._fields:
            raise ValueError(f"term must be one of {', '.join(Terms._fields)}, got {term!r}")
        return getattr(self, term).view(-1, self.steps_per_epoch).mean(1)


class Terms(NamedTuple):
    """Averages per image in summed units: squared error or nats, nats, and recon + effective β · kl."""

    recon: float
    kl: float
    loss: float


def mean_image_error(images: Tensor, likelihood: str) -> float:
    """The error per image, in summed units, of always answering with the mean image: what knowing nothing costs."""
    variance, mean = torch.var_mean(images, 0, correction=0)
    if likelihood == "gaussian":
        return variance.sum().item()
    if likelihood == "bernoulli":
        return (torch.special.entr(mean) + torch.special.entr(1 - mean)).sum().item()
    raise ValueError(f"no error of the mean image is known for the likelihood {likelihood!r}")


def diverged(history: History, baseline: float) -> str:
    """Why a run is not a good one, in words, or "": it ended more than a fifth worse than it began, or than `baseline`.

    baseline: `mean_image_error` of what it trained on. The end is the mean of the last tenth of the steps, at most 50.
    A run of less than 100 steps may still be on its way to the mean image, so only its beginning is held against it.
    """
    last = slice(-min(50, max(1, len(history.recon) // 10)), None)
    recon, loss, first = history.recon[last].mean().item(), history.loss[last].mean().item(), history.loss[0].item()
    if history.beta is not None:  # with the β in force at the end, which a warm-up had not reached
        first += (effective_beta(1) * (history.beta[-1] - history.beta[0]) * history.kl[0]).item()
    remedy = "most likely the learning rate is too large: do not use this run"
    if loss - first > 0.2 * abs(first):  # a loss of one's own may be negative
        return f"the run ended with a loss of {loss:.4g} and began with {first:.4g}: {remedy}"
    if len(history.recon) >= 100 and recon > 1.2 * baseline:
        return (
            f"the run ended with an error of {recon:.4g}, the mean image has {baseline:.4g}: most likely the learning "
            "rate is too large, or too small for so few steps: do not use this run"
        )
    return ""

"""Training: the data in memory, two plain loops, every step remembered.

A `TrainConfig` holds everything that decides the result besides the model and the data: the same three on the
same machine (torch build, instruction set, thread count, device) give bitwise the same weights.

Papers: Kingma & Ba 2015 (arXiv:1412.6980); Smith & Topin 2019 (arXiv:1708.07120) for the one-cycle rate.
"""

import math
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .data import Digits, check_images
from .losses import LIKELIHOODS, effective_beta, kl_normal, reconstruction_loss
from .models import VAE, AutoEncoder, ConditionedVAE, device_of, inference
from .state import identity, resume_run, write_run

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

    kl is 0 for an autoencoder; a ConditionedVAE has a β of its own for each image.
    """
    if isinstance(model, ConditionedVAE):
        betas = model.draw_betas(len(x), generator)
        logits, mu, logvar = model(x, generator, betas)
        recon, kl = reconstruction_loss(logits, x, config.likelihood), kl_normal(mu, logvar)
        return recon.mean(), kl.mean(), (recon + effective_beta(1) * betas * kl).mean()
    if isinstance(model, VAE):
        logits, mu, logvar = model(x, generator)
        kl = kl_normal(mu, logvar).mean()
    else:
        logits, kl = model(x), x.new_zeros(())
    recon = reconstruction_loss(logits, x, config.likelihood).mean()
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


def check_run(model: AutoEncoder, digits: Digits, config: TrainConfig) -> None:
    """TypeError or ValueError for what would fail, or silently go wrong, after the first step."""
    if not isinstance(config, TrainConfig):
        raise TypeError(f"config must be a hw2.TrainConfig, got {type(config).__name__}")
    if not isinstance(digits, Digits):
        raise TypeError(f"fit and evaluate take hw2.Digits, got {type(digits).__name__}: wrap images and labels in it")
    check_images(digits.images)  # again: a tensor can be written to after Digits looked at it
    with inference(model):
        width = model.encoder(digits.images[:1].to(device_of(model))).shape[-1]
    if width != model.heads * model.latent_dim:
        raise ValueError(
            f"the encoder gives {width} numbers, a {type(model).__name__} with latent size {model.latent_dim} needs "
            f"{model.heads * model.latent_dim}"
        )


def fit(
    model: AutoEncoder,
    digits: Digits,
    config: TrainConfig | None = None,
    *,
    progress: bool = True,
    checkpoint: Path | str | None = None,
    resume: bool = False,
    stop: threading.Event | None = None,
) -> History:
    """Train `model` in place with Adam on `digits` and return the loss of every step.

    The loss is recon + effective_beta(config.beta) · kl, both summed per image and averaged over the batch. The
    model ends in evaluation mode, on the device it came from, also where training fails.

    checkpoint: a file that holds the run as it was after its last whole epoch, and the ended run at the end (see
    `load_checkpoint`). With resume=True a run that is there goes on, whatever weights `model` has, on the number of
    threads that it began with, and ends bitwise as if it had not been stopped. stop: once set, from any thread, stops
    the run as an interrupt does.

    ValueError before the first step for what cannot be trained, and for a checkpoint of another run, with what differs;
    FileExistsError for a checkpoint that is there without resume=True, OSError for one that cannot be written;
    FloatingPointError, with step and term, at the end of an epoch whose loss was not finite; KeyboardInterrupt, which
    says how to go on.
    """
    config = config or TrainConfig()
    check_run(model, digits, config)
    if model.arch == "conv" and 1 in (config.batch_size, len(digits) % config.batch_size):
        raise ValueError(
            f"{len(digits)} images in batches of {config.batch_size} leave a batch of one image, which BatchNorm "
            "cannot normalise: choose another batch_size"
        )
    if resume and checkpoint is None:
        raise ValueError("resume=True goes on from a file: pass checkpoint=path")
    path = None if checkpoint is None else Path(checkpoint)
    if path and path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: checkpoint is the name of a file")
    if path and path.exists() and not resume:
        raise FileExistsError(f"{path} exists: go on with it by resume=True, choose another path, or delete it")
    home, device, threads = device_of(model), config.torch_device(), torch.get_num_threads()
    try:
        return _Training(model.to(device).train(), digits, config, device, path).run(progress, stop)
    except KeyboardInterrupt:
        if path and path.exists():
            again = "call" if resume else "call with resume=True"
            raise KeyboardInterrupt(f"stopped. {path} has the epochs that ended; the same {again} goes on") from None
        raise
    finally:
        torch.set_num_threads(threads)
        model.to(home).eval()


class _Training:
    """A run under way: all that a step changes."""

    def __init__(
        self, model: AutoEncoder, digits: Digits, config: TrainConfig, device: torch.device, path: Path | None
    ) -> None:
        self.model, self.digits, self.config, self.path = model, digits, config, path
        self.images = digits.images.to(device)
        self.order = torch.Generator().manual_seed(config.seed)
        self.noise = torch.Generator(device).manual_seed(config.seed)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
        self.steps_per_epoch = math.ceil(len(digits) / config.batch_size)
        steps = config.epochs * self.steps_per_epoch
        self.scheduler = None
        if config.schedule == "one-cycle":
            self.scheduler = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=config.lr, total_steps=steps)
        self.record = torch.zeros(3, steps, device=device)  # kept on the device: reading a loss makes a GPU wait
        self.step = 0
        if path:
            self.about = identity(model, config, digits.digest())
            try:
                self._resume()
            except FileNotFoundError:
                try:
                    self._write()  # now rather than after an epoch
                except OSError as error:
                    raise OSError(f"{path} cannot be written ({error}): make room, or choose another place") from error

    @property
    def _generators(self) -> dict[str, torch.Generator]:
        return {"order": self.order, "noise": self.noise}

    def _resume(self) -> None:
        done, threads = resume_run(self.path, self.about, self.model, self.optimizer, self._generators)
        torch.set_num_threads(threads)  # those that it began with, for the same bits
        self.step = done.shape[1]
        self.record[:, : self.step] = done
        if self.scheduler:
            self.scheduler.last_epoch = self.step  # its rate is a function of this, and already in the optimiser

    def _write(self) -> None:
        ended = self.step == self.record.shape[1]
        under_way = () if ended else (self.optimizer, self._generators)
        about = self.about | {"threads": torch.get_num_threads()}
        write_run(self.path, about, self.model, self.record[:, : self.step], self.steps_per_epoch, *under_way)

    def run(self, progress: bool, stop: threading.Event | None) -> History:
        """The loops, from where the run is to its end."""
        config, record, steps = self.config, self.record, self.record.shape[1]
        with tqdm(total=steps, initial=self.step, unit="step", disable=not progress) as bar:
            for epoch in range(self.step // self.steps_per_epoch + 1, config.epochs + 1):
                for rows in torch.randperm(len(self.digits), generator=self.order).split(config.batch_size):
                    if stop and stop.is_set():
                        raise KeyboardInterrupt
                    x = self.images.index_select(0, rows.to(self.images.device))
                    recon, kl, loss = training_step(self.model, self.optimizer, x, config, self.noise)
                    if self.scheduler:
                        self.scheduler.step()
                    record[:, self.step] = torch.stack((recon, kl, loss))
                    self.step += 1
                    if self.step % 50 == 0:
                        drop_denormals(self.optimizer)
                    if progress and (self.step % 50 == 0 or self.step % self.steps_per_epoch == 0):
                        bar.set_description(f"epoch {epoch}/{config.epochs}", refresh=False)
                        bar.set_postfix(recon=f"{recon:.2f}", KL=f"{kl:.2f}", refresh=False)
                        bar.update(self.step - bar.n)
                first = self.step - self.steps_per_epoch
                _check_finite(record[:, first : self.step], first, config)
                if self.path:
                    try:
                        self._write()
                    except OSError as error:
                        warnings.warn(f"epoch {epoch} could not be written: {error}", stacklevel=4)
        return History(*record.cpu(), self.steps_per_epoch, torch.get_num_threads())


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

    Uses the config's beta, likelihood and seed. Returns averages per image in summed units. TypeError for a
    ConditionedVAE, which is evaluated at one β: `evaluate(model.at(beta), …)`.
    """
    if isinstance(model, ConditionedVAE):
        raise TypeError("a ConditionedVAE is evaluated at one β: evaluate(model.at(beta), ...)")
    config = config or TrainConfig()
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    check_run(model, digits, config)
    noise = torch.Generator(device_of(model)).manual_seed(config.seed)
    total = torch.zeros(2, dtype=torch.float64)
    with inference(model):
        for x in digits.images.split(batch_size):
            recon, kl, _ = loss_terms(model, x.to(device_of(model)), config, noise)
            total += len(x) * torch.stack((recon, kl)).double().cpu()
    recon, kl = (total / len(digits)).tolist()
    return Terms(recon, kl, recon + effective_beta(config.beta) * kl)

"""Training: the data in memory, a plain loop, every step remembered.

`Training` is a run under way, an epoch at a time; `fit` runs it to its end. Model, data and config on the same machine
(torch build, instruction set, thread count, device) give bitwise the same weights, unless a layer of one's own draws
from torch's global generator, as nn.Dropout does. Notebook 1 trains an autoencoder so,
notebook 2 the VAEs.

Papers: Kingma & Ba 2015 (arXiv:1412.6980); Smith & Topin 2019 (arXiv:1708.07120) for the one-cycle rate.
"""

import copy
import math
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from .config import History, Terms, TrainConfig, diverged, mean_image_error
from .data import Digits
from .guards import check, check_finite
from .inputs import whole
from .losses import effective_beta
from .models import AutoEncoder, device_of, inference


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
    """One step of training on a batch: the gradient of its loss alone, and one step of the optimiser.

    x: (B, 1, 28, 28). `loss_terms`, above, gives (recon, kl, loss) for the model, x, config and generator: hand all
    four on. The step goes against the gradient of the loss; what an earlier step has left in the gradients must not
    count. Returns (recon, kl, loss) as they were before the step, a tensor with one number each, detached from their
    graph, because those of all steps are kept for the curves. x and the model's mode stay as they are.
    """
    recon, kl, loss = loss_terms(model, x, config, generator)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return recon.detach(), kl.detach(), loss.detach()


class Training:
    """A run under way: all that a step changes, an epoch at a time, with Adam.

        with Training(model, digits, config) as training:
            while not training.ended:
                training.run_epoch()

    The model trains in place on the config's device; at the end of the `with` it is back where it was, in evaluation
    mode. `state_dict()` after an epoch, given to the `load_state_dict()` of a new Training of the same three, goes on
    to bitwise the same end. validation: digits that are evaluated after each epoch. TypeError, ValueError or, for a
    device that is not here, RuntimeError before any step.
    """

    def __init__(
        self, model: AutoEncoder, digits: Digits, config: TrainConfig | None = None, validation: Digits | None = None
    ) -> None:
        config = TrainConfig() if config is None else config
        self.draws_beta = check(model, digits, config)
        if validation is not None:
            check(model, validation, config)
            if self.draws_beta:
                raise TypeError(f"a {type(model).__name__} is evaluated at one β: leave validation out, see evaluate")
        if not torch.is_grad_enabled():
            raise RuntimeError("gradients are off here: train outside of torch.no_grad() and inference_mode()")
        if all(not p.requires_grad for p in model.parameters()):
            raise ValueError(
                f"this {type(model).__name__} has no parameters to train: all are frozen, or there are none"
            )
        n, size = len(digits), config.batch_size
        if 1 in (size, n % size) and any(trains for _, trains in _norms(model)):
            raise ValueError(
                f"{n} images in batches of {size} leave a batch of one image, which BatchNorm cannot normalise: "
                "choose another batch_size"
            )
        self.config, self.home, device = config, device_of(model), config.torch_device()
        if device.type == "cuda":
            torch.backends.cudnn.deterministic = True  # convolutions give the same bits each time; for good
        self.model, self.images = model.to(device), digits.images.detach().to(device)
        self.order = torch.Generator().manual_seed(config.seed)
        self.noise = torch.Generator(device).manual_seed(config.seed)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
        self.steps_per_epoch = math.ceil(n / size)
        steps = config.epochs * self.steps_per_epoch
        self.record = torch.zeros(3, steps, dtype=torch.float32, device=device)  # a GPU waits when it is read
        self.epoch = 0  # how many have ended
        self.validation, self.held_out = validation, []  # and a row of terms for each epoch
        own = model.terms.__module__.split(".")[0] != __package__  # terms of its own have a unit of their own
        self.baseline = math.inf if own else mean_image_error(digits.images, config.likelihood) or math.inf
        self.scheduler = None
        if config.schedule == "one-cycle":
            self.scheduler = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=config.lr, total_steps=steps)

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
        done, held_out = self._done().cpu().clone(), None
        steps = torch.arange(done.shape[1], dtype=torch.float32)
        beta = None if self.draws_beta else self.config.beta_at(steps, self.steps_per_epoch)
        if self.validation is not None:
            held_out = torch.tensor(self.held_out, dtype=torch.float32).view(-1, 3).T
        history = History(*done, self.steps_per_epoch, torch.get_num_threads(), beta, held_out,
                          likelihood=self.config.likelihood)  # fmt: skip
        return replace(history, problem=diverged(history, self.baseline)) if self.ended else history

    def _done(self) -> Tensor:
        return self.record[:, : self.epoch * self.steps_per_epoch]

    def run_epoch(self, bar: tqdm | None = None, stop: threading.Event | None = None) -> Terms:
        """One pass over the images, in an order drawn anew. Returns the mean of each term.

        bar: a progress bar, moved with each step. stop: once set, from any thread, raises KeyboardInterrupt before the
        next step. After an interrupt the next call runs the epoch anew, from the weights as they are now; to repeat its
        bits, load the `state_dict` of the last whole epoch. RuntimeError when all epochs have run; FloatingPointError,
        with step and term, after an epoch whose loss was not finite.
        """
        if self.ended:
            raise RuntimeError(f"all {self.config.epochs} epochs have run: a longer run needs a config with more")
        first = step = self.epoch * self.steps_per_epoch
        if self.scheduler and self.scheduler.last_epoch != first:  # in spite of its name, the number of steps
            self.scheduler.last_epoch = first - 1  # an epoch was interrupted: the rate of its first step again
            self.scheduler.step()
        self.model.train()
        for norm, trains in _norms(self.model):
            norm.train(trains)
        order = torch.randperm(len(self.images), generator=self.order).to(self.images.device)
        for rows in order.split(self.config.batch_size):
            if stop is not None and stop.is_set():
                raise KeyboardInterrupt
            x = self.images.index_select(0, rows)
            config = self.config
            if config.warmup:
                config = replace(config, beta=config.beta_at(step, self.steps_per_epoch))
            self.record[:, step] = torch.stack(training_step(self.model, self.optimizer, x, config, self.noise))
            if self.scheduler:
                self.scheduler.step()
            step += 1
            if step % 50 == 0:
                drop_denormals(self.optimizer)
            if bar is not None:
                bar.update()
        check_finite(self.record[:, first:step], first, self.config)
        if self.validation is not None:
            self.held_out.append(tuple(evaluate(self.model, self.validation, self.config)))
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
            "held_out": self.held_out,
            "images": len(self.images),
            "batch_size": self.config.batch_size,
        }
        return copy.deepcopy(state)

    def load_state_dict(self, state: dict) -> None:
        """Go on from where the run that `state` is of was, whatever weights the model has now.

        ValueError for the state of a run with other numbers of images per epoch or per step, or with more epochs.
        """
        steps, mine = state["record"].shape[1], (len(self.images), self.config.batch_size)
        images, size = state.get("images", mine[0]), state.get("batch_size", mine[1])
        if (images, size) != mine or steps % self.steps_per_epoch or steps > self.record.shape[1]:
            raise ValueError(
                f"the state is of another run: it has {steps} steps, on {images} images in batches of {size}, and this "
                f"run has {self.record.shape[1]}, on {mine[0]} in batches of {mine[1]}"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # which would be changed by each step
        self.order.set_state(state["order"])
        self.noise.set_state(state["noise"])
        self.epoch = steps // self.steps_per_epoch
        if self.scheduler:
            self.scheduler.last_epoch = steps
        self._done().copy_(state["record"])
        self.held_out = [*state.get("held_out", ())]


def run(training: Training, progress: bool = True, stop: threading.Event | None = None) -> Iterator[int]:
    """Run the epochs that are left, with a progress bar, and give the number of each when it has ended."""
    done, steps = training.epoch * training.steps_per_epoch, training.record.shape[1]
    with tqdm(total=steps, initial=done, unit="step", disable=not progress) as bar:
        while not training.ended:
            recon, kl, _ = training.run_epoch(bar, stop)
            bar.set_description(f"epoch {training.epoch}/{training.config.epochs}", refresh=False)
            shown = {"recon": recon} | ({"KL": kl} if kl else {})  # an autoencoder has none
            bar.set_postfix({name: f"{value:.2f}" for name, value in shown.items()})
            yield training.epoch


def fit(
    model: AutoEncoder,
    digits: Digits,
    config: TrainConfig | None = None,
    *,
    validation: Digits | None = None,
    progress: bool = True,
    stop: threading.Event | None = None,
) -> History:
    """Train `model` in place with Adam on `digits` and return the loss of every step.

    The loss is recon + effective β · kl, both summed per image and averaged over the batch. The model ends in
    evaluation mode, on the device it came from, also where training fails. `hw2.train_or_load` keeps the run on disk.

    validation: digits that are evaluated after each epoch, as `evaluate` does, into the history. stop: once set, from
    any thread, stops the run as an interrupt does. Errors: those of `Training` and its `run_epoch`. RuntimeWarning for
    a run that `diverged`.
    """
    with Training(model, digits, config, validation) as training:
        for _epoch in run(training, progress, stop):
            pass
        history = training.history
        if history.problem:
            warnings.warn(history.problem, RuntimeWarning, stacklevel=2)
        return history


def _norms(model: nn.Module) -> Iterator[tuple[nn.Module, bool]]:
    """Each BatchNorm, and whether it learns: one whose parameters are all frozen keeps its statistics, too."""
    for norm in filter(lambda layer: isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d), model.modules()):
        own = [*norm.parameters()]
        yield norm, not own or any(p.requires_grad for p in own)


def drop_denormals(optimizer: torch.optim.Optimizer) -> None:
    """Set the first moments that have decayed to next to nothing to 0.

    A pixel that is hardly ever lit gives its weights no gradient, and their first moment shrinks to about 0.9 of itself
    at each step, until it sticks among the denormal floats, with which a CPU is many times slower. Below 1e-30 it
    moves no weight.
    """
    for state in optimizer.state.values():
        state["exp_avg"].masked_fill_(state["exp_avg"].abs() < 1e-30, 0)


def evaluate(model: AutoEncoder, digits: Digits, config: TrainConfig | None = None, *, batch_size: int = 1000) -> Terms:
    """The loss on held-out `digits`, with one sampled z per image, drawn with config.seed. Trains nothing.

    Uses the config's beta, likelihood and seed. Returns averages per image in summed units. TypeError for a model that
    draws its own β, such as a ConditionedVAE, which is evaluated at one: `evaluate(model.at(beta), …)`.
    """
    config = TrainConfig() if config is None else config
    batch_size = whole("batch_size", batch_size)
    if check(model, digits, config):
        raise TypeError(f"a {type(model).__name__} is evaluated at one β: evaluate(model.at(beta), ...)")
    noise = torch.Generator(device_of(model)).manual_seed(config.seed)
    total = torch.zeros(2, dtype=torch.float64)
    with inference(model):
        for x in digits.images.split(batch_size):
            terms = model.terms(x.to(device_of(model), copy=True), config.likelihood, noise)
            total += torch.stack(terms).cpu().double().sum(1)  # on the CPU, because not every device has doubles
    recon, kl = (total / len(digits)).tolist()
    return Terms(recon, kl, recon + effective_beta(config.beta) * kl)

"""What students write, its points and its checks: one list, for notebook 00 and `python -m hw2.checks`."""

import ast
import sys
import textwrap
from collections.abc import Callable
from functools import reduce
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from torch import nn

from . import bodies, draw, generation, layers, networks, posterior, step, terms, walks
from .explain import explained
from .mistake import Mistake

GIVEN = ("config.TrainConfig", "training.loss_terms")
LARGEST = 60.0  # the homework's LOGVAR_MAX
PROMISE = (
    "A check that passes found none of the mistakes that it looks for, on small inputs. That is no proof: speed, style "
    "and the errors that are promised for wrong arguments are not looked at, and whether a network learns shows when "
    "it trains."
)


class Submission:
    """Where the functions are looked up: in hw2 or a package like it, or in one module that has them all.

    What was not to be written (`GIVEN`) is hw2's own where the module has none.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __getitem__(self, name: str) -> Callable:
        """The function "models.reparametrize", "VAE.encode" and so on. Mistake if there is none."""
        places = [(self.module, name.split(".")), (self.module, name.split(".")[1:])]
        if name in GIVEN:
            places.append((sys.modules.get("hw2"), name.split(".")))
        for module, parts in places:
            try:
                return reduce(getattr, parts, module)
            except AttributeError:
                continue
        raise Mistake(f"there is no {name.partition('.')[2]} in {self.module.__name__}")


class _Body(nn.Module):
    """An encoder and a decoder, just built, with values in their weights."""

    def __init__(self, given: Submission, arch: str, n_out: int, latent_dim: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        with torch.device("meta"):  # as AutoEncoder builds them: shapes without values
            encoder = given[f"networks.{arch}_encoder"](n_out, hidden)
            decoder = given[f"networks.{arch}_decoder"](latent_dim, hidden)
        self.encoder, self.decoder = encoder, decoder
        for which in ("encoder", "decoder"):
            layers.sequential(self, which)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.to_empty(device="cpu")
            for layer in self.modules():
                if hasattr(layer, "reset_parameters"):
                    layer.reset_parameters()

    def encode(self, x):
        return self.encoder(x)

    def decode(self, z):
        return self.decoder(z)


def _mlp(given: Submission) -> None:
    for n_out, latent_dim, hidden in ((3, 3, (30, 20, 10)), (6, 3, (20,)), (8, 8, (512, 256))):
        body = _Body(given, "mlp", n_out, latent_dim, hidden)
        bodies.fitting(body.decoder, "decoder", latent_dim)
        _check_outputs(bodies.fitting(body.encoder, "encoder", latent_dim), n_out)
        if n_out == latent_dim == 3:
            networks.autoencoder(body)
        bodies.fully_connected(body, latent_dim, hidden)


def _check_outputs(passed: list[layers.Passed], n_out: int) -> None:
    if passed[-1].width != n_out:
        raise Mistake(f"the encoder must give n_out = {n_out} numbers for an image, got {passed[-1].width}")


def _conv(given: Submission) -> None:
    for n_out, latent_dim, channels in ((3, 3, (2, 3, 4, 5)), (6, 3, (2, 3, 4, 5)), (8, 8, (32, 64, 128, 256))):
        body = _Body(given, "conv", n_out, latent_dim, channels)
        bodies.convolutional(body, channels)
        _check_outputs(bodies.fitting(body.encoder, "encoder"), n_out)
        if n_out == latent_dim == 3:
            networks.autoencoder(body)


def _draw(given: Submission) -> None:
    draw.reparametrize(given["models.reparametrize"], noise=True, largest=LARGEST)


def _vae(given: Submission) -> None:
    kind = given["models.VAE"]
    for latent_dim, hidden in ((8, (40, 30)), (3, (20,))):
        posterior.vae(kind(latent_dim, hidden=hidden), draw=f"{kind.__module__}.reparametrize", halves=True)
    model = kind(3, hidden=(20,))
    model.encoder = nn.Sequential(
        nn.Conv2d(1, 5, 28), nn.Flatten(), nn.ReLU(), nn.Linear(5, 6)
    )  # which takes images only
    posterior.vae(model, draw=f"{kind.__module__}.reparametrize", halves=True)


def _reconstruction(given: Submission) -> None:
    function = given["losses.reconstruction_loss"]
    for likelihood in ("gaussian", "bernoulli"):
        terms.reconstruction(
            lambda logits, x, name=likelihood: function(logits, x, name), "sum", likelihood=likelihood, per="image"
        )
    terms.reconstruction(function, "sum", per="image")  # by default the squared error


def _kl(given: Submission) -> None:
    terms.kl(given["losses.kl_per_dimension"], per="term", largest=LARGEST)
    terms.kl(given["losses.kl_normal"], per="image", largest=LARGEST)


def _step(given: Submission) -> None:
    function, loss_terms = given["training.training_step"], given["training.loss_terms"]
    settings = given["config.TrainConfig"]
    for config, priced in ((settings(), True), (settings(beta=0.05, likelihood="bernoulli"), False)):

        def take(model, optimizer, x, config=config):
            generator = torch.Generator().manual_seed(5)
            answer = function(model, optimizer, x, config, generator)
            if torch.equal(generator.get_state(), torch.Generator().manual_seed(5).get_state()):
                raise Mistake("the generator is not passed on: hand it to loss_terms, and make no other one")
            return answer

        def wanted(model, x, config=config):
            return loss_terms(model, x, config, torch.Generator().manual_seed(5))

        step.training_step(take, _Terms(priced).train(priced), terms=wanted)
    step.training_step(lambda model, optimizer, x: function(model, optimizer, x, settings()), _Terms(False))


class _Terms(nn.Module):
    """A model of which only `terms` is known, to which a β for each image may belong, as to a ConditionedVAE's."""

    def __init__(self, priced: bool) -> None:
        super().__init__()
        self.priced = priced
        self.weight = nn.Parameter(torch.linspace(-1, 1, 784))

    def terms(self, x, likelihood="gaussian", generator=None):
        noise = torch.randn(len(x), generator=generator)
        pixels = x.flatten(1) if likelihood == "gaussian" else x.flatten(1).flip(1)  # another loss for each
        h = pixels @ self.weight / 28 + 2
        return h.square(), (h + noise).square(), *[torch.linspace(0.001, 0.01, len(x))] * self.priced


def _sampling(given: Submission) -> None:
    generation.sampling(given["latent.sample_prior"], generator=True)


def _interpolation(given: Submission) -> None:
    walks.line(given["latent.lerp"])
    walks.positions(given["latent.path_positions"])
    walks.walk(given["latent.walk"])
    walks.interpolation(given["latent.interpolate"], autoencoder=True, slerp=True)
    walks.interpolation(lambda model, a, b, n: given["latent.interpolate"](model, a, b, *[n] * (n != 7)))  # 7: default


class Task(NamedTuple):
    """Functions of hw2 by their dotted names, their points, and the check, which raises a Mistake."""

    title: str
    points: int
    functions: tuple[str, ...]
    check: Callable[[Submission], None]


TASKS = (
    Task("Encoder and decoder, fully connected", 2, ("networks.mlp_encoder", "networks.mlp_decoder"), _mlp),
    Task("Encoder and decoder, convolutional", 2, ("networks.conv_encoder", "networks.conv_decoder"), _conv),
    Task("The draw", 2, ("models.reparametrize",), _draw),
    Task("The VAE", 2, ("models.VAE.encode", "models.VAE.forward"), _vae),
    Task("The reconstruction term", 1, ("losses.reconstruction_loss",), _reconstruction),
    Task("The KL", 2, ("losses.kl_per_dimension", "losses.kl_normal"), _kl),
    Task("The training step", 1, ("training.training_step",), _step),
    Task("Samples", 1, ("latent.sample_prior",), _sampling),
    Task(
        "Interpolation",
        1,
        ("latent.lerp", "latent.path_positions", "latent.walk", "latent.interpolate"),
        _interpolation,
    ),
)
TOTAL = sum(task.points for task in TASKS)


def _check_file(module: ModuleType) -> None:
    """Mistake if the file of a module is no Python: what is in memory is then an older state of it."""
    path = Path(getattr(module, "__file__", None) or "")
    if path.is_file():
        try:
            ast.parse(decode_source(path.read_bytes()))
        except (SyntaxError, UnicodeDecodeError) as error:
            line = getattr(error, "lineno", None)
            what = f", line {line}: {error.msg}" if line else f": {error}"
            raise Mistake(
                f"{path.name}{what}. Until that is mended, the functions in memory are older than the file"
            ) from None


@explained
def run(task: Task, module: ModuleType) -> None:
    """Check a task's functions, as they are in `module`. Mistake if one is wrong or missing."""
    given = Submission(module)
    for name in task.functions:
        _check_file(getattr(module, name.partition(".")[0], module))
        given[name]
    task.check(given)


_passed: dict[str, int] = {}  # in this session, of notebook 00


def task(title: str, module: ModuleType) -> None:
    """A cell of notebook 00: check a task by its title, and print its points and the total, or raise the Mistake."""
    one = next((t for t in TASKS if t.title == title), None)
    if one is None:
        raise ValueError(f"there is no task {title!r}: expected one of {', '.join(t.title for t in TASKS)}")
    _passed.pop(title, None)
    run(one, module)
    _passed[title] = one.points
    print(f"passed, {one.points} of {one.points}; in all {sum(_passed.values())} of {TOTAL} so far")


def total() -> None:
    """The last cell of notebook 00: the points so far, what is missing, and what they do not say."""
    missing = [one.title for one in TASKS if one.title not in _passed]
    print(f"{sum(_passed.values())} of {TOTAL} points" + (f"; not yet: {'; '.join(missing)}" if missing else ""))
    print("\n".join(textwrap.wrap(PROMISE, 76)))

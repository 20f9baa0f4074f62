"""The four explorers of the notebooks: what is passed in is checked, and the views get their controls."""

import math
from collections.abc import Mapping

from torch import Tensor

from ..data import Digits
from ..inputs import check_images, check_model, digits_remedy, real
from ..models import AutoEncoder
from ..plotting import beta_label
from ..training import Terms
from .controls import Control, Explorer, beta_slider, choice, number, slider
from .pictures import Chart
from .views import BetaEntry, plane_entry, render_beta, render_interpolation, render_plane, render_traversal


def _check_mapping(name: str, value: object, of: str) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, {of}, got {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} must have at least one entry, {of}: there is none")


def _check_named(name: str, value: Mapping) -> None:
    if wrong := [key for key in value if not isinstance(key, str)]:
        raise TypeError(f"{name} must be called by text, which is shown, got {wrong[0]!r}: {{{str(wrong[0])!r}: ...}}")


def _check_digits(digits: object) -> None:
    if not isinstance(digits, Digits):
        raise TypeError(f"digits must be Digits, got {type(digits).__name__}: pass {digits_remedy(digits)}")


def beta_explorer(
    models: Mapping[float, AutoEncoder], entries: Mapping[float, BetaEntry], plane: Chart, x: Tensor
) -> Explorer:
    """A slider that stops at every β that a model was trained at, in increasing order, and a button that draws other z.

    Arguments as for `render_beta`. TypeError or ValueError for others, and for a model without its entry.
    """
    _check_mapping("models", models, "β to its model")
    _check_mapping("entries", entries, "β to its BetaEntry")
    for beta, model in models.items():
        real("β", beta)
        check_model(model, "decode", "latent_dim")
    if missing := models.keys() - entries.keys():
        raise ValueError(f"entries must have a row for each model, there is none for β = {sorted(missing)}")
    if wrong := [b for b in models if not isinstance(entries[b], BetaEntry)]:
        raise TypeError(f"entries must be of BetaEntry(terms, active, frechet), at β = {wrong} they are not")
    if not isinstance(plane, Chart):
        raise TypeError(f"plane must be a Chart, got {type(plane).__name__}: make it with hw2.explore.chart(axes)")
    check_images(x)
    return Explorer(
        "What β does",
        lambda beta, seed: render_beta(models, entries, plane, x, beta, seed),
        beta=beta_slider(sorted(models)),
        seed=number("seed of z", "which draws from N(0, I) are decoded", more="new z"),
    )


def interpolation_explorer(models: Mapping[str, AutoEncoder], digits: Digits) -> Explorer:
    """Two digits by class and number, steps, path, model, and a slider for the position along the path."""
    _check_mapping("models", models, "name to model")
    _check_named("models", models)
    _check_digits(digits)
    if "both" in models:
        raise ValueError('a model cannot be called "both", which is the choice of all: rename it')
    for model in models.values():
        check_model(model, "code", "decode", "latent_dim")

    def end(which: str, label: int) -> tuple[Control, Control]:
        tip = "which image of that class, counted from 0 in the test set's order"
        return choice("menu", f"{which}: class", range(10), label, "its digit"), number("number", tip, beside=True)

    (a, i), (b, j) = end("start", 4), end("end", 6)
    shown = [dict(models), *({name: model} for name, model in models.items())]
    return Explorer(
        "Between two digits",
        lambda a, i, b, j, steps, position, method, models: render_interpolation(
            models, digits, (a, i), (b, j), steps, position, method
        ),
        a=a, i=i, b=b, j=j,
        steps=slider("steps", 7, 2, 13, 1, "images in the strip, both ends included", "images"),
        position=slider("position", 0.5, 0, 1, 0.01, "0 is the first image's code, 1 the second's"),
        method=choice("radio", "path", ("linear", "slerp"), 0, "straight line or arc"),
        models=choice("radio", "model", shown, 0, "whose strip", texts=("both", *models)),
    )  # fmt: skip


def plane_explorer(planes: Mapping[float, tuple[AutoEncoder, Terms]], digits: Digits, limit: float = 3.2) -> Explorer:
    """Two-dimensional latent spaces, a slider over their β, and two over the point that is decoded.

    planes: by β, a VAE with latent_dim 2 and its terms on held-out images; digits: whose posteriors are drawn. limit:
    the pictures reach from -limit to limit, and so do the sliders, by whole numbers.
    """
    _check_mapping("planes", planes, "β to (model, terms)")
    _check_digits(digits)
    if not 0 < (limit := real("limit", limit)) < 1e6:
        raise ValueError(f"limit must be > 0, how far the pictures reach, got {limit}")
    reach = math.floor(limit) or limit
    for beta, pair in planes.items():
        real("β", beta)
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[1], Terms):
            raise TypeError(f"planes must be pairs (model, terms), terms from hw2.evaluate, at β = {beta} it is not")
        check_model(pair[0], "encode", "decode", "latent_dim")
        if pair[0].latent_dim != 2:
            raise ValueError(f"models must have latent_dim 2 to be drawn, at β = {beta} it is {pair[0].latent_dim}")
    entries = {beta: plane_entry(model, terms, digits, limit) for beta, (model, terms) in sorted(planes.items())}
    tip = "coordinate of the point that is decoded, in standard deviations of the prior"
    return Explorer(
        "A plane of codes",
        lambda beta, z1, z2: render_plane(entries[beta], beta, z1, z2),
        beta=beta_slider(list(entries), lambda beta: beta_label(float(f"{beta:.2g}"))),
        z1=slider("z1", 0, -reach, reach, 0.05, tip, "σ"),
        z2=slider("z2", 0, -reach, reach, 0.05, tip, "σ"),
    )


def traversal_explorer(models: Mapping[str, AutoEncoder], spreads: Mapping[str, Tensor], digits: Digits) -> Explorer:
    """One coordinate at a time of one image's code. spreads: by model, see `render_traversal`."""
    _check_mapping("models", models, "name to model")
    _check_named("models", models)
    _check_mapping("spreads", spreads, "name of a model to the spread of its codes")
    _check_digits(digits)
    for name, model in models.items():
        check_model(model, "code", "decode", "latent_dim")
        if name not in spreads:
            raise ValueError(f"spreads must have an entry for each model, there is none for {name!r}")
        if not isinstance(spreads[name], Tensor) or spreads[name].shape != (model.latent_dim,):
            got = tuple(spreads[name].shape) if isinstance(spreads[name], Tensor) else type(spreads[name]).__name__
            raise ValueError(
                f"spreads must be ({model.latent_dim},) for {name!r}, as hw2.codes(model, images).std(0), got {got}"
            )
    return Explorer(
        "Along one dimension",
        lambda image, rank, value, model: render_traversal(
            models[model], spreads[model], digits.images[image], rank, value
        ),
        image=slider("test image", 0, 0, len(digits) - 1, 1, "its number in the test set"),
        rank=slider("dimension", 1, 1, min(m.latent_dim for m in models.values()), 1,
                    "1 is the one that varies most over the test images"),
        value=slider("value", 0, -3, 3, 0.1, "where it is moved to, in standard deviations", "σ", signed=True),
        model=choice("radio", "model", tuple(models), len(models) - 1, "whose latent space"),
    )  # fmt: skip

"""Sliders around the pure functions of `views`.

A picture travels as PNG bytes into an `ipywidgets.Image`: `interact` would print into the cell's output, which
`pytest --nbval` compares. What a setting makes impossible is said below the controls, and the last picture stays.
"""

import html
from collections.abc import Callable, Mapping

import ipywidgets
from ipywidgets import (
    Button,
    Dropdown,
    FloatSlider,
    HBox,
    IntSlider,
    IntText,
    SelectionSlider,
    ToggleButtons,
    VBox,
)
from torch import Tensor

from ..data import Digits
from ..models import AutoEncoder
from ..plotting import beta_label
from ..training import Terms
from .pictures import Chart, png
from .views import (
    BetaEntry,
    View,
    plane_entry,
    render_beta,
    render_interpolation,
    render_plane,
    render_traversal,
)


def explorer(render: Callable[..., View], **controls: ipywidgets.Widget) -> VBox:
    """`render(**values)` under its controls, drawn again whenever one of them changes."""
    row, said = _row(), ipywidgets.HTML()

    def draw(_change=None) -> None:
        try:
            view = render(**{name: control.value for name, control in controls.items()})
        except (ValueError, IndexError) as error:
            said.value = html.escape(f"Not possible, the picture stays as it was: {error}")
            return
        if not row.children:
            row.children = [ipywidgets.Image(format="png") for _ in view.pictures]
        for image, picture in zip(row.children, view.pictures, strict=True):
            image.value = png(picture)
        said.value = readout(view.said)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    return VBox([*controls.values(), said, row])


def readout(said: Mapping[str, str]) -> str:
    """Each value under its name, in a row that wraps where the window is narrow."""
    style = "display: inline-block; min-width: 5.5em; margin-right: 0.8em; line-height: 1.3"
    return "".join(
        f'<span style="{style}"><small>{html.escape(name)}</small><br><b>{html.escape(value)}</b></span>'
        for name, value in said.items()
    )


def _row(*children: ipywidgets.Widget) -> HBox:
    """Side by side where there is room. A box left to itself stretches the lower picture to the other's height."""
    return HBox(children, layout={"flex_flow": "row wrap", "align_items": "flex-start"})


def _wide(kind: type[ipywidgets.Widget], *arguments, description: str, tooltip: str, **options) -> ipywidgets.Widget:
    """A control whose description has room."""
    style = {"description_width": "120px"} | options.pop("style", {})
    width = options.pop("width", "520px")
    return kind(*arguments, description=description, tooltip=tooltip, style=style,
                layout={"width": width, "max_width": "calc(100% - 4px)"}, **options)  # fmt: skip


def beta_explorer(
    models: Mapping[float, AutoEncoder], entries: Mapping[float, BetaEntry], plane: Chart, x: Tensor
) -> VBox:
    """A slider that stops at every β that a model was trained at, and a button that draws other z.

    Arguments as for `render_beta`.
    """
    if missing := models.keys() - entries.keys():
        raise ValueError(f"entries must have a row for each model, there is none for β = {sorted(missing)}")
    trained = sorted(models)
    slider = _wide(
        SelectionSlider, description="β", tooltip="weight of the KL: pixel-mean error, summed KL",
        options=[(beta_label(b), b) for b in trained], value=trained[len(trained) // 2],
    )  # fmt: skip
    seed = _wide(IntText, 0, description="seed of z", tooltip="which draws from N(0, I) are decoded", width="220px")
    button = Button(description="new z", tooltip="draw other z for the samples")
    button.on_click(lambda _: setattr(seed, "value", seed.value + 1))
    box = explorer(lambda beta, seed: render_beta(models, entries, plane, x, beta, seed), beta=slider, seed=seed)
    box.children = [slider, _row(seed, button), *box.children[2:]]
    return box


def interpolation_explorer(models: Mapping[str, AutoEncoder], digits: Digits) -> VBox:
    """Two digits by class and number, steps, path, model, and a slider for the position along the path."""

    def end(which: str, label: int) -> tuple[ipywidgets.Widget, ipywidgets.Widget]:
        label_tip, number_tip = "its digit", "which image of that class, counted from 0 in the test set's order"
        return (
            _wide(Dropdown, options=range(10), value=label, description=f"{which}: class", tooltip=label_tip,
                  width="200px"),
            _wide(IntText, value=0, description="number", tooltip=number_tip, width="220px"),
        )  # fmt: skip

    start, end_ = end("start", 4), end("end", 6)
    steps = _wide(IntSlider, 7, 2, 13, description="steps", tooltip="images in the strip, both ends included")
    position = _wide(FloatSlider, 0.5, min=0, max=1, step=0.01, description="position",
                     tooltip="0 is the first image's code, 1 the second's")  # fmt: skip
    method = _wide(
        ToggleButtons,
        options=["linear", "slerp"],
        description="path",
        tooltip="straight line or arc",
        style={"button_width": "90px"},
    )
    if "both" in models:
        raise ValueError('a model cannot be called "both", which is the choice of all: rename it')
    choices = {"both": dict(models)} | {name: {name: model} for name, model in models.items()}
    shown = _wide(
        ToggleButtons, options=list(choices), description="model", tooltip="whose strip", style={"button_width": "90px"}
    )
    box = explorer(
        lambda a, i, b, j, steps, position, method, shown: render_interpolation(
            choices[shown], digits, (a, i), (b, j), steps, position, method
        ),
        a=start[0], i=start[1], b=end_[0], j=end_[1], steps=steps, position=position, method=method, shown=shown,
    )  # fmt: skip
    box.children = [_row(*start), _row(*end_), *box.children[4:]]
    return box


def plane_explorer(planes: Mapping[float, tuple[AutoEncoder, Terms]], digits: Digits, limit: float = 3.2) -> VBox:
    """Two-dimensional latent spaces, a slider over their β, and two over the point that is decoded.

    planes: by β, a model with latent_dim 2 and its terms on held-out images; digits: whose posteriors are drawn.
    """
    entries = {beta: plane_entry(model, terms, digits, limit) for beta, (model, terms) in sorted(planes.items())}
    beta = _wide(SelectionSlider, description="β", tooltip="weight of the KL: pixel-mean error, summed KL",
                 options=[(beta_label(float(f"{b:.2g}")), b) for b in entries],
                 value=list(entries)[len(entries) // 2])  # fmt: skip
    z1, z2 = (
        _wide(FloatSlider, 0.0, min=-3, max=3, step=0.05, description=name,
              tooltip="coordinate of the point that is decoded, in standard deviations of the prior")
        for name in ("z1", "z2")
    )  # fmt: skip
    return explorer(lambda beta, z1, z2: render_plane(entries[beta], beta, z1, z2), beta=beta, z1=z1, z2=z2)


def traversal_explorer(models: Mapping[str, AutoEncoder], spreads: Mapping[str, Tensor], digits: Digits) -> VBox:
    """One coordinate at a time of one image's code. spreads: by model, see `render_traversal`."""
    image = _wide(IntSlider, 0, 0, len(digits) - 1, description="test image", tooltip="its number in the test set")
    rank = _wide(IntSlider, 1, 1, min(len(s) for s in spreads.values()), description="dimension",
                 tooltip="1 is the one that varies most over the test images")  # fmt: skip
    value = _wide(FloatSlider, 0.0, min=-3, max=3, step=0.1, description="value in σ", tooltip="where it is moved to")
    model = _wide(
        ToggleButtons,
        options=list(models),
        value=list(models)[-1],
        description="model",
        tooltip="whose latent space",
        style={"button_width": "90px"},
    )
    return explorer(
        lambda image, rank, value, model: render_traversal(
            models[model], spreads[model], digits.images[image], rank, value
        ),
        image=image, rank=rank, value=value, model=model,
    )  # fmt: skip

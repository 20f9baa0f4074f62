"""Sliders around the pure functions of `views`.

A picture travels as PNG bytes into an `ipywidgets.Image`: `interact` would print into the cell's output, which
`pytest --nbval` compares. What a setting makes impossible is said below the controls, and the last picture stays.
"""

import html
from collections.abc import Callable, Mapping

import ipywidgets
import torch
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

from ..conditioned import ConditionedVAE
from ..data import Digits
from ..models import AutoEncoder
from ..plotting import beta_label
from .pictures import Chart, png
from .views import BetaEntry, View, render_beta, render_interpolation, render_plane, render_traversal


def explorer(render: Callable[..., View], **controls: ipywidgets.Widget) -> VBox:
    """`render(**values)` under its controls, drawn again whenever one of them changes."""
    row, said = HBox(), ipywidgets.HTML()

    def say(text: str) -> None:
        said.value = html.escape(text)

    def draw(_change=None) -> None:
        try:
            view = render(**{name: control.value for name, control in controls.items()})
        except (ValueError, IndexError) as error:
            say(f"Not possible, the picture stays as it was: {error}")
            return
        if not row.children:
            row.children = [ipywidgets.Image(format="png") for _ in view.pictures]
        for image, picture in zip(row.children, view.pictures, strict=True):
            image.value = png(picture)
        say(view.text)

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    return VBox([*controls.values(), said, row])


def _wide(kind: type[ipywidgets.Widget], *arguments, description: str, tooltip: str, **options) -> ipywidgets.Widget:
    """A control whose description has room."""
    style = {"description_width": "120px"} | options.pop("style", {})
    width = options.pop("width", "520px")
    return kind(*arguments, description=description, tooltip=tooltip, style=style,
                layout={"width": width}, **options)  # fmt: skip


def beta_explorer(
    models: Mapping[float, AutoEncoder],
    entries: Mapping[float, BetaEntry],
    plane: Chart,
    x: Tensor,
    conditioned: tuple[ConditionedVAE, Mapping[float, BetaEntry]] | None = None,
) -> VBox:
    """A slider over β, 0 and 10 at its ends, twenty steps per decade between, and a button that draws other z.

    Arguments as for `render_beta`.
    """
    trained = sorted(models)
    inner = torch.tensor([b for b in trained if 0 < b < 10]).log10()
    low, high = inner.aminmax() if len(inner) else (0.0, 0.0)
    between = torch.logspace(low, high, int(20 * (high - low)) + 1).tolist() if len(inner) > 1 else []
    betas = {float(f"{b:.3g}") for b in between}
    slider = _wide(
        SelectionSlider, description="β", tooltip="weight of the KL: pixel-mean error, summed KL (log scale)",
        options=[(beta_label(b), b) for b in sorted(betas | set(trained))], value=trained[len(trained) // 2],
    )  # fmt: skip
    seed = _wide(IntText, 0, description="seed of z", tooltip="which draws from N(0, I) are decoded", width="220px")
    button = Button(description="new z", tooltip="draw other z for the samples")
    button.on_click(lambda _: setattr(seed, "value", seed.value + 1))
    networks = ["trained at one β each (snaps)", "one network for all β"]
    network = _wide(ToggleButtons, options=networks, description="network", tooltip="whose pictures", width="640px",
                    style={"button_width": "220px"})  # fmt: skip
    box = explorer(
        lambda beta, seed, network: render_beta(
            models, entries, plane, x, beta, seed, conditioned if network == networks[1] else None
        ),
        beta=slider, seed=seed, network=network,
    )  # fmt: skip
    box.children = [slider, HBox([seed, button]), *([network] if conditioned else []), *box.children[3:]]
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
    method = _wide(ToggleButtons, options=["linear", "slerp"], description="path", tooltip="straight line or arc")
    choices = {"both": dict(models)} | {name: {name: model} for name, model in models.items()}
    shown = _wide(ToggleButtons, options=list(choices), description="model", tooltip="whose strip")
    box = explorer(
        lambda a, i, b, j, steps, position, method, shown: render_interpolation(
            choices[shown], digits, (a, i), (b, j), steps, position, method
        ),
        a=start[0], i=start[1], b=end_[0], j=end_[1], steps=steps, position=position, method=method, shown=shown,
    )  # fmt: skip
    box.children = [HBox(start), HBox(end_), *box.children[4:]]
    return box


def plane_explorer(model: AutoEncoder, plane: Chart) -> VBox:
    """Two sliders over a two-dimensional latent space."""
    sliders = {
        name: _wide(FloatSlider, 0.0, min=-3, max=3, step=0.05, description=f"{name} in σ of the prior",
                    tooltip="coordinate of the point that is decoded", style={"description_width": "150px"})
        for name in ("z1", "z2")
    }  # fmt: skip
    return explorer(lambda z1, z2: render_plane(model, plane, z1, z2), **sliders)


def traversal_explorer(models: Mapping[str, AutoEncoder], spreads: Mapping[str, Tensor], digits: Digits) -> VBox:
    """One coordinate at a time of one image's code. spreads: by model, see `render_traversal`."""
    image = _wide(IntSlider, 0, 0, len(digits) - 1, description="test image", tooltip="its number in the test set")
    rank = _wide(IntSlider, 1, 1, min(len(s) for s in spreads.values()), description="dimension",
                 tooltip="1 is the one that varies most over the test images")  # fmt: skip
    value = _wide(FloatSlider, 0.0, min=-3, max=3, step=0.1, description="value in σ", tooltip="where it is moved to")
    model = _wide(
        ToggleButtons, options=list(models), value=list(models)[-1], description="model", tooltip="whose latent space"
    )
    return explorer(
        lambda image, rank, value, model: render_traversal(
            models[model], spreads[model], digits.images[image], rank, value
        ),
        image=image, rank=rank, value=value, model=model,
    )  # fmt: skip

"""Sliders around pure functions. Each `render_…` turns settings into a picture and can be called without a widget.

A picture travels as PNG bytes into an `ipywidgets.Image`: `interact` would print into the cell's output, which
`pytest --nbval` compares.
"""

import io
from collections.abc import Callable, Mapping

import ipywidgets
import numpy as np
import torch
from torch import Tensor

from .checkpoints import Run
from .latent import decode, interpolate, reconstruct
from .models import AutoEncoder
from .plotting import beta_label, mosaic


def png(picture: np.ndarray, scale: int = 3) -> bytes:
    """PNG file of a grey picture (height, width) in [0, 1], each pixel `scale` × `scale`."""
    from PIL import Image

    pixels = np.rint(picture * 255).astype(np.uint8).repeat(scale, 0).repeat(scale, 1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def picture(render: Callable[..., np.ndarray], **controls: ipywidgets.Widget) -> ipywidgets.VBox:
    """`render(**values)` under its controls, drawn again whenever one of them moves."""
    image = ipywidgets.Image(format="png")

    def draw(_change=None) -> None:
        image.value = png(render(**{name: control.value for name, control in controls.items()}))

    for control in controls.values():
        control.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([*controls.values(), image])


def render_beta(runs: Mapping[float, Run], x: Tensor, z: Tensor, beta: float) -> np.ndarray:
    """Images, their reconstructions and two rows of samples of the run of one β.

    x: (N, 1, 28, 28); z: (2N, latent_dim) ~ N(0, I). Returns a picture (height, width) in [0, 1].
    """
    model = runs[beta].model
    return mosaic(torch.cat([x, reconstruct(model, x), decode(model, z)]), len(x))


def beta_slider(runs: Mapping[float, Run], x: Tensor, z: Tensor) -> ipywidgets.VBox:
    """A slider over the trained β, above what `render_beta` draws."""
    betas = sorted(runs)
    slider = ipywidgets.SelectionSlider(
        options=[(beta_label(b), b) for b in betas], value=betas[len(betas) // 2], description="β",
        tooltip="weight of the KL: pixel-mean reconstruction, summed KL",
    )  # fmt: skip
    return picture(lambda beta: render_beta(runs, x, z, beta), beta=slider)


def render_interpolation(
    models: Mapping[str, AutoEncoder], x_a: Tensor, x_b: Tensor, steps: int, position: float, method: str = "linear"
) -> np.ndarray:
    """One row per model: the strip of `steps` images, and after a gap the image nearest to `position` (0 … 1)."""
    rows = []
    for model in models.values():
        strip = interpolate(model, x_a, x_b, steps, method)
        rows += [*strip, torch.full_like(strip[0], 0.5), strip[round(position * (steps - 1))]]
    return mosaic(torch.stack(rows), steps + 2)


def interpolation_slider(models: Mapping[str, AutoEncoder], x_a: Tensor, x_b: Tensor) -> ipywidgets.VBox:
    """Sliders for the position along the path and the number of steps, above what `render_interpolation` draws."""
    return picture(
        lambda steps, position, method: render_interpolation(models, x_a, x_b, steps, position, method),
        steps=ipywidgets.IntSlider(7, 2, 13, description="steps", tooltip="images in the strip, both ends included"),
        position=ipywidgets.FloatSlider(0.5, min=0, max=1, step=0.01, description="position",
                                        tooltip="0 is the first image's code, 1 the second's"),
        method=ipywidgets.ToggleButtons(options=["linear", "slerp"], description="path"),
    )  # fmt: skip

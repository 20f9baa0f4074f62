"""Pictures for the sliders, made by Pillow on top of charts drawn once.

A new matplotlib figure for every move of a slider would be too slow to feel live.
"""

import io
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..plotting import mosaic

SCALE = 3  # screen pixels per image pixel
PAPER, INK = "white", "black"
MARGIN = 44  # screen pixels to the left of a row with a name


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


class Chart(NamedTuple):
    """A figure drawn once, and where on it a point belongs."""

    picture: Image.Image
    place: Callable[[float, float], tuple[float, float]]

    def marked(self, x: float, y: float) -> Image.Image:
        """A copy with a ring at the data coordinates x, y, or at the edge where they lie outside."""
        picture, (px, py) = self.picture.copy(), self.place(x, y)
        px, py = min(max(px, 0), picture.width - 1), min(max(py, 0), picture.height - 1)
        for radius, color, width in ((10, PAPER, 8), (8, INK, 4)):  # seen on any ground
            box = (px - radius, py - radius, px + radius, py + radius)
            ImageDraw.Draw(picture).ellipse(box, outline=color, width=width)
        return picture


def chart(ax: Axes) -> Chart:
    """The figure of `ax` as it is now."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    picture = picture.quantize(128, dither=Image.Dither.NONE)  # a byte per pixel: compressing it is what takes time

    to_pixels = ax.transData.frozen()  # as it is now, too

    def place(x: float, y: float) -> tuple[float, float]:
        px, py = to_pixels.transform((x, y))
        return px, picture.height - py

    return Chart(picture, place)


def tiles(images: Tensor, columns: int, scale: int = SCALE) -> Image.Image:
    """Images in rows with grey lines between, enlarged. images: (N, 1, 28, 28) in [0, 1]."""
    grey = Image.fromarray(np.rint(mosaic(images, columns) * 255).astype(np.uint8))
    return grey.resize((grey.width * scale, grey.height * scale), Image.Resampling.NEAREST)


@cache
def _font() -> ImageFont.FreeTypeFont:
    """The figures' font, which has Greek letters, in 12 pixels."""
    return ImageFont.truetype(findfont("DejaVu Sans"), 12)


def text_width(text: str) -> int:
    """In screen pixels."""
    return int(_font().getlength(text))


def captioned(
    images: Tensor, captions: Sequence[str], scale: int = SCALE, name: str = "", margin: int = MARGIN
) -> Image.Image:
    """One row of images, each with a line of text below it, and the row's name in a margin to its left."""
    row, margin = tiles(images, len(images), scale), margin if name else 0
    picture = Image.new("L", (row.width + margin, row.height + 18), PAPER)
    picture.paste(row, (margin, 0))
    draw = ImageDraw.Draw(picture)
    draw.text((0, row.height / 2), name, INK, _font(), anchor="lm")
    for i, caption in enumerate(captions):
        draw.text((margin + (29 * i + 15) * scale, row.height + 2), caption, INK, _font(), anchor="ma")
    return picture


def joined(pictures: Sequence[Image.Image], gap: int = 8) -> Image.Image:
    """Grey pictures below each other, on white."""
    height = sum(picture.height for picture in pictures) + gap * (len(pictures) - 1)
    whole = Image.new("L", (max(picture.width for picture in pictures), height), PAPER)
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height + gap
    return whole

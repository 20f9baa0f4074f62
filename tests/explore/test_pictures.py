"""Pieces of pictures: every image in its place, marks where the figure has them."""

import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

from hw2.explore.pictures import captioned, chart, joined, tiles


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_tiles_show_every_image(scale, digits, images_in, same):
    picture = tiles(digits.images[:6], 3, scale)
    assert picture.size == (88 * scale, 59 * scale)
    same(images_in(picture, scale, 3), digits.images[:6])


def test_captions_stand_below_their_images(digits):
    plain, captions = tiles(digits.images[:2], 2), captioned(digits.images[:2], ["", "words"])
    assert np.array_equal(np.asarray(captions)[: plain.height], np.asarray(plain))
    below = np.asarray(captions)[plain.height :]
    assert (below[:, : plain.width // 2 - 1] == 255).all()
    assert (below[:, plain.width // 2 :] < 128).any()


def test_joined_keeps_every_picture():
    whole = joined([Image.new("L", (4, 3), 10), Image.new("L", (2, 5), 20)], gap=1)
    assert whole.size == (4, 9)
    assert (whole.getpixel((3, 2)), whole.getpixel((1, 4)), whole.getpixel((3, 4))) == (10, 20, 255)


def test_a_point_is_marked_where_the_figure_has_it():
    ax = matplotlib.figure.Figure(figsize=(4, 3), dpi=100).subplots()
    ax.set(xscale="log", xlim=(1, 1000), ylim=(0, 10))
    ax.plot([30], [4], "s", color="#00ff00", ms=5)
    drawn = chart(ax)
    green = (np.asarray(drawn.picture.convert("RGB")) == (0, 255, 0)).all(2).nonzero()
    assert drawn.place(30, 4) == pytest.approx((green[1].mean(), green[0].mean()), abs=1.5)
    marked, plain = (np.asarray(p.convert("RGB")) for p in (drawn.marked(30, 4), drawn.picture))
    difference = (marked != plain).any(2).nonzero()
    assert (difference[1].mean(), difference[0].mean()) == pytest.approx(drawn.place(30, 4), abs=1.5)


@pytest.mark.parametrize("point", [(-1e4, 5), (1e4, 5), (5, -1e4), (5, 1e4)])
def test_a_point_outside_is_marked_at_the_edge(point):
    ax = matplotlib.figure.Figure(figsize=(4, 3), dpi=100).subplots()
    ax.set(xlim=(0, 10), ylim=(0, 10))
    drawn = chart(ax)
    assert drawn.marked(*point).tobytes() != drawn.picture.tobytes()


def test_a_caption_is_centred_below_its_image(digits):
    below = np.asarray(captioned(digits.images[:3], ["", "words", ""]))[-18:]
    columns = (below < 128).any(0).nonzero()[0]
    assert (columns.min() + columns.max()) / 2 == pytest.approx(3 * (29 + 15), abs=2)

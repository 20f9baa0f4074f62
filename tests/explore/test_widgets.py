"""The sliders: one that moves draws another picture, and what cannot be drawn is said."""

import io

import ipywidgets
import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

from hw2 import VAE, AutoEncoder, codes
from hw2.explore.pictures import chart, png
from hw2.explore.views import BetaEntry, View, render_beta, render_interpolation
from hw2.explore.widgets import (
    beta_explorer,
    explorer,
    interpolation_explorer,
    plane_explorer,
    readout,
    traversal_explorer,
)
from hw2.training import Terms

BETAS = [0.0, 1e-4, 1e-2, 10.0]


def widgets_in(box):
    for child in box.children:
        yield from widgets_in(child) if isinstance(child, ipywidgets.Box) else [child]


def parts(box):
    """Controls by their description, the first image, and the line of text."""
    *controls, said, row = box.children
    assert all(isinstance(image, ipywidgets.Image) for image in row.children)
    assert isinstance(said, ipywidgets.HTML)
    controls = [widget for control in controls for widget in widgets_in(ipywidgets.Box([control]))]
    return {control.description: control for control in controls}, row.children[0] if row.children else None, said


def seen(box):
    """All that an explorer shows."""
    return [image.value for image in box.children[-1].children]


@pytest.fixture(scope="module")
def plane():
    ax = matplotlib.figure.Figure(figsize=(3, 2)).subplots()
    ax.set(xlim=(-5, 500), ylim=(-5, 60))
    return chart(ax)


@pytest.fixture(scope="module")
def sweep_parts(plane):
    """models and entries, untrained: pictures differ all the same."""
    models = {beta: VAE(3, hidden=(16,), seed=seed) for seed, beta in enumerate(BETAS)}
    entries = {beta: BetaEntry(Terms(10 + i, 30 - i, 40), i, 100 + i) for i, beta in enumerate(BETAS)}
    return models, entries


@pytest.fixture(scope="module")
def models():
    return {"AE": AutoEncoder(3, hidden=(16,)), "VAE": VAE(3, hidden=(16,), seed=1)}


@pytest.fixture(scope="module")
def boxes(sweep_parts, models, plane, digits):
    by_beta, entries = sweep_parts
    spreads = {name: codes(model, digits.images).std(0) for name, model in models.items()}
    return {
        "beta": lambda: beta_explorer(by_beta, entries, plane, digits.images[:4]),
        "interpolation": lambda: interpolation_explorer(models, digits),
        "plane": lambda: plane_explorer(
            {b: (VAE(2, hidden=(16,), seed=i), Terms(30, 5 - i, 31)) for i, b in enumerate((1e-4, 1e-3, 1e-2))}, digits
        ),
        "traversal": lambda: traversal_explorer(models, spreads, digits),
    }


EXPLORERS = ["beta", "interpolation", "plane", "traversal"]


def decoded(data):
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return image


def another(control):
    """A value other than the control's own."""
    if isinstance(control, ipywidgets.SelectionSlider | ipywidgets.ToggleButtons | ipywidgets.Dropdown):
        values = [value for _, value in control._options_full]
        return values[(control.index + 3) % len(values)] if len(values) > 3 else values[control.index - 1]
    return control.value + 1


def test_png_holds_the_picture():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))
    assert decoded(png(picture)).tobytes() == picture.tobytes()


def test_an_explorer_draws_at_once_whenever_a_control_moves_and_keeps_its_picture_when_it_cannot():
    def render(grey):
        if grey > 200:
            raise ValueError("grey must be at most 200")
        return View((Image.new("L", (2, 2), grey),), {"grey": str(grey)})

    slider = ipywidgets.IntSlider(10, 0, 255, description="grey")
    _, image, said = parts(explorer(render, grey=slider))
    assert (decoded(image.value).getpixel((0, 0)), said.value) == (10, readout({"grey": "10"}))
    slider.value = 99
    assert (decoded(image.value).getpixel((0, 0)), said.value) == (99, readout({"grey": "99"}))
    slider.value = 255
    assert decoded(image.value).getpixel((0, 0)) == 99
    assert "grey must be at most 200" in said.value
    slider.value = 7
    assert (decoded(image.value).getpixel((0, 0)), said.value) == (7, readout({"grey": "7"}))


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_changes_the_picture_and_has_a_label_and_a_tooltip(name, boxes, capsys):
    """And none prints: what a callback printed would leak into a notebook's cell."""
    controls, _, _ = parts(boxes[name]())
    for description in controls:
        fresh, _, said = parts(box := boxes[name]())
        control = fresh[description]
        assert description
        assert control.tooltip
        before = seen(box), said.value
        if isinstance(control, ipywidgets.Button):
            control.click()
        else:
            control.value = another(control)
        assert seen(box) != before[0], f"{description} changes nothing"
        assert said.value != before[1] or description in ("seed of z", "new z", "steps", "test image")
        assert not said.value.startswith("Not possible")
    assert capsys.readouterr() == ("", "")


def test_what_is_said_is_text_not_html():
    def render(name):
        raise ValueError(f"no {name}")

    _, _, said = parts(explorer(render, name=ipywidgets.Text("<b>bold</b>", description="name")))
    assert said.value.endswith("no &lt;b&gt;bold&lt;/b&gt;")
    assert "&lt;i&gt;" in readout({"<i>": "1"})
    assert "&lt;i&gt;" in readout({"a": "<i>"})


def test_beta_stops_at_every_trained_value_and_every_step_shows_another_model(boxes, sweep_parts, plane, digits):
    models, entries = sweep_parts
    controls, image, _ = parts(boxes["beta"]())
    assert [value for _, value in controls["β"].options] == BETAS
    for beta in BETAS:
        controls["β"].value = beta
        assert image.value == png(render_beta(models, entries, plane, digits.images[:4], beta).pictures[0])


def test_a_model_without_its_numbers_is_named(sweep_parts, plane, digits):
    models, entries = sweep_parts
    with pytest.raises(ValueError, match=r"none for β = \[10\.0\]"):
        beta_explorer(models, {b: entries[b] for b in BETAS[:-1]}, plane, digits.images[:4])


def test_interpolation_explorer_shows_what_its_controls_say(boxes, models, digits):
    box = boxes["interpolation"]()
    controls = {}
    for widget in widgets_in(box):
        controls.setdefault(getattr(widget, "description", None), []).append(widget)
    controls["start: class"][0].value, controls["end: class"][0].value = 2, 9
    controls["number"][1].value = 1
    controls["steps"][0].value = 5
    controls["path"][0].value = "slerp"
    controls["model"][0].index = 2
    (shown,) = seen(box)
    expected = render_interpolation({"VAE": models["VAE"]}, digits, (2, 0), (9, 1), 5, 0.5, "slerp")
    assert shown == png(expected.pictures[0])


def test_a_number_out_of_range_is_said_and_nothing_is_lost(boxes):
    controls, image, said = parts(boxes["interpolation"]())
    before = image.value
    controls["number"].value = 10_000
    assert "class 6 has" in said.value
    assert image.value == before
    controls["number"].value = 1
    assert image.value != before


@pytest.mark.parametrize("betas", [[0.0, 10.0], [0.0], [1e-3]])
def test_a_slider_over_the_trained_betas_alone(betas, digits):
    models = {beta: VAE(3, hidden=(16,)) for beta in betas}
    entries = {beta: BetaEntry(Terms(20, 10, 30), 3, 100) for beta in betas}
    ax = matplotlib.figure.Figure(figsize=(3, 2), dpi=100).subplots()
    ax.set(xlim=(0, 500), ylim=(0, 60))
    box = beta_explorer(models, entries, chart(ax), digits.images[:4])
    slider = next(w for w in widgets_in(box) if w.description == "β")
    assert [value for _, value in slider.options] == betas
    for beta in betas:
        slider.value = beta

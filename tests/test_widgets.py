"""The functions behind the sliders, and that a slider which moves draws another picture."""

import io

import ipywidgets
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hw2 import VAE, AutoEncoder, TrainConfig, decode, fit, interpolate, reconstruct
from hw2.checkpoints import Run
from hw2.widgets import beta_slider, interpolation_slider, picture, png, render_beta, render_interpolation

BETAS = [10.0, 0.0, 1e-5]


@pytest.fixture(scope="module")
def runs(digits):
    def run(beta):
        model, config = VAE(3, hidden=(16,)), TrainConfig(beta=beta, epochs=20, batch_size=16, lr=5e-3)
        return Run(model, fit(model, digits, config, progress=False), config)

    return {beta: run(beta) for beta in BETAS}


@pytest.fixture(scope="module")
def models(runs, digits):
    ae = AutoEncoder(3, hidden=(16,))
    fit(ae, digits, TrainConfig(epochs=20, batch_size=16, lr=5e-3), progress=False)
    return {"AE": ae, "VAE": runs[1e-5].model}


@pytest.fixture(scope="module")
def z():
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


def decoded(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    assert image.mode == "L"
    return np.asarray(image)


def cell(render, row, column):
    return render[29 * row + 1 : 29 * row + 29, 29 * column + 1 : 29 * column + 29]


def parts(box):
    """Controls by their description, and the image."""
    *controls, image = box.children
    assert isinstance(image, ipywidgets.Image)
    return {control.description: control for control in controls}, image


# PNG


@given(height=st.integers(1, 40), width=st.integers(1, 40), scale=st.integers(1, 4), seed=st.integers(0, 99))
def test_png_decodes_to_the_picture(height, width, scale, seed):
    grey = np.random.default_rng(seed).random((height, width))
    pixels = decoded(png(grey, scale)) / 255
    assert pixels.shape == (height * scale, width * scale)
    for i in range(scale):
        for j in range(scale):
            assert np.abs(pixels[i::scale, j::scale] - grey).max() <= 0.5 / 255 + 1e-9


def test_png_keeps_black_and_white():
    assert decoded(png(np.array([[0.0, 1.0]]), 1)).tolist() == [[0, 255]]


# Render functions


def test_render_beta_shows_images_reconstructions_and_samples(runs, digits, z):
    x = digits.images[:4]
    for beta in BETAS:
        render = render_beta(runs, x, z, beta)
        assert render.shape == (4 * 29 + 1, 4 * 29 + 1)
        model = runs[beta].model
        rows = [x, reconstruct(model, x), *decode(model, z).split(4)]
        for r, row in enumerate(rows):
            for c in range(4):
                np.testing.assert_allclose(cell(render, r, c), row[c, 0], atol=1e-6)


@pytest.mark.parametrize("steps", [2, 5, 13])
@pytest.mark.parametrize("method", ["linear", "slerp"])
@pytest.mark.parametrize("position", [0.0, 0.3, 1.0])
def test_render_interpolation_shows_a_strip_per_model_and_the_image_at_the_position(
    steps, method, position, models, digits
):
    a, b = digits.images[:2]
    render = render_interpolation(models, a, b, steps, position, method)
    assert render.shape == (2 * 29 + 1, (steps + 2) * 29 + 1)
    for row, model in enumerate(models.values()):
        strip = interpolate(model, a, b, steps, method)[:, 0].numpy()
        for column in range(steps):
            np.testing.assert_allclose(cell(render, row, column), strip[column], atol=1e-6)
        assert (cell(render, row, steps) == 0.5).all()
        nearest = np.abs(np.linspace(0, 1, steps) - position).argmin()
        np.testing.assert_allclose(cell(render, row, steps + 1), strip[nearest], atol=1e-6)


def test_render_functions_are_pure(runs, models, digits, z, unchanged, global_rng_untouched):
    x = digits.images[:4]
    renders = [
        lambda: render_beta(runs, x, z, 0.0),
        lambda: render_interpolation(models, x[0], x[1], 7, 0.5, "slerp"),
    ]
    before = x.clone(), z.clone()
    for render in renders:
        with unchanged(runs[0.0].model), unchanged(models["AE"]), unchanged(models["VAE"]):
            first, second = render(), render()
        assert np.array_equal(first, second)
        assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(x, before[0])
    assert torch.equal(z, before[1])


# Sliders


def test_picture_draws_at_once_and_whenever_a_control_moves():
    seen = []

    def render(left, right):
        seen.append((left, right))
        return np.array([[left, right]])

    left, right = ipywidgets.FloatSlider(0.0, min=0, max=1), ipywidgets.FloatSlider(1.0, min=0, max=1)
    box = picture(render, left=left, right=right)
    assert box.children[:2] == (left, right)
    image = box.children[2]
    assert seen == [(0.0, 1.0)]
    assert decoded(image.value)[0].tolist() == [0, 0, 0, 255, 255, 255]
    left.value = 1.0
    right.value = 0.0
    assert seen == [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]
    assert decoded(image.value)[0].tolist() == [255, 255, 255, 0, 0, 0]


def test_beta_slider_shows_the_run_of_each_beta(runs, digits, z):
    x = digits.images[:4]
    controls, image = parts(beta_slider(runs, x, z))
    slider = controls["β"]
    assert [value for _, value in slider.options] == sorted(BETAS)
    assert [label for label, _ in slider.options] == ["0", "1e-5", "10"]
    pictures = []
    for beta in [10.0, 0.0, 1e-5]:
        slider.value = beta
        assert image.value == png(render_beta(runs, x, z, beta))
        pictures.append(image.value)
    assert len(set(pictures)) == 3


@pytest.mark.parametrize(
    ("control", "values"), [("steps", [2, 7, 13]), ("position", [0.0, 0.5, 1.0]), ("path", ["linear", "slerp"])]
)
def test_interpolation_sliders_change_the_picture(control, values, models, digits):
    a, b = digits.images[:2]
    controls, image = parts(interpolation_slider(models, a, b))
    pictures = []
    for value in values:
        controls[control].value = value
        now = {name: c.value for name, c in controls.items()}
        assert image.value == png(render_interpolation(models, a, b, now["steps"], now["position"], now["path"]))
        pictures.append(image.value)
    assert len(set(pictures)) == len(values)


@pytest.mark.parametrize("make", ["beta", "interpolation"])
def test_sliders_print_nothing(make, runs, models, digits, z, capsys):
    """What a callback printed would leak into a notebook's cell."""
    x = digits.images[:4]
    controls, _ = parts(beta_slider(runs, x, z) if make == "beta" else interpolation_slider(models, x[0], x[1]))
    for control in controls.values():
        if make == "beta":
            control.value = 10.0
    assert capsys.readouterr() == ("", "")

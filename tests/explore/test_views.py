"""What the sliders show, without a widget: the right images in the right places, and words that are true."""

import math

import matplotlib.figure
import numpy as np
import pytest
import torch

from hw2 import VAE, AutoEncoder, TrainConfig, codes, decode, fit, interpolate, reconstruct, traverse
from hw2.conditioned import ConditionedVAE
from hw2.explore.pictures import MARGIN, chart
from hw2.explore.views import (
    BetaEntry,
    between,
    nearest_beta,
    opinions,
    render_beta,
    render_interpolation,
    render_plane,
    render_traversal,
)
from hw2.training import Terms

BETAS = [0.0, 1e-4, 1e-2, 10.0]


def trained(model, digits):
    fit(model, digits, TrainConfig(epochs=20, batch_size=16, lr=5e-3), progress=False)
    return model


@pytest.fixture(scope="module")
def models(digits):
    return {"AE": trained(AutoEncoder(3, hidden=(16,)), digits), "VAE": trained(VAE(3, hidden=(16,)), digits)}


@pytest.fixture(scope="module")
def by_beta():
    return {beta: VAE(3, hidden=(16,), seed=seed) for seed, beta in enumerate(BETAS)}


@pytest.fixture(scope="module")
def entries():
    """Numbers that are linear in log β, so that a number between is known."""
    rows = {b: BetaEntry(Terms(10 - math.log10(b), 20 + math.log10(b), 1), 4, 100) for b in (1e-4, 1e-2)}
    return rows | {0.0: BetaEntry(Terms(5, 400, 5), 3, 900), 10.0: BetaEntry(Terms(53, 0, 53), 0, 1400)}


@pytest.fixture
def plane():
    ax = matplotlib.figure.Figure(figsize=(3, 2), dpi=100).subplots()
    ax.set(xlim=(0, 500), ylim=(0, 60))
    return chart(ax)


def test_opinions_are_the_judges(digits):
    for said in opinions(digits.images[:3]):
        label, share = said.removesuffix(" %").split(" · ")
        assert 0 <= int(label) <= 9
        assert 10 <= int(share) <= 100


# β


@pytest.mark.parametrize(
    ("beta", "nearest"), [(0, 0), (1e-4, 1e-4), (9e-4, 1e-4), (1.1e-3, 1e-2), (0.3, 1e-2), (1.0, 10.0), (1e-9, 1e-4)]
)
def test_nearest_beta_on_the_log_axis(beta, nearest):
    assert nearest_beta(BETAS, beta) == nearest


def test_between_is_linear_in_log_beta(entries):
    rows = {b: entries[b] for b in (1e-4, 1e-2)}
    assert between(rows, 1e-4).terms == pytest.approx(rows[1e-4].terms)
    middle = between(rows, 1e-3)
    assert middle.terms == pytest.approx(Terms(13, 17, 1))
    with pytest.raises(ValueError, match=r"β must be in 0\.0001 … 0\.01"):
        between(rows, 10.0)


@pytest.mark.parametrize("beta", [0.0, 1e-4, 3e-4, 10.0])
def test_render_beta_shows_the_nearest_trained_model(beta, by_beta, entries, plane, digits, images_in, same):
    x, near = digits.images[:4], nearest_beta(BETAS, beta)
    view = render_beta(by_beta, entries, plane, x, beta, seed=3)
    z = torch.randn(8, 3, generator=torch.Generator().manual_seed(3))
    same(images_in(view.pictures[0], 2, 4), torch.cat([x, reconstruct(by_beta[near], x), decode(by_beta[near], z)]))
    assert f"β = {near:.3g} (pixel-mean error, summed KL; {784 * near:.3g} with both summed)" in view.text
    assert f"distortion {entries[near].terms.recon:.1f} squared error per image" in view.text
    assert f"rate {entries[near].terms.kl:.1f} nats" in view.text


def test_render_beta_between_is_of_the_one_network(by_beta, entries, plane, digits, images_in, same):
    x, one = digits.images[:4], ConditionedVAE(3, hidden=(16,), betas=(1e-4, 1e-2), seed=9)
    rows = {b: entries[b] for b in (1e-4, 1e-2)}
    view = render_beta(by_beta, entries, plane, x, 5e-4, conditioned=(one, rows))
    same(images_in(view.pictures[0], 2, 4)[4:8], reconstruct(one.at(5e-4), x))
    assert "one network" in view.text
    outside = render_beta(by_beta, entries, plane, x, 10.0, conditioned=(one, rows))
    assert "trained at this β" in outside.text


# Interpolation


@pytest.mark.parametrize("steps", [2, 7])
@pytest.mark.parametrize("method", ["linear", "slerp"])
@pytest.mark.parametrize("position", [0.0, 0.3, 1.0])
def test_render_interpolation_shows_strips_and_the_image_at_the_position(
    steps, method, position, models, digits, images_in, same
):
    view = render_interpolation(models, digits, (4, 0), (6, 2), steps, position, method)
    x_a, x_b = digits.images[digits.index_of(4)], digits.images[digits.index_of(6, 2)]
    height = 30 * 3 + 18
    for row, model in enumerate(models.values()):
        top = row * (height + 8)
        strip = view.pictures[0].crop((MARGIN, top, MARGIN + 3 * (29 * steps + 1), top + 90))
        same(images_in(strip, 3, steps), interpolate(model, x_a, x_b, steps, method))
        one = view.pictures[0].crop((view.pictures[0].width - 90, top, view.pictures[0].width, top + 90))
        exact = interpolate(model, x_a, x_b, 101, method)[[round(100 * position)]]
        np.testing.assert_allclose(images_in(one, 3, 1), exact[:, 0].numpy(), atol=0.01)
    assert view.text.startswith(f"4@{digits.index_of(4)} → 6@{digits.index_of(6, 2)}, {method}")
    assert f"position {position:.2f}" in view.text


@pytest.mark.parametrize(
    ("end", "words"), [((6, 99), "class 6 has"), ((6, -1), "class 6 has"), ((12, 0), "class 12 has 0")]
)
def test_an_image_that_is_not_there_is_said(end, words, models, digits):
    with pytest.raises(IndexError, match=words):
        render_interpolation(models, digits, (4, 0), end)


def test_interpolation_refuses_what_interpolate_refuses(models, digits):
    with pytest.raises(ValueError, match="steps"):
        render_interpolation(models, digits, (4, 0), (6, 0), steps=1)
    with pytest.raises(ValueError, match="cubic"):
        render_interpolation(models, digits, (4, 0), (6, 0), method="cubic")


# Latent space


def test_render_plane_decodes_the_point(plane, images_in, same):
    flat = VAE(2, hidden=(16,))
    view = render_plane(flat, plane, 100, 20)
    assert view.pictures[0].tobytes() == plane.marked(100, 20).tobytes()
    same(images_in(view.pictures[1].crop((0, 0, 240, 240)), 8, 1), decode(flat, torch.tensor([[100.0, 20.0]])))
    assert "z = (100.00, 20.00)" in view.text
    with pytest.raises(ValueError, match="latent size"):
        render_plane(VAE(3, hidden=(16,)), plane, 0, 0)


def test_render_traversal_moves_the_dimension_of_that_rank(models, digits, images_in, same):
    spread, x = torch.tensor([0.5, 2.0, 1.0]), digits.images[0]
    view = render_traversal(models["VAE"], spread, x, rank=2, value=1.5)
    strip, one = (picture.crop((0, 0, picture.width, 90)) for picture in view.pictures)
    same(images_in(strip, 3, 9), traverse(models["VAE"], x, 2, torch.linspace(-3, 3, 9)))
    same(images_in(one, 3, 1), traverse(models["VAE"], x, 2, torch.tensor([1.5])))
    assert view.text.startswith("z[2], number 2 by spread")
    with pytest.raises(ValueError, match=r"rank must be in 1 \.\.\. 3"):
        render_traversal(models["VAE"], spread, x, rank=4, value=0)


def test_renders_are_pure(models, by_beta, entries, plane, digits, unchanged, global_rng_untouched):
    x, flat, spread = digits.images[:4], VAE(2, hidden=(16,)), codes(models["AE"], digits.images).std(0)
    renders = [
        lambda: render_beta(by_beta, entries, plane, x, 1e-4),
        lambda: render_interpolation(models, digits, (1, 0), (2, 0)),
        lambda: render_plane(flat, plane, 0.5, 0.5),
        lambda: render_traversal(models["AE"], spread, x[0], 1, 0.5),
    ]
    for render in renders:
        with unchanged(models["AE"]), unchanged(models["VAE"]), unchanged(flat), unchanged(by_beta[1e-4]):
            first, second = render(), render()
        assert first.text == second.text
        assert [p.tobytes() for p in first.pictures] == [p.tobytes() for p in second.pictures]

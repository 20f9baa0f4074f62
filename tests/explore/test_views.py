"""What the sliders show, without a widget: the right images in the right places, and words that are true."""

import math

import matplotlib.figure
import numpy as np
import pytest
import torch

from hw2 import VAE, AutoEncoder, TrainConfig, codes, decode, fit, interpolate, reconstruct, traverse
from hw2.explore.pictures import MARGIN, chart
from hw2.explore.views import (
    BetaEntry,
    opinions,
    plane_entry,
    readings,
    render_beta,
    render_interpolation,
    render_plane,
    render_traversal,
    signed,
)
from hw2.latent import grid
from hw2.plotting import latent_plane
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
    rows = {b: BetaEntry(Terms(10 - math.log10(b), 20 + math.log10(b), 1), 2, 100) for b in (1e-4, 1e-2)}
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


@pytest.mark.parametrize("beta", BETAS)
def test_render_beta_shows_the_model_of_this_beta(beta, by_beta, entries, plane, digits, images_in, same):
    x = digits.images[:4]
    view = render_beta(by_beta, entries, plane, x, beta, seed=3)
    z = torch.randn(8, 3, generator=torch.Generator().manual_seed(3))
    same(images_in(view.pictures[0], 2, 4), torch.cat([x, reconstruct(by_beta[beta], x), decode(by_beta[beta], z)]))
    assert view.pictures[1].tobytes() == plane.marked(entries[beta].terms.kl, entries[beta].terms.recon).tobytes()
    assert view.said["both summed"] == f"{784 * beta:.3g}"
    assert view.said["squared error"] == f"{entries[beta].terms.recon:.1f}"
    assert view.said["rate"] == f"{entries[beta].terms.kl:.1f} nats"
    assert view.said["active"] == f"{entries[beta].active} of 3"
    images, curve = view.alts
    assert f"at β = {beta:g}, read as {' '.join(readings(reconstruct(by_beta[beta], x)))}." in images
    assert f"read as {' '.join(readings(decode(by_beta[beta], z)))}." in images
    assert f"error {entries[beta].terms.recon:.1f}, rate {entries[beta].terms.kl:.1f} nats" in curve


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
        one = view.pictures[1].crop((MARGIN, top, MARGIN + 90, top + 90))
        exact = interpolate(model, x_a, x_b, 101, method)[[round(100 * position)]]
        np.testing.assert_allclose(images_in(one, 3, 1), exact[:, 0].numpy(), atol=0.01)
    assert (view.said["from"], view.said["to"]) == (
        f"4, image {digits.index_of(4)}",
        f"6, image {digits.index_of(6, 2)}",
    )
    assert (view.said["path"], view.said["position"]) == (method, f"{position:.2f}")
    strips, there = view.alts
    for name, model in models.items():
        assert f"{name}: {', '.join(opinions(interpolate(model, x_a, x_b, steps, method)))}" in strips
        assert f"{name}: {view.said[f'{name} there']}" in there


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


def test_render_plane_decodes_the_point_beside_its_place_among_codes_and_pictures(digits, images_in, same):
    flat = VAE(2, hidden=(16,))
    entry = plane_entry(flat, Terms(30.123, 5.678, 34), digits)
    view = render_plane(entry, 1e-3, 1.5, -2)
    assert view.pictures[0].tobytes() == entry.posteriors.marked(1.5, -2).tobytes()
    assert view.pictures[1].tobytes() == entry.plane.marked(1.5, -2).tobytes()
    assert entry.posteriors.place(1.5, -2) == pytest.approx(entry.plane.place(1.5, -2))  # both on one scale
    same(images_in(view.pictures[2].crop((0, 0, 180, 180)), 6, 1), decode(flat, torch.tensor([[1.5, -2.0]])))
    assert view.said["z"] == "(1.50, −2.00)"
    assert [view.said[name] for name in ("β", "both summed", "rate", "squared error")] == [
        "0.001", "0.78", "5.7 nats", "30.1",
    ]  # fmt: skip
    assert all("at z = (1.50, −2.00)" in alt for alt in view.alts)
    assert view.alts[2].endswith(f"the judge reads it as {view.said['the judge sees']}.")
    with pytest.raises(ValueError, match="mu and logvar must be"):
        plane_entry(VAE(3, hidden=(16,)), Terms(1, 1, 1), digits)


def test_render_traversal_moves_the_dimension_of_that_rank(models, digits, images_in, same):
    spread, x = torch.tensor([0.5, 2.0, 1.0]), digits.images[0]
    view = render_traversal(models["VAE"], spread, x, rank=2, value=1.5)
    strip, one = (picture.crop((0, 0, picture.width, 90)) for picture in view.pictures)
    same(images_in(strip, 3, 7), traverse(models["VAE"], x, 2, torch.linspace(-3, 3, 7)))
    same(images_in(one, 3, 1), traverse(models["VAE"], x, 2, torch.tensor([1.5])))
    assert view.said == {"dimension": "z[2]", "rank": "2 by spread", "σ": "1", "value": "+1.50 σ"}
    assert view.alts[1].startswith("The image decoded with z[2] at +1.50 σ, read as ")
    negative = render_traversal(models["VAE"], spread, x, rank=2, value=-2.25)
    assert negative.said["value"] == "−2.25 σ"
    with pytest.raises(ValueError, match=r"rank must be in 1 \.\.\. 3"):
        render_traversal(models["VAE"], spread, x, rank=4, value=0)


def test_renders_are_pure(models, by_beta, entries, plane, digits, unchanged, global_rng_untouched):
    x, flat, spread = digits.images[:4], VAE(2, hidden=(16,)), codes(models["AE"], digits.images).std(0)
    renders = [
        lambda: render_beta(by_beta, entries, plane, x, 1e-4),
        lambda: render_interpolation(models, digits, (1, 0), (2, 0)),
        lambda: render_plane(plane_entry(flat, Terms(1, 1, 1), digits), 0.1, 0.5, 0.5),
        lambda: render_traversal(models["AE"], spread, x[0], 1, 0.5),
    ]
    for render in renders:
        with unchanged(models["AE"]), unchanged(models["VAE"]), unchanged(flat), unchanged(by_beta[1e-4]):
            first, second = render(), render()
        assert first.said == second.said
        assert [p.tobytes() for p in first.pictures] == [p.tobytes() for p in second.pictures]


@pytest.mark.parametrize(("beta", "score"), [(0.0, "900"), (10.0, "1400")])
def test_render_beta_says_the_score_of_this_beta(beta, score, by_beta, entries, plane, digits):
    assert render_beta(by_beta, entries, plane, digits.images[:2], beta).said["Fréchet score"] == score


def test_a_plane_is_the_decoded_grid(digits):
    flat = trained(VAE(2, hidden=(16,)), digits)
    ax = matplotlib.figure.Figure(figsize=(2.9, 2.9), dpi=100, layout="constrained").subplots()
    expected = chart(latent_plane(decode(flat, grid(2, 3)), 2, ax=ax)).picture
    assert plane_entry(flat, Terms(1, 1, 1), digits, 2, 3).plane.picture.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("number", "sign", "said"),
    [(0.0, "+", "0.00"), (-0.0, "", "0.00"), (-0.004, "+", "0.00"), (1.2, "+", "+1.20"), (-1.8, "", "−1.80")],
)
def test_zero_has_no_sign(number, sign, said):
    """The slider says "0.0 σ"; the picture under it said "+0.00 σ", or "−0.00 σ"."""
    assert signed(number, sign) == said

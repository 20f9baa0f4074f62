"""The explorers in the kernel: a control that moves draws another picture, and what cannot be drawn is said."""

import io

import matplotlib.figure
import numpy as np
import pytest
import torch
from PIL import Image

from hw2 import VAE, AutoEncoder, codes
from hw2.explore.controls import Explorer, choice, number, slider
from hw2.explore.pictures import chart, png
from hw2.explore.views import BetaEntry, View, render_beta, render_interpolation
from hw2.explore.widgets import beta_explorer, interpolation_explorer, plane_explorer, traversal_explorer
from hw2.training import Terms

BETAS = [0.0, 1e-4, 1e-2, 10.0]


def move(explorer, **numbers):
    """As the page does."""
    explorer.values = explorer.values | numbers


def control(explorer, name):
    (found,) = [control for control in explorer.controls if control["name"] == name]
    return found


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


def another(control, number):
    """A number of the control other than this one."""
    if "texts" in control:
        return (number + 1) % len(control["texts"])
    return number + 1 if control["kind"] == "number" or number + 1 <= control["max"] else number - 1


def test_png_holds_the_picture():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))
    assert decoded(png(picture)).tobytes() == picture.tobytes()


def test_an_explorer_draws_at_once_whenever_a_control_moves_and_keeps_its_picture_when_it_cannot():
    def render(grey):
        if grey > 200:
            raise ValueError("grey must be at most 200")
        return View((Image.new("L", (2, 2), grey),), {"grey": str(grey)}, (f"all {grey}",))

    def seen():
        (picture,), (alt,), ((_, said),) = (explorer.shown[name] for name in ("pictures", "alts", "said"))
        return decoded(picture).getpixel((0, 0)), alt, said, explorer.shown["problem"]

    explorer = Explorer("Greys", render, grey=slider("grey", 10, 0, 255, 1, "how light"))
    assert seen() == (10, "all 10", "10", "")
    move(explorer, grey=99)
    assert seen() == (99, "all 99", "99", "")
    move(explorer, grey=255)
    *rest, problem = seen()
    assert rest == [99, "all 99", "99"]
    assert "grey must be at most 200" in problem
    move(explorer, grey=7)
    assert seen() == (7, "all 7", "7", "")


def test_a_picture_that_fails_for_another_reason_is_said_too_and_in_a_cell_it_raises():
    def render(n):
        if n == 1:
            raise RuntimeError("no memory")
        return View((Image.new("L", (2, 2)),), {}, ("black",))

    explorer = Explorer("Fails", render, n=number("n", "no matter"))
    move(explorer, n=1)
    assert explorer.shown["problem"] == "This failed, the picture stays as it was: RuntimeError: no memory"
    assert explorer.shown["alts"] == ["black"]
    with pytest.raises(RuntimeError, match="no memory"):
        Explorer("Fails", lambda n: render(1), n=number("n", "no matter"))


def test_every_change_is_answered_even_where_nothing_new_is_seen():
    explorer = Explorer("Same", lambda n: View((Image.new("L", (2, 2)),), {}, ("black",)), n=number("n", "no matter"))
    answers = []
    explorer.observe(lambda change: answers.append(change["new"]["values"]), names="shown")
    move(explorer, n=1)
    move(explorer, n=2)
    assert answers == [{"n": 1}, {"n": 2}]


def test_a_choice_means_its_option_and_is_written_and_spoken_as_asked():
    seen = []
    explorer = Explorer(
        "Options",
        lambda which: seen.append(which) or View((), {}, ()),
        which=choice("slider", "which", [None, 2.5], 1, "", texts=["none", "2 ½"], spoken=["none", "two and a half"]),
    )
    move(explorer, which=0)
    assert seen == [2.5, None]
    page = control(explorer, "which")
    assert (page["min"], page["max"], page["texts"], page["spoken"][1]) == (0, 1, ["none", "2 ½"], "two and a half")


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_changes_pictures_and_words_and_has_a_label_and_a_tooltip(name, boxes, capsys):
    """And none prints: what a callback printed would leak into a notebook's cell."""
    for page in boxes[name]().controls:
        fresh = boxes[name]()
        assert page["label"]
        assert page["tip"]
        before = fresh.shown
        move(fresh, **{page["name"]: another(page, fresh.values[page["name"]])})
        assert fresh.shown["pictures"] != before["pictures"], f"{page['label']} changes nothing"
        assert fresh.shown["problem"] == ""
        assert len(fresh.shown["alts"]) == len(fresh.shown["pictures"])
        assert all(alt.endswith(".") for alt in fresh.shown["alts"])
        assert fresh.shown["said"] != before["said"] or page["name"] in ("seed", "steps", "image")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", EXPLORERS)
def test_an_explorer_is_text_of_one_line_where_there_is_no_page(name, boxes):
    """A repr of all it holds would print its pictures' bytes."""
    assert len(repr(boxes[name]())) < 50


def test_beta_stops_at_every_trained_value_and_every_step_shows_another_model(boxes, sweep_parts, plane, digits):
    models, entries = sweep_parts
    explorer = boxes["beta"]()
    assert control(explorer, "beta")["texts"] == ["0", "0.0001", "0.01", "10"]
    assert control(explorer, "beta")["spoken"][1] == "0.0001, which is 0.0784 squared error per nat"
    for i, beta in enumerate(BETAS):
        move(explorer, beta=i)
        expected = render_beta(models, entries, plane, digits.images[:4], beta)
        assert explorer.shown["pictures"] == [png(picture) for picture in expected.pictures]
        assert explorer.shown["alts"] == list(expected.alts)


@pytest.mark.parametrize("betas", [[0.0, 10.0], [0.0], [1e-3], [1e-2, 0.0, 10.0, 1e-4], [10, 0]])
def test_a_slider_over_the_trained_betas_alone_in_increasing_order(betas, plane, digits):
    models = {beta: VAE(3, hidden=(16,)) for beta in betas}
    entries = {beta: BetaEntry(Terms(20, 10, 30), 3, 100) for beta in reversed(betas)}
    explorer = beta_explorer(models, entries, plane, digits.images[:4])
    assert control(explorer, "beta")["max"] == len(betas) - 1
    for i, beta in enumerate(sorted(betas)):
        move(explorer, beta=i)
        assert dict(explorer.shown["said"])["β"] == f"{beta:g}"
    planes = {beta: (VAE(2, hidden=(16,)), Terms(20, 10, 30)) for beta in betas}
    explorer = plane_explorer(planes, digits)
    for i, beta in enumerate(sorted(betas)):
        move(explorer, beta=i)
        assert dict(explorer.shown["said"])["β"] == f"{beta:g}"


def test_interpolation_explorer_shows_what_its_controls_say(boxes, models, digits):
    explorer = boxes["interpolation"]()
    move(explorer, a=2, b=9, j=1, steps=5, method=1, models=2)
    expected = render_interpolation({"VAE": models["VAE"]}, digits, (2, 0), (9, 1), 5, 0.5, "slerp")
    assert explorer.shown["pictures"] == [png(picture) for picture in expected.pictures]


def test_a_number_out_of_range_is_said_and_nothing_is_lost(boxes):
    explorer = boxes["interpolation"]()
    before = explorer.shown
    move(explorer, j=10_000)
    assert "class 6 has" in explorer.shown["problem"]
    assert explorer.shown["pictures"] == before["pictures"]
    move(explorer, j=1)
    assert explorer.shown["problem"] == ""
    assert explorer.shown["pictures"] != before["pictures"]


# What else a person may pass in


ENTRY = BetaEntry(Terms(20, 10, 30), 3, 100)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"models": []}, TypeError, "models must be a mapping, β to its model, got list"),
        ({"models": {}}, ValueError, "models must have at least one entry"),
        ({"models": {"a": VAE(3, hidden=(16,))}}, TypeError, "β must be a number, got 'a'"),
        ({"models": {0.1: "a"}}, TypeError, "model must be one of hw2's"),
        ({"entries": {}}, ValueError, "entries must have at least one entry"),
        ({"entries": {3.0: ENTRY}}, ValueError, r"none for β = \[0.1\]"),
        ({"entries": {0.1: Terms(1, 1, 1)}}, TypeError, r"entries must be of BetaEntry\(terms, active, frechet\)"),
        ({"plane": "curve"}, TypeError, r"plane must be a Chart, got str: make it with hw2.explore.chart\(axes\)"),
        ({"x": np.zeros((1, 1, 28, 28))}, TypeError, "convert with torch.from_numpy"),
        ({"x": torch.zeros(0, 1, 28, 28)}, ValueError, "there is no image"),
    ],
)
def test_beta_explorer_says_what_is_wrong(change, error, words, plane, digits):
    right = {"models": {0.1: VAE(3, hidden=(16,))}, "entries": {0.1: ENTRY}, "plane": plane, "x": digits.images[:2]}
    beta_explorer(**right)
    with pytest.raises(error, match=words):
        beta_explorer(**right | change)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"models": {}}, ValueError, "models must have at least one entry, name to model"),
        ({"models": {"both": AutoEncoder(3, hidden=(16,))}}, ValueError, 'cannot be called "both"'),
        ({"models": {"AE": 3}}, TypeError, "model must be one of hw2's"),
        ({"digits": torch.zeros(3, 1, 28, 28)}, TypeError, "digits must be Digits, got Tensor: pass hw2.Digits"),
    ],
)
def test_interpolation_explorer_says_what_is_wrong(change, error, words, models, digits):
    with pytest.raises(error, match=words):
        interpolation_explorer(**{"models": models, "digits": digits} | change)


@pytest.mark.parametrize(
    ("planes", "error", "words"),
    [
        (3, TypeError, "planes must be a mapping"),
        ({0.1: VAE(2, hidden=(16,))}, TypeError, r"planes must be pairs \(model, terms\), .* at β = 0.1 it is not"),
        ({0.1: (VAE(3, hidden=(16,)), Terms(1, 1, 1))}, ValueError, "latent_dim 2 to be drawn, at β = 0.1 it is 3"),
        ({float("nan"): (VAE(2, hidden=(16,)), Terms(1, 1, 1))}, ValueError, "β must be a finite number"),
        ({0.1: (AutoEncoder(2, hidden=(16,)), Terms(1, 1, 1))}, TypeError, "must be a VAE, .* got AutoEncoder"),
    ],
)
def test_plane_explorer_says_what_is_wrong(planes, error, words, digits):
    with pytest.raises(error, match=words):
        plane_explorer(planes, digits)


@pytest.mark.parametrize(("limit", "reach"), [(3.2, 3), (8, 8), (0.5, 0.5)])
def test_the_planes_sliders_reach_as_far_as_its_pictures(limit, reach, digits):
    planes = {0.1: (VAE(2, hidden=(16,)).double(), Terms(1, 1, 1))}
    explorer = plane_explorer(planes, digits, limit)
    for name in ("z1", "z2"):
        assert [control(explorer, name)[end] for end in ("min", "max")] == [-reach, reach]
    with pytest.raises(ValueError, match="limit must be > 0"):
        plane_explorer(planes, digits, -limit)


@pytest.mark.parametrize(
    ("spreads", "words"),
    [
        ({"AE": torch.ones(3)}, "there is none for 'VAE'"),
        ({"AE": torch.ones(3), "VAE": torch.ones(4)}, r"spreads must be \(3,\) for 'VAE', .* got \(4,\)"),
        ({"AE": [1, 1, 1], "VAE": torch.ones(3)}, "for 'AE', .* got list"),
    ],
)
def test_traversal_explorer_says_what_is_wrong(spreads, words, models, digits):
    with pytest.raises(ValueError, match=words):
        traversal_explorer(models, spreads, digits)


def test_models_are_called_by_text(models, digits):
    by_beta = {1e-3: models["VAE"]}
    for make in (interpolation_explorer, lambda m, d: traversal_explorer(m, {1e-3: torch.ones(3)}, d)):
        with pytest.raises(TypeError, match=r"models must be called by text.*got 0.001: \{'0.001': ...\}"):
            make(by_beta, digits)

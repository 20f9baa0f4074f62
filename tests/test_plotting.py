"""What is on the figures: every image, every point, units on the axes. Nothing is shown or saved."""

import dataclasses
import itertools
from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import same_color, to_rgba
from matplotlib.figure import Figure

import hw2
from hw2 import plotting
from hw2.plotting import COLORS, STYLE, beta_label
from hw2.training import History, Terms

mpl.use("Agg")

TERMS = {  # β: recon, kl, loss, in no order
    1e-3: Terms(13.3, 13.6, 24.0),
    0.0: Terms(6.1, 700.0, 6.1),
    10.0: Terms(52.0, 0.0, 52.0),
    1e-5: Terms(6.5, 80.0, 7.1),
}


@pytest.fixture(autouse=True)
def nothing_shown_or_saved(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a figure was shown or saved")

    for owner, name in [(plt, "show"), (plt, "savefig"), (Figure, "show"), (Figure, "savefig")]:
        monkeypatch.setattr(owner, name, refuse)
    yield
    plt.close("all")


@pytest.fixture(params=[{}, STYLE], ids=["matplotlib's style", "our style"])
def style(request):
    with plt.style.context(request.param):
        yield


def history(steps=120, scale=1.0, kl=True, seed=0):
    random = torch.Generator().manual_seed(seed)
    recon = scale * (50 * torch.linspace(0, -2, steps).exp() + torch.rand(steps, generator=random))
    kl = torch.linspace(0, 20, steps) * kl
    return History(recon, kl, recon + 0.784 * kl, steps_per_epoch=10)


def cells(picture, columns):
    """The images that a mosaic was made of, in reading order."""
    height, width = picture.shape
    assert width == 29 * columns + 1
    assert height % 29 == 1
    return np.stack([picture[r + 1 : r + 29, c + 1 : c + 29] for r in range(0, height - 1, 29)
                     for c in range(0, width - 1, 29)])  # fmt: skip


def drawn(ax):
    """The one picture on these axes, whose 0 must be black and whose 1 white."""
    (image,) = ax.images
    assert image.get_clim() == (0, 1)
    assert same_color(image.to_rgba(np.array([0.0, 1.0]))[0], "black")
    assert same_color(image.to_rgba(np.array([0.0, 1.0]))[1], "white")
    return np.asarray(image.get_array())


# Images


@pytest.mark.parametrize(("n", "columns"), [(16, 4), (10, 5), (3, 3), (2, 1)])
def test_mosaic_shows_every_image_in_reading_order(n, columns, digits):
    picture = plotting.mosaic(digits.images[:n], columns)
    assert np.array_equal(cells(picture, columns), digits.images[:n, 0].numpy())


def test_mosaic_has_grey_lines_between_the_images(digits):
    picture = plotting.mosaic(digits.images[:6], 3)
    assert (picture[::29] == 0.5).all()
    assert (picture[:, ::29] == 0.5).all()


def test_mosaic_with_an_unfinished_row_fills_it_grey(digits):
    last = cells(plotting.mosaic(digits.images[:5], 3), 3)
    assert len(last) == 6
    assert (last[5] == 0.5).all()


def test_image_grid_shows_all_images(digits, style):
    ax = plotting.image_grid(digits.images[:16], title="samples")
    assert np.array_equal(cells(drawn(ax), 4), digits.images[:16, 0].numpy())
    assert ax.get_title() == "samples"
    assert not ax.axison
    ax.figure.canvas.draw()


def test_image_rows_labels_each_row_and_column(digits, style):
    rows = {"images": digits.images[:5], "AE": digits.images[5:10], "VAE": digits.images[10:15]}
    ax = plotting.image_rows(rows, columns=[7, 2, 1, 0, 4], title="first five")
    assert np.array_equal(cells(drawn(ax), 5), digits.images[:15, 0].numpy())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["images", "AE", "VAE"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["7", "2", "1", "0", "4"]
    assert [int(tick // 29) for tick in ax.get_yticks()] == [0, 1, 2]
    assert [int(tick // 29) for tick in ax.get_xticks()] == [0, 1, 2, 3, 4]
    assert ax.get_title() == "first five"
    ax.figure.canvas.draw()


def test_image_rows_without_columns_has_no_ticks_there(digits):
    ax = plotting.image_rows({"strip": digits.images[:3], "blend": digits.images[3:6]})
    assert list(ax.get_xticks()) == []


@pytest.mark.parametrize(
    "draw",
    [
        lambda digits, **ax: plotting.image_grid(digits.images[:4], **ax),
        lambda digits, **ax: plotting.image_rows({"a": digits.images[:4]}, **ax),
        lambda digits, **ax: plotting.posteriors(torch.rand(48, 2), torch.zeros(48, 2), digits.labels, **ax),
        lambda digits, **ax: plotting.latent_plane(digits.images[:9], **ax),
        lambda _digits, **ax: plotting.rate_distortion(TERMS, **ax),
    ],
    ids=["image_grid", "image_rows", "posteriors", "latent_plane", "rate_distortion"],
)
def test_axes_are_taken_or_made_and_returned(draw, digits):
    _, axes = plt.subplots(1, 2)
    assert draw(digits, ax=axes[1]) is axes[1]
    assert len(plt.get_fignums()) == 1
    assert not axes[0].has_data()
    own = draw(digits)
    assert isinstance(own, Axes)
    assert own.figure is not axes[0].figure
    assert len(plt.get_fignums()) == 2


# Curves


def line(ax, label):
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def test_curves_draws_both_terms_with_their_units(style):
    figure = plotting.curves({"β = 0.001": history()})
    assert isinstance(figure, Figure)
    recon, kl = figure.axes
    assert "squared error per image" in recon.get_ylabel()
    assert "nats per image" in kl.get_ylabel()
    assert "KL" in kl.get_ylabel()
    assert recon.get_xlabel() == kl.get_xlabel() == "training step"
    assert recon.get_ylim()[0] == kl.get_ylim()[0] == 0
    figure.canvas.draw()


@pytest.mark.parametrize("term", ["recon", "kl"])
def test_curves_of_one_history_draws_each_step_and_the_running_mean(term):
    run = history(120)
    ax = plotting.curves({"run": run}, window=50).axes[term == "kl"]
    values = getattr(run, term).numpy()
    steps, y = line(ax, "each step")
    assert np.array_equal(steps, np.arange(1, 121))
    assert np.array_equal(y, values)
    steps, y = line(ax, "mean of 30 steps")  # at most a quarter of the run
    assert np.array_equal(steps, np.arange(15.5, 106))  # a mean stands in the middle of its steps
    np.testing.assert_allclose(y, np.convolve(values, np.ones(30) / 30, "valid"), rtol=1e-4)
    assert ax.get_ylim()[1] >= y.max()


def test_curves_of_several_histories_draws_a_coloured_line_each():
    runs = {"AE": history(kl=False), "VAE": history(100, scale=2, seed=1)}
    figure = plotting.curves(runs, colors=COLORS)
    for ax in figure.axes:
        assert [drawn_line.get_label() for drawn_line in ax.lines] == ["AE", "VAE"]
        assert [drawn_line.get_color() for drawn_line in ax.lines] == [COLORS["AE"], COLORS["VAE"]]
        assert ax.get_ylim()[1] >= max(drawn_line.get_ydata().max() for drawn_line in ax.lines)
    assert [text.get_text() for text in figure.axes[-1].get_legend().get_texts()] == ["AE", "VAE"]
    figure.canvas.draw()


def test_curves_of_autoencoders_has_no_empty_kl_panel():
    (ax,) = plotting.curves({"AE": history(kl=False)}).axes
    assert "squared error" in ax.get_ylabel()


def test_curves_of_several_short_runs_are_seen_and_told_apart():
    (ax, _) = plotting.curves({"a": history(4), "b": history(4, seed=1)}).axes
    assert all(len(drawn_line.get_xdata()) == 4 for drawn_line in ax.lines)
    assert len({drawn_line.get_color() for drawn_line in ax.lines}) == 2


def test_a_loss_below_zero_is_inside_the_picture():
    run = dataclasses.replace(history(120), recon=history(120).recon - 500)
    ax = plotting.curves({"run": run}).axes[0]
    assert ax.get_ylim()[0] <= run.recon.min() < run.recon.max() <= ax.get_ylim()[1]


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_curves_shorter_than_the_window_are_drawn(steps):
    ax = plotting.curves({"run": history(steps)}, window=50).axes[0]
    assert len(line(ax, "each step")[0]) == steps
    ax.figure.canvas.draw()


# β


@pytest.mark.parametrize(
    ("beta", "label"),
    [(0, "0"), (0.0, "0"), (1e-5, "1e-5"), (1e-4, "0.0001"), (3e-4, "0.0003"), (0.001, "0.001"), (10.0, "10")],
)
def test_beta_label(beta, label):
    assert beta_label(beta) == label


def test_beta_colors_are_all_different():
    betas = [0, 1e-5, 1e-4, 1e-3, 10]
    colors = plotting.beta_colors(betas)
    assert list(colors) == betas
    assert len({to_rgba(color) for color in colors.values()}) == 5


def test_model_colors_are_different():
    """But for what needs no model, which is grey wherever it stands."""
    assert COLORS["blend"] == COLORS["pixels"]
    assert len({to_rgba(color) for color in COLORS.values()}) == len(COLORS) - 1


def test_rate_distortion_shows_every_beta_and_its_price_on_linear_axes(style):
    ax = plotting.rate_distortion(TERMS, marked=1e-3)
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")
    assert "nats per image" in ax.get_xlabel()
    assert "squared error per image" in ax.get_ylabel()
    points = {tuple(np.round(point, 6)) for group in ax.collections for point in group.get_offsets()}
    assert points == {(terms.kl, terms.recon) for beta, terms in TERMS.items() if beta > 0}
    far = [text.get_text() for text in ax.texts if "→" in text.get_text()]
    assert far == ["β = 0: 700 nats, error 6.1 →"]  # a rate that would flatten the rest
    (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for beta, terms in TERMS.items():
        if beta > 0:
            assert low <= terms.kl <= high
            assert bottom <= terms.recon <= top
    prices = []
    for found in ax.lines:
        x, y = found.get_xdata(), found.get_ydata()
        if len(x) == 2 and found.get_zorder() == 2:
            prices.append(-(y[1] - y[0]) / (x[1] - x[0]))
    assert sorted(prices) == pytest.approx([784 * beta for beta in sorted(TERMS) if beta > 0])
    (circle,) = [group for group in ax.collections if group.get_facecolors().size == 0]
    assert circle.get_offsets()[0].tolist() == [TERMS[1e-3].kl, TERMS[1e-3].recon]
    ax.figure.canvas.draw()


def test_rate_distortion_of_cross_entropies_is_in_nats():
    assert "nats" in plotting.rate_distortion(TERMS, likelihood="bernoulli").get_ylabel()


@pytest.mark.parametrize("terms", [{0.01: (float("inf"), 3)}, {0.01: (5, -2)}, {float("nan"): (5, 2)}])
def test_terms_that_no_run_has_are_refused(terms):
    with pytest.raises(ValueError, match="finite"):
        plotting.rate_distortion(terms)


def points_against_beta(ax):
    return {
        (x, y)
        for found in ax.lines
        if found.get_marker() != "None"
        for x, y in zip(found.get_xdata(), found.get_ydata(), strict=True)
    }


def test_error_and_rate_against_beta_have_an_axis_each(style):
    error, rate = plotting.terms_against_beta(TERMS, marked=(0, 1e-3)).axes
    for ax, term in ((error, "recon"), (rate, "kl")):
        points = points_against_beta(ax)
        assert {(beta, getattr(terms, term)) for beta, terms in TERMS.items() if beta > 0} <= points
        assert len(points) == len(TERMS)
        assert ax.get_xscale() == "log"
        low, high = ax.get_ylim()
        assert all(low <= y <= high for _, y in points)
        zero = next(x for x, y in points if y == getattr(TERMS[0.0], term))
        assert ax.get_xlim()[0] < zero < 1e-5 / 3
        assert all(
            len(found.get_xdata()) == 1
            for found in ax.lines
            if zero in found.get_xdata() and found.get_marker() != "None"
        )
        dotted = {found.get_xdata()[0] for found in ax.lines if found.get_marker() == "None" and found.get_ls() == ":"}
        assert dotted == {zero, 1e-3}
    assert "squared error per image" in error.get_ylabel()
    assert "KL in nats per image" in rate.get_ylabel()
    assert {found.get_color() for found in error.lines if found.get_marker() != "None"} == {COLORS["AE"]}
    assert {found.get_color() for found in rate.lines if found.get_marker() != "None"} == {COLORS["VAE"]}


@pytest.mark.parametrize("betas", [[0.0, 1e-5, 1e-3, 10.0], [1e-5, 1e-3, 10.0]])
def test_every_beta_has_its_tick(betas):
    figure = plotting.terms_against_beta({beta: TERMS[beta] for beta in betas})
    figure.canvas.draw()
    ax = figure.axes[1]
    ticks = dict(zip([label.get_text() for label in ax.get_xticklabels()], ax.get_xticks(), strict=True))
    assert list(ticks) == [beta_label(beta) for beta in betas]
    assert all(ticks[beta_label(beta)] == beta for beta in betas if beta > 0)
    assert {x for x, _ in points_against_beta(ax)} == set(ticks.values())
    assert ax.get_xticks(minor=True).size == 0


# Latent space


def ellipses(ax):
    """{(x, y): (width, height)} of the ellipses, the set of (x, y) of the dots, and a colour for each."""
    sizes, dots, colours = {}, set(), {}
    for group in ax.collections:
        for k, point in enumerate(map(tuple, np.asarray(group.get_offsets()).tolist())):
            colours[point] = to_rgba(group.get_facecolor()[0])[:3]
            if isinstance(group, EllipseCollection):
                sizes[point] = (2 * group._widths[k], 2 * group._heights[k])  # it keeps halves
            else:
                dots.add(point)
    return sizes, dots, colours


def test_posteriors_are_ellipses_at_one_sigma_in_their_classs_colour(digits, style):
    random = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(48, 2, generator=random), torch.randn(48, 2, generator=random)
    logvar[:5] = -30  # no one could see these
    ax = plotting.posteriors(mu, logvar, digits.labels, limit=4, title="2-D")
    sizes, dots, colours = ellipses(ax)
    assert dots == set(map(tuple, mu[:5].tolist()))
    for point, (x, y) in zip(mu[5:].tolist(), (2 * (0.5 * logvar[5:]).exp()).tolist(), strict=True):
        assert sizes[tuple(point)] == pytest.approx((x, y), rel=1e-5)
    by_class = [{colours[tuple(p)] for p in mu[digits.labels == label].tolist()} for label in range(10)]
    assert all(len(found) == 1 for found in by_class)
    assert len(set.union(*by_class)) == 10
    assert [circle.radius for circle in ax.patches] == [1, 2, 3]
    assert ax.get_xlim() == ax.get_ylim() == (-4, 4)
    assert ax.get_aspect() == 1
    assert ax.get_title() == "2-D"
    ax.figure.canvas.draw()


def test_a_class_is_named_at_its_median_where_there_is_room():
    mu = torch.tensor([[-2.0, 0], [-2, 1], [-2, 2], [2, 0], [0, 0], [0, 0.1]])
    labels = torch.tensor([3, 3, 3, 5, 7, 8])
    ax = plotting.posteriors(mu, torch.full((6, 2), -4.0), labels)
    assert {text.get_text(): text.get_position() for text in ax.texts} == {"3": (-2, 1), "5": (2, 0), "7": (0, 0)}
    assert not plotting.posteriors(0 * mu, torch.zeros(6, 2), labels).texts  # all in one place
    assert not plotting.posteriors(10 + mu, torch.zeros(6, 2), labels).texts  # outside the picture


@pytest.mark.parametrize(
    ("mu", "labels", "words"),
    [((48, 3), 48, "N, 2"), ((48,), 48, "N, 2"), ((48, 2), 47, "N, 2")],
)
def test_posteriors_of_another_shape_are_refused(mu, labels, words):
    with pytest.raises(ValueError, match=words):
        plotting.posteriors(torch.rand(mu), torch.rand(mu), torch.zeros(labels, dtype=torch.int64))


@pytest.mark.parametrize("label", [-1, 10])
def test_posteriors_have_ten_colours(label):
    with pytest.raises(ValueError, match="labels must be from 0 to 9"):
        plotting.posteriors(torch.rand(1, 2), torch.rand(1, 2), torch.tensor([label]))


def test_a_plane_shows_each_image_at_its_place(digits):
    """On the axes of the posteriors: a picture's pixel belongs to the z that it was decoded from."""
    limit, n = 3.2, 3
    ax = plotting.latent_plane(digits.images[: n * n], limit)
    shown = ax.images[0]
    left, right, bottom, top = shown.get_extent()
    assert (left, right, bottom, top) == (-limit, limit, -limit, limit)
    assert ax.get_xlim() == ax.get_ylim() == (-limit, limit)
    picture = np.asarray(shown.get_array())
    for k, (z1, z2) in enumerate(hw2.latent.grid(limit, n).tolist()):
        column = round((z1 - left) / (right - left) * picture.shape[1])
        row = round((top - z2) / (top - bottom) * picture.shape[0])
        near = [
            picture[y : y + 28, x : x + 28] for y in range(row - 15, row - 12) for x in range(column - 15, column - 12)
        ]
        assert any(np.array_equal(part, digits.images[k, 0].numpy()) for part in near)
    with pytest.raises(ValueError, match="n · n images"):
        plotting.latent_plane(digits.images[:8])


@pytest.mark.parametrize(("counts", "labels"), [((3, 4), 0), ((3, 3), 2), ((), 0)])
def test_rows_of_different_lengths_are_refused(counts, labels, digits):
    rows = {f"row {i}": digits.images[:n] for i, n in enumerate(counts)}
    with pytest.raises(ValueError, match="as many images"):
        plotting.image_rows(rows, ["label"] * labels)


# What a figure's meaning hangs on: whose colour, which axis


def test_a_beta_has_one_colour_from_dark_to_light():
    ax = plotting.rate_distortion(TERMS)
    expected = plotting.beta_colors(sorted(TERMS))
    for group in ax.collections:
        beta = next(b for b, t in TERMS.items() if (t.kl, t.recon) == pytest.approx(tuple(group.get_offsets()[0])))
        assert same_color(group.get_facecolors()[0], expected[beta])
    lightness = [sum(to_rgba(expected[beta])[:3]) for beta in sorted(TERMS)]
    assert lightness == sorted(lightness)


def test_samples_against_beta_draws_each_measure_above_its_floor_and_marks_also_zero():
    quality = {b: SimpleNamespace(frechet=f, sure=s) for b, f, s in ((0.0, 1400, 0.1), (1e-3, 90, 0.6), (10.0, 900, 0))}
    floor = {b: SimpleNamespace(frechet=q.frechet / 3, sure=q.sure / 2) for b, q in quality.items()}
    figure = plotting.samples_against_beta(quality, floor, marked=(0.0, 1e-3))
    for ax, name in zip(figure.axes, ("frechet", "sure"), strict=True):
        for label, values in (("samples from $N(0, I)$", quality), ("reconstructions", floor)):
            (joined,) = [found for found in ax.lines if found.get_label() == label]
            assert list(joined.get_xdata()) == [1e-3, 10]
            assert list(joined.get_ydata()) == [getattr(values[b], name) for b in (1e-3, 10.0)]
        assert len(points_against_beta(ax)) == len({y for _, y in points_against_beta(ax)}) or name == "sure"
        dotted = sorted(found.get_xdata()[0] for found in ax.lines if found.get_ls() == ":")
        assert dotted[1] == 1e-3
        assert ax.get_xlim()[0] < dotted[0] < 1e-3 / 3
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "linear"]


@pytest.mark.parametrize("names", [("AE", "VAE", "pixels"), ("pixels", "VAE", "AE"), ("VAE",)])
def test_probe_accuracies_draws_means_and_spreads_in_each_codes_colour(names):
    kinds, labels = ("linear", "neighbours"), (100, 1000)
    accuracy = {
        (a, k, n): [(i + 1) / 20, (i + 2) / 20] for i, (a, k, n) in enumerate(itertools.product(names, kinds, labels))
    }
    figure = plotting.probe_accuracies(accuracy)
    for ax, kind in zip(figure.axes, kinds, strict=True):
        assert ax.get_title() == kind
        assert ax.get_xscale() == "log"
        assert list(ax.get_xticks()) == list(labels)
        places = set()
        for container, name in zip(ax.containers, names, strict=True):
            data, _, (bars,) = container
            assert data.get_color() == COLORS[name]
            aside = np.array(data.get_xdata()) / labels  # a little, and alike at every size, so that none hides another
            assert np.ptp(aside) < 1e-9
            assert abs(aside[0] - 1) < 0.08
            places.add(round(float(aside[0]), 6))
            expected = [50 * sum(accuracy[name, kind, n]) for n in labels]
            assert list(data.get_ydata()) == pytest.approx(expected)
            heights = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
            assert heights == pytest.approx([2 * 5 / 2**0.5] * 2)  # a standard deviation up, and one down
        assert len(places) == len(names)


def test_codes_that_lack_a_size_or_a_classifier_leave_the_ticks():
    accuracy = {("AE", "linear", n): [0.5] for n in (10, 100, 1000)} | {("VAE", "linear", 10): [0.6]}
    (ax,) = plotting.probe_accuracies(accuracy).axes
    assert list(ax.get_xticks()) == [10, 100, 1000]


# What would be drawn wrongly is refused, or drawn right


BAD_IMAGES = {
    "no channel": lambda x: x[:4, 0],
    "RGB": lambda x: x[:4].repeat(1, 3, 1, 1),
    "another size": lambda x: x[:4, :, :14],
    "none": lambda x: x[:0],
    "logits": lambda x: 4 * x[:4] - 2,
    "bytes' range": lambda x: 255 * x[:4],
    "NaN": lambda x: torch.full_like(x[:4], float("nan")),
    "an array": lambda x: x[:4].numpy(),
}


@pytest.mark.parametrize("how", BAD_IMAGES)
@pytest.mark.parametrize("draw", [lambda x: plotting.mosaic(x, 2), plotting.image_grid,
                                  lambda x: plotting.image_rows({"row": x})],
                         ids=["mosaic", "image_grid", "image_rows"])  # fmt: skip
def test_images_of_another_kind_are_refused_before_a_figure_is_made(draw, how, digits):
    with pytest.raises((TypeError, ValueError), match=r"images|pixels"):
        draw(BAD_IMAGES[how](digits.images))
    assert plt.get_fignums() == []


def test_images_with_a_graph_are_drawn(digits):
    images = digits.images[:4].clone().requires_grad_()
    assert np.array_equal(cells(drawn(plotting.image_grid(images, 2)), 2), digits.images[:4, 0].numpy())


@pytest.mark.parametrize("betas", [[0.0], [10.0], [0.0, 10.0]])
def test_a_sweep_of_one_or_two_betas_is_drawn(betas):
    terms = {beta: TERMS[beta] for beta in betas}
    plotting.rate_distortion(terms, marked=betas[0]).figure.canvas.draw()
    plotting.terms_against_beta(terms, betas).canvas.draw()
    quality = {b: SimpleNamespace(frechet=90.0, sure=0.5) for b in betas}
    plotting.samples_against_beta(quality, quality, betas).canvas.draw()


def test_a_marked_beta_that_is_not_there_and_an_empty_sweep_are_said():
    with pytest.raises(ValueError, match=r"marked must be one of 0, 1e-5, 0\.001, 10"):
        plotting.rate_distortion(TERMS, marked=0.5)
    with pytest.raises(ValueError, match=r"marked must be among 0, 1e-5, 0\.001, 10"):
        plotting.terms_against_beta(TERMS, marked=[0.5])
    for draw in (plotting.rate_distortion, plotting.terms_against_beta):
        with pytest.raises(ValueError, match="at least one β"):
            draw({})


def test_held_out_terms_and_a_rising_beta_are_drawn():
    run = history(120)
    held_out = torch.stack([torch.linspace(60, 20, 12), torch.linspace(1, 9, 12), torch.zeros(12)])
    run = dataclasses.replace(run, validation=held_out, beta=torch.linspace(0, 0.001, 120))
    figure = plotting.curves({"run": run})
    assert [ax.get_title() for ax in figure.axes] == ["Reconstruction", "KL to the prior", "β in force"]
    for ax, row in zip(figure.axes, held_out[:2], strict=False):
        steps, values = line(ax, "held out")
        assert list(steps) == [10 * epoch for epoch in range(1, 13)]
        assert list(values) == row.tolist()
    assert np.array_equal(figure.axes[2].lines[0].get_ydata(), run.beta)
    figure.canvas.draw()


def test_a_constant_beta_has_no_panel():
    run = dataclasses.replace(history(120), beta=torch.full((120,), 0.001))
    assert len(plotting.curves({"run": run}).axes) == 2


@pytest.mark.parametrize("histories", [{}, {"run": [1, 2]}, {"run": None}])
def test_curves_of_nothing_are_refused(histories):
    with pytest.raises(ValueError, match=r"what hw2\.fit returns"):
        plotting.curves(histories)


def test_more_codes_than_colours_of_models_are_told_apart():
    accuracy = {(name, "linear", 100): [0.5] for name in "abcdef"}
    (ax,) = plotting.probe_accuracies(accuracy).axes
    assert len({container[0].get_color() for container in ax.containers}) == 6


def test_a_history_has_the_unit_of_its_likelihood_and_two_units_share_no_axis():
    nats = dataclasses.replace(history(120), likelihood="bernoulli")
    assert plotting.curves({"run": nats}).axes[0].get_ylabel() == "cross-entropy in nats per image"
    with pytest.raises(ValueError, match="share no axis"):
        plotting.curves({"one": nats, "other": history(120)})


def test_terms_in_nats_say_so_and_an_unknown_likelihood_is_named(style):
    error, _ = plotting.terms_against_beta(TERMS, likelihood="bernoulli").axes
    assert "cross-entropy" in error.get_ylabel()
    for figure in (plotting.terms_against_beta, plotting.rate_distortion):
        with pytest.raises(ValueError, match="unknown likelihood 'poisson': expected one of gaussian, bernoulli"):
            figure(TERMS, likelihood="poisson")
    plotting.rate_distortion({0: (0.0, 3.0), 1e-3: (0.0, 1.0)}).figure.canvas.draw()


def test_a_warm_up_beside_a_model_that_draws_its_beta(digits, style):
    config = hw2.TrainConfig(epochs=2, batch_size=16)
    warm = hw2.fit(hw2.VAE(2, hidden=(4,)), digits, dataclasses.replace(config, warmup=1), progress=False)
    drawn = hw2.fit(hw2.ConditionedVAE(2, hidden=(4,)), digits, config, progress=False)
    figure = plotting.curves({"warm": warm, "drawn": drawn})
    assert [len(ax.lines) for ax in figure.axes] == [2, 2, 1]
    assert [text.get_text() for text in figure.axes[-1].get_legend().get_texts()] == ["warm", "drawn"]


def test_any_number_of_runs_is_drawn_in_colours_of_their_own():
    runs = {beta: history(120) for beta in range(12)}
    with pytest.raises(ValueError, match="at most 10 names can be told apart"):
        plotting.curves(runs)
    colors = plotting.beta_colors(list(runs))
    assert [line.get_color() for line in plotting.curves(runs, colors).axes[0].lines] == list(colors.values())


def test_samples_against_beta_names_each_measure():
    quality = {1e-3: SimpleNamespace(frechet=90.0, sure=0.5)}
    score, share = plotting.samples_against_beta(quality, quality).axes
    assert "Fréchet" in score.get_ylabel()
    assert "sure" in share.get_ylabel()


def test_a_baseline_is_drawn_at_its_rates_and_distortions():
    baseline = (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([40.0, 30.0, 20.0]), "linear VAE")
    rate, distortion = line(plotting.rate_distortion(TERMS, baseline=baseline), "linear VAE")
    assert (rate.tolist(), distortion.tolist()) == ([1, 2, 3], [40, 30, 20])


def test_the_name_of_each_beta_stands_at_its_point():
    texts = plotting.rate_distortion(TERMS).texts
    named = {text.get_text(): text.xy for text in texts if "→" not in text.get_text()}
    assert named == {f"β = {beta_label(b)}": (terms.kl, terms.recon) for b, terms in TERMS.items() if b > 0}


def test_the_labels_of_columns_stand_above_them(digits):
    ax = plotting.image_rows({"row": digits.images[:2]}, columns=[7, 2])
    assert ax.xaxis.get_ticks_position() == "top"


def test_the_rate_is_logarithmic_as_its_label_says():
    rate = plotting.terms_against_beta(TERMS).axes[1]
    assert "logarithmic from 1 on" in rate.get_ylabel()
    assert rate.get_yscale() == "symlog"
    assert rate.yaxis.get_transform().linthresh == 1


def test_a_plane_has_the_priors_circles(digits):
    assert [circle.radius for circle in plotting.latent_plane(digits.images[:9]).patches] == [1, 2, 3]

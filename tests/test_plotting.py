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
from matplotlib.colors import same_color, to_rgba
from matplotlib.figure import Figure

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
        lambda digits, **ax: plotting.latent_scatter(torch.rand(48, 2), digits.labels, **ax),
    ],
    ids=["image_grid", "image_rows", "latent_scatter"],
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
    steps, y = line(ax, "mean of 50 steps")
    assert np.array_equal(steps, np.arange(50, 121))  # a mean stands where its last step is
    np.testing.assert_allclose(y, np.convolve(values, np.ones(50) / 50, "valid"), rtol=1e-4)
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
    assert len({to_rgba(color) for color in COLORS.values()}) == len(COLORS)


def test_rate_distortion_shows_every_beta_in_the_plane(style):
    figure = plotting.rate_distortion(TERMS)
    assert isinstance(figure, Figure)
    plane, _ = figure.axes
    points = {tuple(np.round(point, 6)) for group in plane.collections for point in group.get_offsets()}
    assert points == {(terms.kl, terms.recon) for terms in TERMS.values()}
    named = {text.get_text(): tuple(text.xy) for text in plane.texts}
    assert named == {f"β = {beta_label(beta)}": (terms.kl, terms.recon) for beta, terms in TERMS.items()}
    low, high = plane.get_xlim()
    assert all(low <= terms.kl <= high for terms in TERMS.values())
    assert "nats per image" in plane.get_xlabel()
    assert "squared error per image" in plane.get_ylabel()
    figure.canvas.draw()


def points_against_beta(ax):
    return {
        (x, y)
        for found in ax.lines
        if found.get_marker() != "None"
        for x, y in zip(found.get_xdata(), found.get_ydata(), strict=True)
    }


def test_rate_distortion_draws_both_terms_against_beta(style):
    _, ax = plotting.rate_distortion(TERMS).axes
    points = points_against_beta(ax)
    for beta, terms in TERMS.items():
        if beta > 0:
            assert {(beta, terms.recon), (beta, terms.kl)} <= points
    assert len(points) == 2 * len(TERMS)
    assert ax.get_xscale() == "log"
    low, high = ax.get_ylim()
    assert all(low <= y <= high for _, y in points)
    assert "β" in ax.get_xlabel()
    assert "784" in ax.get_xlabel()
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {
        "squared error per image",
        "KL in nats per image",
    }


def test_beta_zero_is_drawn_left_of_the_smallest_and_not_joined_to_it():
    _, ax = plotting.rate_distortion(TERMS).axes
    zero = {x for x, y in points_against_beta(ax) if y in (6.1, 700.0)}
    assert len(zero) == 1
    (at,) = zero
    assert ax.get_xlim()[0] < at < 1e-5 / 3
    for found in ax.lines:
        if at in found.get_xdata():
            assert len(found.get_xdata()) == 1
    fence = [found.get_xdata()[0] for found in ax.lines if found.get_marker() == "None"]
    assert any(at < x < 1e-5 for x in fence)


@pytest.mark.parametrize("betas", [[0.0, 1e-5, 1e-3, 10.0], [1e-5, 1e-3, 10.0]])
def test_every_beta_has_its_tick(betas):
    figure = plotting.rate_distortion({beta: TERMS[beta] for beta in betas})
    figure.canvas.draw()
    ax = figure.axes[1]
    ticks = dict(zip([label.get_text() for label in ax.get_xticklabels()], ax.get_xticks(), strict=True))
    assert list(ticks) == [beta_label(beta) for beta in betas]
    assert all(ticks[beta_label(beta)] == beta for beta in betas if beta > 0)
    assert {x for x, _ in points_against_beta(ax)} == set(ticks.values())
    assert ax.get_xticks(minor=True).size == 0


def test_marked_beta_is_marked_in_both_views():
    plain, marked = plotting.rate_distortion(TERMS), plotting.rate_distortion(TERMS, marked=1e-3)
    circles = marked.axes[0].collections[len(plain.axes[0].collections) :]
    assert [tuple(np.round(circle.get_offsets()[0], 6)) for circle in circles] == [(13.6, 13.3)]
    new = marked.axes[1].lines[len(plain.axes[1].lines) :]
    assert [set(found.get_xdata()) for found in new] == [{1e-3}]


# Latent space


def test_latent_scatter_draws_every_code_in_its_classs_colour(digits, style):
    codes = torch.randn(48, 2, generator=torch.Generator().manual_seed(0))
    ax = plotting.latent_scatter(codes, digits.labels, title="2-D")
    color_of = {}
    for group in ax.collections:
        for point in np.asarray(group.get_offsets()):
            color_of[tuple(point)] = tuple(group.get_facecolor()[0][:3])
    assert color_of.keys() == {tuple(code) for code in codes.numpy()}
    by_class = [{color_of[tuple(code)] for code in codes[digits.labels == label].numpy()} for label in range(10)]
    assert all(len(colors) == 1 for colors in by_class)
    assert len(set.union(*by_class)) == 10
    assert "z_1" in ax.get_xlabel()
    assert "z_2" in ax.get_ylabel()
    assert ax.get_aspect() == 1
    assert ax.get_title() == "2-D"
    ax.figure.canvas.draw()


def test_latent_scatter_may_lack_a_class(digits):
    some = digits.labels < 4
    ax = plotting.latent_scatter(torch.rand(48, 2)[some], digits.labels[some])
    assert sum(len(group.get_offsets()) for group in ax.collections) == int(some.sum())
    ax.figure.canvas.draw()


@pytest.mark.parametrize(("counts", "labels"), [((3, 4), 0), ((3, 3), 2), ((), 0)])
def test_rows_of_different_lengths_are_refused(counts, labels, digits):
    rows = {f"row {i}": digits.images[:n] for i, n in enumerate(counts)}
    with pytest.raises(ValueError, match="as many images"):
        plotting.image_rows(rows, ["label"] * labels)


# What a figure's meaning hangs on: whose colour, which axis


def colour_by_label(ax):
    return {line.get_label(): line.get_color() for line in ax.lines if not line.get_label().startswith("_")}


def test_both_terms_have_their_own_colours_and_scales():
    plane, against = plotting.rate_distortion(TERMS).axes
    assert colour_by_label(against) == {plotting.ERROR_UNIT: COLORS["AE"], plotting.KL_UNIT: COLORS["VAE"]}
    assert (plane.get_xscale(), plane.get_yscale()) == ("symlog", "linear")
    assert (against.get_xscale(), against.get_yscale()) == ("log", "symlog")


def test_a_beta_has_one_colour_from_dark_to_light_in_the_plane():
    plane = plotting.rate_distortion_plane(TERMS)
    points = next(group for group in plane.collections if len(group.get_offsets()) == len(TERMS))
    expected = plotting.beta_colors(sorted(TERMS))
    for offset, colour in zip(points.get_offsets(), points.get_facecolors(), strict=True):
        beta = next(b for b, t in TERMS.items() if (t.kl, t.recon) == pytest.approx(tuple(offset)))
        assert same_color(colour, expected[beta])
    lightness = [sum(to_rgba(expected[beta])[:3]) for beta in sorted(TERMS)]
    assert lightness == sorted(lightness)


def test_samples_against_beta_draws_each_measure_with_real_digits_and_the_marked_beta():
    quality = {b: SimpleNamespace(frechet=f, sure=s) for b, f, s in ((0.0, 1400, 0.1), (1e-3, 90, 0.6), (10.0, 900, 0))}
    active, floor = {0.0: 32, 1e-3: 8, 10.0: 0}, SimpleNamespace(frechet=5, sure=0.97)
    figure = plotting.samples_against_beta(quality, active, floor, 1e-3)
    expected = ({b: q.frechet for b, q in quality.items()}, {b: q.sure for b, q in quality.items()}, active)
    for ax, values, real in zip(figure.axes, expected, (5, 0.97, None), strict=True):
        assert {y for _, y in points_against_beta(ax)} == set(values.values())
        assert {x: y for x, y in points_against_beta(ax) if x >= 1e-3} == {b: v for b, v in values.items() if b > 0}
        flat = [line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1 and line.get_ls() == "--"]
        assert flat == ([] if real is None else [real])
        assert any(set(line.get_xdata()) == {1e-3} for line in ax.lines if line.get_marker() == "None")
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "linear", "linear"]


def test_paths_have_their_models_colours_and_start_at_a_square():
    random = torch.Generator().manual_seed(0)
    paths = {name: torch.rand(5, 6, generator=random) for name in ("AE", "VAE", "pixel blend")}
    ax = plotting.feature_paths(paths, {4: torch.rand(9, 6, generator=random), 6: torch.rand(9, 6, generator=random)})
    assert colour_by_label(ax) == dict(zip(paths, COLORS.values(), strict=True))
    squares = [line for line in ax.lines if line.get_marker() == "s"]
    starts = [line for line in ax.lines if line.get_label() in paths]
    assert [(s.get_xdata()[0], s.get_color()) for s in squares] == [
        (line.get_xdata()[0], line.get_color()) for line in starts
    ]


def test_probe_accuracies_draws_each_code_in_its_colour_in_per_cent():
    names, kinds, labels = ("AE", "VAE", "pixels"), ("linear", "neighbours"), (100, 1000)
    accuracy = {(a, k, n): (i + 1) / 20 for i, (a, k, n) in enumerate(itertools.product(names, kinds, labels))}
    figure = plotting.probe_accuracies(accuracy)
    for ax, kind in zip(figure.axes, kinds, strict=True):
        assert ax.get_title() == kind
        assert ax.get_xscale() == "log"
        assert colour_by_label(ax) == dict(zip(names, COLORS.values(), strict=True))
        for drawn_line in ax.lines:
            expected = [100 * accuracy[drawn_line.get_label(), kind, n] for n in labels]
            assert list(drawn_line.get_xdata()) == list(labels)
            assert list(drawn_line.get_ydata()) == pytest.approx(expected)


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


def test_latent_scatter_draws_labels_above_nine(digits):
    labels = torch.arange(48) % 13
    ax = plotting.latent_scatter(torch.rand(48, 2), labels)
    assert sum(len(group.get_offsets()) for group in ax.collections) == 48


@pytest.mark.parametrize(("codes", "labels"), [((48, 3), 48), ((48,), 48), ((48, 2), 47)])
def test_latent_scatter_of_another_shape_is_refused(codes, labels):
    with pytest.raises(ValueError, match=r"codes must be \(N, 2\)"):
        plotting.latent_scatter(torch.rand(codes), torch.zeros(labels, dtype=torch.int64))


@pytest.mark.parametrize("betas", [[0.0], [10.0], [0.0, 10.0]])
def test_a_sweep_of_one_or_two_betas_is_drawn(betas):
    terms = {beta: TERMS[beta] for beta in betas}
    plotting.rate_distortion(terms, marked=betas[0]).canvas.draw()
    quality = {b: SimpleNamespace(frechet=90.0, sure=0.5) for b in betas}
    floor = SimpleNamespace(frechet=5.0, sure=0.97)
    plotting.samples_against_beta(quality, dict.fromkeys(betas, 3), floor, betas[0]).canvas.draw()


@pytest.mark.parametrize("draw", [plotting.rate_distortion, plotting.rate_distortion_plane])
def test_a_marked_beta_that_is_not_there_and_an_empty_sweep_are_said(draw):
    with pytest.raises(ValueError, match=r"marked must be one of 0, 1e-5, 0\.001, 10"):
        draw(TERMS, marked=0.5)
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
    accuracy = {(name, "linear", 100): 0.5 for name in "abcdef"}
    (ax,) = plotting.probe_accuracies(accuracy).axes
    assert len(set(colour_by_label(ax).values())) == 6

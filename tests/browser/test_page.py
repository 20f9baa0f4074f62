"""explorer.html in a real browser, from a file and offline: what it shows is what torch computes.

The page is made of small networks, trained for some seconds. Needs a Chromium, as test_browser.py does.
"""

import json
import statistics
import time
from pathlib import Path

import numpy as np
import page as script
import pytest
import torch

import hw2
from hw2.latent import grid, walk
from hw2.models import inference

pytestmark = pytest.mark.slow
PIXEL = 1 / 255
EXPONENTS = (-5, -4.25, -3.5, -3, -2)  # of five β, at steps of the slider


@pytest.fixture(scope="module")
def test_digits():
    return hw2.load(split="test")[:1000]


@pytest.fixture(scope="module")
def nets():
    train, hidden = hw2.load()[:6000], (48, 24)

    def fitted(model, **settings):
        hw2.fit(model, train, hw2.TrainConfig(epochs=2, lr=5e-3, **settings), progress=False)
        return model.eval()

    trained = {beta: fitted(hw2.VAE(6, hidden=hidden), beta=beta) for beta in (0, 1e-3, 10)}
    return script.Networks(
        one=fitted(hw2.ConditionedVAE(6, hidden)),
        trained=trained,
        moving=fitted(hw2.ConditionedVAE(2, hidden, (1e-5, 0.03))),
        planes={beta: fitted(hw2.VAE(2, hidden=hidden), beta=beta) for beta in (0, 10)},
        ae=fitted(hw2.AutoEncoder(6, hidden=hidden)),
        vae=trained[1e-3],
        about="Small ones.",
    )


@pytest.fixture(scope="module")
def data(nets, test_digits):
    return script.contents(nets, test_digits, ellipses=100)


@pytest.fixture(scope="module")
def file(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    path.write_text(script.page(data), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def opened(browser, file):
    """opened(**settings of the window): the page, with what went wrong on it and all that it asked for."""
    contexts = []

    def open_page(**settings):
        contexts.append(browser.new_context(offline=True, **settings))
        page = contexts[-1].new_page()
        page.problems, page.asked = [], []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(file.as_uri())
        page.locator("[data-picture=numbers] tr").first.wait_for(state="attached")  # the last that is drawn
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def page(opened):
    return opened(viewport={"width": 1280, "height": 900})


def move(page, panel, **controls):
    """Set controls of a panel as a hand would, and wait until its pictures are drawn."""
    page.evaluate(
        """([panel, controls]) => {
            for (const [name, value] of Object.entries(controls)) {
                const input = document.querySelector(`[data-panel=${panel}] [data-control=${name}]`);
                input.value = value;
                input.dispatchEvent(new Event("input", {bubbles: true}));
            }
        }""",
        [panel, controls],
    )
    settle(page)


def settle(page):
    """Wait until what was asked for is drawn: the page draws in the next frame, the plane in two."""
    page.evaluate("async () => { for (let i = 0; i < 4; i++) await new Promise(requestAnimationFrame); }")


def images(page, panel, name):
    """The images on a canvas, (N, 1, 28, 28) in [0, 1], in reading order, without the lines between them."""
    height, width, values = page.evaluate(
        """([panel, name]) => {
            const canvas = document.querySelector(`[data-panel=${panel}] canvas[data-picture="${name}"]`);
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return [canvas.height, canvas.width, Array.from(data.filter((_, i) => i % 4 === 0))];
        }""",
        [panel, name],
    )
    picture = torch.tensor(values).view(height, width) / 255
    if height > 28:
        picture = picture[1:, 1:].unfold(0, 28, 29).unfold(1, 28, 29)
    return picture.reshape(-1, 1, 28, 28)


def same(shown, computed):
    assert shown.shape == computed.shape
    assert computed.max() - computed.min() > 0.2, "nothing to be seen, so nothing is compared"
    assert (shown - computed).abs().max() <= PIXEL


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_reconstructions_and_samples_at_every_beta(page, nets, test_digits, exponent):
    move(page, "beta", beta=exponent)
    model = nets.one.at(10**exponent)
    same(images(page, "beta", "digits"), test_digits.images[:10])
    same(images(page, "beta", "reconstructions"), hw2.reconstruct(model, test_digits.images[:10]))
    z = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    same(images(page, "beta", "samples"), hw2.decode(model, z))


def test_the_five_beta_differ(nets, test_digits):
    shown = torch.stack([hw2.reconstruct(nets.one.at(10**e), test_digits.images[:10]) for e in EXPONENTS])
    assert (shown.diff(dim=0).abs().flatten(1).amax(1) > 3 * PIXEL).all()


@pytest.mark.parametrize("beta", [0, 1e-3, 10])
def test_networks_trained_at_one_beta(page, nets, test_digits, beta):
    page.locator(f'[name="hw2-trained"][value="{beta:g}"]').check(force=True)
    settle(page)
    same(images(page, "beta", "reconstructions"), hw2.reconstruct(nets.trained[beta], test_digits.images[:10]))
    terms = hw2.evaluate(nets.trained[beta], test_digits, hw2.TrainConfig(beta=beta))
    said = page.locator("[data-panel=beta] [data-said]").inner_text()
    assert f"{terms.recon:.1f}" in said
    assert f"{terms.kl:.1f} nats" in said


def test_the_point_and_its_line_on_the_curve(page, nets, test_digits):
    """The line has the slope −784 β, in the units of the axes, and the ring is where error and rate were measured."""
    move(page, "beta", beta=-3)
    terms = hw2.evaluate(nets.one.at(1e-3), test_digits, hw2.TrainConfig(beta=1e-3))
    said = page.locator("[data-panel=beta] [data-said]").inner_text()
    assert f"{terms.recon:.1f}" in said
    assert f"{terms.kl:.1f} nats" in said
    chart = page.locator('[data-panel=beta] [data-picture="curve"]')
    ticks = chart.evaluate(
        """svg => Array.from(svg.querySelectorAll("text:not(.beta)")).filter(t => /^[0-9.]+$/.test(t.textContent))
            .map(t => [Number(t.textContent), Number(t.getAttribute("x")), Number(t.getAttribute("y"))])"""
    )
    upward = [(value, y - 4) for value, x, y in ticks if x == 38]
    across = [(value, x) for value, x, _ in ticks if x != 38]
    vertical, horizontal = (np.polyfit(*zip(*axis, strict=True), 1) for axis in (upward, across))
    x1, y1, x2, y2 = (float(chart.locator(".tangent").get_attribute(name)) for name in ("x1", "y1", "x2", "y2"))
    assert ((y2 - y1) / vertical[0]) / ((x2 - x1) / horizontal[0]) == pytest.approx(-0.784, rel=0.01)
    cx, cy = (float(chart.locator(".ring").get_attribute(name)) for name in ("cx", "cy"))
    assert cx == pytest.approx(np.polyval(horizontal, terms.kl), abs=0.5)
    assert cy == pytest.approx(np.polyval(vertical, terms.recon), abs=0.5)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_plane_at_every_beta(page, nets, test_digits, exponent):
    move(page, "plane", beta=exponent, z1=0.8, z2=-1.6)
    model = nets.moving.at(10**exponent)
    same(images(page, "plane", "painted"), hw2.decode(model, grid(3.2, 11)))
    same(images(page, "plane", "digit"), hw2.decode(model, torch.tensor([[0.8, -1.6]])))
    ellipses = page.evaluate(
        """Array.from(document.querySelectorAll('[data-picture=ellipses] .cloud'),
            e => ["cx", "cy", "rx", "ry"].map(name => Number(e.getAttribute(name))))"""
    )
    with inference(model):
        mu, logvar = model.encode(test_digits.images[:100])
    expected = torch.cat([mu[:, :1], -mu[:, 1:], (0.5 * logvar).exp().clamp(min=3.2 / 150)], 1)
    torch.testing.assert_close(torch.tensor(ellipses), expected, atol=0.01, rtol=0.01)


@pytest.mark.parametrize("beta", [0, 10])
def test_the_plane_of_a_network_with_one_beta(page, nets, data, beta):
    page.locator(f'[name="hw2-ends"][value="{beta}"]').check(force=True)
    settle(page)
    limit = next(plane["limit"] for plane in data["planes"] if plane["beta"] == beta)
    same(images(page, "plane", "painted"), hw2.decode(nets.planes[beta], grid(limit, 11)))


def test_a_pointer_on_the_plane_moves_the_digit_and_play_moves_beta(page, nets):
    move(page, "plane", beta=-4)
    square = page.locator('[data-panel=plane] [data-control="point"]').first
    square.scroll_into_view_if_needed()
    box = square.bounding_box()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    settle(page)
    z = [float(page.locator(f"[data-panel=plane] [data-control={name}]").input_value()) for name in ("z1", "z2")]
    assert z == pytest.approx([1.6, 1.6], abs=0.05)
    same(images(page, "plane", "digit"), hw2.decode(nets.moving.at(1e-4), torch.tensor([z])))
    page.mouse.move(0, 0)
    slider, button = (page.locator(f"[data-panel=plane] [data-control={name}]") for name in ("beta", "play"))
    button.click()
    end = time.monotonic() + 30
    while float(slider.input_value()) < -3.9:
        assert time.monotonic() < end, "play does not move β"
        settle(page)
    button.click()
    stopped = slider.input_value()
    settle(page)
    assert slider.input_value() == stopped


def test_play_begins_anew_at_the_end(page):
    slider, button = (page.locator(f"[data-panel=plane] [data-control={name}]") for name in ("beta", "play"))
    end = 10**6  # the browser takes the last step that there is
    move(page, "plane", beta=end)
    last = float(slider.input_value())
    button.click()
    settle(page)
    assert float(slider.input_value()) < last - 1
    button.click()


def test_numbers_of_the_plane_after_another_square(page, data):
    """The square at β = 0 is wider, so z may have to come back, and says so."""
    z1, said = (page.locator(f"[data-panel=plane] {what}") for what in ("[data-control=z1]", "[data-said]"))
    page.locator('[name="hw2-ends"][value="0"]').check(force=True)
    settle(page)
    limit = next(plane["limit"] for plane in data["planes"] if plane["beta"] == 0)
    move(page, "plane", z1=limit, z2=0)
    move(page, "plane", beta=-3)
    assert z1.get_attribute("aria-valuetext") == f"{float(z1.input_value()):.2f} standard deviations of the prior"
    for square in (lambda: page.locator('[name="hw2-ends"][value="0"]').check(force=True), lambda: None):
        square()
        move(page, "plane", z1=0, z2=0)
        assert "(0.00, 0.00)" in said.inner_text()
    move(page, "plane", beta=-3)


def test_interpolation_with_both_ends_and_the_middle(page, nets, test_digits):
    move(page, "walk", **{"from": 31, "to": 87}, steps=7, position=0.25)
    a, b = (test_digits.images[[test_digits.index_of(*pair)]] for pair in ((3, 1), (8, 7)))
    t = torch.cat([torch.linspace(0, 1, 7), torch.tensor([0.25])])
    for name, model in (("AE", nets.ae), ("VAE", nets.vae)):
        expected = walk(model, a, b, t)[:, 0]
        shown = images(page, "walk", f"{name} strip")
        for i in (0, 3, 6):
            same(shown[[i]], expected[[i]])
        same(shown, expected[:-1])
        same(images(page, "walk", f"{name} there"), expected[-1:])
    same(images(page, "walk", "blend strip")[[0, 6]], torch.cat([a, b]))


def numbers(page):
    """The table of the code: (D, 4) with dimension, μ, σ, nats."""
    rows = page.evaluate(
        """Array.from(document.querySelector('[data-picture=numbers]').rows).slice(1)
            .map(row => Array.from(row.cells, cell => Number(cell.textContent)))"""
    )
    return torch.tensor(rows)


def test_the_code_of_a_test_digit(page, nets, test_digits):
    move(page, "own", beta=-4)
    page.get_by_role("button", name="start from test digit 3").click()
    settle(page)
    x, model = test_digits.images[[test_digits.index_of(3)]], nets.one.at(1e-4)
    same(images(page, "own", "input"), x)
    same(images(page, "own", "reconstruction"), hw2.reconstruct(model, x))
    with inference(model):
        mu, logvar = model.encode(x)
    assert mu.std() > 0.1
    torch.testing.assert_close(numbers(page)[:, 1], mu[0], atol=0.01, rtol=0)
    torch.testing.assert_close(numbers(page)[:, 2], (0.5 * logvar[0]).exp(), atol=0.01, rtol=0)
    mine = page.locator("[data-picture=place] .mine")
    with inference(nets.moving):
        centre, _ = nets.moving.at(1e-4).encode(x)
    shown = [float(mine.get_attribute("cx")), -float(mine.get_attribute("cy"))]
    assert shown == pytest.approx(centre[0].tolist(), abs=0.01)


def test_a_drawn_stroke_is_centred_as_mnist_is_and_painted_again(page, nets):
    page.get_by_role("button", name="Clear").click()
    settle(page)
    assert images(page, "own", "input").max() == 0
    assert "nothing drawn" in page.locator("[data-panel=own] [data-said]").inner_text()
    paper = page.locator("[data-control=paper]")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"], steps=8)
    page.mouse.up()
    settle(page)
    assert paper.bounding_box() == box, "the paper moved under the pen"
    x = images(page, "own", "input")
    rows, columns = (x[0, 0].amax(dim) > 0 for dim in (1, 0))
    assert rows.sum() == 20
    assert columns.sum() < 12
    at = torch.arange(28) + 0.5
    for side in (1, 0):  # the ink's centre of mass, to half a pixel
        assert abs((x[0, 0].sum(side) * at).sum() / x.sum() - 14) <= 0.5
    exponent = float(page.locator("[data-panel=own] [data-control=beta]").input_value())
    same(images(page, "own", "reconstruction"), hw2.reconstruct(nets.one.at(10**exponent), x))
    page.get_by_role("button", name="Undo").click()
    settle(page)
    assert images(page, "own", "input").max() == 0


def test_a_click_draws_a_dot_and_nothing_drawn_is_said_of_every_picture(page):
    page.get_by_role("button", name="start from test digit 3").click()
    page.get_by_role("button", name="Clear").click()
    settle(page)
    for name in ("reconstruction", "place", "code"):
        said = page.locator(f"[data-panel=own] [data-picture={name}]").get_attribute("aria-label")
        assert "othing is drawn" in said
    page.locator("[data-control=paper]").click()
    settle(page)
    assert (images(page, "own", "input") > 0.5).sum() > 100  # a dot fills its box
    assert "painted again" in page.locator("[data-panel=own] [data-picture=reconstruction]").get_attribute("aria-label")


def test_only_the_first_pointer_and_its_main_button_draw(page):
    """A palm that rests on the paper, or a right click, draws nothing."""
    page.get_by_role("button", name="Clear").click()
    send = """([kind, pointerId, x, button]) => {
        const paper = document.querySelector("[data-control=paper]"), box = paper.getBoundingClientRect();
        paper.setPointerCapture = () => {};
        paper.dispatchEvent(new PointerEvent(kind, {pointerId, button, isPrimary: pointerId === 1, bubbles: true,
            clientX: box.left + x * box.width, clientY: box.top + 0.5 * box.height}));
    }"""
    count = "() => document.querySelector('[data-control=paper]').getContext('2d').getImageData(0, 0, 280, 280).data"
    count += ".filter((v, i) => i % 4 === 0 && v > 128).length"

    def pointer(*events):
        for event in events:
            page.evaluate(send, [*event])
        settle(page)
        return page.evaluate(count)

    assert pointer(("pointerdown", 1, 0.5, 2), ("pointermove", 1, 0.9, -1), ("pointerup", 1, 0.9, 2)) == 0
    alone = pointer(("pointerdown", 1, 0.2, 0), ("pointermove", 1, 0.3, -1))
    assert alone > 300
    assert pointer(("pointerdown", 2, 0.9, 0), ("pointermove", 2, 0.8, -1), ("pointerup", 2, 0.8, 0)) == alone
    assert pointer(("pointermove", 1, 0.4, -1), ("pointerup", 1, 0.4, 0)) > alone
    page.get_by_role("button", name="Clear").click()
    settle(page)


def test_digits_of_the_strip_and_beside_it_have_one_size(opened):
    for width in (390, 1280):
        page = opened(viewport={"width": width, "height": 900})
        for steps in (2, 13):
            move(page, "walk", steps=steps)
            strip, there = (
                page.locator(f'[data-picture="AE {what}"]').evaluate("canvas => canvas.clientWidth")
                for what in ("strip", "there")
            )
            assert strip / (steps * 29 + 1) == pytest.approx(there / 28, rel=0.05)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_sliders_answer_to_keys_and_say_units(page):
    slider = page.locator("[data-panel=beta] [data-control=beta]")
    move(page, "beta", beta=-3)
    assert slider.get_attribute("aria-valuetext") == "β 0.001, 0.784 squared error per nat"
    before = images(page, "beta", "samples")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    settle(page)
    assert float(slider.input_value()) == pytest.approx(-3.1)
    assert not torch.equal(images(page, "beta", "samples"), before)
    page.locator("[data-panel=beta] [role=status]", has_text="nats").wait_for(state="attached")  # heard, when it rests


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 700, 1280])
def test_nothing_scrolls_sideways_pictures_keep_their_proportions_and_all_can_use_them(opened, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    page = opened(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for was, shown in page.evaluate(
        "Array.from(document.querySelectorAll('canvas'), c => [c.width / c.height, c.clientWidth / c.clientHeight])"
    ):
        assert shown == pytest.approx(was, rel=0.02)
    found = axe.Axe().run(page).response["violations"]
    grave = [v for v in found if v["impact"] in ("serious", "critical")]
    assert grave == [], json.dumps([(v["id"], [n["html"] for n in v["nodes"]]) for v in grave], indent=1)


def test_it_asks_for_nothing_and_no_error_comes(page, file):
    assert page.problems == []
    assert page.asked == [file.as_uri()]


def test_its_policy_forbids_to_load(opened):
    page = opened()
    blocked = page.evaluate(
        """async () => {
            const blocked = [];
            addEventListener("securitypolicyviolation", event => blocked.push(event.effectiveDirective));
            document.body.append(Object.assign(new Image(), {src: "http://127.0.0.1:9/a.png"}));
            document.body.append(Object.assign(document.createElement("script"), {textContent: "window.ran = true"}));
            await fetch("http://127.0.0.1:9/").catch(() => {});
            await new Promise(done => setTimeout(done, 100));
            return [blocked.sort(), window.ran ?? false];
        }"""
    )
    assert blocked == [["connect-src", "img-src", "script-src-elem"], False]


def test_the_script_is_a_module_that_fills_any_element(browser, data):
    """anywidget's contract: `render({model, el})` with an empty element and a model that has `get`."""
    page = browser.new_page()
    source = Path(script.__file__).with_name("explorer.js").read_text(encoding="utf-8")
    count = page.evaluate(
        """async ([source, data]) => {
            const module = await import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})));
            const el = document.body.appendChild(document.createElement("div"));
            module.default.render({model: {get: name => data[name]}, el});
            return el.querySelectorAll("canvas").length;
        }""",
        [source, data],
    )
    assert count >= 20
    page.close()


def test_how_soon_a_move_is_seen(page, record_property):
    """Reported, not asserted: machines differ and may be busy. From the event to the end of the frame that draws."""
    times = page.evaluate(
        """async () => {
            const input = document.querySelector("[data-panel=beta] [data-control=beta]"), times = [];
            for (let i = 0; i < 30; i++) {
                input.value = -5 + 3 * ((7 * i) % 30) / 30;
                const start = performance.now();
                input.dispatchEvent(new Event("input"));
                await new Promise(requestAnimationFrame);
                times.push(performance.now() - start);
            }
            return times;
        }"""
    )
    summary = f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms of {len(times)}"
    record_property("move to picture", summary)
    print(f"\nexplorer.html, small networks: move to picture, {summary}")
    assert len(times) == 30

"""The explorers on a page: sizes, names, colours and speed, in JupyterLab and in Voilà.

In a small notebook of untrained networks, which is there in seconds; test_browser.py opens the real ones. Needs what
that needs.
"""

import collections
import io
import itertools
import time

import nbformat
import pytest
from PIL import Image
from servers import LAB, LAB_STATUS, VOILA_STATUS, open_lab, restart, served, wait_for

pytestmark = pytest.mark.slow
WIDTHS, ZOOMS = (390, 700, 1280, 2000), (1, 1.5)
SURFACES = list(itertools.product(("JupyterLab", "Voilà"), ("light", "dark")))
CELLS = [
    """import hw2, torch
from matplotlib.figure import Figure
from hw2 import explore, plotting
from hw2.training import Terms
test = hw2.load("mnist", "test")
models = {b: hw2.VAE(32, hidden=(64,), seed=i) for i, b in enumerate((0.0, 1e-5, 3e-4, 1e-3, 10.0))}
terms = {b: Terms(10.0 + 5 * i, 70.0 - 10 * i, 0.0) for i, b in enumerate(models)}
pair = {"AE": hw2.AutoEncoder(32, hidden=(64,)), "VAE": models[1e-3]}
flat = {b: hw2.VAE(2, hidden=(64,), seed=i) for i, b in enumerate((1e-4, 1e-3, 1e-2))}
spreads = {name: hw2.codes(m, test.images[:500]).std(0) for name, m in pair.items()}""",
    "explore.plane_explorer({b: (m, Terms(30.0, 5.0, 31.0)) for b, m in flat.items()}, test[:300])",
    """entries = {b: explore.BetaEntry(terms[b], 10, 200.0) for b in terms}
ax = Figure(figsize=(3.5, 3.4), dpi=100, layout="constrained").subplots()
explore.beta_explorer(models, entries, explore.chart(plotting.rate_distortion(terms, ax=ax)), test.images[:8])""",
    "explore.interpolation_explorer(pair, test)",
    "explore.traversal_explorer(pair, spreads, test)",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "small.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(browser, folder):
    """(page, errors, kernel, address) of the notebook in JupyterLab, its side bars folded away."""
    with served(folder, *LAB, status=LAB_STATUS) as address:
        page, errors, kernel = open_lab(browser, address, "small")
        page.evaluate("jupyterapp.shell.collapseLeft(); jupyterapp.shell.collapseRight()")
        page.locator(".hw2-explorer img").nth(8).wait_for()
        yield page, errors, kernel, address


@pytest.fixture(scope="module")
def voila(folder):
    pytest.importorskip("voila", reason="THE VOILA TESTS DID NOT RUN: pip install voila")
    options = ("voila", "--Voila.ip=127.0.0.1", "--VoilaConfiguration.allow_theme_override=YES")
    with served(folder, *options, status=VOILA_STATUS) as address:
        yield address


@pytest.fixture(scope="module")
def shown(request, browser):
    """shown(surface, theme): a page with all explorers."""
    pages = {}

    def show(surface, theme):
        if surface == "JupyterLab":
            page, *_ = request.getfixturevalue("lab")
            name = f"JupyterLab {theme.title()}"
            page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
            page.locator(f"body[data-jp-theme-name='{name}']").wait_for(state="attached")
            return page
        if theme not in pages:
            pages[theme] = browser.new_page(viewport={"width": 1280, "height": 1000})
            address = request.getfixturevalue("voila")
            pages[theme].goto(f"{address}/voila/render/small.ipynb?theme={theme}", timeout=300_000)
            pages[theme].locator(".hw2-explorer img").nth(8).wait_for(timeout=300_000)
        return pages[theme]

    return show


def labelled(page, explorer, control):
    """(explorer's box, its slider of that name), scrolled to."""
    box = page.get_by_role("group", name=explorer, exact=True)
    slider = box.get_by_role("slider", name=control, exact=True)
    slider.scroll_into_view_if_needed()
    return box, slider


# What runs out of an explorer, and its pictures as [shown, natural] sizes.
MEASURE = """box => [
    Array.from(box.querySelectorAll('*')).filter(part => {
        const [inner, outer] = [part.getBoundingClientRect(), box.getBoundingClientRect()];
        return inner.width && (inner.right > outer.right + 1 || inner.left < outer.left - 1);
    }).map(part => part.outerHTML.slice(0, 80)),
    Array.from(box.querySelectorAll('img')).map(
        img => [img.clientWidth, img.clientHeight, img.naturalWidth, img.naturalHeight]),
    box.scrollWidth - box.clientWidth,
    box.closest('.jp-OutputArea-output').scrollWidth - box.closest('.jp-OutputArea-output').clientWidth,
]"""


@pytest.mark.parametrize(("surface", "theme"), SURFACES)
def test_pictures_keep_their_proportions_and_everything_is_seen(shown, surface, theme, record_property):
    page = shown(surface, theme)
    session, worst = page.context.new_cdp_session(page), 0
    for width, zoom in itertools.product(WIDTHS, ZOOMS):
        size = {"width": round(width / zoom), "height": 1000, "deviceScaleFactor": zoom, "mobile": False}
        session.send("Emulation.setDeviceMetricsOverride", size)
        page.wait_for_timeout(500)
        for box in page.locator(".hw2-explorer").all():
            outside, sizes, *scrolled = box.evaluate(MEASURE)
            assert outside == []
            assert max(scrolled) <= 1, f"it scrolls sideways at {width} px, zoom {zoom}"
            for shown_width, shown_height, natural_width, natural_height in sizes:
                ratio = shown_width / shown_height / (natural_width / natural_height)
                rounding = 0.5 / shown_width + 0.5 / shown_height  # clientWidth is whole
                assert abs(ratio - 1) <= 0.01 + rounding, f"{width} px, zoom {zoom}: {sizes}"
                worst = max(worst, abs(ratio - 1))
        if surface == "Voilà":
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    session.send("Emulation.clearDeviceMetricsOverride")
    record_property("shown over natural ratio, worst", f"{100 * worst:.2f} %")


def names_in_tree(page):
    """{role: names} of what the browser tells a screen reader. (DevTools leaves aria-valuetext out of this tree.)"""
    names = collections.defaultdict(list)
    for node in page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]:
        if not node["ignored"]:
            names[node["role"]["value"]].append(node.get("name", {}).get("value", ""))
    return names


@pytest.mark.parametrize("surface", ["JupyterLab", "Voilà"])
def test_controls_and_pictures_have_names_and_values_have_units(shown, surface):
    page = shown(surface, "light")
    box, slider = labelled(page, "What β does", "β")
    picture = box.get_by_role("img").first
    slider.focus()
    page.keyboard.press("Home")
    wait_for(lambda: "at β = 0," in picture.get_attribute("alt"), 60, "the words of β = 0")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    wait_for(lambda: "at β = 0.001," in picture.get_attribute("alt"), 60, "the words of β = 0.001")
    said = [slider.get_attribute("aria-valuetext") for slider in page.get_by_role("slider").all()]
    assert said[3] == "0.001, which is 0.784 squared error per nat"
    assert (said[2], said[4], said[8]) == ("0.00 σ", "7 images", "0.0 σ")
    names = names_in_tree(page)
    assert names["slider"] == ["β", "z1", "z2", "β", "steps", "position", "test image", "dimension", "value"]
    assert names["combobox"][-2:] == ["start: class", "end: class"]
    assert [name for name in names["radiogroup"] if name] == ["path", "model", "model"]
    assert [name for name in names["radio"] if name] == ["linear", "slerp", "both", "AE", "VAE", "AE", "VAE"]
    assert [name for name in names["spinbutton"] if name] == ["seed of z", "number", "number"]
    assert "new z" in names["button"]
    assert {"A plane of codes", "What β does", "Between two digits", "Along one dimension"} <= set(names["group"])
    pictures = [img.get_attribute("alt") for img in page.locator(".hw2-explorer img").all()]
    assert len(pictures) == 9
    assert all(pictures)
    assert set(pictures) <= set(names["image"])


def luminance(color):
    """WCAG's relative luminance of an sRGB colour."""
    parts = [c / 255 for c in color[:3]]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("surface", "theme"), SURFACES)
def test_what_one_grabs_and_where_the_focus_is_can_be_seen(shown, surface, theme, record_property):
    page = shown(surface, theme)
    _, slider = labelled(page, "A plane of codes", "z1")
    slider.focus()
    page.keyboard.press("Home")  # the handle is at the left end
    page.wait_for_timeout(500)
    area = slider.bounding_box()
    clip = {"x": area["x"] - 8, "y": area["y"] - 8, "width": 40, "height": area["height"] + 16}
    seen = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
    ground, handle, ring = seen.getpixel((0, 0)), seen.getpixel((16, seen.height // 2)), seen.getpixel((5, 20))
    figures = f"handle {contrast(handle, ground):.1f}, focus {contrast(ring, ground):.1f}"
    record_property("contrast with the ground", figures)
    print(f"\n{surface}, {theme}: {figures}")
    assert contrast(handle, ground) >= 3
    assert contrast(ring, ground) >= 3


def test_dragging_at_twenty_changes_a_second_never_queues(shown, record_property):
    """After the release come at most the picture that is being drawn and the last value's. The time is reported."""
    page = shown("JupyterLab", "light")
    box, slider = labelled(page, "Along one dimension", "value")
    picture, status = box.get_by_role("img").last, box.get_by_role("status")
    picture.evaluate(WATCH_WORDS)
    released, late = [], []
    for far in (0.9, 0.2, 0.75):
        slider.hover()  # in the middle, once it rests there: after a change of theme the page is laid out anew
        track = slider.bounding_box()
        middle = track["y"] + track["height"] / 2
        page.mouse.down()
        for step in range(60):
            start = time.monotonic()
            page.mouse.move(track["x"] + track["width"] * (0.5 + (far - 0.5) * (step + 1) / 60), middle)
            page.wait_for_timeout(max(0, 1000 * (start + 0.05 - time.monotonic())))
        start = time.monotonic()
        page.mouse.up()
        before = page.evaluate("window.hw2Words.length")
        assert float(slider.input_value()) == pytest.approx(-3 + 6 * far, abs=0.3)  # a handle has a width
        number = slider.get_attribute("aria-valuetext").removesuffix(" σ")  # one decimal; the picture says two
        words = f"at {number}0 σ"
        wait_for(
            lambda words=words: words in picture.get_attribute("alt"),
            60,
            lambda words=words: f"{words}, not {picture.get_attribute('alt')}: {status.inner_text()}",
        )
        released.append(1000 * (time.monotonic() - start))
        page.wait_for_timeout(500)  # nothing comes after it
        assert words in picture.get_attribute("alt")
        assert slider.get_attribute("aria-valuetext") == f"{number} σ"
        late.append(page.evaluate("window.hw2Words.length") - before)
    assert max(late) <= 2
    assert page.evaluate("window.hw2Words.length") > 3 * 5, "pictures came while it was dragged, too"
    record_property("from release to the last picture", f"{max(released):.0f} ms at most")
    print(f"\nfrom release to the last picture: {max(released):.0f} ms at most of {len(released)}, pictures {late}")


# What a picture says, each time that it is drawn.
WATCH_WORDS = """img => {
    window.hw2Words = [];
    const heard = new MutationObserver(() => window.hw2Words.push(img.alt));
    heard.observe(img, {attributes: true, attributeFilter: ['alt']});
}"""


def test_arrow_keys_and_letters_stay_in_the_explorer(lab):
    """In JupyterLab a key on a slider would otherwise walk to another cell, and "d d" would delete one."""
    page, *_ = lab
    _, slider = labelled(page, "A plane of codes", "z2")
    cells = page.locator(".jp-Notebook .jp-CodeCell").count()
    slider.focus()
    before = slider.input_value()
    for key in ("ArrowUp", "ArrowUp", "ArrowDown", "d", "d"):
        page.keyboard.press(key)
    assert float(slider.input_value()) == pytest.approx(float(before) + 0.05)
    assert slider.evaluate("slider => slider === document.activeElement")
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == cells


def test_there_and_back_while_the_kernel_is_busy_is_no_silence(lab):
    """The page sends the last of the changes that come while the kernel is busy: here what it has just answered."""
    page, *_ = lab
    box, slider = labelled(page, "A plane of codes", "z2")
    slider.evaluate("""slider => {
        const start = slider.valueAsNumber;
        const move = (steps) => {
            slider.value = start + 0.05 * steps;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
        };
        const picture = slider.closest(".hw2-explorer").querySelector("img");
        new MutationObserver((_, observer) => {  // the answer is here, and that the kernel is idle is not yet
            observer.disconnect();
            move(2);
            move(1);
        }).observe(picture, {attributes: true});
        move(1);
    }""")
    page.wait_for_timeout(8000)
    assert box.get_by_role("status").text_content() == ""


def test_a_button_counts_on_from_the_last_number_that_could_be_used(lab):
    page, *_ = lab
    box, _ = labelled(page, "What β does", "β")
    seed = box.get_by_role("spinbutton", name="seed of z")
    for typed in ("1.5", "-7", ""):
        before = int(seed.input_value())
        seed.fill(typed)
        box.get_by_role("button", name="new z").click()
        assert seed.input_value() == str(before + 1)
    page.wait_for_timeout(8000)
    assert box.get_by_role("status").text_content() == ""


def test_after_a_restart_the_explorer_says_what_to_do(lab):
    page, errors, kernel, address = lab
    box, slider = labelled(page, "A plane of codes", "z1")
    note = box.get_by_text("after a restart, run this notebook's cells again")
    assert note.is_visible()
    page.wait_for_timeout(3000)  # what an earlier test asked for is answered
    restart(address, kernel)
    page.wait_for_timeout(8000)
    assert box.get_by_role("status").text_content() == ""
    slider.focus()
    page.keyboard.press("ArrowRight")
    wait_for(lambda: "No answer yet" in box.get_by_role("status").text_content(), 20, "a word about the silence")
    assert note.is_visible()
    assert errors == []

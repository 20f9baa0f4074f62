"""The notebooks in JupyterLab in a real browser: run all, move every slider by keyboard and mouse, look for errors.

Needs Playwright and a Chromium (`apt-get install chromium`, or $HW2_CHROMIUM). Where there is none these tests skip,
and say so; with HW2_NOTHING_SKIPPED set that is a failure, as in .ci/run. They use kept runs where there are any.
Screenshots at 1,280 px are saved in the folder that HW2_SCREENSHOTS names.
"""

import os
import shutil
import statistics
from pathlib import Path

import pytest
from servers import LAB, LAB_STATUS, moved, open_lab, served, shut_down, state

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parents[2] / "notebooks"
SCREENSHOTS = os.environ.get("HW2_SCREENSHOTS")
PRESSES = 50
# Notebook, and for each explorer in it: the cell, and the description of the slider whose speed is measured.
EXPLORERS = {
    "01_autoencoder": {},
    "02_vae_beta_sweep": {"plane-explorer": "z1", "beta-explorer": "β"},
    "03_interpolation": {"interpolation-explorer": "position", "traversal-explorer": "value"},
    "04_going_further": {},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a JupyterLab over copies of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    for name in EXPLORERS:
        shutil.copy(FOLDER / f"{name}.ipynb", folder)
    with served(folder, *LAB, status=LAB_STATUS) as address:
        yield address


@pytest.fixture(scope="module")
def opened(browser, lab, request):
    """The page of a notebook with all its cells run, and what went wrong on it. One at a time is open: a kernel takes a
    gigabyte."""
    page, errors, kernel = open_lab(browser, lab, request.param)
    yield page, errors
    page.close()
    shut_down(lab, kernel)


@pytest.mark.parametrize("opened", EXPLORERS, indirect=True)
def test_run_all_brings_no_error_to_the_page(opened):
    page, errors = opened
    assert errors == []
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.locator(".jp-Notebook .jp-CodeCell").count() > 10


def explorer_of(page, cell):
    """The explorer of that cell, scrolled to."""
    number = next(list(cells).index(cell) for cells in EXPLORERS.values() if cell in cells)
    box = page.locator(".hw2-explorer:has(img)").nth(number)
    box.wait_for(timeout=120_000)
    box.scroll_into_view_if_needed()
    return box


CASES = [(name, cell) for name, cells in EXPLORERS.items() for cell in cells]
SPEED = {cell: slider for cells in EXPLORERS.values() for cell, slider in cells.items()}
# The scope puts what is about one notebook side by side.
of_explorers = pytest.mark.parametrize(
    ("opened", "cell"), CASES, ids=[cell for _, cell in CASES], indirect=["opened"], scope="module"
)


@of_explorers
def test_every_slider_answers_to_keyboard_and_mouse(opened, cell):
    page, errors = opened
    box = explorer_of(page, cell)
    sliders = box.get_by_role("slider")
    assert sliders.count() >= 1
    for i in range(sliders.count()):
        before = state(box, i)
        sliders.nth(i).focus()
        page.keyboard.press("ArrowRight")
        moved(box, i, before, "a key press")
        before, track = state(box, i), sliders.nth(i).bounding_box()
        page.mouse.click(track["x"] + 0.8 * track["width"], track["y"] + track["height"] / 2)
        moved(box, i, before, "a click")
    assert errors == []
    if SCREENSHOTS:
        page.set_viewport_size({"width": 1280, "height": 1000})
        page.wait_for_timeout(500)
        box.screenshot(path=Path(SCREENSHOTS) / f"{cell}.png")


@of_explorers
def test_a_key_press_brings_a_new_picture(opened, cell, record_property):
    """Times are reported, not asserted: machines differ and may be busy."""
    page, _ = opened
    box = explorer_of(page, cell)
    box.evaluate(WATCH)
    box.get_by_role("slider", name=SPEED[cell], exact=True).focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(500)
    times = []
    for press in range(PRESSES):
        page.evaluate("window.hw2Changed = null; window.hw2Pressed = performance.now()")
        page.keyboard.press(("ArrowRight", "ArrowLeft")[press % 2])
        page.wait_for_function("window.hw2Changed !== null", polling="raf", timeout=60_000)
        page.wait_for_timeout(60)  # for the explorer's other picture
        times.append(page.evaluate("window.hw2Changed - window.hw2Pressed"))
    summary = f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms of {PRESSES}"
    record_property("key press to picture", summary)
    print(f"\n{cell}: key press to new picture, {summary}")
    assert len(times) == PRESSES


# A picture has changed when its src has and the new one is decoded.
WATCH = """box => box.querySelectorAll('img').forEach(img =>
    new MutationObserver(() => img.decode().then(() => { window.hw2Changed = performance.now(); }))
        .observe(img, {attributes: true, attributeFilter: ['src']})
)"""

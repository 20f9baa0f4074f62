"""The notebooks in JupyterLab in a real browser: run all, move every slider by keyboard and mouse, look for errors.

Needs Playwright and a Chromium (`apt-get install chromium`, or $HW2_CHROMIUM). Where there is none these tests skip,
and say so; with HW2_NOTHING_SKIPPED set that is a failure, as in .ci/run. They use kept runs where there are
any. A screenshot of each explorer is saved in docs/ if HW2_SCREENSHOTS is set.
"""

import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parents[2] / "notebooks"
DOCS = FOLDER.parent / "docs"
KEPT_RUNS = os.environ.get("HW2_CACHE")  # before a fixture hides it
DATA = os.environ.get("HW2_DATA")
PRESSES = 50
# Notebook, and for each explorer in it: the cell, and the description of the slider whose speed is measured.
EXPLORERS = {
    "01_autoencoder": {},
    "02_vae_beta_sweep": {"plane-explorer": "z1", "beta-explorer": "β"},
    "03_interpolation": {"interpolation-explorer": "position", "traversal-explorer": "value"},
    "04_going_further": {},
}


def chromium():
    """Path of a browser. Skips without one, or fails if nothing may be skipped."""
    found = os.environ.get("HW2_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    missing = None if found else "no Chromium found: apt-get install chromium, or set HW2_CHROMIUM"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        missing = "Playwright is not installed: pip install playwright"
    if missing and os.environ.get("HW2_NOTHING_SKIPPED"):
        pytest.fail(missing)
    if missing:
        pytest.skip(f"THE BROWSER TESTS DID NOT RUN: {missing}")
    return found


@pytest.fixture(scope="module")
def browser():
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextlib.contextmanager
def served(folder, *options, status):
    """Address of a Jupyter server over a copy of the notebooks, with settings that nobody else uses.

    options: a module and its arguments; status: what to ask it to see that it has started.
    """
    for name in EXPLORERS:
        shutil.copy(FOLDER / f"{name}.ipynb", folder)
    private = {f"JUPYTER_{kind}_DIR": str(folder / ".jupyter" / kind) for kind in ("CONFIG", "RUNTIME", "DATA")}
    private |= {f"JUPYTERLAB_{kind}_DIR": str(folder / ".jupyter" / kind) for kind in ("SETTINGS", "WORKSPACES")}
    news = folder / ".jupyter" / "SETTINGS" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    tracker = folder / ".jupyter" / "SETTINGS" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)  # all cells are there, wherever one has scrolled to
    (tracker / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    environment = {**os.environ, **private}
    for name, value in (("HW2_CACHE", KEPT_RUNS), ("HW2_DATA", DATA)):
        environment.pop(name, None)
        environment |= {name: value} if value else {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", *options, "--no-browser", f"--port={port}"]
    log = (folder / "log").open("w")
    server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: opens(address + status), 120, f"{options[0]} to start")
        yield address
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """(address, token) of a JupyterLab."""
    folder, token = tmp_path_factory.mktemp("lab"), "hw2"
    options = ("--allow-root", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}")
    with served(folder, "jupyterlab", *options, status=f"/api/status?token={token}") as address:
        yield address, token


def opens(address):
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return json.load(reply)
    except OSError:
        return None


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.25)


@pytest.fixture(scope="module")
def opened(browser, lab):
    """opened(name): the page of that notebook with all its cells run, and what went wrong on it."""
    address, token = lab
    pages = {}

    def kernels_since(before):
        return [k for k in answers(f"{address}/api/kernels?token={token}") or [] if k["id"] not in before]

    def open_and_run(name):
        if name in pages:
            return pages[name]
        page = browser.new_page(viewport={"width": 1500, "height": 1400})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        before = {kernel["id"] for kernel in kernels_since(())}
        page.goto(f"{address}/lab/workspaces/{name}/tree/{name}.ipynb?token={token}")

        def connected():
            return any(k["execution_state"] == "idle" and k["connections"] > 0 for k in kernels_since(before))

        # The toolbar says idle before the kernel is connected, and what is asked of it then is lost.
        wait_for(connected, 120, "the kernel to be connected")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.get_by_text("| Idle").first.wait_for(timeout=60_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        wait_for(lambda: any(k["execution_state"] == "busy" for k in kernels_since(before)), 60, "work")
        quiet = 0
        end = time.monotonic() + 3000
        while quiet < 20:  # five seconds without work: between cells a kernel is idle, on a busy machine for seconds
            assert time.monotonic() < end, "the notebook did not end"
            page.wait_for_timeout(250)
            states = [k["execution_state"] for k in kernels_since(before)]
            quiet = quiet + 1 if states == ["idle"] else 0
        waiting = page.locator(".jp-InputPrompt", has_text="[*]")  # cells that wait or run: a kernel may pause for long
        wait_for(lambda: waiting.count() == 0, 1500, "every cell to have run")
        pages[name] = page, errors
        return pages[name]

    return open_and_run


@pytest.mark.parametrize("name", EXPLORERS)
def test_run_all_brings_no_error_to_the_page(opened, name):
    page, errors = opened(name)
    assert errors == []
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.locator(".jp-Notebook .jp-CodeCell").count() > 10


def explorer_of(page, number):
    """The output area of the notebook's nth explorer, scrolled to."""
    boxes = page.locator(".jp-OutputArea-output:has(.widget-image)")

    def rendered():
        if boxes.count() > number:
            return True
        page.locator(".jp-Notebook").first.press("Control+End")  # a cell is rendered when it comes near the window
        page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollTo(0, panel.scrollHeight)")
        page.wait_for_timeout(500)
        return False

    wait_for(rendered, 120, f"explorer {number + 1}")
    box = boxes.nth(number)
    box.scroll_into_view_if_needed()
    return box


def state(box, slider):
    """What an explorer shows: its pictures, and the number beside its nth slider."""
    return box.evaluate(
        """(box, slider) => [
            Array.from(box.querySelectorAll('img')).map(img => img.src).join(),
            box.querySelectorAll('.widget-slider')[slider].querySelector('.widget-readout').textContent,
        ]""",
        slider,
    )


def moved(box, slider, before, what):
    def other():
        return all(now != was for now, was in zip(state(box, slider), before, strict=True))

    wait_for(other, 10, f"other pictures and another number after {what} on slider {slider + 1}")


CASES = [(name, number, cell) for name, cells in EXPLORERS.items() for number, cell in enumerate(cells)]


@pytest.mark.parametrize(("name", "number", "cell"), CASES, ids=[cell for *_, cell in CASES])
def test_every_slider_answers_to_keyboard_and_mouse(opened, name, number, cell):
    page, errors = opened(name)
    box = explorer_of(page, number)
    handles = box.locator(".noUi-handle")
    assert handles.count() >= 1
    for i in range(handles.count()):
        before = state(box, i)
        handles.nth(i).focus()
        page.keyboard.press("ArrowRight")
        moved(box, i, before, "a key press")
        before, track = state(box, i), box.locator(".noUi-target").nth(i).bounding_box()
        page.mouse.click(track["x"] + 0.8 * track["width"], track["y"] + track["height"] / 2)
        moved(box, i, before, "a click")
    assert errors == []
    if os.environ.get("HW2_SCREENSHOTS"):
        box.screenshot(path=DOCS / f"{cell}.png")


@pytest.mark.parametrize(("name", "number", "cell"), CASES, ids=[cell for *_, cell in CASES])
def test_a_key_press_brings_a_new_picture(opened, name, number, cell, record_property):
    """Times are reported, not asserted: machines differ and may be busy."""
    page, _ = opened(name)
    box = explorer_of(page, number)
    box.evaluate(WATCH)
    description = EXPLORERS[name][cell]
    row = box.locator(".widget-slider", has_text=description).first
    handle = row.locator(".noUi-handle")
    handle.focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(500)
    times = []
    for press in range(PRESSES):
        page.evaluate("window.hw2Changed = null; window.hw2Pressed = performance.now()")
        page.keyboard.press(("ArrowRight", "ArrowLeft")[press % 2])
        page.wait_for_function("window.hw2Changed !== null", polling="raf", timeout=10_000)
        page.wait_for_timeout(60)  # for the explorer's other picture
        times.append(page.evaluate("window.hw2Changed - window.hw2Pressed"))
    summary = f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms of {PRESSES}"
    record_property("key press to picture", summary)
    print(f"\n{cell}: key press to new picture, {summary}")
    assert len(times) == PRESSES


@pytest.mark.parametrize(("name", "number", "cell"), CASES, ids=[cell for *_, cell in CASES])
def test_pictures_keep_their_proportions_and_nothing_runs_out_of_the_cell(opened, name, number, cell):
    page, _ = opened(name)
    box = explorer_of(page, number)
    size = page.viewport_size
    try:
        for width in (700, 1280, 2000):
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_timeout(500)
            box.scroll_into_view_if_needed()
            sizes = box.evaluate(
                """box => Array.from(box.querySelectorAll('img')).map(
                    img => [img.naturalWidth, img.naturalHeight, img.clientWidth, img.clientHeight])"""
            )
            assert sizes
            for natural_width, natural_height, shown_width, shown_height in sizes:
                assert abs(shown_width * natural_height / natural_width - shown_height) <= 1, f"{width} px: {sizes}"
            assert box.evaluate("box => box.scrollWidth - box.clientWidth") <= 1, f"it scrolls sideways at {width} px"
    finally:
        page.set_viewport_size(size)


# A picture has changed when its src has and the new one is decoded.
WATCH = """box => box.querySelectorAll('img').forEach(img =>
    new MutationObserver(() => img.decode().then(() => { window.hw2Changed = performance.now(); }))
        .observe(img, {attributes: true, attributeFilter: ['src']})
)"""


@pytest.mark.parametrize(("notebook", "explorers"), [("03_interpolation", 2), ("lecture", 4)])
def test_voila_shows_a_notebook_without_code(notebook, explorers, browser, tmp_path):
    """`voila notebooks/03_interpolation.ipynb`, `make lecture`: explorers and figures, and none of the code."""
    pytest.importorskip("voila", reason="THE VOILA TEST DID NOT RUN: pip install voila")
    # A page that is asked for would run the notebook, so the start is seen at a file of voila's own.
    lecture = FOLDER.parent / "tools" / "classroom" / "lecture.py"
    subprocess.run([sys.executable, lecture, tmp_path / "lecture.ipynb"], check=True)
    options = ("voila", f"{notebook}.ipynb", "--Voila.ip=127.0.0.1", "--show_tracebacks=True")
    with served(tmp_path, *options, status="/voila/static/voila.js") as address:
        page = browser.new_page(viewport={"width": 1500, "height": 1400})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address, timeout=1_500_000)
        boxes = page.locator(".jp-OutputArea-output:has(.widget-image)")
        boxes.first.wait_for(timeout=1_500_000)
        assert boxes.count() == explorers
        assert page.locator(".jp-CodeCell .jp-Editor:visible, .jp-InputArea-editor:visible").count() == 0
        assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
        box = boxes.nth(explorers - 2)  # of the interpolations
        before = state(box, 0)
        box.locator(".noUi-handle").first.focus()
        page.keyboard.press("ArrowRight")
        moved(box, 0, before, "a key press")
        assert errors == []
        if os.environ.get("HW2_SCREENSHOTS") and notebook == "lecture":
            page.screenshot(path=DOCS / "lecture.png")

"""A notebook, and the lecture, as a page of Voilà in a real browser. Needs what test_browser.py needs.

In a file of its own, because it takes as long as all of JupyterLab's, and files of tests run side by side.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from servers import VOILA_STATUS, moved, served, state, wait_for

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parents[2] / "notebooks"
SCREENSHOTS = os.environ.get("HW2_SCREENSHOTS")


def saved_pictures(path):
    """The pictures in a notebook's outputs; the lecture has none before it runs."""
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    return [output for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.parametrize(("notebook", "explorers"), [("01_autoencoder", 0), ("lecture", 4)])
def test_voila_shows_a_notebook_without_code(notebook, explorers, browser, tmp_path):
    """`voila notebooks/01_autoencoder.ipynb`, `make lecture`, which has those with explorers: pictures, and no code."""
    pytest.importorskip("voila", reason="THE VOILA TEST DID NOT RUN: pip install voila")
    for path in FOLDER.glob("*.ipynb"):
        shutil.copy(path, tmp_path)
    lecture = FOLDER.parent / "tools" / "classroom" / "lecture.py"
    subprocess.run([sys.executable, lecture, tmp_path / "lecture.ipynb"], check=True)
    options = ("voila", f"{notebook}.ipynb", "--Voila.ip=127.0.0.1", "--show_tracebacks=True")
    with served(tmp_path, *options, status=VOILA_STATUS) as address:
        page = browser.new_page(viewport={"width": 1500, "height": 1400})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address, timeout=1_500_000)
        boxes, pictures = page.locator(".hw2-explorer:has(img)"), page.locator(".jp-OutputArea img")
        expected = len(saved_pictures(tmp_path / f"{notebook}.ipynb"))
        wait_for(
            lambda: boxes.count() == explorers and pictures.count() >= expected,
            300,
            lambda: f"{explorers} explorers, {expected} pictures; the page ends: {page.inner_text('body')[-500:]}",
        )
        errors_shown = page.locator(
            ".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']"
        ).all_inner_texts()
        assert errors_shown == []
        assert page.locator(".jp-CodeCell .jp-Editor:visible, .jp-InputArea-editor:visible").count() == 0
        if explorers:
            box = boxes.nth(explorers - 2)  # of the interpolations
            before = state(box, 0)
            box.get_by_role("slider").first.focus()
            page.keyboard.press("ArrowRight")
            moved(box, 0, before, "a key press")
        assert errors == []
        if SCREENSHOTS and notebook == "lecture":
            page.set_viewport_size({"width": 1280, "height": 900})
            page.wait_for_timeout(500)
            box.evaluate("box => box.scrollIntoView({block: 'end'})")
            page.wait_for_timeout(500)
            page.screenshot(path=Path(SCREENSHOTS) / "lecture.png")

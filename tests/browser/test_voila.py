"""A notebook, and the lecture, as a page of Voilà in a real browser. Needs what test_browser.py needs.

In a file of its own, because it takes as long as all of JupyterLab's, and files of tests run side by side.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from servers import VOILA_STATUS, moved, served, state, wait_for

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parents[2] / "notebooks"
SCREENSHOTS = os.environ.get("HW2_SCREENSHOTS")


@pytest.mark.parametrize(("notebook", "explorers"), [("03_interpolation", 2), ("lecture", 4)])
def test_voila_shows_a_notebook_without_code(notebook, explorers, browser, tmp_path):
    """`voila notebooks/03_interpolation.ipynb`, `make lecture`: explorers and figures, and none of the code."""
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
        boxes = page.locator(".hw2-explorer:has(img)")
        errors_shown = page.locator(
            ".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']"
        ).all_inner_texts()
        assert errors_shown == []
        wait_for(
            lambda: boxes.count() == explorers,
            300,
            f"{explorers} explorers; the page ends: {page.inner_text('body')[-500:]}",
        )
        assert page.locator(".jp-CodeCell .jp-Editor:visible, .jp-InputArea-editor:visible").count() == 0
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

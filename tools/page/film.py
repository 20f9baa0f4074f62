"""The README's animation of the page, docs/explorer.gif, from screenshots of explorer.html: `film.py [FILE]`.

Needs Playwright and a Chromium, as the browser tests do.
"""

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "explorer.gif"
WIDTH, COLOURS, MILLISECONDS = 680, 96, 400
THREE = [(0.3, 0.22), (0.5, 0.14), (0.68, 0.24), (0.62, 0.4), (0.45, 0.48), (0.66, 0.56), (0.7, 0.74), (0.5, 0.86),
         (0.3, 0.78)]  # fmt: skip


def shot(page: Page, panel: str) -> Image.Image:
    """The upper part of a panel: its controls and pictures."""
    top = page.evaluate(f"document.querySelector('[data-panel={panel}]').getBoundingClientRect().top + scrollY")
    clip = {"x": 0, "y": top, "width": page.viewport_size["width"], "height": 600}
    picture = Image.open(io.BytesIO(page.screenshot(clip=clip, full_page=True))).convert("RGB")
    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)


def moved(page: Page, panel: str, exponents: list[float]) -> list[Image.Image]:
    """A picture for each β, with the panel's slider moved there."""
    frames, slider = [], page.locator(f"[data-panel={panel}] [data-control=beta]")
    for exponent in exponents:
        slider.fill(f"{exponent:.3f}")
        page.wait_for_timeout(400)
        frames.append(shot(page, panel))
    return frames


def drawn(page: Page) -> list[Image.Image]:
    """A 3, stroke by stroke."""
    frames, paper = [], page.locator("[data-control=paper]")
    page.get_by_role("button", name="Clear").click()
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in THREE]
    page.mouse.move(*places[0])
    page.mouse.down()
    for i, place in enumerate(places[1:]):
        page.mouse.move(*place, steps=6)
        page.wait_for_timeout(300)
        if i % 2:
            frames.append(shot(page, "own"))
    page.mouse.up()
    return frames


def main() -> None:
    page_file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "explorer.html"
    browser_file = os.environ.get("HW2_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1150, "height": 1000}, color_scheme="light")
        page.goto(page_file.resolve().as_uri())
        page.locator("[data-picture=numbers] tr").first.wait_for(state="attached")  # the last that is drawn
        frames = moved(page, "beta", [-5, -4.5, -4, -3.5, -3, -2.7, -2.4, -2.2, -2])
        page.locator("[data-panel=own] [data-control=beta]").fill("-3.5")
        frames += drawn(page) + moved(page, "own", [-4, -3.5, -3, -2.6, -2.3, -2])
        browser.close()
    together = Image.new("RGB", (WIDTH, sum(frame.height for frame in frames)))
    for i, frame in enumerate(frames):
        together.paste(frame, (0, sum(before.height for before in frames[:i])))
    colours = together.quantize(COLOURS, Image.Quantize.MAXCOVERAGE).getpalette()  # one palette for all frames, in
    palette = Image.new("P", (1, 1))  # which the greys of the pictures leave room for colours
    palette.putpalette(colours[: 3 * COLOURS] + [grey for grey in range(0, 256, 5) for _ in range(3)])
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    frames[0].save(FILE, save_all=True, append_images=frames[1:], duration=MILLISECONDS, loop=0, optimize=True)
    print(f"wrote {FILE.name}, {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

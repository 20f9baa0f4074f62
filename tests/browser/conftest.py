"""What the browser tests share: a Chromium, where there is one."""

import os
import shutil

import pytest


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

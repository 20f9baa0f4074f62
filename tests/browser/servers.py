"""Jupyter servers that a test starts over a folder of its own, with settings that nobody else uses; and explorers on
their pages.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

KEPT_RUNS = os.environ.get("HW2_CACHE")  # before a fixture hides it
DATA = os.environ.get("HW2_DATA")
TOKEN = "hw2"
LAB = ("jupyterlab", "--allow-root", "--ServerApp.port_retries=0", "--expose-app-in-browser",
       f"--IdentityProvider.token={TOKEN}")  # fmt: skip
LAB_STATUS = f"/api/status?token={TOKEN}"
VOILA_STATUS = "/voila/static/voila.js"  # a page that is asked for would run its notebook


@contextlib.contextmanager
def served(folder, *options, status):
    """Address of a Jupyter server over `folder`. options: a module and its arguments; status: what to ask it to see
    that it has started."""
    own = folder / ".jupyter" / options[0]
    private = {f"JUPYTER_{kind}_DIR": str(own / kind) for kind in ("CONFIG", "RUNTIME", "DATA")}
    private |= {f"JUPYTERLAB_{kind}_DIR": str(own / kind) for kind in ("SETTINGS", "WORKSPACES")}
    news = own / "SETTINGS" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    tracker = own / "SETTINGS" / "@jupyterlab" / "notebook-extension"
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
    log = (own / "log").open("w")
    server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: opens(address + status), 120, f"{options[0]} to start")
        yield address
    except BaseException:
        print("".join((own / "log").read_text().splitlines(keepends=True)[-60:]))  # pytest shows it with the failure
        raise
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def opens(address):
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def kernels(address):
    """What a JupyterLab's server says of its kernels: a list of mappings."""
    try:
        with urllib.request.urlopen(f"{address}/api/kernels?token={TOKEN}", timeout=5) as reply:
            return json.load(reply)
    except OSError:
        return []


def restart(address, kernel):
    _ask(address, f"{kernel}/restart", "POST")


def shut_down(address, kernel):
    _ask(address, kernel, "DELETE")


def _ask(address, what, method):
    request = urllib.request.Request(f"{address}/api/kernels/{what}?token={TOKEN}", method=method)
    urllib.request.urlopen(request, timeout=60).close()


def wait_for(condition, seconds, what):
    """what: what is waited for, or a function that says at the end what was missing."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what() if callable(what) else what}"
        time.sleep(0.25)


def open_lab(browser, address, name, minutes=50):
    """(page, errors, kernel's id): a notebook in JupyterLab with all its cells run, and what goes wrong on it."""
    page = browser.new_page(viewport={"width": 1500, "height": 1400})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    before = {kernel["id"] for kernel in kernels(address)}
    page.goto(f"{address}/lab/workspaces/{name}/tree/{name}.ipynb?token={TOKEN}", timeout=120_000)

    def new():
        return [kernel for kernel in kernels(address) if kernel["id"] not in before]

    # The toolbar says idle before the kernel is connected, and what is asked of it then is lost.
    wait_for(
        lambda: any(k["execution_state"] == "idle" and k["connections"] > 0 for k in new()), 120, "a connected kernel"
    )
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.get_by_text("| Idle").first.wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wait_for(lambda: any(k["execution_state"] == "busy" for k in new()), 60, "work")
    quiet = 0
    end = time.monotonic() + 60 * minutes
    while quiet < 20:  # five seconds without work: between cells a kernel is idle, on a busy machine for seconds
        assert time.monotonic() < end, "the notebook did not end"
        page.wait_for_timeout(250)
        states = [kernel["execution_state"] for kernel in new()]
        quiet = quiet + 1 if states == ["idle"] else 0
    waiting = page.locator(".jp-InputPrompt", has_text="[*]")  # cells that wait or run: a kernel may pause for long
    wait_for(lambda: waiting.count() == 0, 30 * minutes, "every cell to have run")
    return page, errors, new()[0]["id"]


def state(box, slider):
    """What an explorer shows: its pictures, and the text beside its nth slider."""
    return box.evaluate(
        """(box, slider) => [
            Array.from(box.querySelectorAll('img')).map(img => img.src).join(),
            box.querySelectorAll('input[type=range]')[slider].getAttribute('aria-valuetext'),
        ]""",
        slider,
    )


def moved(box, slider, before, what):
    def other():
        return all(now != was for now, was in zip(state(box, slider), before, strict=True))

    wait_for(other, 60, f"other pictures and another number after {what} on slider {slider + 1}")

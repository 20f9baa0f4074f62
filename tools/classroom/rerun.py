"""Copies of the notebooks, run anew for the report: in print quality, with other settings where they are asked for.

What is seen before anything runs (a notebook is missing, or its settings cell) stops the report. An error in a cell
stops its notebook only: it becomes a sentence, which the report shows.
"""

import argparse
import ast
import json
import re
import sys
import time
from pathlib import Path

import execute
import nbformat
from gather import NAMES, part
from nbclient.exceptions import CellExecutionError

EDITION = Path(__file__).resolve().parent == execute.FOLDER  # the student edition, where all lies in one folder
COMMAND = f"python {Path(sys.argv[0]).name}" if EDITION else "python tools/classroom/report.py"
CODE = "00_code"  # the notebook that grades code, in the student edition
# In print: finer, and without the titles that a caption says once more.
PRINT = """
import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.rcParams["figure.dpi"] = 300


def untitled(method):
    return lambda self, text, *rest, **more: method(
        self, "" if re.match(r"H\\d|β = [^:\\n]*(:|$)", text) else text, *rest, **more
    )


Axes.set_title, Figure.suptitle = untitled(Axes.set_title), untitled(Figure.suptitle)"""
# A cell below the settings, so that it runs whatever happens later: what was set, and with what this runs.
ABOUT = """


def about():
    import importlib.metadata
    import json
    import platform

    import hw2
    import torch
    from hw2.checks.tasks import TOTAL

    def version(name):
        return next((d.version for d in importlib.metadata.distributions(name=name)), "not installed")

    versions = {"Python": platform.python_version()}
    versions |= {name: version(name) for name in ("torch", "torchvision", "hw2", "numpy", "matplotlib")}
    shared = hw2.notebook_settings()
    planned = hw2.notebook_settings.__globals__["RUNS"]["final"]._asdict()[globals().get("ARCH", "mlp")]
    digest = hw2.load(globals().get("DATASET", "mnist"))[:50_000].digest()
    about = {"versions": versions, "threads": torch.get_num_threads(), "digest": digest[:12], "planned": planned}
    about |= {"name": shared.name, "course": shared.course, "date": shared.date, "codepoints": TOTAL}
    return json.dumps([{name: repr(globals()[name]) for name in NAMES if name in globals()}, about])


print(about())
"""


def setting(text: str) -> tuple[str, object]:
    """("SEED", 1) of "SEED=1". ArgumentTypeError if the value is neither a word nor a Python literal."""
    name, _, value = text.partition("=")
    if re.fullmatch(r"[a-z][a-z-]*", value):
        return name, value  # ARCH=conv, whose quotes a shell would take
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=VALUE with a word or a Python value: SEED=1, ARCH=conv, 'BETAS=(0, 1e-3)'. "
            f"What has brackets stands in quotes: {COMMAND} --set 'BETAS=(0, 1e-3)'"
        ) from None


def readable(path: Path) -> nbformat.NotebookNode:
    """The notebook without outputs. SystemExit if the file is none."""
    try:
        return execute.prepare(path)
    except Exception as error:  # of many kinds, as what is in a damaged file is
        sys.exit(f"{path} is not a notebook, or is damaged ({type(error).__name__}): open it in JupyterLab")


def prepared(folder: Path, settings: dict[str, object]) -> dict[str, nbformat.NotebookNode]:
    """The notebooks to run, in print quality, each with what it has of the settings. SystemExit if none has one."""
    notebooks, known = {}, set()
    for name in NAMES:
        path = folder / f"{name}.ipynb"
        if not path.is_file():
            there = ", ".join(sorted(p.name for p in folder.glob("*.ipynb"))) or "no notebook"
            sys.exit(f"{path} is missing, there is {there}. The three notebooks must have the names with which you got "
                     f"them; if they are elsewhere:  {COMMAND} --notebooks FOLDER")  # fmt: skip
        notebook = readable(path)
        try:
            cell = part(name, notebook, "settings")
            own = execute.assigned(cell.source)
            cell.source = execute.assign(cell.source, {key: settings[key] for key in settings if key in own})
        except SyntaxError as error:
            sys.exit(f"{name}.ipynb, cell settings: {error}")
        known |= own.keys() - {"SETTINGS"}
        part(name, notebook, "imports").source += PRINT
        for one in notebook.cells:
            if one.source.startswith("check("):  # a claim that does not hold is reported
                one.metadata.tags = [*one.metadata.get("tags", []), "raises-exception"]
        names = [n.id for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name) and n.id.isupper()]
        names = [n for n in dict.fromkeys(names) if n != "SETTINGS"]
        about = nbformat.v4.new_code_cell(
            f"NAMES = {names}{ABOUT}", id="about", metadata={"tags": ["raises-exception"]}
        )
        notebook.cells.insert(notebook.cells.index(cell) + 1, about)
        notebooks[name] = notebook
    if unknown := settings.keys() - known:
        sys.exit(f"no notebook has a setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return notebooks


def about(notebook: nbformat.NotebookNode) -> tuple[dict[str, str], dict]:
    """The settings of an executed notebook, and with what it ran; both are empty if it did not get there."""
    lines = re.findall(r"^\[\{.*\}\]$", execute.printed(notebook, "NAMES = "), flags=re.M)
    return json.loads(lines[-1]) if lines else ({}, {})


def where(traceback: list[str]) -> str:
    """ ", in hw2/latent.py, sample_prior" of an error that was raised in hw2, else ""."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))
    frames = re.findall(r"(hw2/\w+\.py)(?::\d+)?, in (\w+)", plain.replace("\\", "/"))
    return f", in {frames[-1][0]}, {frames[-1][1]}" if frames else ""


def failure(cell: nbformat.NotebookNode) -> str:
    """Which error a cell ended with, or "": an error of `check` is a claim that does not hold, and no failure."""
    for output in cell.get("outputs", []):
        claim = cell.source.startswith("check(") and output.get("ename") == "AssertionError"
        if output.output_type == "error" and not claim and cell.id != "about":
            why = " ".join(output.evalue.split())[:500]
            if not why and output.ename == "NotImplementedError":
                why = "this function is not written yet"
            place = where(output.get("traceback", []))
            return f"cell {execute.label(cell)}{place}: {output.ename}{': ' * bool(why)}{why}"
    return ""


def timed(name: str, notebook: nbformat.NotebookNode, folder: Path, allow_errors: bool = False) -> tuple[str, str]:
    """Execute it in its folder, and print a line that says so and how long it took.

    Returns which cell failed first, and how the kernel died, each "" if that did not happen. Unless errors are allowed
    the first that is not a claim's ends it.
    """
    print(f"{name}.ipynb: running ...", end="", flush=True)
    begun, died = time.monotonic(), ""
    try:
        execute.run(notebook, allow_errors=allow_errors, folder=folder)
    except CellExecutionError:
        pass  # its cell holds the error, as a tolerated one does
    except RuntimeError as error:  # a kernel that died
        died = str(error)
    failed = next(filter(None, map(failure, notebook.cells)), "")
    stopped = died or (failed and not allow_errors)
    print(f" {'stopped after' if stopped else 'done in'} {time.monotonic() - begun:.0f} s", flush=True)
    return failed, died


def run(name: str, notebook: nbformat.NotebookNode, folder: Path) -> str:
    """Execute it in its folder, up to the first error that is not a claim's. Which cell failed and why, "" if none."""
    failed, died = timed(name, notebook, folder)
    return f"{name}.ipynb: {died}" if died else f"{name}.ipynb, {failed}" if failed else ""


def code_tasks(folder: Path) -> tuple[list[dict], str]:
    """The cells of notebook 00 that grade code, run now: title, points, and what the check said, "" if it passed.

    And what stopped the notebook, "" if nothing did.
    """
    path = folder / f"{CODE}.ipynb"
    if not path.is_file():
        return [], ""
    notebook = readable(path)
    _, died = timed(CODE, notebook, folder, allow_errors=True)
    stopped = f"{CODE}.ipynb: {died}. What comes after it has not passed" if died else ""
    tasks, title = [], ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (heading := re.match(r"## (.+?)(?: \(\d+ points?\))?$", cell.source, re.M)):
            title = heading[1]
        graded = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and graded.get("grade"):
            errors = [o for o in cell.outputs if o.output_type == "error"]
            said = "" if cell.get("execution_count") else "did not run"
            for error in errors:
                said = f"{error.ename}: {error.evalue}".partition("\n")[0].removesuffix(": ")
            tasks.append({"title": title, "points": graded["points"], "said": said})
    return tasks, stopped

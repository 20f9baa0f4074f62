"""The homework's hand-in as a PDF: `make report`, or `report.py --set SEED=1 --output report.pdf`.

Runs copies of the notebooks and takes from them pictures, answers, what the answers may cite and, where there are any,
claims; the notebooks may be a student's. Cells are found by their ids, or else by what is in them. report.typ says
how it looks, answers.py what becomes of an answer's text. What a notebook says reaches typst as data.
"""

import argparse
import ast
import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "notebooks"))
sys.path.insert(0, str(HERE))  # in the student edition execute.py is beside this file
import execute  # noqa: E402

EDITION = execute.FOLDER == HERE  # whether this is the student edition, where all lies in one folder
COMMAND = f"python {Path(sys.argv[0]).name}" if EDITION else "python tools/classroom/report.py"
try:
    import typst
    from gather import NAMES, PICTURES, answers, claims, exhibits, notes, part, pictures, verdict_rows
except ImportError as error:
    install = (
        f'{sys.executable} -m pip install -e "{HERE}[report]"'
        if EDITION
        else "make report, or pip install '.[teacher]'"
    )
    sys.exit(f"{error}: the report needs more packages. Run  {install}")

CODE = "00_code"  # the notebook that grades code, in the student edition
CODE_POINTS = 14
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
ABOUT = """
import importlib.metadata
import json
import platform

import hw2
import torch


def version(name):
    return next((d.version for d in importlib.metadata.distributions(name=name)), "not installed")


versions = {"Python": platform.python_version()}
versions |= {name: version(name) for name in ("torch", "torchvision", "hw2", "numpy", "matplotlib")}
shared = hw2.notebook_settings()
planned = hw2.notebook_settings.__globals__["RUNS"]["final"]._asdict()[globals().get("ARCH", "mlp")]
digest = hw2.load(globals().get("DATASET", "mnist"))[:50_000].digest()
about = {"versions": versions, "threads": torch.get_num_threads(), "digest": digest[:12], "planned": planned}
about |= {"name": shared.name, "course": shared.course, "date": shared.date}
print(json.dumps([{name: repr(globals()[name]) for name in NAMES if name in globals()}, about]))
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


def prepared(folder: Path, settings: dict[str, object]) -> dict[str, nbformat.NotebookNode]:
    """The notebooks to run, in print quality, each with what it has of the settings. SystemExit if none has one."""
    notebooks, known = {}, set()
    for name in NAMES:
        path = folder / f"{name}.ipynb"
        if not path.is_file():
            there = ", ".join(sorted(p.name for p in folder.glob("*.ipynb"))) or "no notebook"
            sys.exit(f"{path} is missing, there is {there}. The three notebooks must have the names with which you got "
                     f"them; if they are elsewhere:  {COMMAND} --notebooks FOLDER")  # fmt: skip
        try:
            notebook = execute.prepare(path)
            cell = part(name, notebook, "settings")
            own = execute.assigned(cell.source)
            cell.source = execute.assign(cell.source, {key: settings[key] for key in settings if key in own})
        except SyntaxError as error:
            sys.exit(f"{name}.ipynb, cell settings: {error}")
        except nbformat.reader.NotJSONError:
            sys.exit(f"{path} is not a notebook")
        known |= own.keys() - {"SETTINGS"}
        part(name, notebook, "imports").source += PRINT
        for one in notebook.cells:
            if one.source.startswith("check("):  # a claim that does not hold is reported
                one.metadata.tags = [*one.metadata.get("tags", []), "raises-exception"]
        names = [n.id for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Name) and n.id.isupper()]
        names = [n for n in dict.fromkeys(names) if n != "SETTINGS"]
        notebook.cells.append(nbformat.v4.new_code_cell(f"NAMES = {names}{ABOUT}", id="about"))
        notebooks[name] = notebook
    if unknown := settings.keys() - known:
        sys.exit(f"no notebook has a setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return notebooks


def where(traceback: list[str]) -> str:
    """ ", in hw2/latent.py, sample_prior" of an error that was raised in hw2, else ""."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback))
    frames = re.findall(r"(hw2/\w+\.py)(?::\d+)?, in (\w+)", plain.replace("\\", "/"))
    return f", in {frames[-1][0]}, {frames[-1][1]}" if frames else ""


def run(name: str, notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Execute it in its folder. SystemExit at the first error, unless that is a claim's."""
    print(f"running {name}.ipynb ...", end="", flush=True)
    begun = time.monotonic()
    try:
        execute.run(notebook, folder=folder)
    except DeadKernelError:
        ran = [cell.id for cell in notebook.cells if cell.get("execution_count")]
        sys.exit(f"{name}.ipynb: the kernel died in or after the cell {ran[-1] if ran else 'imports'}")
    except CellExecutionError:
        pass  # its cell holds the error, as a tolerated one does
    print(f" {time.monotonic() - begun:.0f} s", flush=True)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            claim = cell.source.startswith("check(") and output.get("ename") == "AssertionError"
            if output.output_type == "error" and not claim:
                why = output.evalue or (
                    "this function is not written yet" if output.ename == "NotImplementedError" else ""
                )
                place = where(output.get("traceback", []))
                sys.exit(f"{name}.ipynb, cell {cell.id}{place}: {output.ename}: {why}")


def code_tasks(folder: Path) -> list[dict]:
    """The cells of notebook 00 that grade code, run now: title, points, and what the check said, "" if it passed."""
    path = folder / f"{CODE}.ipynb"
    if not path.is_file():
        return []
    notebook = execute.prepare(path)
    print(f"running {CODE}.ipynb", flush=True)
    try:
        execute.run(notebook, allow_errors=True, folder=folder)
    except DeadKernelError:
        print(f"{CODE}.ipynb: the kernel died, so what comes after has not passed")
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
    return tasks


def collect(
    notebooks: dict[str, nbformat.NotebookNode], folder: Path, code: list[dict]
) -> tuple[dict, dict[str, bytes]]:
    """What report.typ shows, from executed notebooks: its data, and the pictures by file name."""
    shown, images = exhibits(notebooks)
    for cell_id, (name, count) in PICTURES.items():
        images |= pictures(name, notebooks[name], cell_id, count)
    measured = [claim for notebook in notebooks.values() for claim in claims(notebook)]
    measured.sort(key=lambda claim: [int(n) for n in re.findall(r"\d+", claim["id"])])
    failed = [claim["id"] for claim in measured if claim["verdict"] == "does not hold"]
    written, own = answers(notebooks, failed, folder)
    abouts = [json.loads(execute.printed(notebook, "NAMES = ").splitlines()[-1]) for notebook in notebooks.values()]
    settings = [own for own, _ in abouts]
    names = dict.fromkeys(name for own in settings for name in own)
    verdicts = [cell.source for cell in notebooks[NAMES[-1]].cells if "| statement | verdict |" in cell.source]
    data = {
        "answers": written,
        "exhibits": shown,
        "code": code,
        "codepoints": sum(task["points"] for task in code) or CODE_POINTS,
        "claims": measured,
        "failed": failed,
        "verdicts": verdict_rows("\n".join(verdicts)),
        "settings": {name: [own.get(name, "") for own in settings] for name in names},
        "about": abouts[0][1],
    }
    return data | notes(data), images | own


def laid_out(folder: Path, data: dict, images: dict[str, bytes]) -> Path:
    """The template in `folder`, with all that it reads."""
    for name, png in images.items():
        (folder / name).write_bytes(png)
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    return Path(shutil.copy(Path(__file__).with_name("report.typ"), folder))


def compiled(data: dict, images: dict[str, bytes], **options) -> bytes | list[bytes]:
    """The PDF; with format="png" a picture per page. options: of typst.compile."""
    with tempfile.TemporaryDirectory() as folder:  # typst reads nothing outside of it
        template = laid_out(Path(folder), data, images)
        fonts = {"font_paths": data["fonts"], "ignore_system_fonts": True}
        return typst.compile(template, root=folder, **fonts, **options)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", type=setting, nargs="+", action="extend", default=[], metavar="NAME=VALUE")
    parser.add_argument("--notebooks", type=Path, default=execute.FOLDER, metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("report.pdf"), metavar="FILE")
    options = parser.parse_args(arguments)
    if not options.output.resolve().parent.is_dir():
        parser.error(f"there is no folder for {options.output}")
    notebooks = prepared(options.notebooks, dict(options.set))
    print(
        "This takes about four minutes on two cores if your models are kept, and as long as training if they are not."
    )
    code = code_tasks(options.notebooks)
    for name, notebook in notebooks.items():
        run(name, notebook, options.notebooks)
        execute.requote(notebook)
    data, images = collect(notebooks, options.notebooks, code)
    try:
        options.output.write_bytes(compiled(data, images))
    except typst.TypstError as error:
        sys.exit(f"typst cannot set this report, most likely for the mathematics in an answer: {error}")
    for note in data["notes"]:
        print(f"note: {note}")
    print(f"wrote {options.output.resolve()}")


if __name__ == "__main__":
    main()

"""Grade a class: `make grade`, or `grade.py [COURSE]`. Then `grade.py --feedback [COURSE]`.

In COURSE (default: course) lie submissions, as submitted/NAME/hw2/. Each is put in order, as a copy in checked/, and
graded by nbgrader on its own, so that a broken one stops nobody else. What was amiss is listed, and all points go to
grades.csv. Repeat it as often as you like: points and comments that a person gave stay.
"""

import argparse
import ast
import copy
import csv
import functools
import json
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import nbformat
from nbformat import NotebookNode

sys.path.insert(0, str(Path(__file__).resolve().parent))
from student import ASSIGNMENT, NOTEBOOKS, SETTINGS, WRITTEN, nbgrader

CODE = "00_code"
GRADED = (CODE, *NOTEBOOKS)
# Data that no check reads: without them a graded submission takes 1 MB, not 12.
NEEDLESS = ["*.gz", "*.safetensors"]
FITTING = "<style>img { max-width: 100%; height: auto; } pre { white-space: pre-wrap; }</style>"


def ids(notebook: NotebookNode) -> list[str]:
    """The grade ids of a notebook's cells, in order."""
    return [cell.metadata.nbgrader["grade_id"] for cell in notebook.cells if cell.metadata.get("nbgrader")]


def read(path: Path) -> NotebookNode | str:
    """The notebook, or why it cannot be read."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # of many kinds, as what students hand in is
        return f"{path.name} cannot be read ({type(error).__name__}): ask for it again"
    return notebook


def in_order(name: str, notebook: NotebookNode, source: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """A submitted notebook with the cells that nbgrader looks for, each once, and what was amiss.

    Of cells with one id the first keeps it, of answers the longest. A check that is missing is put back, so that it
    runs; a missing answer as an empty one.
    """
    notebook, amiss = copy.deepcopy(notebook), []
    known = {cell.metadata.nbgrader["grade_id"]: cell for cell in source.cells if cell.metadata.get("nbgrader")}
    for grade_id, count in Counter(ids(notebook)).items():
        alike = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id]
        if grade_id not in known:
            amiss.append(f"{name}: the cell {grade_id} is not of this assignment")
        elif count > 1:
            amiss.append(f"{name}: {count} cells {grade_id}, of which one is graded: look at the others")
        answer = grade_id in known and known[grade_id].metadata.nbgrader["solution"]
        kept = max(alike, key=lambda cell: len(cell.source)) if answer else alike[0]
        for cell in alike:
            if cell is not kept or grade_id not in known:
                del cell.metadata["nbgrader"]
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id and cell.cell_type != known[grade_id].cell_type:
            amiss.append(f"{name}: the cell {grade_id} has become {cell.cell_type}: what was in it is below its own")
            below = nbformat.v4.new_markdown_cell(cell.source)
            notebook.cells[notebook.cells.index(cell)] = below
    there = ids(notebook)
    for grade_id, cell in known.items():
        if grade_id not in there:
            notebook.cells.append(copy.deepcopy(cell))
            if cell.metadata.nbgrader["grade"]:
                kind = "answer" if cell.metadata.nbgrader["solution"] else "check"
                amiss.append(f"{name}: the {kind} {grade_id} was missing, and is put back")
    if "imports" in known and ids(notebook)[0] != "imports":  # it must run first
        first = next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "imports")
        notebook.cells.remove(first)
        notebook.cells.insert(0, first)
    seen = set()
    for cell in notebook.cells:  # a copied cell has the other's id, too, which nbformat refuses
        cell.id = cell.id if cell.id not in seen else f"{cell.id[:50]}-{len(seen)}"
        seen.add(cell.id)
    return notebook, amiss


def submitted_as(name: str, folder: Path, sources: dict[str, NotebookNode]) -> Path | None:
    """The file that holds a notebook: under its name, or the only other one that has cells of it."""
    path = folder / f"{name}.ipynb"
    if path.is_file():
        return path
    own, others = set(ids(sources[name])), []
    for other in sorted(folder.glob("*.ipynb")):
        if other.stem not in GRADED and not isinstance(notebook := read(other), str) and own & set(ids(notebook)):
            others.append(other)
    return others[0] if len(others) == 1 else None


def put_in_order(folder: Path, checked: Path, sources: dict[str, NotebookNode]) -> list[str]:
    """Copy what is graded of a submission into `checked`, put in order. What was amiss."""
    amiss = []
    (checked / "hw2").mkdir(parents=True)
    for name in GRADED:
        asked = bool(ids(sources[name]))  # notebook 04 asks nothing
        path = submitted_as(name, folder, sources)
        if path is None:
            if asked:
                there = ", ".join(sorted(p.name for p in folder.glob("*.ipynb"))) or "no notebook"
                amiss.append(f"{name}.ipynb is missing; there is {there}")
            continue
        notebook = read(path)
        if isinstance(notebook, str):
            amiss.append(notebook)
            continue
        if path.stem != name:
            amiss.append(f"{path.name} is taken for {name}.ipynb")
        notebook, more = in_order(name, notebook, sources[name])
        amiss += more
        nbformat.write(notebook, checked / f"{name}.ipynb")
    for file in WRITTEN:
        if not (folder / file).is_file():
            amiss.append(f"{file} is missing, so no check of notebook 00 can pass")
            continue
        shutil.copy(folder / file, checked / file)
        try:
            ast.parse((folder / file).read_bytes())
        except (SyntaxError, ValueError) as error:
            amiss.append(f"{file} is not Python, so no check of notebook 00 can pass: {error}")
    for file in (SETTINGS, "timestamp.txt"):
        if (folder / file).is_file():
            shutil.copy(folder / file, checked)
    return amiss


def api(course: Path, notebooks: str, execute: bool, sockets: str):
    """nbgrader, for some notebooks of the checked submissions, with the course's own settings.

    sockets: a folder for those of the kernels, which then do not warn of being talked to over TCP.
    """
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.merge(Config({
        "CourseDirectory": {"root": str(course.resolve()), "submitted_directory": "checked", "notebook_id": notebooks,
                            "ignore": [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", *NEEDLESS]},
        "Autograde": {"execute": execute}, "Execute": {"enabled": execute}, "ClearOutput": {"enabled": execute},
        "KernelManager": {} if sys.platform == "win32" else {"transport": "ipc", "ip": f"{sockets}/kernel"},
    }))  # fmt: skip
    return NbGraderAPI(config=config)


def failure(said: str) -> str:
    """The last line of nbgrader's log that says why, without time and place."""
    lines = [line for line in said.splitlines() if re.search(r"Error|kernel|Exception", line)]
    return re.sub(r"^\[.*?\]\s*", "", lines[-1]).strip()[:200] if lines else "nbgrader does not say why"


def grade(course: Path) -> dict[str, list[str]]:
    """Grade all submissions of a course; {student: what was amiss}, for whom something was."""
    source = course / "release" / ASSIGNMENT  # not source/, whose answers must not get into a submission
    sources = {name: nbformat.read(source / f"{name}.ipynb", as_version=4) for name in GRADED}
    students = sorted(folder.parent for folder in (course / "submitted").glob(f"*/{ASSIGNMENT}") if folder.is_dir())
    stray = sorted(p.name for p in (course / "submitted").glob("*") if p not in students)
    amiss = {name: [f"there is no folder {name}/{ASSIGNMENT} in submitted"] for name in stray}
    sockets = tempfile.TemporaryDirectory()
    passes = (api(course, CODE, True, sockets.name), api(course, "0[1-4]_*", False, sockets.name))
    for number, student in enumerate(students, 1):
        begun = time.monotonic()
        checked = course / "checked" / student.name
        shutil.rmtree(checked, ignore_errors=True)
        home, found = student / ASSIGNMENT, []
        if not any(home.glob("*.ipynb")) and any(student.glob("*.ipynb")):
            home, found = student, [f"the notebooks lie in {student.name}/, not in {student.name}/{ASSIGNMENT}/"]
        found += put_in_order(home, checked / ASSIGNMENT, sources)
        for one in passes if any((checked / ASSIGNMENT).glob("*.ipynb")) else ():
            if any((checked / ASSIGNMENT).glob(f"{one.coursedir.notebook_id}.ipynb")):
                result = one.autograde(ASSIGNMENT, student.name)
                if not result["success"]:
                    why = failure(result.get("error", "") + result.get("log", ""))
                    what = CODE if one is passes[0] else "the answers"
                    found.append(f"nbgrader failed on {what}: {why}. Points that stand there are of an earlier run")
        if found:
            amiss[student.name] = found
        print(f"{number:4} of {len(students)}  {time.monotonic() - begun:5.1f} s  {student.name}", flush=True)
    sockets.cleanup()
    nbgrader(course, "export")
    return amiss


def totals(course: Path) -> list[str]:
    """A line for each student of grades.csv."""
    with (course / "grades.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["assignment"] == ASSIGNMENT]
    return [f"{row['student_id']:<24}{float(row['score'] or 0):6.1f} of {float(row['max_score']):.0f}" for row in rows]


@functools.cache
def mathml(formula: str) -> str:
    """A formula as MathML, which browsers show without help; as it was if pandoc cannot read it."""
    import pypandoc

    try:
        text = pypandoc.convert_text(
            formula, "html", format="commonmark+tex_math_dollars", extra_args=["--mathml", "--quiet"]
        )
    except RuntimeError:
        return formula
    return re.sub(r"^<p>|</p>$", "", text.strip())


def feedback(course: Path) -> int:
    """Write the pages that students get, in feedback/, and make them readable offline and by name. How many."""
    nbgrader(course, "generate_feedback", ASSIGNMENT, "--force")
    pages = sorted((course / "feedback").glob(f"*/{ASSIGNMENT}/*.html"))
    for page in pages:
        html = page.read_text(encoding="utf-8")
        html = re.sub(r'<a href="#([\w-]+)">(?:Test cell|Written response)</a>', r'<a href="#\1">\1</a>', html)
        outside = re.split(r"(<script.*?</script>|<style.*?</style>|<pre.*?</pre>|<code.*?</code>)", html, flags=re.S)
        formula = r"\$\$.+?\$\$|(?<![\\$\w])\$(?![\s$])[^$<\n]*?(?<!\s)\$(?!\w)"
        outside[::2] = [re.sub(formula, lambda m: mathml(unescaped(m[0])), text, flags=re.S) for text in outside[::2]]
        page.write_text("".join(outside).replace("</head>", f"{FITTING}</head>", 1), encoding="utf-8")
    return len(pages)


def unescaped(formula: str) -> str:
    """A formula as it was typed, without what HTML made of it."""
    import html

    return html.unescape(re.sub(r"</?em>", "_", formula))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("course", nargs="?", type=Path, default=Path("course"))
    parser.add_argument(
        "--feedback", action="store_true", help="write the pages for students, after you have read answers"
    )
    options = parser.parse_args(arguments)
    if not (options.course / "source" / ASSIGNMENT).is_dir():
        parser.error(f"{options.course} is no course: make one with student.py, and name its folder")
    os.environ.pop("PYTHONPATH", None)  # in a kernel it goes before the folder, and another hw2 would be graded
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    if options.feedback:
        print(f"{feedback(options.course)} pages in {options.course / 'feedback'}")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nbformat, that ids are double, which is mended; of sqlalchemy, in nbgrader
        amiss = grade(options.course)
    print("\n".join(["", *totals(options.course), ""]))
    for student, found in amiss.items():
        print(f"{student}:", *found, sep="\n    ")
    print(f"{len(amiss)} submissions with something amiss. All points: {options.course / 'grades.csv'}")
    (options.course / "amiss.json").write_text(json.dumps(amiss, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

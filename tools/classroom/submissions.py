"""Submissions as they come, put in order for nbgrader: each cell that it looks for is there once, in its notebook.

What was amiss is said in a sentence each, for the list that grade.py prints. What was handed in stays as it is: all
this happens in a copy.
"""

import ast
import copy
import shutil
from collections import Counter
from importlib.util import decode_source
from pathlib import Path

import nbformat
from blanks import WRITTEN
from edition import SETTINGS
from nbformat import NotebookNode
from student import NOTEBOOKS

import hw2

PACKAGE = Path(hw2.__file__).parent
CODE = "00_code"
GRADED = (CODE, *NOTEBOOKS)


def ids(notebook: NotebookNode) -> list[str]:
    """The grade ids of a notebook's cells, in order."""
    return [cell.metadata.nbgrader["grade_id"] for cell in notebook.cells if cell.metadata.get("nbgrader")]


def read(path: Path) -> NotebookNode | str:
    """The notebook, or why it cannot be read."""
    try:
        notebook = nbformat.read(path, as_version=4)
        if notebook.nbformat_minor < 5:  # in which cells have no ids
            notebook = nbformat.v4.upgrade(notebook, 4, notebook.nbformat_minor)
        for cell in notebook.cells:
            graded = cell.metadata.get("nbgrader", {})
            if not (isinstance(graded, dict) and isinstance(graded.get("grade_id"), str)):  # what a tool left of it
                cell.metadata.pop("nbgrader", None)
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


def submitted_as(name: str, folder: Path, sources: dict[str, NotebookNode]) -> tuple[Path | None, list[Path]]:
    """The file that holds a notebook, under its name, or the only other one that has cells of it; and those others."""
    path, own, others = folder / f"{name}.ipynb", set(ids(sources[name])), []
    for other in sorted(folder.glob("*.ipynb")):
        if other.stem not in GRADED and not isinstance(notebook := read(other), str) and own & set(ids(notebook)):
            others.append(other)
    if path.is_file():
        return path, others
    return others[0] if len(others) == 1 else None, []


def put_in_order(folder: Path, checked: Path, sources: dict[str, NotebookNode]) -> list[str]:
    """Copy what is graded of a submission into `checked`, put in order. What was amiss."""
    amiss = []
    (checked / "hw2").mkdir(parents=True)
    for name in GRADED:
        asked = bool(ids(sources[name]))  # notebook 04 asks nothing
        path, copies = submitted_as(name, folder, sources)
        if copies:
            which = ", ".join(other.name for other in copies)
            amiss.append(f"{which} has cells of {name}.ipynb, too, which is the one that is graded: look at both")
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
            ast.parse(decode_source((folder / file).read_bytes()))
        except (SyntaxError, ValueError) as error:
            amiss.append(f"{file} is not Python, so no check of notebook 00 can pass: {error}")
    known = {path.name for path in PACKAGE.glob("*.py")}
    for path in sorted((folder / "hw2").glob("*.py")):
        if path.name not in known:
            shutil.copy(path, checked / "hw2")
            amiss.append(f"hw2/{path.name} is the student's own, and is taken along")
    for file in (SETTINGS, "timestamp.txt"):
        if (folder / file).is_file():
            shutil.copy(folder / file, checked)
    return amiss

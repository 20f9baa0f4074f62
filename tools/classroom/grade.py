"""Grade a class: `make grade`, or `grade.py [COURSE]`. After you have read answers: `grade.py --totals --feedback`.

In COURSE (default: course) lie submissions, as submitted/NAME/hw2/. Each is put in order, as a copy in checked/, and
graded by nbgrader on its own, so that a broken one stops nobody else. What was amiss is listed, and all points go to
grades.csv. Repeat it as often as you like: points and comments that a person gave stay.
"""

import argparse
import csv
import json
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

sys.path.insert(0, str(Path(__file__).resolve().parent))
from feedback import feedback
from student import ASSIGNMENT, nbgrader
from submissions import CODE, GRADED, put_in_order

# Data that no check reads: a submission that came with them would take 11 MB more.
NEEDLESS = ["*.gz", "*.safetensors"]


def api(course: Path, notebooks: str, execute: bool, sockets: str, on_cell: Callable | None = None):
    """nbgrader, for some notebooks of the checked submissions, with the course's own settings.

    sockets: a folder for those of the kernels, which then do not warn of being talked to over TCP. on_cell: is called
    with each cell, and its number, when it starts.
    """
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config
    from traitlets.config.loader import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.merge(Config({
        "CourseDirectory": {"root": str(course.resolve()), "submitted_directory": "checked", "notebook_id": notebooks,
                            "ignore": [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", *NEEDLESS]},
        "Autograde": {"execute": execute}, "ClearOutput": {"enabled": execute},
        "Execute": {"enabled": execute, "on_cell_execute": on_cell},
        "KernelManager": {} if sys.platform == "win32" else {"transport": "ipc", "ip": f"{sockets}/kernel"},
    }))  # fmt: skip
    return NbGraderAPI(config=config)


def named(cell: NotebookNode) -> str:
    """A cell of notebook 00 for a message: by its id in the grading, or by how it begins if the student added it."""
    begins = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
    return cell.metadata.get("nbgrader", {}).get("grade_id") or f'that begins "{begins[:60]}"'


def failure(said: str, what: str, started: list[NotebookNode]) -> str:
    """What nbgrader's log says of its failure on `what`, of which the cells in `started` had started."""
    if started and "DeadKernelError" in said:
        return f"{what}: the kernel died in the cell {named(started[-1])}"
    if started and re.search("CellTimeoutError|UnresponsiveKernelError", said):
        return f"{what}: the cell {named(started[-1])} ran too long, and could not be stopped"
    lines = [line for line in said.splitlines() if re.search(r"Error|kernel|Exception", line)]
    why = re.sub(r"^\[.*?\]\s*", "", lines[-1]).strip()[:200] if lines else "nbgrader does not say why"
    return f"nbgrader failed on {what}: {why}"


def graded(cell: NotebookNode) -> bool:
    return cell.metadata.get("nbgrader", {}).get("grade", False)


def stopped(notebook: NotebookNode, seconds: int) -> list[str]:
    """A sentence for each cell of the graded notebook 00 that ran into its time limit."""
    return [
        f"{CODE}: the cell {named(cell)} was stopped after {seconds} seconds{' and has no points' * graded(cell)}: "
        "look for a loop that does not end"
        for cell in notebook.cells
        if any(output.get("ename") == "CellTimeoutError" for output in cell.get("outputs", ()))
    ]


def failed_imports(notebook: NotebookNode) -> list[str]:
    """A sentence if the first cell of the graded notebook 00 failed, on which all others depend."""
    return [
        f"{CODE}: the imports failed, so no check could pass ({output.ename}: {output.evalue})"
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "imports"
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]


def grade(course: Path) -> dict[str, list[str]]:
    """Grade all submissions of a course; {student: what was amiss}, for whom something was."""
    source = course / "release" / ASSIGNMENT  # not source/, whose answers must not get into a submission
    sources = {name: nbformat.read(source / f"{name}.ipynb", as_version=4) for name in GRADED}
    students = sorted(folder.parent for folder in (course / "submitted").glob(f"*/{ASSIGNMENT}") if folder.is_dir())
    stray = sorted(p.name for p in (course / "submitted").glob("*") if p not in students)
    autograded = course / "autograded"
    amiss = {name: [f"there is no folder {name}/{ASSIGNMENT} in submitted"] for name in stray}
    sockets, started = tempfile.TemporaryDirectory(), []
    code = api(course, CODE, True, sockets.name, lambda cell, cell_index: started.append(cell))
    answers = api(course, "0[1-4]_*", False, sockets.name)
    for number, student in enumerate(students, 1):
        begun = time.monotonic()
        checked = course / "checked" / student.name
        shutil.rmtree(checked, ignore_errors=True)
        home, found = student / ASSIGNMENT, []
        if not any(home.glob("*.ipynb")) and any(student.glob("*.ipynb")):
            home, found = student, [f"the notebooks lie in {student.name}/, not in {student.name}/{ASSIGNMENT}/"]
        try:
            found += put_in_order(home, checked / ASSIGNMENT, sources)
        except Exception as error:  # whatever a student hands in, the others are graded
            found.append(f"it could not be put in order, look at it yourself ({type(error).__name__}: {error})")
            shutil.rmtree(checked, ignore_errors=True)
        if re.search(r"[][*?]", student.name):
            found.append("nbgrader grades no folder with one of [ ] * ? in its name: rename it")
        for one in (code, answers):
            started.clear()
            if any((checked / ASSIGNMENT).glob(f"{one.coursedir.notebook_id}.ipynb")):
                result = one.autograde(ASSIGNMENT, student.name)
                if result["success"] and one is code:
                    ran = nbformat.read(autograded / student.name / ASSIGNMENT / f"{CODE}.ipynb", as_version=4)
                    found += failed_imports(ran)
                    found += stopped(ran, code.config.ExecutePreprocessor.get("timeout", 30))
                elif not result["success"]:
                    what = CODE if one is code else "the answers"
                    why = failure(result.get("error", "") + result.get("log", ""), what, started)
                    found.append(f"{why}. Points that stand there, if any, are of an earlier run")
        if found:
            amiss[student.name] = found
        print(f"{number:4} of {len(students)}  {time.monotonic() - begun:5.1f} s  {student.name}", flush=True)
    sockets.cleanup()
    return amiss


def waiting(course: Path) -> dict[str, int]:
    """{student: how many answers nobody has given points to yet}, without those that were not touched, which get 0."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", ASSIGNMENT) as gradebook:
        return {
            one.student_id: sum(
                given.needs_manual_grade and given.manual_score is None
                for notebook in one.notebooks
                if notebook.name != CODE
                for given in notebook.grades
            )
            for one in gradebook.assignment_submissions(ASSIGNMENT)
        }


def totals(course: Path) -> list[str]:
    """Write grades.csv, nbgrader's with a column `to_read` more; a line for each student of it."""
    nbgrader(course, "export")
    to_read = waiting(course)
    with (course / "grades.csv").open(newline="", encoding="utf-8") as file:
        rows = [row | {"to_read": to_read.get(row["student_id"], 0)} for row in csv.DictReader(file)]
    if not rows:
        return []
    with (course / "grades.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lines = []
    for row in rows:
        left = f"{row['to_read']} answer{'s' * (row['to_read'] != 1)} to read" if row["to_read"] else ""
        points = f"{float(row['score'] or 0):6.1f} of {float(row['max_score']):.0f}"
        lines.append(f"{row['student_id']:<24}{points}  {left}".rstrip())
    return lines


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("course", nargs="?", type=Path, default=Path("course"))
    parser.add_argument(
        "--feedback", action="store_true", help="write the pages for students, after you have read answers"
    )
    parser.add_argument("--totals", action="store_true", help="write grades.csv anew, and grade nothing")
    options = parser.parse_args(arguments)
    if not (options.course / "source" / ASSIGNMENT).is_dir():
        parser.error(f"{options.course} is no course: make one with student.py, and name its folder")
    os.environ.pop("PYTHONPATH", None)  # in a kernel it goes before the folder, and another hw2 would be graded
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    if options.feedback:
        print(f"{feedback(options.course)} pages in {options.course / 'feedback'}")
    if options.totals:
        print("\n".join(totals(options.course)))
    if options.feedback or options.totals:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nbformat, that ids are double, which is mended; of sqlalchemy, in nbgrader
        amiss = grade(options.course)
        lines = totals(options.course)
    print("\n".join(["", *lines, ""]))
    for student, found in amiss.items():
        print(f"{student}:", *found, sep="\n    ")
    print(f"{len(amiss)} submissions with something amiss. All points: {options.course / 'grades.csv'}")
    (options.course / "amiss.json").write_text(json.dumps(amiss, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

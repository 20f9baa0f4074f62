"""Make the student edition from the solution, as a course for nbgrader: `make student`, or `student.py [FOLDER]`.

In FOLDER (default: course) come `source/hw2`, the teacher's assignment, and `release/hw2`, what students get, which
nbgrader makes from it. In both the functions of TASKS have lost their bodies, and notebook 00 says what to write, in
the functions' own docstrings, and grades it. Cells tagged `solution` are left out; the answers are in the source only.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from hw2.checks.tasks import PROMISE, TASKS, TOTAL

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "notebooks")]
from address import first_cell  # noqa: E402
from blanks import WRITTEN, docstring_of, empty  # noqa: E402
from edition import INSTEAD, PREDICTION, QUESTION, SETTINGS, readme, student_settings, used  # noqa: E402

ROOT = HERE.parents[1]
ASSIGNMENT = "hw2"
NOTEBOOKS = ("01_autoencoder", "02_vae_beta_sweep", "03_interpolation", "04_going_further")
REPORT = (
    "tools/classroom/report.py",
    "tools/classroom/rerun.py",
    "tools/classroom/gather.py",
    "tools/classroom/answers.py",
    "tools/classroom/report.typ",
    "tools/classroom/answer.lua",
    "tools/notebooks/execute.py",
)
# A file that is not handed in must not be found elsewhere, such as in an installed solution.
IMPORTS = f"""import importlib.util
from pathlib import Path

for file in {WRITTEN}:
    if not Path(file).is_file():
        raise FileNotFoundError(f"{{file}} is missing here: this notebook belongs beside the folder hw2")

%load_ext autoreload
%autoreload 2

found = Path(importlib.util.find_spec("hw2").origin).parent  # before it is imported: no other one may be checked
if found != Path("hw2").resolve():
    raise ImportError(f"hw2 was found in {{found}}, not here: unset PYTHONPATH")

import hw2
from hw2 import checks"""
CONFIG = f"""# nbgrader's settings. When a submission is graded, all files but notebooks and these come from the source.
c = get_config()
c.CourseDirectory.course_id = "{ASSIGNMENT}"
c.Autograde.exclude_overwriting = {{"{ASSIGNMENT}": {WRITTEN}}}
c.ExecutePreprocessor.timeout = 60
c.ExecutePreprocessor.iopub_timeout = 60  # a busy machine is no mistake of a student
"""


def graded(cell: NotebookNode, grade_id: str, points: int, answer: bool) -> NotebookNode:
    """The cell with nbgrader's metadata: an answer, graded by a person, or else a locked test, graded by running it."""
    cell.id = grade_id
    cell.metadata = NotebookNode(
        nbgrader={
            "schema_version": 3, "grade": True, "solution": answer, "locked": not answer, "task": False,
            "points": points, "grade_id": grade_id, "cell_type": cell.cell_type,
        }
    )  # fmt: skip
    return cell


def code_notebook() -> NotebookNode:
    """Notebook 00: what to write, and the cells that grade it."""
    start = (
        f"# 0 · Your code ({TOTAL} points)\n\n"
        f"Write these functions in {', '.join(f'`{file}`' for file in WRITTEN)}, in place of their "
        "`raise NotImplementedError`. The text under each heading is the function's own docstring. Any right way to "
        "write it passes; a check that fails says what it found, what it expected, and which mistake that most likely "
        "is, and those after it run all the same. If the first cell fails, mend that first; a function may need "
        "another one, so go from top to bottom. `python -m hw2.checks`, in a terminal in this folder, makes the same "
        f"checks.\n\n{PROMISE}"
    )
    imports = new_code_cell(IMPORTS, id="imports")
    locked = {"schema_version": 3, "grade": False, "solution": False, "locked": True, "task": False}
    imports.metadata = NotebookNode(nbgrader=locked | {"grade_id": "imports", "cell_type": "code"})
    cells = [new_markdown_cell(start, id="title"), imports]
    for task in TASKS:
        identifier = re.sub(r"\W+", "-", task.title.lower())
        points = f"{task.points} point{'s' * (task.points > 1)}"
        module = task.functions[0].partition(".")[0]
        docstrings = "\n\n\n".join(map(docstring_of, task.functions))
        text = f"## {task.title} ({points})\n\nIn `hw2/{module}.py`:\n\n```text\n{docstrings}\n```"
        cells.append(new_markdown_cell(text, id=f"{identifier}-text"))
        cell = graded(new_code_cell(f'checks.task("{task.title}", hw2)'), identifier, task.points, answer=False)
        cell.metadata.tags = ["raises-exception"]  # so that Run All goes on after it
        cells.append(cell)
    total = new_code_cell("checks.total()", id="total")
    total.metadata = NotebookNode(nbgrader=locked | {"grade_id": "total", "cell_type": "code"})
    cells.append(total)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def student_notebook(notebook: NotebookNode) -> NotebookNode:
    """A notebook without outputs and without the cells of the solution, its answers marked for nbgrader to take out.

    After each question "Predict" there is a cell to write in.
    """
    notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])]
    questions = {
        name: (int(points), words) for cell in notebook.cells for name, points, words in QUESTION.findall(cell.source)
    }
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.id == "imports":
            cell.source = first_cell(cell.source, None)  # else it would install the solution
            if "run_line_magic" in cell.source:
                raise ValueError("the first cell installs something: it must not be the solution")
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"<!--C\d\.\d+-->", "", cell.source)  # there are no claims here
        cell.metadata.pop("tags", None)
        for ours, theirs in INSTEAD.items():
            cell.source = cell.source.replace(ours, theirs)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        elif match := re.match(r"\*\*Answer (A\d)\.\*\*\s+", cell.source):
            points, words = questions.pop(match[1])
            head = f"**Answer {match[1]}.** *{points} points, fewer than {words} words.*"
            cell.source = f"{head}\n\n### BEGIN SOLUTION\n{cell.source[match.end() :]}\n### END SOLUTION"
            graded(cell, f"answer-{match[1].lower()}", points, answer=True)
        elif "**Predict.**" in cell.source:
            cells.append(new_markdown_cell(PREDICTION, id=f"{cell.id}-own"))
    if questions:
        raise ValueError(f"no answer to {', '.join(questions)}")
    (imports,) = [cell for cell in cells if cell.id == "imports"]
    others = [cell.source for cell in cells if cell.cell_type == "code" and cell is not imports]
    imports.source = used(imports.source, "\n".join(others))
    notebook.cells = cells
    return notebook


def write_source(folder: Path, solved: bool = False) -> None:
    """Write the assignment into a new folder. solved: with the functions' bodies, as a perfect submission has them."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "hw2", folder / "hw2", ignore=ignored)
    for file in ("pyproject.toml", "LICENSE", *REPORT):
        shutil.copy(ROOT / file, folder)
    if not solved:
        empty(folder)
    notebooks = {name: nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4) for name in NOTEBOOKS}
    (folder / "README.md").write_text(readme(TASKS, WRITTEN, notebooks), encoding="utf-8")
    text = (ROOT / "notebooks" / SETTINGS).read_text(encoding="utf-8")
    text = text if solved else student_settings(text)
    (folder / SETTINGS).write_text(text, encoding="utf-8")
    notebooks = {"00_code": code_notebook()} | {name: student_notebook(n) for name, n in notebooks.items()}
    for name, notebook in notebooks.items():
        nbformat.validate(notebook)
        nbformat.write(notebook, folder / f"{name}.ipynb")


def nbgrader(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run nbgrader in the course's folder, with this Python's scripts first on the path. RuntimeError if it fails."""
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ.get("PATH", "")}  # it calls alembic by name
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments], cwd=course, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"nbgrader {' '.join(arguments)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def main(course: Path) -> None:
    source = course / "source" / ASSIGNMENT
    if source.exists():
        sys.exit(
            f"{source} is there, and may have been edited: move it away, or name another folder. Submissions and "
            f"points in {course} stay"
        )
    write_source(source)
    (course / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    nbgrader(course, "generate_assignment", ASSIGNMENT)
    print(f"for students: {course / 'release' / ASSIGNMENT}; for nbgrader: {course}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "course"))

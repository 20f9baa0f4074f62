"""Grading a class: submissions are put in order, the broken ones stop nobody else, and what was amiss is listed."""

import copy
import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import feedback
import grade
import nbformat
import pytest
import student
import submissions
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]
# The size of the class in the slow test: twelve broken ones, the others right. With HW2_CLASS=60 it is a real class's.
CLASS = int(os.environ.get("HW2_CLASS", "13"))


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The release and one perfect submission, as nbgrader would make the first, without running it."""
    folder = tmp_path_factory.mktemp("edition")
    student.write_source(folder / "release")
    student.write_source(folder / "solved", solved=True)
    for path in (folder / "release").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            cell.source = re.sub(r"### BEGIN SOLUTION.*### END SOLUTION", "YOUR ANSWER HERE", cell.source, flags=re.S)
        nbformat.write(notebook, path)
    return folder


@pytest.fixture
def sources(released):
    return {name: nbformat.read(released / "release" / f"{name}.ipynb", as_version=4) for name in grade.GRADED}


@pytest.fixture
def submission(released, tmp_path):
    """A perfect one, to be broken, without data."""
    return shutil.copytree(
        released / "solved",
        tmp_path / "submitted" / "ann" / "hw2",
        ignore=shutil.ignore_patterns("*.gz", "*.safetensors"),
    )


def change(path, edit):
    """Let `edit` change a notebook's cells in place."""
    notebook = nbformat.read(path, as_version=4)
    edit(notebook)
    path.write_text(nbformat.writes(notebook) if isinstance(notebook, dict) else notebook, encoding="utf-8")


def cell_of(notebook, grade_id):
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def doubled(notebook):
    notebook.cells.append(copy.deepcopy(cell_of(notebook, "the-kl")))


def without_check(notebook):
    notebook.cells.remove(cell_of(notebook, "samples"))


def answered_twice(notebook):
    cell_of(notebook, "answer-a1").source = "**Answer A1.** short"
    notebook.cells.append(copy.deepcopy(cell_of(notebook, "answer-a1")))
    notebook.cells[-1].source = "**Answer A1.** a longer answer that is meant"


def no_metadata(notebook):
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)


def retyped(notebook):
    cell = cell_of(notebook, "answer-a1")
    notebook.cells[notebook.cells.index(cell)] = new_code_cell("print('my answer')", metadata=cell.metadata)


def deadly(notebook):
    notebook.cells.insert(3, new_code_cell("import os; os._exit(1)"))


def endless(notebook):
    notebook.cells.insert(3, new_code_cell("while True:\n    __import__('time').sleep(1)"))


def test_a_perfect_submission_is_left_as_it_is(submission, sources, tmp_path):
    assert grade.put_in_order(submission, tmp_path / "checked", sources) == []
    for name in grade.GRADED:
        ours, theirs = (nbformat.read(f / f"{name}.ipynb", as_version=4) for f in (submission, tmp_path / "checked"))
        assert [c.source for c in ours.cells] == [c.source for c in theirs.cells]
        assert submissions.ids(ours) == submissions.ids(theirs)
    files = {p.relative_to(tmp_path / "checked").as_posix() for p in (tmp_path / "checked" / "hw2").iterdir()}
    assert files == set(student.WRITTEN), "what is graded, and not 12 MB of data"


BROKEN = {  # what is done to a notebook, and what is said of it
    "a check is there twice": (
        "00_code",
        doubled,
        "00_code: 2 cells the-kl, of which one is graded: look at the others",
    ),
    "a check is gone": ("00_code", without_check, "00_code: the check samples was missing, and is put back"),
    "an answer is there twice": ("01_autoencoder", answered_twice, "01_autoencoder: 2 cells answer-a1, of which one"),
    "no metadata": ("01_autoencoder", no_metadata, "01_autoencoder: the answer answer-a1 was missing, and is put back"),
    "an answer is code": ("01_autoencoder", retyped, "01_autoencoder: the cell answer-a1 has become code"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_notebook_is_put_in_order_and_said(kind, submission, sources, tmp_path):
    name, edit, says = BROKEN[kind]
    change(submission / f"{name}.ipynb", edit)
    amiss = grade.put_in_order(submission, tmp_path / "checked", sources)
    assert any(line.startswith(says) for line in amiss), amiss
    notebook = nbformat.read(tmp_path / "checked" / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert sorted(submissions.ids(notebook)) == sorted(submissions.ids(sources[name])), "each cell once"
    if name == "00_code":
        assert submissions.ids(notebook)[0] == "imports"
    if kind == "an answer is there twice":
        assert "longer" in cell_of(notebook, "answer-a1").source
    if kind == "an answer is code":
        assert "print('my answer')" in [cell.source for cell in notebook.cells]
    if kind in ("no metadata", "an answer is code"):
        assert "YOUR ANSWER HERE" in cell_of(notebook, "answer-a1").source, "not the teacher's answer"


def test_a_renamed_notebook_is_found_by_its_cells(submission, sources, tmp_path):
    (submission / "00_code.ipynb").rename(submission / "00_code (1).ipynb")
    assert grade.put_in_order(submission, tmp_path / "checked", sources) == [
        "00_code (1).ipynb is taken for 00_code.ipynb"
    ]
    assert (tmp_path / "checked" / "00_code.ipynb").is_file()


def test_a_copy_beside_a_notebook_is_said(submission, sources, tmp_path):
    shutil.copy(submission / "01_autoencoder.ipynb", submission / "01_autoencoder-Copy1.ipynb")
    assert grade.put_in_order(submission, tmp_path / "checked", sources) == [
        "01_autoencoder-Copy1.ipynb has cells of 01_autoencoder.ipynb, too, which is the one that is graded: "
        "look at both"
    ]


def test_a_notebook_without_ids_is_graded_as_any(submission, sources, tmp_path):
    """As Colab and older tools save it: format 4.4."""
    for name in grade.GRADED:
        notebook = json.loads((submission / f"{name}.ipynb").read_text(encoding="utf-8"))
        notebook["nbformat_minor"] = 4
        for cell in notebook["cells"]:
            del cell["id"]
        (submission / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    assert grade.put_in_order(submission, tmp_path / "checked", sources) == []
    for name in grade.GRADED:
        assert submissions.ids(nbformat.read(tmp_path / "checked" / f"{name}.ipynb", 4)) == submissions.ids(
            sources[name]
        )


@pytest.mark.parametrize("left", [None, {}, {"grade_id": 3}, "the-kl"])
def test_what_a_tool_left_of_nbgraders_metadata_is_no_cell_of_it(left, submission, sources, tmp_path):
    path = submission / "00_code.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "the-kl")["metadata"] = {
        "nbgrader": left
    }
    path.write_text(json.dumps(notebook), encoding="utf-8")
    amiss = grade.put_in_order(submission, tmp_path / "checked", sources)
    assert amiss == ["00_code: the check the-kl was missing, and is put back"]


def test_a_module_of_the_students_own_is_taken_along_and_one_in_another_encoding_is_said(submission, sources, tmp_path):
    (submission / "hw2" / "helpers.py").write_text("HALF = 0.5\n")
    (submission / "hw2" / "losses.py").write_bytes("# für\n".encode("latin-1"))
    taken, damaged = grade.put_in_order(submission, tmp_path / "checked", sources)[::-1]
    assert taken == "hw2/helpers.py is the student's own, and is taken along"
    assert (tmp_path / "checked" / "hw2" / "helpers.py").is_file()
    assert damaged.startswith("hw2/losses.py is not Python, so no check of notebook 00 can pass: ")


def test_imports_that_failed_are_said():
    error = new_output("error", ename="ModuleNotFoundError", evalue="No module named 'hw2.helpers'", traceback=[])
    cell = new_code_cell("import hw2", outputs=[error], metadata={"nbgrader": {"grade_id": "imports"}})
    assert grade.failed_imports(nbformat.v4.new_notebook(cells=[new_code_cell("1"), cell])) == [
        "00_code: the imports failed, so no check could pass (ModuleNotFoundError: No module named 'hw2.helpers')"
    ]


def test_what_is_missing_or_unreadable_is_said_in_one_list(submission, sources, tmp_path):
    (submission / "hw2" / "losses.py").unlink()
    (submission / "01_autoencoder.ipynb").unlink()
    (submission / "02_vae_beta_sweep.ipynb").write_text("<html>please log in</html>")
    (submission / "03_interpolation.ipynb").write_text('{"cells": 3}')
    said = "\n".join(grade.put_in_order(submission, tmp_path / "checked", sources))
    assert "hw2/losses.py is missing, so no check of notebook 00 can pass" in said
    assert "01_autoencoder.ipynb is missing; there is 00_code.ipynb, 02_vae" in said
    assert "02_vae_beta_sweep.ipynb cannot be read (NotJSONError): ask for it again" in said
    assert "03_interpolation.ipynb cannot be read" in said


def test_maths_of_a_page_needs_no_network():
    assert "<math" in feedback.mathml("$z \\sim N(0, I)$")
    assert feedback.mathml("$\\unknown{x$") == "$\\unknown{x$"
    assert feedback.unescaped("$a &lt; b<em>1$") == "$a < b_1$"


def flat(folder):
    """As unpacked by someone who made no folder hw2: one level too high."""
    inner = folder.rename(folder.parent / "inner")
    for path in inner.iterdir():
        path.rename(folder.parent / path.name)
    inner.rmdir()


CLASSES = {  # how some of a class are broken: what is done to the folder, points for code, words of what is said
    "double": (lambda f: change(f / "00_code.ipynb", doubled), 14, "2 cells the-kl"),
    "deleted": (lambda f: change(f / "00_code.ipynb", without_check), 14, "the check samples was missing"),
    "renamed": (lambda f: (f / "00_code.ipynb").rename(f / "my code.ipynb"), 14, "my code.ipynb is taken for"),
    "answers": (lambda f: change(f / "01_autoencoder.ipynb", answered_twice), 14, "2 cells answer-a1"),
    "module": (lambda f: (f / "hw2" / "losses.py").unlink(), 0, "hw2/losses.py is missing"),
    "syntax": (lambda f: (f / "hw2" / "latent.py").write_text("def ("), 0, "hw2/latent.py is not Python"),
    "html": (lambda f: (f / "00_code.ipynb").write_text("<html>"), 0, "00_code.ipynb cannot be read"),
    "dies": (
        lambda f: change(f / "00_code.ipynb", deadly), 0,
        '00_code: the kernel died in the cell that begins "import os; os._exit(1)". Points that stand there',
    ),
    "endless": (
        lambda f: change(f / "00_code.ipynb", endless), 14,
        '00_code: the cell that begins "while True:" was stopped after 30 seconds: look for a loop',
    ),
    "empty": (lambda f: [p.unlink() for p in f.glob("*.ipynb")], 0, "00_code.ipynb is missing; there is no notebook"),
    "flat": (flat, 14, "the notebooks lie in flat/, not in flat/hw2/"),
    "stripped": (lambda f: change(f / "02_vae_beta_sweep.ipynb", no_metadata), 14, "the answer answer-a4 was missing"),
}  # fmt: skip


def read_one(course, name, answer, points):
    """Give an answer points, as a person does in Formgrader."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "hw2") as gradebook:
        given = gradebook.find_grade(answer, "01_autoencoder", "hw2", name)
        given.manual_score, given.needs_manual_grade = points, False
        gradebook.db.commit()


def test_a_cell_that_ran_into_its_time_limit_is_named():
    timeout = new_output("error", ename="CellTimeoutError", evalue="")
    own = new_code_cell("\nwhile True:\n    pass", outputs=[timeout])
    check = new_code_cell(
        "checks.task(1)", metadata={"nbgrader": {"grade_id": "the-kl", "grade": True}}, outputs=[timeout]
    )
    other = new_code_cell("1 / 0", outputs=[new_output("error", ename="ZeroDivisionError", evalue="")])
    first, second = grade.stopped(new_notebook(cells=[own, other, check]), 60)
    assert first.startswith('00_code: the cell that begins "while True:" was stopped after 60 seconds: look')
    assert second.startswith("00_code: the cell the-kl was stopped after 60 seconds and has no points: look")


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("nbclient.exceptions.DeadKernelError: Kernel died", "00_code: the kernel died in the cell the-kl"),
        ("x\n[A | ERROR] CellTimeoutError: A cell timed out", "00_code: the cell the-kl ran too long, and could not"),
        ("[A | ERROR] ValueError: no\ndone", "nbgrader failed on 00_code: ValueError: no"),
        ("", "nbgrader failed on 00_code: nbgrader does not say why"),
    ],
)
def test_what_nbgrader_failed_on_is_said(log, says):
    cell = new_code_cell("checks.task(1)", metadata={"nbgrader": {"grade_id": "the-kl"}})
    assert grade.failure(log, "00_code", [new_code_cell("import hw2"), cell]).startswith(says)
    assert grade.failure(log, "the answers", []).startswith("nbgrader failed on the answers: ")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("nbgrader") is None, reason="no nbgrader here")
def test_a_class_is_graded_in_one_command_and_broken_submissions_stop_nobody(tmp_path, released):
    """Of 12, or of as many as HW2_CLASS says; its time is printed, for docs/teaching.md."""
    course = tmp_path / "course"
    student.main(course)
    settings = course / "nbgrader_config.py"  # a teacher's own limit, for which nobody waits as long
    settings.write_text(settings.read_text().replace("Preprocessor.timeout = 60", "Preprocessor.timeout = 30"))
    names = [*CLASSES, *(f"right{number:02}" for number in range(CLASS - len(CLASSES)))]
    for name in names:
        folder = course / "submitted" / name / "hw2"
        ignored = shutil.ignore_patterns("*.gz", "*.safetensors")
        shutil.copytree(released / "solved", folder, ignore=ignored)
        CLASSES.get(name, (lambda folder: None,))[0](folder)
    picture = course / "submitted" / "double" / "hw2" / "01_autoencoder.ipynb"
    change(
        picture,
        lambda n: next(c for c in n.cells if c.id == "samples").outputs.append(new_output("stream", text="seen")),
    )
    begun = time.monotonic()
    elsewhere = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}  # a solution, which must not be graded
    done = subprocess.run([sys.executable, grade.__file__, course], capture_output=True, text=True, env=elsewhere)
    assert done.returncode == 0, done.stderr[-3000:]
    print(f"{len(names)} submissions in {time.monotonic() - begun:.0f} s")
    assert "WARNING" not in done.stderr
    with (course / "grades.csv").open(newline="") as file:
        points = {row["student_id"]: float(row["score"] or 0) for row in csv.DictReader(file)}
    assert points == {n: CLASSES[n][1] if n in CLASSES else 14 for n in names if n in points}
    assert set(names) - set(points) <= {"empty"}
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if " of 28" in line}
    with (course / "grades.csv").open(newline="") as file:
        to_read = {row["student_id"]: row["to_read"] for row in csv.DictReader(file)}
    assert to_read["renamed"] == "5"
    assert lines["renamed"].endswith("  14.0 of 28  5 answers to read")
    assert to_read["stripped"] == "2", "three of its answers were lost"
    said = dict(re.findall(r"^(\w+):\n((?:    .*\n)+)", done.stdout, flags=re.M))
    assert said.keys() == CLASSES.keys()
    for name, (*_, words) in CLASSES.items():
        assert words in said[name]

    read_one(course, "renamed", "answer-a1", 2)
    done = subprocess.run(
        [sys.executable, grade.__file__, "--totals", course], capture_output=True, text=True, env=elsewhere
    )
    assert re.search(r"^renamed +16.0 of 28  4 answers to read$", done.stdout, flags=re.M), done.stdout + done.stderr

    handed_in = nbformat.read(course / "autograded" / "double" / "hw2" / "01_autoencoder.ipynb", as_version=4)
    assert [c.outputs[0].text for c in handed_in.cells if c.id == "samples"] == ["seen"], (
        "outputs are taken as they are"
    )
    done = subprocess.run([sys.executable, grade.__file__, "--feedback", course], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (course / "feedback" / "double" / "hw2" / "00_code.html").read_text(encoding="utf-8")
    assert "Test cell" not in page
    assert '<a href="#the-kl">the-kl</a>' in page
    page = (course / "feedback" / "double" / "hw2" / "01_autoencoder.html").read_text(encoding="utf-8")
    assert "<math" in page
    assert "\\mathcal L" not in re.sub(r"<annotation.*?</annotation>", "", page)


def test_what_is_no_course_is_said(tmp_path, capsys):
    with pytest.raises(SystemExit):
        grade.main([str(tmp_path)])
    assert "is no course: make one with student.py" in capsys.readouterr().err

"""The student edition: nothing of the solution in it, and nbgrader gives each submission the points it deserves."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import blanks
import nbformat
import pytest
import student
import torch

import hw2

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
if importlib.util.find_spec("nbgrader") is None:
    if os.environ.get("HW2_NOTHING_SKIPPED"):
        raise RuntimeError("nbgrader is missing: nothing may be skipped here. pip install -e '.[test,teacher]'")
    pytest.skip(
        "NBGRADER IS MISSING, the student edition is not tested: make test installs it", allow_module_level=True
    )

IDS = {re.sub(r"\W+", "-", task.title.lower()): task.points for task in student.TASKS}

NETWORKS, MODELS, LOSSES, TRAINING, LATENT = (
    f"hw2/{name}.py" for name in ("networks", "models", "losses", "training", "latent")
)
EXP = "torch.exp(0.5 * logvar.clamp(max=LOGVAR_MAX))"
KL = "0.5 * (mu.square() + (logvar.expm1() - logvar))"
# What is planted: file, text, what is there instead; the check that must fail, and words of what it says.
BUGS = {
    "no exp": (MODELS, EXP, "(0.5 * logvar)", "the-draw", "exp is left out"),
    "log sigma": (MODELS, EXP, "torch.exp(logvar)", "the-draw", "log σ² is read as log σ"),
    "kl sign": (LOSSES, KL, f"-{KL}", "the-kl", "the sign is wrong"),
    "kl direction": (
        LOSSES, KL, "0.5 * ((1 + mu.square()) * (-logvar).exp() - 1 + logvar)", "the-kl", "the direction is wrong",
    ),
    "kl mean": (LOSSES, "(mu, logvar).sum(-1)", "(mu, logvar).mean(-1)", "the-kl", "by mean"),
    "logits": (LOSSES, "mse_loss(logits.sigmoid()", "mse_loss(logits", "the-reconstruction-term", "passed as pixels"),
    "sigmoid twice": (
        LOSSES, "logits.sigmoid(), x", "logits.sigmoid().sigmoid(), x", "the-reconstruction-term", "applied twice",
    ),
    "batch twice": (
        LOSSES, "terms.flatten(1).sum(1)", "terms.flatten(1).sum(1) / len(x)", "the-reconstruction-term",
        "averaged twice",
    ),
    "z is mu": (MODELS, "self.decode(reparametrize(mu, logvar, eps))", "self.decode(mu)", "the-vae", "z = mu"),
    "sigmoid in decoder": (
        NETWORKS, "nn.Linear(sizes[-1], PIXELS),", "nn.Linear(sizes[-1], PIXELS), nn.Sigmoid(),",
        "encoder-and-decoder-fully-connected", "ends in a sigmoid",
    ),
    "no activation": (
        NETWORKS, "layers += [nn.Linear(n_in, n), nn.ReLU()]", "layers += [nn.Linear(n_in, n)]",
        "encoder-and-decoder-fully-connected", "is linear",
    ),
    "conv stride": (
        NETWORKS, "nn.Conv2d(1, a, 4, 2, 1)", "nn.Conv2d(1, a, 3, 1, 1), nn.MaxPool2d(2)",
        "encoder-and-decoder-convolutional", "pixels wide",
    ),
    "no kl": (TRAINING, "    loss.backward()", "    recon.backward()", "the-training-step", "not that of the loss"),
    "forward of images": (
        MODELS, "return self.decode(reparametrize(mu, logvar, eps)), mu, logvar",
        "return self.decode(reparametrize(mu, logvar, eps)).sigmoid(), mu, logvar", "the-vae", "forward returns images",
    ),
    "kl not summed": (
        LOSSES, "return kl_per_dimension(mu, logvar).sum(-1)", "return kl_per_dimension(mu, logvar)", "the-kl", "shape",
    ),
    "not zeroed": (TRAINING, "    optimizer.zero_grad()\n", "", "the-training-step", "not zeroed"),
    "train mode": (
        LATENT, "return decode(model, torch.randn(n, model.latent_dim, generator=generator, dtype=torch.float32))",
        "return model.train().decode(torch.randn(n, model.latent_dim, generator=generator)).sigmoid()",
        "samples", "BatchNorm is in training mode",
    ),
    "misses the end": (
        LATENT, "torch.linspace(0, 1, steps, dtype=torch.float32)", "torch.arange(steps) / steps",
        "interpolation", "misses its end",
    ),
}  # fmt: skip


# What is not handed in; the solution is installed where this is graded, and must not be found in its place.
INCOMPLETE = {
    "notebooks only": lambda folder, names: [name for name in names if not name.endswith(".ipynb")],
    "one module less": lambda folder, names: [name for name in names if name == "losses.py"],
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course in which a perfect, an untouched and the faulty submissions are graded, by nbgrader alone."""
    course = tmp_path_factory.mktemp("course")
    student.main(course)
    submitted = course / "submitted"
    shutil.copytree(course / "release" / "hw2", submitted / "untouched" / "hw2")
    student.write_source(submitted / "solution" / "hw2", solved=True)
    for name, (file, old, new, _, _) in BUGS.items():
        shutil.copytree(submitted / "solution" / "hw2", submitted / name / "hw2")
        path = submitted / name / "hw2" / file
        source = path.read_text(encoding="utf-8")
        assert source.count(old) >= 1, f"{name}: {file} has no {old}"
        path.write_text(source.replace(old, new), encoding="utf-8")
    for name in INCOMPLETE:
        shutil.copytree(submitted / "solution" / "hw2", submitted / name / "hw2", ignore=INCOMPLETE[name])
    student.nbgrader(course, "autograde", "hw2", "--notebook", "00_code")
    student.nbgrader(course, "autograde", "hw2", "--notebook", "0[1-3]_*", "--no-execute")
    return course


def grades(course, name):
    """{cell: (points, whether a person has yet to grade it)} of a submission."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "hw2") as gradebook:
        submission = gradebook.find_submission("hw2", name)
        return {g.name: (g.score, g.needs_manual_grade) for notebook in submission.notebooks for g in notebook.grades}


def code(graded):
    return {name: points for name, (points, _) in graded.items() if name in IDS}


def answers(graded):
    return {name: graded[name] for name in graded if name not in IDS}


def test_the_solution_scores_full_marks_and_its_answers_wait_for_a_person(course):
    graded = grades(course, "solution")
    assert code(graded) == IDS
    assert sum(IDS.values()) == 14
    assert answers(graded) == {f"answer-a{i}": (0, True) for i in range(1, 6)}


def test_the_untouched_edition_scores_zero_and_nothing_is_left_to_grade(course):
    graded = grades(course, "untouched")
    assert code(graded) == dict.fromkeys(IDS, 0)
    assert answers(graded) == {f"answer-a{i}": (0, False) for i in range(1, 6)}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_what_was_not_handed_in_scores_nothing(name, course):
    assert code(grades(course, name)) == dict.fromkeys(IDS, 0)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_loses_its_own_points_and_is_named(name, course):
    *_, lost, said = BUGS[name]
    assert code(grades(course, name)) == IDS | {lost: 0}
    notebook = nbformat.read(course / "autograded" / name / "hw2" / "00_code.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == lost)
    (error,) = [output for output in cell.outputs if output.output_type == "error"]
    assert said in error["evalue"]
    shown = "\n".join(error["traceback"]).splitlines()  # the sentence alone, wrapped
    assert " ".join(shown) == " ".join(error["evalue"].split())
    assert max(map(len, shown)) <= 76


def test_a_cell_that_passes_prints_its_points_and_the_total(course):
    notebook = nbformat.read(course / "autograded" / "solution" / "hw2" / "00_code.ipynb", as_version=4)
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "passed, 2 of 2; in all 2 of 14 so far" in printed
    assert "14 of 14 points\n" in printed
    assert "no proof" in printed


def test_points_are_the_homeworks(course):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "hw2") as gradebook:
        notebooks = gradebook.find_assignment("hw2").notebooks
        points = {cell.name: cell.max_score for notebook in notebooks for cell in notebook.grade_cells}
    assert {n: p for n, p in points.items() if n not in IDS} == {
        f"answer-a{i}": 2 if i == 1 else 3 for i in range(1, 6)
    }


def test_nbgrader_validates_the_solution_and_not_the_student_edition(course):
    said = student.nbgrader(course, "validate", "submitted/solution/hw2/00_code.ipynb")
    assert "Success" in said.stdout
    said = student.nbgrader(course, "validate", "release/hw2/00_code.ipynb")
    assert "VALIDATION FAILED ON 9 CELL(S)" in said.stdout


def released(course):
    return {
        path.stem: nbformat.read(path, as_version=4) for path in sorted((course / "release" / "hw2").glob("*.ipynb"))
    }


def test_the_student_edition_holds_no_outputs_no_answers_and_no_cell_of_the_solution(course):
    notebooks = released(course)
    assert list(notebooks) == ["00_code", *student.NOTEBOOKS]
    assert all(n.metadata.kernelspec.name == "python3" for n in notebooks.values())  # else JupyterLab asks for one
    for name in student.NOTEBOOKS:
        master = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        solution = [cell.source for cell in master.cells if "solution" in cell.metadata.get("tags", [])]
        assert solution
        text = "\n".join(cell.source for cell in notebooks[name].cells)
        assert not any(source in text for source in solution)
        assert not re.findall(r"C\d\.\d+|BEGIN SOLUTION", text)
        given = [cell for cell in notebooks[name].cells if "solution" in cell.metadata.get("nbgrader", {})]
        assert given or name == "04_going_further"  # which asks no question
        for cell in given:
            assert re.fullmatch(
                r"\*\*Answer A\d\.\*\* \*\d points, fewer than \d+ words\.\*\s+YOUR ANSWER HERE\s*", cell.source
            )
    assert not any(cell.get("outputs") for notebook in notebooks.values() for cell in notebook.cells)


def test_what_is_left_out_leaves_no_name_undefined(course):
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", course / "release" / "hw2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_what_students_write_is_its_docstring_and_nothing_else(course):
    for task in student.TASKS:
        for function in task.functions:
            module, _, name = function.partition(".")
            ours, theirs = (
                ast.parse((folder / "hw2" / f"{module}.py").read_text(encoding="utf-8"))
                for folder in (ROOT, course / "release" / "hw2")
            )
            node = blanks.function_node(theirs, name)
            assert ast.get_docstring(node) == ast.get_docstring(blanks.function_node(ours, name))
            assert ast.unparse(node.body[1:]) == "raise NotImplementedError"
            assert ast.unparse(node.args) == ast.unparse(blanks.function_node(ours, name).args)


def test_all_else_in_the_module_is_as_in_the_solution(course):
    for path in sorted((ROOT / "hw2").rglob("*.py")):
        file = path.relative_to(ROOT)
        same = (course / "release" / "hw2" / file).read_bytes() == path.read_bytes()
        assert same == (file.as_posix() not in [*student.WRITTEN, "hw2/conditioned.py"])


def test_the_editions_conditioned_vae_is_the_solutions_without_its_lines(course):
    given, ours = (folder / "hw2" / "conditioned.py" for folder in (course / "release" / "hw2", ROOT))
    assert "reparametrize" in ours.read_text(encoding="utf-8")
    assert not re.search(r"reparametrize|randn|chunk\(2, 1\)\n\s+eps", given.read_text(encoding="utf-8"))
    spec = importlib.util.spec_from_file_location("hw2.given_conditioned", given)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for a, b in zip(
        *(kind(3, (8,))(x, torch.Generator().manual_seed(1)) for kind in (hw2.ConditionedVAE, module.ConditionedVAE)),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_the_checks_need_none_of_the_functions_that_students_write():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "hw2" / "checks").rglob("*.py")]
    assert sources
    for source in sources:
        assert not re.findall(r"^\s*(?:from \.\.|from hw2|import hw2)", source, flags=re.M)


def test_an_edited_source_is_not_overwritten(course):
    with pytest.raises(SystemExit, match="may have been edited"):
        student.main(course)


@pytest.mark.parametrize(
    ("source", "name", "says"),
    [
        ("def f():\n    return 1\n", "f", "docstring"),
        ("def f():\n    '''Says.'''\n", "g", "no g"),
        ("class A:\n    '''Says.'''\n", "A", "docstring"),
    ],
)
def test_what_cannot_be_an_assignment_is_said(source, name, says):
    with pytest.raises(ValueError, match=says):
        blanks.emptied(source, [name])


def test_emptied_keeps_all_around_a_body():
    source = """A = 1  # why


class B:
    @property
    def f(self) -> int:
        '''Says.

        More.
        '''
        x = 1

        return x

    y = 2


def g(a):
    '''Says.'''
    return a
"""
    missing = "raise NotImplementedError"
    expected = source.replace("x = 1\n\n        return x", missing).replace("return a", missing)
    assert blanks.emptied(source, ["B.f", "g"]) == expected


def test_the_teachers_page_lists_the_same_points():
    page = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| (\d) \| (.+) \|$", page, flags=re.M)
    assert rows == [(t.title, str(t.points), ", ".join(f"`{f}`" for f in t.functions)) for t in student.TASKS]
    assert f"each of {len(BUGS)} planted bugs" in page

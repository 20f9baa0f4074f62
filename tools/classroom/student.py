"""Make the student edition from the solution, as a course for nbgrader: `make student`, or `student.py [FOLDER]`.

In FOLDER (default: course) come `source/hw2`, the teacher's assignment, and `release/hw2`, what students get, which
nbgrader makes from it. In both the functions of TASKS have lost their bodies, and notebook 00 says what to write, in
the functions' own docstrings, and grades it. Cells tagged `solution` are left out; the answers are in the source only.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]
ASSIGNMENT = "hw2"
NOTEBOOKS = ("01_autoencoder", "02_vae_beta_sweep", "03_interpolation", "04_going_further")


class Task(NamedTuple):
    """What students write: functions of hw2 by their dotted names, and the code that grades them."""

    title: str
    points: int
    functions: tuple[str, ...]
    check: str


TASKS = (
    Task(
        "Encoder and decoder, fully connected",
        2,
        ("models.mlp_encoder", "models.mlp_decoder"),
        """for model in (hw2.AutoEncoder(8), hw2.AutoEncoder(3, hidden=(20,))):
    checks.autoencoder(model)
    sizes = [layer.out_features for layer in model.encoder if isinstance(layer, nn.Linear)]
    assert sizes == [*model.hidden, model.latent_dim], f"the encoder's sizes are {sizes}"
    sizes = [layer.out_features for layer in model.decoder if isinstance(layer, nn.Linear)]
    assert sizes == [*reversed(model.hidden), 784], f"the decoder's sizes are {sizes}"
""",
    ),
    Task(
        "Encoder and decoder, convolutional",
        2,
        ("models.conv_encoder", "models.conv_decoder"),
        """for model in (hw2.AutoEncoder(8, "conv"), hw2.AutoEncoder(3, "conv", (2, 3, 4, 5))):
    checks.autoencoder(model)
    checks.convolutional(model)
    channels = [layer.out_channels for layer in model.encoder if isinstance(layer, nn.Conv2d)]
    assert channels == list(model.hidden), f"the encoder's channels are {channels}"
""",
    ),
    Task("The draw", 2, ("models.reparametrize",), "checks.reparametrize(hw2.reparametrize)"),
    Task(
        "The VAE",
        2,
        ("models.VAE.encode", "models.VAE.forward"),
        'for latent_dim in (8, 3):\n    checks.vae(hw2.VAE(latent_dim), draw="hw2.models.reparametrize")',
    ),
    Task(
        "The reconstruction term",
        1,
        ("losses.reconstruction_loss",),
        """def bernoulli(logits, x):
    return hw2.reconstruction_loss(logits, x, "bernoulli")


checks.reconstruction(hw2.reconstruction_loss, pixels="sum", per="image")
checks.reconstruction(bernoulli, pixels="sum", likelihood="bernoulli", per="image")""",
    ),
    Task(
        "The KL",
        2,
        ("losses.kl_per_dimension", "losses.kl_normal"),
        'checks.kl(hw2.kl_per_dimension, per="term")\nchecks.kl(hw2.kl_normal, per="image")',
    ),
    Task(
        "The training step",
        1,
        ("training.training_step",),
        """config = hw2.TrainConfig()


def step(model, optimizer, x):
    noise = torch.Generator().manual_seed(0)
    return hw2.training.training_step(model, optimizer, x, config, noise)


def terms(model, x):
    return hw2.training.loss_terms(model, x, config, torch.Generator().manual_seed(0))


model, x = hw2.VAE(8), torch.rand(16, 1, 28, 28)
checks.training_step(step, model, lambda model, x: terms(model, x)[2])
expected = torch.stack(terms(model, x))
returned = torch.stack(step(model, torch.optim.SGD(model.parameters()), x))
assert torch.allclose(returned, expected), "it must return recon, kl and loss, as before the step"
""",
    ),
    Task("Samples", 1, ("latent.sample_prior",), "checks.sampling(hw2.sample_prior)"),
    Task(
        "Interpolation",
        1,
        ("latent.lerp", "latent.path_positions", "latent.walk", "latent.interpolate"),
        """a, b = torch.rand(2, 1, 28, 28)
middle = hw2.latent.lerp(a, b, torch.linspace(0, 1, 3))[1]
assert torch.allclose(middle, (a + b) / 2), "lerp must take points of any shape, images too"
checks.interpolation(hw2.interpolate)""",
    ),
)
REPORT = (
    "tools/classroom/report.py",
    "tools/classroom/report.typ",
    "tools/classroom/answer.lua",
    "tools/notebooks/execute.py",
)
WRITTEN = sorted({f"hw2/{function.partition('.')[0]}.py" for task in TASKS for function in task.functions})
QUESTION = re.compile(r"\*\*Question (A\d)\*\* \((\d+) points?, fewer than (\d+) words\)")
# A file that is not handed in must not be found elsewhere, such as in an installed solution.
IMPORTS = f"""from pathlib import Path

for file in {WRITTEN}:
    if not Path(file).is_file():
        raise FileNotFoundError(f"{{file}} is missing here: this notebook belongs beside the folder hw2")

%load_ext autoreload
%autoreload 2

import torch
from torch import nn

import hw2
import hw2.latent
import hw2.training
from hw2 import checks"""
CONFIG = f"""# nbgrader's settings. When a submission is graded, all files but notebooks and these come from the source.
c = get_config()
c.CourseDirectory.course_id = "{ASSIGNMENT}"
c.Autograde.exclude_overwriting = {{"{ASSIGNMENT}": {WRITTEN}}}
c.ExecutePreprocessor.timeout = 120
"""
README = f"""# Homework 2: autoencoders and variational autoencoders

You need Python 3.11 or newer. In this folder (some minutes and 6 GB the first time, nearly all of it PyTorch):

    python -m venv .venv
    .venv/bin/pip install -e ".[report]"        (Windows: .venv\\Scripts\\pip)
    .venv/bin/jupyter lab 00_code.ipynb         (Windows: .venv\\Scripts\\jupyter)

1. Write the functions that notebook 00 lists, in {", ".join(WRITTEN)}: each docstring says what. The notebook
   checks them in seconds.
2. Work through notebooks 01, 02 and 03, which train your models in minutes and ask for written answers. Restart the
   kernel after you have changed a function. Notebook 04 is there if you want more.
3. `.venv/bin/python report.py` runs them once more and makes report.pdf.

Hand in this folder without .venv: the notebooks, under their names, and hw2/.
"""


def function_node(tree: ast.Module, name: str) -> ast.FunctionDef:
    """The definition of "function" or "Class.method" in a module. ValueError if there is none, or it says nothing."""
    node: ast.AST = tree
    for part in name.split("."):
        found = [n for n in ast.iter_child_nodes(node) if getattr(n, "name", None) == part]
        if len(found) != 1:
            raise ValueError(f"there is no {name}: correct TASKS")
        node = found[0]
    if not isinstance(node, ast.FunctionDef) or not ast.get_docstring(node):
        raise ValueError(f"{name} must be a function with a docstring, which is the assignment's text")
    return node


def emptied(source: str, names: list[str]) -> str:
    """A module's source with the bodies of the named functions replaced by their docstring and NotImplementedError."""
    lines = source.splitlines()
    nodes = [function_node(ast.parse(source), name) for name in names]
    for node in sorted(nodes, key=lambda n: n.lineno, reverse=True):
        docstring = node.body[0]
        lines[docstring.end_lineno : node.end_lineno] = [" " * docstring.col_offset + "raise NotImplementedError"]
    return "\n".join(lines) + "\n"


def docstring_of(function: str) -> str:
    """Signature and docstring of "module.function", as text."""
    module, _, name = function.partition(".")
    node = function_node(ast.parse((ROOT / "hw2" / f"{module}.py").read_text(encoding="utf-8")), name)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{name}({ast.unparse(node.args)}){returns}\n\n{ast.get_docstring(node)}"


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
        f"# 0 · Your code ({sum(task.points for task in TASKS)} points)\n\n"
        f"Write these functions in {', '.join(f'`{file}`' for file in WRITTEN)}, in place of their "
        "`raise NotImplementedError`. The text under each heading is the function's own docstring. Any right way to "
        "write it passes; a check that fails says what it found, what it expected, and which mistake that most likely "
        "is. Checks train nothing. Errors that are promised for wrong arguments are not graded. If the first cell "
        "fails, mend that first; a function may need another one, so go from top to bottom."
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
        cells.append(graded(new_code_cell(task.check.rstrip()), identifier, task.points, answer=False))
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def student_notebook(notebook: NotebookNode) -> NotebookNode:
    """A notebook without outputs and without the cells of the solution, its answers marked for nbgrader to take out."""
    notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])]
    questions = {
        name: (int(points), words) for cell in notebook.cells for name, points, words in QUESTION.findall(cell.source)
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        elif match := re.match(r"\*\*Answer (A\d)\.\*\*\s+", cell.source):
            points, words = questions.pop(match[1])
            head = f"**Answer {match[1]}.** *{points} points, fewer than {words} words.*"
            cell.source = f"{head}\n\n### BEGIN SOLUTION\n{cell.source[match.end() :]}\n### END SOLUTION"
            graded(cell, f"answer-{match[1].lower()}", points, answer=True)
    if questions:
        raise ValueError(f"no answer to {', '.join(questions)}")
    return notebook


def write_source(folder: Path, solved: bool = False) -> None:
    """Write the assignment into a new folder. solved: with the functions' bodies, as a perfect submission has them."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "hw2", folder / "hw2", ignore=ignored)
    for file in ("pyproject.toml", "LICENSE", *REPORT):
        shutil.copy(ROOT / file, folder)
    (folder / "README.md").write_text(README, encoding="utf-8")
    for file in () if solved else WRITTEN:
        module = Path(file).stem
        names = [f.partition(".")[2] for task in TASKS for f in task.functions if f.startswith(f"{module}.")]
        path = folder / file
        path.write_text(emptied(path.read_text(encoding="utf-8"), names), encoding="utf-8")
    notebooks = {name: nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4) for name in NOTEBOOKS}
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

"""A module written from the docstrings alone passes the checks, and runs notebooks 00 and 01 of the student edition."""

import ast
import textwrap
from pathlib import Path

import blanks
import nbformat
import pytest
import student
from nbclient import NotebookClient

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WRITTEN = Path(__file__).with_name("from_docstrings.py").read_text(encoding="utf-8")
pytest.importorskip("nbgrader")


def body_of(name):
    """The lines of a function of from_docstrings.py, without its signature."""
    node = ast.parse(WRITTEN)
    for part in name.split("."):
        (node,) = (n for n in ast.iter_child_nodes(node) if getattr(n, "name", None) == part)
    return textwrap.dedent("\n".join(WRITTEN.splitlines()[node.body[0].lineno - 1 : node.end_lineno]))


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    """The student edition with those bodies. An epoch ends after eight batches: this is about what runs, not learns."""
    folder = tmp_path_factory.mktemp("edition") / "hw2"
    student.write_source(folder)
    for function in (function for task in student.TASKS for function in task.functions):
        module, _, name = function.partition(".")
        path = folder / "hw2" / f"{module}.py"
        path.write_text(blanks.emptied(path.read_text(encoding="utf-8"), [name], body_of(name)), encoding="utf-8")
    path = folder / "hw2" / "training.py"
    source = path.read_text(encoding="utf-8")
    assert source.count(".split(self.config.batch_size)") == 1
    path.write_text(
        source.replace(".split(self.config.batch_size)", ".split(self.config.batch_size)[:8]"), encoding="utf-8"
    )
    settings = folder / "settings.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + "\ntuned = 0.001\n", encoding="utf-8")
    imports = "import torch.nn.functional as F\nfrom torch import nn, Tensor"  # what their authors would have added
    path = folder / "hw2" / "losses.py"
    path.write_text(path.read_text(encoding="utf-8").replace("from torch import Tensor", imports), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.mark.parametrize("name", ["00_code", "01_autoencoder"])
def test_a_module_from_the_docstrings_runs_the_notebook(edition, kept, name, monkeypatch):
    monkeypatch.setenv("HW2_CACHE", str(kept))
    monkeypatch.setenv("PYTHONPATH", str(edition))
    notebook = nbformat.read(edition / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(edition)}}).execute()
    printed = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", ()))
    if name == "00_code":
        assert f"{student.TOTAL} of {student.TOTAL} points" in printed
    assert not [o for cell in notebook.cells for o in cell.get("outputs", ()) if o.output_type == "error"]

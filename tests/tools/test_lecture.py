"""The page for a lecture holds the story's pictures, answers and sliders, and can run by itself."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "classroom" / "lecture.py"
spec = importlib.util.spec_from_file_location("lecture", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)


def test_it_has_all_answers_and_explorers_in_order():
    text = "\n".join(cell.source for cell in script.lecture().cells)
    assert re.findall(r"\*\*Answer (A\d)", text) == [f"A{i}" for i in range(1, 6)]
    assert re.findall(r"explore\.(\w+_explorer)\(", text) == [
        f"{name}_explorer" for name in ("plane", "beta", "interpolation", "traversal")
    ]


@pytest.mark.slow
def test_it_is_a_notebook_without_outputs_in_which_every_name_is_defined(tmp_path):
    file = tmp_path / "lecture.ipynb"
    subprocess.run([sys.executable, SCRIPT, file], check=True)
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

"""The page for a lecture holds the story's pictures, answers and sliders, and can run by itself."""

import re
import subprocess
import sys

import lecture as script
import nbformat
import pytest


def test_it_has_all_answers_and_explorers_in_order():
    text = "\n".join(cell.source for cell in script.lecture().cells)
    assert re.findall(r"\*\*Answer (A\d)", text) == [f"A{i}" for i in range(1, 6)]
    assert re.findall(r"explore\.(\w+_explorer)\(", text) == [
        f"{name}_explorer" for name in ("plane", "beta", "interpolation", "traversal")
    ]


def test_it_has_the_loss_and_the_units():
    text = "\n".join(cell.source for cell in script.lecture().cells)
    assert "## The loss, derived" in text
    assert "## β has units" in text


def test_it_names_no_claims():
    """Nobody in a lecture can look them up."""
    text = "\n".join(cell.source for cell in script.lecture().cells if cell.cell_type == "markdown")
    assert not re.search(r"C\d\.\d+|Rests on|\bclaims\b", text)
    rows = re.findall(r"^\| \d \|.*$", text, flags=re.M)
    assert len(rows) == 9
    assert {row.count("|") for row in rows} == {4}


def test_it_speaks_of_nothing_that_is_not_on_the_page():
    """Neither of cells of code, nor of what a reader of the notebooks is to do."""
    text = "\n".join(cell.source for cell in script.lecture().cells if cell.cell_type == "markdown")
    assert not re.search(r"next cell|first cell|this cell|settings\.toml|[Ee]xercise|run all|repository", text)
    written = "\n".join(
        cell.source for path in script.FOLDER.glob("*.ipynb") for cell in nbformat.read(path, as_version=4).cells
    )
    for ours, said in script.INSTEAD.items():
        assert re.search(ours, written), "as the notebooks have it"
        assert said in text


def test_what_is_spoken_keeps_all_else():
    assert script.spoken("## What to take along\n\nThis.\n\n## Exercises\n\n**1.** Do it.") == (
        "## What to take along\n\nThis."
    )
    assert script.spoken("It is 5.4<!--C1.1-->.\n\n*Rests on C1.1 to\nC1.3. Numbers are ours.*") == "It is 5.4."
    assert script.spoken("| a | b |\n|---|---|\n| 1 | 2 |") == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_it_shows_no_progress_bars_and_takes_the_notebooks_settings():
    cells = script.lecture().cells
    first = next(cell for cell in cells if cell.cell_type == "code")
    assert "TQDM_DISABLE" in first.source, "before hw2 imports tqdm"
    settings = [cell.source for cell in cells if "SEED = " in cell.source]
    assert len(settings) == 3
    assert all('hw2.notebook_settings("notebooks", tuned=1e-3)' in source for source in settings)


@pytest.mark.slow
def test_progress_bars_are_off_where_it_says_so():
    code = f"{script.QUIET}\nfrom tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.slow
def test_it_is_a_notebook_without_outputs_in_which_every_name_is_defined(tmp_path):
    file = tmp_path / "lecture.ipynb"
    subprocess.run([sys.executable, script.__file__, file], check=True)
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

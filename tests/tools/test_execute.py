"""What the script that saves the notebooks does to their numbers and settings."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import execute
import nbformat
import pytest

import hw2

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "02_vae_beta_sweep.ipynb"


def test_it_finds_the_notebooks_and_the_pictures_of_the_readme():
    assert NOTEBOOK.samefile(execute.FOLDER / NOTEBOOK.name)
    assert execute.DOCS.samefile(ROOT / "docs")


@pytest.mark.parametrize(
    ("value", "text", "requoted"),
    [
        ("0.9351", "of 94 %<!--C1.1--> of them", "of 94 %<!--C1.1--> of them"),
        ("0.12", "94\n%<!--C1.1-->", "12\n%<!--C1.1-->"),
        ("0.0052", "is 41.5 points<!--C1.1--> less", "is 0.5 points<!--C1.1--> less"),
        ("0.01", "1 point<!--C1.1-->", "1 point<!--C1.1-->"),
        ("3.201", "4.75 times<!--C1.1--> as far", "3.20 times<!--C1.1--> as far"),
        ("11.63", "9.1 nats<!--C1.1-->", "11.6 nats<!--C1.1-->"),
        ("5.468", "error is 7<!--C1.1-->, or", "error is 5<!--C1.1-->, or"),
        ("1.234e+04", "7,840<!--C1.1-->", "12,340<!--C1.1-->"),
        ("-0.0067", "0.3 points<!--C1.1-->", "−0.7 points<!--C1.1-->"),
        ("0.0067", "−0.3 points<!--C1.1-->", "0.7 points<!--C1.1-->"),
        ("-0.0067", "(so -0.3 points<!--C1.1-->)", "(so −0.7 points<!--C1.1-->)"),
        ("-0.0001", "0 %<!--C1.1-->", "0 %<!--C1.1-->"),
        ("nan", "0.3 nats<!--C1.1-->", "nan nats<!--C1.1-->"),
        ("5", "a top-3<!--C1.1-->, 10-94 %<!--C1.1-->", "a top-5<!--C1.1-->, 10-500 %<!--C1.1-->"),
        ("5", "3<!--C1.2-->, at 3 words<!--C1.1-->, C1.1", "3<!--C1.2-->, at 3 words<!--C1.1-->, C1.1"),
    ],
)
def test_quoted_numbers_become_the_measured_ones(value, text, requoted):
    measured = nbformat.v4.new_code_cell("measured(*claims)")
    measured.outputs = [nbformat.v4.new_output("stream", text=f"C1.1  {value:>12}   must be <= 8\n")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), measured])
    for _ in range(2):  # the second time changes nothing
        execute.requote(notebook)
        assert notebook.cells[0].source == requoted


def test_a_setting_of_several_lines_is_replaced_whole():
    notebook = execute.prepare(NOTEBOOK, {"BETAS": (0, 0.001, 10), "SEED": 1})
    found = {"hw2": hw2}
    exec(next(cell.source for cell in notebook.cells if cell.id == "settings"), found)
    assert (found["BETAS"], found["SEED"], found["TUNED"]) == ((0, 0.001, 10), 1, 0.001)
    with pytest.raises(ValueError, match=r"there is no setting BETA$"):
        execute.prepare(NOTEBOOK, {"BETA": 1})


def test_settings_for_a_notebook_that_has_none_are_refused(tmp_path):
    path = tmp_path / "mine.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")]), path)
    assert len(execute.prepare(path).cells) == 1
    with pytest.raises(ValueError, match=r"mine.ipynb: there is no cell with the id settings, so no setting SEED"):
        execute.prepare(path, {"SEED": 1})


@pytest.mark.parametrize("path", sorted(NOTEBOOK.parent.glob("*.ipynb")), ids=lambda path: path.stem)
def test_settings_reach_what_is_derived_from_them(path, tmp_path, monkeypatch):
    """As tools/evidence/seeds.py sets them, and whatever settings.toml says besides."""
    monkeypatch.chdir(tmp_path)
    found = {"hw2": hw2}
    notebook = execute.prepare(path, {"ARCH": "conv", "SEED": 3, "EPOCHS": 2})
    exec(next(cell.source for cell in notebook.cells if cell.id == "settings"), found)
    assert (found["ARCH"], found["LATENT_DIM"], found["SEED"], found["EPOCHS"]) == ("conv", 64, 3, 2)
    assert found["AE_EPOCHS"] == 2
    assert found.get("TUNED_EPOCHS", 4) == 4


@pytest.mark.slow
def test_a_kernel_warns_of_nothing(tmp_path, capfd):
    """Not of the way in which it is talked to, which would alarm whoever makes a report."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    execute.run(notebook, folder=tmp_path)
    assert notebook.cells[0].outputs[0].text == "1\n"
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_ctrl_c_says_that_it_stopped(tmp_path):
    """nbclient ends the kernel; what it then misses is not shown."""
    (tmp_path / "run.py").write_text(
        f"import sys, pathlib, nbformat; sys.path.insert(0, {str(ROOT / 'tools' / 'notebooks')!r}); import execute\n"
        "cell = nbformat.v4.new_code_cell('import pathlib, time; pathlib.Path(\"begun\").touch(); time.sleep(600)')\n"
        "execute.run(nbformat.v4.new_notebook(cells=[cell]), folder=pathlib.Path())\n"
    )
    command = [sys.executable, "run.py"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 300
        while not (tmp_path / "begun").exists() and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=300)[1]
    assert process.returncode != 0
    assert "KeyboardInterrupt: stopped. Models that are trained" in said
    assert "AssertionError" not in said

"""The notebooks' form, and that `pytest --nbval` would notice if one of them said something else."""

import ast
import base64
import copy
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import execute
import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = ["01_autoencoder", "02_vae_beta_sweep", "03_interpolation", "04_going_further"]
MOST_CELLS = dict(zip(NAMES, (32, 45, 35, 31), strict=True))
WORD_LIMITS = {"A1": ("01", 150), "A2": ("02", 150), "A3": ("02", 200), "A4": ("02", 200), "A5": ("03", 300)}
KEPT_RUNS = os.environ.get("HW2_CACHE")  # before a fixture hides it


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_compared(cell):
    return "nbval-ignore-output" not in cell.metadata.get("tags", [])


def answers(notebook):
    """{"A2": (index of the cell, its text without the heading)}."""
    found = {}
    for index, cell in enumerate(notebook.cells):
        match = re.match(r"\*\*Answer (A\d)\.\*\*\s", cell.source)
        if cell.cell_type == "markdown" and match:
            assert match[1] not in found, f"two answers {match[1]}"
            found[match[1]] = (index, cell.source[match.end() :])
    return found


def prose(notebook):
    """All text but the table of verdicts."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown" and cell.id != "verdicts")


def run_nbval(folder, *options, timeout=1800):
    """`pytest --nbval` as a person runs it inside the folder of the notebooks."""
    ours = ("HW2_CACHE", "PYTEST_ADDOPTS")  # options of this run are not that one's
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"HW2_CACHE": KEPT_RUNS} if KEPT_RUNS else {}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", *options, "-q", "-p", "no:cacheprovider", "--color=no", "."],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip


def copy_with(folder, *notebooks):
    """A folder with nbval's settings and the given (name, notebook)."""
    for file in ("conftest.py", "ruff.toml"):
        shutil.copy(FOLDER / file, folder)
    for name, notebook in notebooks:
        nbformat.write(notebook, folder / f"{name}.ipynb")


def notebook_of(*cells):
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=list(cells), metadata={"kernelspec": kernel})


def test_there_are_four_notebooks_in_order():
    assert [path.stem for path in sorted(FOLDER.glob("*.ipynb"))] == NAMES


@pytest.mark.parametrize("name", NAMES)
class TestForm:
    def test_executed_in_order_from_a_fresh_kernel(self, name):
        counts = [cell.execution_count for cell in code_cells(read(name))]
        assert counts == list(range(1, len(counts) + 1))

    def test_outputs_hold_no_errors_no_html_and_no_widgets(self, name):
        notebook = read(name)
        assert "widgets" not in notebook.metadata
        for cell in code_cells(notebook):
            for output in cell.outputs:
                assert output.output_type != "error"
                kinds = set(output.get("data", {}))
                assert kinds <= {"text/plain", "image/png"}, f"{cell.id} shows {kinds}"

    def test_saved_in_the_fixed_form(self, name):
        notebook = read(name)
        tidied = copy.deepcopy(notebook)
        execute.tidy(tidied)
        assert tidied == notebook, "run `make notebooks`"

    def test_the_readmes_pictures_are_the_notebooks(self, name):
        for file, png in execute.pictures(name, read(name)).items():
            assert file.read_bytes() == png, "run `make notebooks`"

    def test_cells_are_short(self, name):
        """The evidence's too, but it is folded, so it does not count for the usual length."""
        notebook = read(name)
        lengths = {cell.id: len(cell.source.splitlines()) for cell in code_cells(notebook)}
        assert max(lengths.values()) <= 25
        (fold,) = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## Evidence")]
        shown = [lengths[cell.id] for cell in notebook.cells[:fold] if cell.cell_type == "code"]
        # Notebook 2 has at most 45 cells, and in them a whole training step by hand and the choice of β.
        assert statistics.median(shown) <= {"02_vae_beta_sweep": 13, "04_going_further": 10}.get(name, 8)

    def test_short_enough_to_be_read_in_an_evening(self, name):
        assert len(read(name).cells) <= MOST_CELLS[name]

    def test_nothing_is_wider_than_jupyterlab_shows_it(self, name):
        """An output is 833 pixels wide there at 1,280: a wider picture shrinks, a longer line wraps."""
        for cell in code_cells(read(name)):
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    png = base64.b64decode(output.data["image/png"])
                    assert int.from_bytes(png[16:20], "big") <= 833, cell.id
                longest = max(map(len, output.get("text", "").splitlines() or [""]))
                assert longest <= 90 or cell.source.startswith(("check(", "measured(")), cell.id

    def test_the_evidence_stands_last_and_folded(self, name):
        notebook = read(name)
        (start,) = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## Evidence")]
        assert notebook.cells[start].metadata[execute.FOLDED]
        assert all(cell.cell_type == "code" for cell in notebook.cells[start + 1 :])
        first = min(i for i, cell in enumerate(notebook.cells) if "Claim(" in cell.source)
        assert first > start

    def test_one_settings_cell_in_uppercase(self, name):
        assignments = [
            re.findall(r"^(\w+) = ", cell.source, flags=re.M)
            for cell in code_cells(read(name))
            if "SEED = " in cell.source
        ]
        assert len(assignments) == 1
        assert all(setting.isupper() for setting in assignments[0])

    def test_small_enough_to_open_and_to_diff(self, name):
        assert (FOLDER / f"{name}.ipynb").stat().st_size < 3_000_000

    def test_pictures_come_with_labels_not_reprs(self, name):
        for cell in code_cells(read(name)):
            results = [o for o in cell.outputs if o.output_type == "execute_result"]
            assert not results, f"{cell.id} ends with a value that is printed as its repr"

    def test_claims_are_compared_and_hold(self, name):
        cells = [cell for cell in code_cells(read(name)) if cell.source.startswith("check(")]
        assert cells
        for cell in cells:
            assert is_compared(cell)
            lines = "".join(output.text for output in cell.outputs).splitlines()
            assert lines
            assert all(re.fullmatch(r"C\d\.\d+  .+: holds", line) for line in lines)

    def test_sliders_and_training_are_not_compared(self, name):
        for cell in code_cells(read(name)):
            if re.search(r"widgets\.\w|train_or_load|hw2\.sweep|hw2\.fit|measured\(", cell.source):
                assert not is_compared(cell), f"{cell.id} shows what differs between runs"


def test_settings_that_notebooks_share_are_read_alike():
    """From one file, so that two notebooks cannot disagree."""
    heads = []
    for name in NAMES:
        (cell,) = [cell for cell in code_cells(read(name)) if cell.id == "settings"]
        lines = [line.partition("  #")[0] for line in cell.source.splitlines()]
        shared = r"(SETTINGS|DATASET|ARCH|LATENT_DIM|EPOCHS|SEED|DEVICE) ="
        heads.append(sorted(line for line in lines if re.match(shared, line)))
    assert len(heads[0]) == 7
    assert heads == [heads[0]] * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_trains_for_long_trains_on_the_device_of_the_settings(name):
    """The short runs of exercises, and what only evaluates, stay where everything else is."""
    sources = [cell.source for cell in code_cells(read(name))]
    keeping = [ast.parse(source) for source in sources if re.search(r"hw2\.(sweep|train_or_load)\(", source)]
    calls = [node for tree in keeping for node in ast.walk(tree) if isinstance(node, ast.Call)]
    evaluated = [arg for call in calls if ast.unparse(call.func) == "hw2.evaluate" for arg in call.args]
    configs = [call for call in calls if ast.unparse(call.func) == "hw2.TrainConfig" and call not in evaluated]
    assert configs
    for call in configs:
        assert {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}.get("device") == "DEVICE"


@pytest.mark.parametrize("question", WORD_LIMITS)
def test_every_question_is_answered_within_its_words_and_rests_on_claims(question):
    notebook_number, limit = WORD_LIMITS[question]
    name = next(name for name in NAMES if name.startswith(notebook_number))
    notebook = read(name)
    _, text = answers(notebook)[question]
    assert 40 < len(text.split()) < limit
    checked = "".join(
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.startswith("check(")
        for output in cell.outputs
    )
    assert re.search(r"\*Rests on C\d", text), "an answer rests on claims"
    assert execute.cited(text) <= set(re.findall(r"^C\d\.\d+", checked, flags=re.M))
    assert set(re.findall(r"C\d\.\d+", text.partition("*Rests on")[0])) <= execute.cited(text.partition("*Rests on")[2])


@pytest.mark.parametrize("name", NAMES)
def test_numbers_in_the_text_are_the_measured_ones(name):
    notebook = read(name)
    quoted = execute.QUOTED.findall(prose(notebook))
    assert len(quoted) >= 3 or name == "04_going_further"  # which quotes no number
    assert {claim for _, _, claim in quoted} <= execute.measurements(notebook).keys()
    requoted = copy.deepcopy(notebook)
    execute.requote(requoted)
    for cell, as_measured in zip(notebook.cells, requoted.cells, strict=True):
        assert cell == as_measured, "run `make notebooks`"


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_is_cited_and_every_citation_is_a_claim(name):
    notebook = read(name)
    claimed = re.findall(r'Claim\(\s*"(C\d\.\d+)"', "\n".join(cell.source for cell in code_cells(notebook)))
    assert len(claimed) == len(set(claimed))
    assert set(claimed) == set(execute.measurements(notebook))
    assert execute.cited(prose(notebook)) == set(claimed)


def verdict_rows(markdown):
    """The rows of the table of the nine statements: [number, statement, verdict, claims]."""
    rows = [line.strip("|").split("|") for line in markdown.splitlines() if re.match(r"\| \d \|", line)]
    return [[field.strip() for field in row] for row in rows]


def test_nine_verdicts_rest_on_claims_and_the_evidence_page_says_the_same():
    rows = verdict_rows("\n".join(cell.source for cell in read(NAMES[2]).cells if cell.cell_type == "markdown"))
    assert [int(row[0]) for row in rows] == list(range(1, 10))
    claimed = {id_ for name in NAMES for id_ in execute.measurements(read(name))}
    for _, _, verdict, claims in rows:
        assert re.match(r"supported|refuted|only if|not testable here", verdict)
        assert claims
        assert set(claims.split(", ")) <= claimed
    assert verdict_rows((FOLDER.parent / "docs" / "evidence.md").read_text(encoding="utf-8")) == rows


@pytest.mark.slow
def test_a_dead_kernel_fails_at_once(tmp_path):
    notebook = read(NAMES[0])
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in ("import os\nos._exit(1)", "print(1)")]
    for cell in notebook.cells:
        cell.execution_count = 1
    copy_with(tmp_path, ("dead", notebook))
    result = run_nbval(tmp_path, timeout=120)  # the timeout of a cell is an hour
    assert result.returncode == 1
    assert "kernel died" in result.stdout


@pytest.mark.slow
def test_a_cell_that_says_very_much_is_seen_to_end(tmp_path):
    """As the progress bars of a long run do on a slow machine, of which nbval alone takes nothing until the end."""
    much = "for i in range(8000):\n    display({'text/plain': str(i) * 1000}, raw=True)\n    time.sleep(0.0005)"
    much = f"import time\n{much}"
    cells = [nbformat.v4.new_code_cell(source, execution_count=1) for source in (much, "print(1)")]
    cells[0].metadata.tags = ["nbval-ignore-output"]
    cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="1\n")]
    copy_with(tmp_path, ("much", notebook_of(*cells)))
    result = run_nbval(tmp_path, timeout=600)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_what_a_library_says_on_stderr_is_not_compared_and_what_a_cell_prints_is(tmp_path):
    """A deprecation, or a folder that cannot be written, is no other result."""
    said = "import sys, os; print('verdict'{}); print(os.getpid(), file=sys.stderr)"
    for name, other, expected in (("same", "", 0), ("changed", ", 'turned'", 1)):
        cell = nbformat.v4.new_code_cell(said.format(other), execution_count=1)
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="verdict\n")]
        folder = tmp_path / name
        folder.mkdir()
        copy_with(folder, (name, notebook_of(cell)))
        result = run_nbval(folder, timeout=120)
        assert result.returncode == expected, result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_a_solution(name):
    solutions, numbered = solution_blocks(name), exercises(name)
    assert numbered == [str(n + 1) for n in range(len(numbered))]
    assert 4 <= len(numbered) <= 6
    assert re.findall(r"Solution of (\d)", cell_of(name, "solutions").source) == numbered
    assert len(solutions) >= 3


def cell_of(name, id_):
    (cell,) = [cell for cell in read(name).cells if cell.id == id_]
    return cell


def solution_blocks(name):
    return re.findall(r"```python\n(.*?)```", cell_of(name, "solutions").source, flags=re.S)


def exercises(name):
    text = "\n".join(cell.source for cell in read(name).cells if "## Exercises" in cell.source)
    return re.findall(r"^\*\*(\d)\. .+?\*\* \(\d+ minutes, (?:easy|medium|hard)\)", text, flags=re.M)


def claims_with(values, name):
    """A cell that makes the notebook's claims with these values in place of what it measures."""
    trees = [ast.parse(cell.source) for cell in code_cells(read(name))]
    calls = [node for tree in trees for node in ast.walk(tree) if getattr(getattr(node, "func", 0), "id", 0) == "Claim"]
    for call in calls:
        call.args[2] = ast.parse(f"float('{values[call.args[0].value]}')", mode="eval").body
    listed = ", ".join(map(ast.unparse, calls))
    head = "from hw2.study.claims import Claim, check\nDATASET, ARCH = 'mnist', 'mlp'\n"
    return nbformat.v4.new_code_cell(f"{head}claims = [{listed}]", execution_count=1)


@pytest.mark.slow
def test_nbval_sees_a_verdict_that_turned(tmp_path):
    """The notebooks' own checks, of what they measured, and of the same with one value that is none."""
    notebooks = []
    for name in NAMES:
        (check,) = [cell for cell in code_cells(read(name)) if cell.source.startswith("check(")]
        values = {claim: value for claim, (value, _) in execute.measured(read(name)).items()}
        turned = values | {min(values): "nan"}
        notebooks += [(f"{name}_same", notebook_of(claims_with(values, name), check))]
        notebooks += [(f"{name}_turned", notebook_of(claims_with(turned, name), check))]
    copy_with(tmp_path, *notebooks)
    result = run_nbval(tmp_path)
    failed = re.findall(r"^FAILED (\w+)\.ipynb::Cell (\d+)", result.stdout, flags=re.M)
    assert failed == [(f"{name}_turned", "1") for name in NAMES], result.stdout[-3000:]
    assert f"{2 * 2 * len(NAMES) - len(NAMES)} passed" in result.stdout


@pytest.mark.slow
def test_solutions_run_after_the_last_cell_where_that_is_asked_for(tmp_path):
    cells = [nbformat.v4.new_code_cell("a = 1", execution_count=1), nbformat.v4.new_markdown_cell(id="solutions")]
    cells[1].source = "Text\n```python\nassert a == 1\n```\nand\n```python\nassert a == 2\n```\n"
    copy_with(tmp_path, ("small", notebook_of(*cells)))
    assert "1 passed" in run_nbval(tmp_path).stdout
    said = run_nbval(tmp_path, "--solutions").stdout
    assert "1 failed, 2 passed" in said
    assert "FAILED small.ipynb::Cell 2" in said


@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_a_solution_is_run(name):
    """By `make test`, in the notebook's kernel."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--solutions", "--collect-only", "-q", f"{name}.ipynb"]
    said = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True).stdout
    assert len(re.findall(r"::Cell \d+$", said, flags=re.M)) == len(code_cells(read(name))) + len(solution_blocks(name))
    assert "--nbval --solutions notebooks" in (FOLDER.parent / "Makefile").read_text(encoding="utf-8")

"""What students get: the settings in one place, no β given away, room for predictions, and a page that says it all."""

import itertools
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import edition as texts
import nbformat
import pytest
import student

import hw2

ROOT = Path(__file__).parents[2]
ASKING = list(student.NOTEBOOKS[:3])


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    """The edition's folder, with the answers that nbgrader then takes out."""
    folder = tmp_path_factory.mktemp("edition") / "hw2"
    student.write_source(folder)
    return folder


@pytest.fixture(scope="module")
def notebooks(edition):
    found = {path.stem: nbformat.read(path, as_version=4) for path in sorted(edition.glob("*.ipynb"))}
    for notebook in found.values():
        for cell in notebook.cells:
            cell.source = re.sub(r"### BEGIN SOLUTION.*### END SOLUTION", "", cell.source, flags=re.S)
    return found


def test_another_hw2_is_refused_before_it_is_imported(tmp_path):
    """So that no later cell checks it, when its error does not stop the notebook."""
    (tmp_path / "hw2").mkdir()
    for file in student.WRITTEN:
        (tmp_path / file).touch()
    code = "\n".join(line for line in student.IMPORTS.splitlines() if not line.startswith("%"))
    says = "except ImportError as error:\n    print(error, 'hw2' in sys.modules)"
    wrapped = f"import sys\ntry:\n{textwrap.indent(code, '    ')}\n{says}"
    done = subprocess.run(
        [sys.executable, "-c", wrapped], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert "not here: unset PYTHONPATH False" in done.stdout, done.stdout + done.stderr


def text_of(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


def test_one_file_has_the_settings_of_all_notebooks_and_no_beta(edition, notebooks):
    settings = hw2.notebook_settings(edition)
    assert (settings.run, settings.tuned, settings.name) == ("quick", None, "")
    for name in student.NOTEBOOKS:
        (cell,) = [cell for cell in notebooks[name].cells if "SEED = " in cell.source]
        assert "SETTINGS = hw2.notebook_settings()  # settings.toml" in cell.source
        assert not re.search(r"TUNED = (?!SETTINGS)|tuned=", cell.source)
    path = edition / student.SETTINGS
    guessed = path.read_text(encoding="utf-8").replace("# tuned = 0.05", "tuned = 5e-4")
    path.write_text(guessed, encoding="utf-8")
    assert hw2.notebook_settings(edition).beta == 5e-4, "as the file says how"


@pytest.mark.parametrize("run", ["final", "quick", "reference"])
@pytest.mark.parametrize("tuned", ["tuned = 0.001  # of H5", "tuned = 5e-4"])
def test_a_teachers_own_settings_become_the_students(run, tuned):
    text = texts.student_settings(f'run = "{run}"  # so long\n{tuned}\nseed = 3\n')
    assert tomllib.loads(text) == {"run": "quick", "seed": 3}
    with pytest.raises(ValueError, match=r"settings\.toml has no line"):
        texts.student_settings("seed = 3")


@pytest.mark.parametrize("name", ["02_vae_beta_sweep", "04_going_further"])
@pytest.mark.parametrize("tuned", [5e-4, 1e-3, 0.05, 10, 0])
def test_any_tuned_beta_enters_the_sweep(notebooks, tmp_path, monkeypatch, name, tuned):
    (tmp_path / "settings.toml").write_text(f"tuned = {tuned}")
    monkeypatch.chdir(tmp_path)
    found = {"hw2": hw2}
    exec(next(cell.source for cell in notebooks[name].cells if "SEED = " in cell.source), found)
    assert found["TUNED"] == tuned
    assert found["TUNED"] in found["BETAS"]
    assert list(found["BETAS"]) == sorted(set(found["BETAS"]))


def test_a_cell_scores_ones_own_beta_on_validation_images(notebooks):
    (cell,) = [cell for cell in notebooks["02_vae_beta_sweep"].cells if cell.id == "tuning"]
    assert cell.source.startswith("mine = ()")
    assert "published.images[50_000::2]" in cell.source
    assert "test" not in cell.source


def test_every_prediction_has_a_cell_to_write_in(notebooks):
    for name in student.NOTEBOOKS:
        cells = notebooks[name].cells
        for cell, after in itertools.pairwise(cells):
            if "**Predict.**" in cell.source:
                assert after.source == student.PREDICTION
    assert text_of(notebooks["02_vae_beta_sweep"]).count(student.PREDICTION) >= 5


def test_the_text_before_an_answer_does_not_give_it_away(notebooks):
    """Of A3: that at β = 10 the code says nothing, and the decoder paints one picture; of A4: which β is a good one."""
    text = text_of(notebooks["02_vae_beta_sweep"])
    before = text[: text.index("**Answer A3.**")]
    assert not re.search(r"code says nothing|paints one picture|spot of its own|mean image\b.*β = 10", before)
    for name in student.NOTEBOOKS:
        assert not re.search(
            r"tuned β (=|of) 0\.001|0\.001 is (not )?chosen|Is 0\.001|two best β are 0", text_of(notebooks[name])
        )


def test_no_word_of_it_is_meant_for_teachers_or_for_the_repository(notebooks, edition):
    for name in ("00_code", *student.NOTEBOOKS):
        text = text_of(notebooks[name])
        assert not re.search(
            r"(?i)\bclaims?\b|rubric|teacher|committed run|C\d\.\d+|in a clone|tools/|(?-i:HOMEWORK)|"
            r"repository|the test guarantees",
            text,
        ), name
    assert "(. if that is beside this notebook)" in text_of(notebooks["01_autoencoder"])
    assert not re.search(r"(?i)rubric|claim|teacher|clone", (edition / "README.md").read_text(encoding="utf-8"))
    for path in (path for path in edition.rglob("*") if path.suffix in (".md", ".ipynb", ".toml")):
        assert not re.search(r"`make \w+`|[Mm]akefile", path.read_text(encoding="utf-8")), f"{path.name}: there is none"
    assert "`make" not in (edition / "execute.py").read_text(encoding="utf-8")
    assert "make" not in (edition / "report.py").read_text(encoding="utf-8").splitlines()[0], "what --help says"


def test_homework_is_what_is_handed_in(notebooks):
    """And neither a network, nor a convention for β, nor somebody's earlier runs."""
    for name in student.NOTEBOOKS:
        assert not re.search(
            r"homework's (own|network|conv|constant|tuned|0\.001)|[Tt]he homework \*?averages", text_of(notebooks[name])
        )
    assert sum("*H1 to H8* number" in text_of(notebooks[name]) for name in student.NOTEBOOKS) == 1


def test_nothing_is_imported_that_is_not_used(edition):
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F401,F821", edition]
    done = subprocess.run([*command, "--exclude", "hw2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_imports_that_are_used_stay():
    imports = "import a.b\nimport c as d\n\nfrom e import (\n    f,\n    g as h,\n)\nfrom i import j\n\nd.go()"
    assert student.used(imports, "a.b.x(h)") == "import a.b\nimport c as d\n\nfrom e import g as h\n\nd.go()"


def test_readings_that_explain_pictures_stay(notebooks):
    for name in ASKING:
        master = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        assert {c.id for c in master.cells if c.id.endswith("-read")} <= {c.id for c in notebooks[name].cells}


def test_the_readme_has_points_minutes_numbers_and_what_to_hand_in(edition):
    text = (edition / "README.md").read_text(encoding="utf-8")
    points = sum(task.points for task in student.TASKS)
    assert f"{points} points for code and 14 for five written answers, {points + 14} in all" in text
    for task in student.TASKS:
        assert f"| {task.title} | {task.points} | {texts.PER_POINT * task.points} |" in text
    assert "A2 (3, fewer than 150); A3 (3, fewer than 200); A4 (3, fewer than 200)" in text
    shown = [int(minutes) for minutes in re.findall(r"^   \| .* \| (\d+) \|$", text, flags=re.M)]
    assert len(shown) == len(student.TASKS) + len(texts.MINUTES)
    hours, *parts = map(
        int, re.search(r"about\s(\d+) hours for it: (\d+) minutes for the code and (\d+)", text).groups()
    )
    assert sum(parts) == sum(shown)
    assert 60 * hours == pytest.approx(sum(shown), abs=30)
    for word in (
        "HW2_CACHE",
        "trains everything again",
        "Write your name into `settings.toml`",
        'run = "final"',
        "report.pdf",
    ):
        assert word in text
    assert "{" not in text.replace("{written}", "{")


def test_minutes_are_those_of_the_notebooks(notebooks):
    said = {name: re.search(r"\*About (\S+) (minutes|hours)", notebooks[name].cells[0].source) for name in ASKING}
    hours = {"two": 120}
    assert {name: hours.get(found[1]) or int(found[1]) for name, found in said.items()} == texts.MINUTES


def test_expected_numbers_are_those_of_the_saved_notebooks():
    first, second = (nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4) for name in ASKING[:2])
    printed = "\n".join(o.get("text", "") for n in (first, second) for c in n.cells for o in c.get("outputs", []))
    final = {what: value for what, _, value in texts.NUMBERS}
    error = re.search(r"squared error per test image: ([\d.]+); of the mean image: ([\d.]+)", printed)
    assert float(final["the autoencoder's squared error per image"]) == pytest.approx(float(error[1]), abs=0.05)
    assert float(final["squared error of the mean image, to compare with"]) == pytest.approx(float(error[2]), abs=0.05)
    for beta in (0, 10):
        _, recon, kl = re.search(rf"^ +{beta} +(\S+) +(\S+) +(\S+)", printed, flags=re.M).groups()
        said = re.findall(r"[\d.]+", final[f"the VAE at β = {beta}: squared error, KL"])
        assert [float(v) for v in said] == pytest.approx([float(recon), float(kl)], abs=0.5)

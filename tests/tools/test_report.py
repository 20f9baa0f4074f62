"""The hand-in as a PDF: from small notebooks with the real ones' ids, whose outputs are put in without running them."""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

ROOT = Path(__file__).parents[2]
if missing := [name for name in ("typst", "pypandoc") if importlib.util.find_spec(name) is None]:
    if os.environ.get("HW2_NOTHING_SKIPPED"):
        raise RuntimeError(f"no {missing}: nothing may be skipped here. pip install -e '.[test,teacher]'")
    pytest.skip(f"NO {missing}, the report is not tested: make test installs them", allow_module_level=True)

spec = importlib.util.spec_from_file_location("report", ROOT / "tools" / "classroom" / "report.py")
report = importlib.util.module_from_spec(spec)
spec.loader.exec_module(report)

CHECKED = """C1.1  the AE's squared error is "small": holds
C1.2  it is a small part: DOES NOT HOLD
C1.3  of other images: only about mnist
"""
MEASURED = """C1.1         5.468   must be <= 8
C1.2        0.9402   must be >= -0.5 and <= 0.1
C1.3     2.758e-06   has no bound for kmnist
"""
VERDICTS = """## Nine things

| | statement | verdict | claims |
|---|---|---|---|
| 1 | It is so. | supported | C1.1, C1.2 |
| 2 | It is "not" so. | refuted | C1.3 |
"""


def png():
    """A small picture, as a notebook holds it."""
    file = io.BytesIO()
    Image.new("L", (40, 40), 128).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def about(**settings):
    """What the cell that the report adds prints."""
    versions = {"versions": {"Python": "3.11", "torch": "2.6"}, "threads": 2, "digest": "0123456789ab"}
    return json.dumps([{name: repr(value) for name, value in settings.items()}, versions])


OUTPUTS = {
    **{
        cell: [new_output("display_data", {"image/png": png()})] * count for cell, (_, count) in report.PICTURES.items()
    },
    "claims": [new_output("stream", text=CHECKED), new_output("error", ename="AssertionError", evalue="C1.2: …")],
    "measured": [new_output("stream", text=MEASURED)],
    "about": [new_output("stream", text=about(SEED=0, TUNED=0.001) + "\n")],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three notebooks; running one puts OUTPUTS into its cells."""

    def run(notebook, folder):
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = nbformat.from_dict(OUTPUTS.get(cell.id, []))

    monkeypatch.setattr(report.execute, "run", run)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in report.NAMES:
        cells = [
            new_code_cell("import matplotlib", id="imports"),
            new_code_cell("SEED = 0\nTUNED = 0.001", id="settings"),
        ]
        cells += [new_code_cell("show()", id=cell) for cell, (where, _) in report.PICTURES.items() if where == name]
        for id_, (where, *_) in report.QUESTIONS.items():
            if where == name:
                source = f"**Answer {id_}.** It is 0.5<!--C1.1-->, or 1 %<!--C1.2--> of $N(0, I)$."
                cells.append(new_markdown_cell(source, id=f"answer-{id_.lower()}"))
        if name == report.NAMES[0]:
            cells += [new_code_cell("check(*claims)", id="claims"), new_code_cell("measured(*claims)", id="measured")]
        if name == report.NAMES[-1]:
            cells.append(new_markdown_cell(VERDICTS, id="verdicts"))
        nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder


def edit(folder, number, **sources):
    """Give cells of a notebook another source, by their ids with _ for -; None takes the cell away."""
    path = folder / f"{report.NAMES[number]}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    sources = {id_.replace("_", "-"): source for id_, source in sources.items()}
    notebook.cells = [cell for cell in notebook.cells if sources.get(cell.id, "") is not None]
    for cell in notebook.cells:
        cell.source = sources.get(cell.id, cell.source)
    nbformat.write(notebook, path)


def collected(folder, **settings):
    """Data and pictures of the notebooks in the folder."""
    notebooks = report.prepared(folder, settings)
    for name, notebook in notebooks.items():
        report.run(name, notebook, folder)
        report.execute.requote(notebook)
    return report.collect(notebooks)


def text_of(node):
    """All text within an element that typst's query gives."""
    if isinstance(node, list):
        return "".join(map(text_of, node))
    if not isinstance(node, dict):
        return ""
    if node.get("func") in ("space", "smartquote"):
        return " " if node["func"] == "space" else '"' if node["double"] else "'"
    return node.get("text", "") + "".join(text_of(node[key]) for key in ("body", "children", "child") if key in node)


def shown(tmp_path, data, images, selector):
    """The texts of all elements of one kind in the document."""
    (tmp_path / "query").mkdir(exist_ok=True)
    template = report.laid_out(tmp_path / "query", data, images)
    found = report.typst.query(template, selector, root=template.parent, ignore_system_fonts=True)
    return [text_of(element) for element in json.loads(found)]


def test_the_hand_in_is_written_in_its_order(folder, tmp_path, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    report.main(["--notebooks", str(folder), "--output", str(tmp_path / "own.pdf")])
    assert (tmp_path / "own.pdf").read_bytes().startswith(b"%PDF")
    assert "running 03_interpolation.ipynb" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    headings = shown(tmp_path, *collected(folder), "heading")
    sections = ["H1", "H2", "H3", "H4", "H5", "H6", "A2", "A3", "A4", "H7", "H8", "Nine", "All", "Settings"]
    assert [re.split(r"\W", heading)[0] for heading in headings] == sections
    assert "0.001" in headings[4]


def test_answers_quote_the_numbers_of_the_run(folder):
    data, _ = collected(folder)
    assert data["answers"].keys() == {"A1", "A2", "A3", "A4", "A5"}
    assert data["answers"]["A1"]["text"].startswith("It is 5.5, or 94 % of $N")
    assert "It is 0.5, or 1 %" in data["answers"]["A2"]["text"], "of a claim that its notebook does not measure"
    assert sum(answer["points"] for answer in data["answers"].values()) == 14


def test_words_are_counted_without_the_heading(folder):
    edit(folder, 0, answer_a1="**Answer A1.** *2 points, fewer than 150 words.*\n\none two $x = 1$ three\nfour")
    edit(folder, 1, answer_a2="only three words", answer_a3="**Answer A3.** " + 200 * "word ")
    edit(folder, 2, answer_a5="**Answer A5.** *3 points, fewer than 300 words.*\n\nYOUR ANSWER HERE")
    answers = collected(folder)[0]["answers"]
    assert [answers[id_]["words"] for id_ in ("A1", "A2", "A3", "A5")] == [7, 3, 200, 0]
    assert answers["A3"]["limit"] == 200
    assert answers["A5"]["text"].strip() == ""


def test_a_claim_that_does_not_hold_is_reported(folder, tmp_path):
    data, images = collected(folder)
    assert data["failed"] == ["C1.2"]
    assert [claim["verdict"] for claim in data["claims"]] == ["holds", "does not hold", "only about mnist"]
    assert data["claims"][1] | {"verdict": ""} == {
        "id": "C1.2", "sentence": "it is a small part", "value": "0.9402", "bound": "≥ −0.5 and ≤ 0.1", "verdict": "",
    }  # fmt: skip
    assert (data["claims"][2]["value"], data["claims"][2]["bound"]) == ("2.758e-06", "has no bound for kmnist")
    assert data["answers"]["A1"]["failed"] == ["C1.2"]
    verdicts, claims, _ = shown(tmp_path, data, images, "table")
    assert "It is “not” so." in verdicts
    assert "C1.2it is a small part0.9402≥ −0.5 and ≤ 0.1does not hold" in claims


def test_a_students_edition_has_no_claims(folder, tmp_path):
    edit(folder, 0, claims=None, measured=None, answer_a1="")
    edit(folder, 1, answer_a2="**Answer A2.**")
    edit(folder, 2, verdicts=None)
    data, images = collected(folder)
    assert data["claims"] == data["verdicts"] == data["failed"] == []
    assert "It is 0.5, or 1 %" in data["answers"]["A3"]["text"]
    headings = shown(tmp_path, data, images, "heading")
    assert (headings[-2][:2], headings[-1][:8]) == ("H8", "Settings")


@pytest.mark.parametrize(
    ("text", "value"),
    [("ARCH=conv", "conv"), ("ARCH='conv'", "conv"), ("DATASET=fashion-mnist", "fashion-mnist"), ("TUNED=3e-4", 3e-4),
     ("BETAS=(0, 1e-3)", (0, 1e-3)), ("HOMEWORK=True", True)],
)  # fmt: skip
def test_a_setting_is_a_word_or_a_python_value(text, value):
    assert report.setting(text) == (text.partition("=")[0], value)


def test_settings_reach_the_notebooks_that_have_them(folder):
    edit(folder, 1, settings="SEED = 0\nTUNED = 0.001\nBETAS = (\n    0,\n    10,\n)")
    notebooks = report.prepared(folder, {"SEED": 7, "BETAS": (0, 1)})
    sources = [report.part(name, notebook, "settings").source for name, notebook in notebooks.items()]
    assert sources[0] == sources[2] == "SEED = 7\nTUNED = 0.001"
    assert sources[1] == "SEED = 7\nTUNED = 0.001\nBETAS = (0, 1)"
    for name, notebook in notebooks.items():
        assert 'rcParams["figure.dpi"] = 300' in report.part(name, notebook, "imports").source


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "SED=1"], "no notebook has a setting SED; there are SEED, TUNED"),
        (["--set", "BETAS=(0,"], "'BETAS=(0,' is not NAME=VALUE with a word or a Python value"),
        (["--set", "SEED"], "'SEED' is not NAME=VALUE"),
        (["--output", "nowhere/report.pdf"], "there is no folder for nowhere/report.pdf"),
        (["--notebooks", "nowhere"], "01_autoencoder.ipynb is missing"),
    ],
)
def test_wrong_arguments_are_said(folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        report.main(["--notebooks", str(folder), *arguments])
    assert message in f"{stopped.value} {capsys.readouterr().err}"


@pytest.mark.parametrize(
    ("number", "cell", "source", "message"),
    [
        (0, "samples", None, r"01_autoencoder.ipynb has no cell samples .*copy it from the original"),
        (1, "answer_a3", None, r"02_vae_beta_sweep.ipynb has no cell answer-a3"),
        (2, "settings", None, r"03_interpolation.ipynb has no cell settings"),
        (2, "settings", "SEED = ", r"03_interpolation.ipynb, cell settings: invalid syntax"),
    ],
)
def test_a_missing_part_is_named(folder, number, cell, source, message):
    edit(folder, number, **{cell: source})
    with pytest.raises(SystemExit, match=message):
        collected(folder)


def test_a_missing_picture_is_named(folder, monkeypatch):
    monkeypatch.setitem(OUTPUTS, "strips", OUTPUTS["strips"][:2])
    with pytest.raises(SystemExit, match=r"03_interpolation.ipynb, cell strips, shows 2 pictures; the report needs 3"):
        collected(folder)


@pytest.mark.slow
def test_only_a_claim_may_fail_while_the_notebooks_run(tmp_path):
    """In real kernels."""

    def run(*sources):
        cells = [new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)]
        cells += [new_code_cell("pass", id="imports"), new_code_cell("SEED = 0", id="settings")]
        for name in report.NAMES:
            nbformat.write(new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
        notebook = report.prepared(tmp_path, {})[report.NAMES[0]]
        notebook.cells.pop()  # which says what is installed
        report.run(report.NAMES[0], notebook, tmp_path)
        return notebook

    (tmp_path / "helper.py").write_text("def check(name): raise {'claim': AssertionError}.get(name, TypeError)('no')")
    notebook = run("from helper import check", "check('claim')", "print(1)")
    assert notebook.cells[2].outputs[0].text == "1\n", "in the notebooks' folder, and after a claim that does not hold"
    for sources, message in [
        (["from helper import check", "check('other')"], r"01_autoencoder.ipynb, cell cell-1: TypeError: no"),
        (["assert 1 == 2, 'why'"], r"01_autoencoder.ipynb, cell cell-0: AssertionError: why"),
        (["1", "import os\nos._exit(1)"], r"01_autoencoder.ipynb: the kernel died in or after the cell cell-"),
    ]:
        with pytest.raises(SystemExit, match=message):
            run(*sources)


HOSTILE = {  # an answer, and what is shown of it
    '#import "@preview/cetz:0.3.0"': '#import "@preview/cetz:0.3.0"',
    'so #read("/etc/passwd") #image("data.json")': 'so #read("/etc/passwd") #image("data.json")',
    'so `#read("/etc/passwd")`{=typst}': 'so #read("/etc/passwd"){=typst}',
    '```{=typst}\n#read("/etc/passwd")\n```': '{=typst}\n#read("/etc/passwd")',
    "<span typst:text:fill='read(1)'>red</span>": "<span typst:text:fill='read(1)'>red</span>",
    "<div>\n#read(1)\n</div>": "<div>\n#read(1)\n</div>",
    "where a <b and c> d<!-- not this -->": "where a <b and c> d",
    "![a picture](/etc/passwd) ![](data.json)": "a picture",
    "[inside](#label), [file](data.json), @label": "inside, file, @label",
    '[outside](https://example.org/"),read("x)': 'outside,read("x)',
    "[outside](<https://example.org/\")#read(1>)": "outside",
    "unbalanced [[( $ 5 } ] ) { ** _ `": "unbalanced [[( $ 5 } ] ) { ** _ `",
    r"$\text{\"#read(\"/etc/passwd\")}$ $#read(1)$ $x_{y$ $\unknown{x}$": r"$#read(1)$ $x_{y$ $\unknown{x}$",
    "= no heading": "= no heading",
    "/ no: term // no comment /* none */ ~ end": "/ no: term // no comment /* none */ ~ end",
    "---\ntitle: no\n---": "",
    "# Heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted\n\n1. one\n\n---": "quoted one",
    r"\newcommand{\x}{y} \input{/etc/passwd}": r"\newcommand{\x}{y} \input{/etc/passwd}",
}  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_shown_as_text(folder, tmp_path, hostile):
    edit(folder, 0, answer_a1=f"**Answer A1.**\n\n{hostile}")
    data, images = collected(folder)
    elements = [text for kind in ("par", "raw", "quote", "enum") for text in shown(tmp_path, data, images, kind)]
    straight = " ".join(" ".join(elements).split()).translate(str.maketrans("“”’", '""\''))
    assert " ".join(HOSTILE[hostile].split()) in straight
    assert "root:" not in straight
    assert report.compiled(data, images).startswith(b"%PDF")


def test_typst_code_would_reach_no_file_of_the_machine(folder, tmp_path):
    """What stands behind the escaping."""
    data, images = collected(folder)
    (tmp_path / "secret").touch()
    for path in ("/etc/passwd", "../../../../../etc/passwd", str(tmp_path / "secret")):
        data["answers"]["A1"]["text"] = f'#read("{path}")'
        with pytest.raises(report.typst.TypstError, match=r"not found|escape|access denied"):
            report.compiled(data, images)


@pytest.mark.parametrize("text", ["a" * 500, "`" + "b" * 500 + "`", "https://example.org/" + "c/" * 200, "字" * 300])
def test_long_words_stay_on_the_page(folder, text):
    edit(folder, 0, answer_a1=f"**Answer A1.** so {text} it is")
    data, images = collected(folder)
    data["claims"][0]["sentence"] = data["settings"]["SEED"][1] = data["verdicts"][0][1] = "d" * 300
    for page in report.compiled(data, images, format="png", ppi=72):
        pixels = np.asarray(Image.open(io.BytesIO(page)).convert("L"))
        assert (pixels[:, -50:] > 250).all(), "the right margin, 65 wide, is not white"


def test_the_same_notebooks_give_the_same_bytes(folder):
    assert report.compiled(*collected(folder)) == report.compiled(*collected(folder))


def test_a_long_table_breaks_and_repeats_its_head(folder):
    data, images = collected(folder)
    short = report.compiled(data, images, format="png", ppi=20)
    data["claims"] = data["claims"][:1] * 200
    assert len(report.compiled(data, images, format="png", ppi=20)) >= len(short) + 3


def test_the_real_notebooks_have_what_the_report_needs():
    notebooks = {name: nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4) for name in report.NAMES}
    report.prepared(ROOT / "notebooks", {"SEED": 1, "BETAS": (0, 0.001, 10), "STEPS": 5})
    for cell_id, (name, count) in report.PICTURES.items():
        assert len(report.pictures(name, notebooks[name], cell_id, count)) == count
    assert len([row for notebook in notebooks.values() for row in report.claims(notebook)]) >= 50
    assert all(all(row.values()) for notebook in notebooks.values() for row in report.claims(notebook))
    assert (
        len(report.verdict_rows(report.part("03_interpolation", notebooks["03_interpolation"], "verdicts").source)) == 9
    )
    asked = {
        id_: (name, int(points), int(words))
        for name, notebook in notebooks.items()
        for id_, points, words in re.findall(
            r"\*\*Question (A\d)\*\* \((\d) points, fewer than (\d+) words\)",
            report.part(name, notebook, "title").source,
        )
    }
    assert asked == {id_: rest[:3] for id_, rest in report.QUESTIONS.items()}


@pytest.mark.slow
def test_in_the_student_edition_it_finds_what_lies_beside_it(folder):
    for file in ("classroom/report.py", "classroom/report.typ", "classroom/answer.lua", "notebooks/execute.py"):
        shutil.copy(ROOT / "tools" / file, folder)
    (folder / "nested").mkdir()
    found = subprocess.run(
        [sys.executable, folder / "report.py", "--set", "NO=1"],
        cwd=folder / "nested", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.strip() == "no notebook has a setting NO; there are SEED, TUNED", "of its own notebooks"


@pytest.mark.slow
def test_without_typst_it_says_what_to_install(tmp_path):
    (tmp_path / "typst.py").write_text("raise ImportError('No module named typst')")
    found = subprocess.run(
        [sys.executable, ROOT / "tools" / "classroom" / "report.py"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.strip() == (
        "No module named typst: the report needs the extra teacher: make report, or pip install '.[teacher]'"
    )

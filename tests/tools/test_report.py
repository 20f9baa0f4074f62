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

import answers  # noqa: E402
import gather  # noqa: E402
import report  # noqa: E402
import rerun  # noqa: E402

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
    versions = {"versions": {"Python": "3.11", "torch": "2.6"}, "threads": 2, "digest": "0123456789ab", "planned": 10,
                "codepoints": 14}  # fmt: skip
    versions |= {"name": "Zoë", "course": "Deep Learning", "date": ""}
    return json.dumps([{name: repr(value) for name, value in settings.items()}, versions])


BESIDE = (
    "report.py",
    "rerun.py",
    "gather.py",
    "answers.py",
    "report.typ",
    "answer.lua",
)  # what report.py needs where it lies
SOURCES = {  # as much of the real cells as tells them apart
    "imports": "import matplotlib\nimport hw2", "settings": "SEED = 0\nTUNED = 0.001", "claims": "check(*claims)",
    "samples": "plotting.image_grid(samples, title='H1: autoencoder')", "beta0": "three_pictures(0)\nmore()",
    "beta10": "three_pictures(10)", "tuned": "three_pictures(TUNED)", "strips": "def strip(x_a, x_b): ...",
    "measured": "measured(*claims)", "about": "NAMES = ",
}  # fmt: skip
OUTPUTS = {
    **{
        cell: [new_output("display_data", {"image/png": png()})] * count for cell, (_, count) in gather.PICTURES.items()
    },
    "claims": [new_output("stream", text=CHECKED), new_output("error", ename="AssertionError", evalue="C1.2: …")],
    "measured": [new_output("stream", text=MEASURED)],
    "about": [new_output("stream", text=about(SEED=0, TUNED=0.001) + "\n")],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three notebooks; running one puts OUTPUTS into its cells, which it knows by their source."""

    def run(notebook, folder, allow_errors=False):
        for cell in notebook.cells:
            if cell.cell_type == "code":
                known = [name for name, source in SOURCES.items() if cell.source.startswith(source)]
                cell.outputs = nbformat.from_dict(OUTPUTS.get(known[0], []) if known else [])

    monkeypatch.setattr(report.execute, "run", run)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in gather.NAMES:
        drawn = [cell for cell, (where, _) in gather.PICTURES.items() if where == name]
        cells = [new_code_cell(SOURCES[cell], id=cell) for cell in ("imports", "settings", *drawn)]
        for id_, (where, *_) in gather.QUESTIONS.items():
            if where == name:
                source = f"**Answer {id_}.** It is 0.5<!--C1.1-->, or 1 %<!--C1.2--> of $N(0, I)$."
                cells.append(new_markdown_cell(source, id=f"answer-{id_.lower()}"))
        if name == gather.NAMES[0]:
            cells += [new_code_cell(SOURCES[cell], id=cell) for cell in ("claims", "measured")]
        if name == gather.NAMES[-1]:
            cells.append(new_markdown_cell(VERDICTS, id="verdicts"))
        nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder


def edit(folder, number, **sources):
    """Give cells of a notebook another source, by their ids with _ for -; None takes the cell away."""
    path = folder / f"{gather.NAMES[number]}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    sources = {id_.replace("_", "-"): source for id_, source in sources.items()}
    notebook.cells = [cell for cell in notebook.cells if sources.get(cell.id, "") is not None]
    for cell in notebook.cells:
        cell.source = sources.get(cell.id, cell.source)
    nbformat.write(notebook, path)


def collected(folder, **settings):
    """Data and pictures of the notebooks in the folder."""
    notebooks = report.prepared(folder, settings)
    code, _ = report.code_tasks(folder)
    problems = {}
    for name, notebook in notebooks.items():
        problems[name] = report.run(name, notebook, folder)
        report.execute.requote(notebook)
    return report.collect(notebooks, folder, code, problems)


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
    found = report.typst.query(
        template, selector, root=template.parent, ignore_system_fonts=True, font_paths=data["fonts"]
    )
    return [text_of(element) for element in json.loads(found)]


def test_the_hand_in_is_written_in_its_order(folder, tmp_path, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    report.main(["--notebooks", str(folder), "--output", str(tmp_path / "own.pdf")])
    assert (tmp_path / "own.pdf").read_bytes().startswith(b"%PDF")
    first, *lines = capsys.readouterr().out.splitlines()
    assert "some minutes" in first
    assert "03_interpolation.ipynb: running ... done in 0 s" in lines
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
     ("BETAS=(0, 1e-3)", (0, 1e-3)), ("FAST=True", True)],
)  # fmt: skip
def test_a_setting_is_a_word_or_a_python_value(text, value):
    assert report.setting(text) == (text.partition("=")[0], value)


def test_settings_reach_the_notebooks_that_have_them(folder):
    edit(folder, 1, settings="SEED = 0\nTUNED = 0.001\nBETAS = (\n    0,\n    10,\n)")
    notebooks = report.prepared(folder, {"SEED": 7, "BETAS": (0, 1)})
    sources = [gather.part(name, notebook, "settings").source for name, notebook in notebooks.items()]
    assert sources[0] == sources[2] == "SEED = 7\nTUNED = 0.001"
    assert sources[1] == "SEED = 7\nTUNED = 0.001\nBETAS = (0, 1)"
    for name, notebook in notebooks.items():
        assert 'rcParams["figure.dpi"] = 300' in gather.part(name, notebook, "imports").source


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
        (2, "settings", None, r"03_interpolation.ipynb has no cell settings"),
        (2, "settings", "SEED = ", r"03_interpolation.ipynb, cell settings: invalid syntax"),
    ],
)
def test_what_nothing_can_run_without_is_named_before_anything_runs(folder, number, cell, source, message):
    edit(folder, number, **{cell: source})
    with pytest.raises(SystemExit, match=message):
        report.prepared(folder, {})


def test_a_picture_that_is_missing_is_said_on_the_first_page_and_all_else_is_there(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(OUTPUTS, "strips", OUTPUTS["strips"][:2])
    edit(folder, 0, samples=None)
    data, images = collected(folder)
    assert data["problems"] == [
        "01_autoencoder.ipynb has no cell samples, which the report needs: copy it from the notebook as you got it",
        "03_interpolation.ipynb, cell strips, shows 2 pictures; the report needs 3",
    ]
    assert shown(tmp_path, data, images, "<problem>") == data["problems"]
    figures = shown(tmp_path, data, images, "figure")
    assert sum("[this picture is missing]" in figure for figure in figures) == 2
    assert report.compiled(data, images).startswith(b"%PDF")


def failing(monkeypatch, folder, name, source):
    """Let the cells with that source raise, and what comes after them in their notebook not run."""
    run = report.execute.run

    def until(notebook, folder, allow_errors=False):
        run(notebook, folder)
        after = False
        for cell in notebook.cells:
            if after and cell.cell_type == "code":
                cell.outputs = []
            if cell.source.startswith(source):
                cell.outputs = [new_output("error", ename="ValueError", evalue="no 'such' thing", traceback=[])]
                after = True
        if after:
            raise (
                report.execute.DeadKernelError("the kernel died in the cell x")
                if name == "dead"
                else (rerun.CellExecutionError("", "ValueError", ""))
            )

    monkeypatch.setattr(report.execute, "run", until)


def test_if_a_cell_fails_the_report_is_written_and_says_in_red_which_and_why(folder, tmp_path, monkeypatch, capsys):
    edit(folder, 1, beta10="three_pictures(10)\nmore()")
    failing(monkeypatch, folder, "02_vae_beta_sweep", "three_pictures(10)")
    with pytest.raises(SystemExit) as stopped:
        report.main(["--notebooks", str(folder), "--output", str(tmp_path / "own.pdf")])
    says = "02_vae_beta_sweep.ipynb, cell beta10 (it begins three_pictures(10)): ValueError: no 'such' thing"
    assert str(stopped.value) == f"This report is not complete:\n    {says}", "a text, with which Python exits with 1"
    printed = capsys.readouterr().out
    assert f"02_vae_beta_sweep.ipynb: running ... stopped after 0 s\n    {says}\n" in printed
    assert "03_interpolation.ipynb: running ... done in 0 s" in printed, "the others run all the same"
    assert (tmp_path / "own.pdf").read_bytes().startswith(b"%PDF")
    data, images = collected(folder)
    assert [text.replace("’", "'") for text in shown(tmp_path, data, images, "<problem>")] == [says]
    assert {"samples-1.png", "beta0-3.png", "strips-3.png"} <= images.keys()
    assert not {"beta10-1.png", "tuned-1.png"} & images.keys()
    assert data["answers"]["A4"]["words"] > 0, "an answer is text, and needs no run"
    assert data["settings"]["TUNED"] == ["0.001"] * 3, "what comes later does not matter for the settings"
    first, *_ = report.compiled(data, images, format="png", ppi=144)
    assert any(abs(r - 160) < 4 and abs(g - 32) < 4 and b < 4 for r, g, b in colours([first])), "red, on the first page"


def test_a_kernel_that_dies_does_not_stop_the_report(folder, tmp_path, monkeypatch):
    """Not even at the first cell, so that there are no settings either."""
    failing(monkeypatch, folder, "dead", "import matplotlib")
    data, images = collected(folder)
    assert data["problems"] == [f"{name}.ipynb: the kernel died in the cell x" for name in gather.NAMES]
    assert (images, data["settings"], data["about"], data["tuned"]) == ({}, {}, {}, "?")
    assert "14 points for 5 answers" in " ".join(shown(tmp_path, data, images, "<points>"))
    assert report.compiled(data, images).startswith(b"%PDF")


@pytest.mark.slow
def test_only_a_claim_may_fail_while_the_notebooks_run(tmp_path):
    """In real kernels."""

    def run(*sources):
        cells = [new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)]
        cells += [new_code_cell("pass", id="imports"), new_code_cell("SEED = 0", id="settings")]
        for name in gather.NAMES:
            nbformat.write(new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
        notebook = report.prepared(tmp_path, {})[gather.NAMES[0]]
        notebook.cells = [cell for cell in notebook.cells if cell.id != "about"]  # which would load MNIST
        return notebook, report.run(gather.NAMES[0], notebook, tmp_path)

    (tmp_path / "helper.py").write_text("def check(name): raise {'claim': AssertionError}.get(name, TypeError)('no')")
    notebook, said = run("from helper import check", "check('claim')", "print(1)")
    assert said == ""
    assert notebook.cells[2].outputs[0].text == "1\n", "in the notebooks' folder, and after a claim that does not hold"
    for sources, message in [
        (
            ["from helper import check", "check('other')"],
            "01_autoencoder.ipynb, cell cell-1 (it begins check('other')): TypeError: no",
        ),
        (
            ["assert 1 == 2, 'why'", "print(1)"],
            "01_autoencoder.ipynb, cell cell-0 (it begins assert 1 == 2, 'why'): AssertionError: why",
        ),
        (
            ["1", "import os\nos._exit(1)", "1"],
            "01_autoencoder.ipynb: the kernel died in the cell cell-1 (it begins import os)",
        ),
    ]:
        notebook, said = run(*sources)
        assert said == message
        assert notebook.cells[len(sources) - 1].outputs == [] or len(sources) < 3


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
    notebooks = {name: nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4) for name in gather.NAMES}
    report.prepared(ROOT / "notebooks", {"SEED": 1, "BETAS": (0, 0.001, 10), "STEPS": 5})
    for cell_id, (name, count) in gather.PICTURES.items():
        assert len(gather.pictures(gather.found(notebooks[name], cell_id), cell_id)) >= count
    assert len([row for notebook in notebooks.values() for row in gather.claims(notebook)]) >= 50
    assert all(all(row.values()) for notebook in notebooks.values() for row in gather.claims(notebook))
    (verdicts,) = [cell.source for cell in notebooks["03_interpolation"].cells if cell.id == "verdicts"]
    assert len(gather.verdict_rows(verdicts)) == 9
    asked = {
        id_: (name, int(points), int(words))
        for name, notebook in notebooks.items()
        for id_, points, words in re.findall(
            r"\*\*Question (A\d)\*\* \((\d) points, fewer than (\d+) words\)",
            notebook.cells[0].source,
        )
    }
    assert asked == {id_: rest[:3] for id_, rest in gather.QUESTIONS.items()}


@pytest.mark.slow
def test_in_the_student_edition_it_finds_what_lies_beside_it(folder):
    for file in (*(f"classroom/{name}" for name in BESIDE), "notebooks/execute.py"):
        shutil.copy(ROOT / "tools" / file, folder)
    (folder / "nested").mkdir()
    found = subprocess.run(
        [sys.executable, folder / "report.py", "--set", "NO=1"],
        cwd=folder / "nested", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.strip() == "no notebook has a setting NO; there are SEED, TUNED", "of its own notebooks"


@pytest.mark.slow
def test_in_the_student_edition_messages_name_its_folder_and_its_command(folder, tmp_path):
    for file in (*(f"classroom/{name}" for name in BESIDE), "notebooks/execute.py"):
        shutil.copy(ROOT / "tools" / file, folder)
    (folder / "03_interpolation.ipynb").rename(folder / "03_interpolation (1).ipynb")
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "typst.py").write_text("raise ImportError('No module named typst')")

    def said(*arguments, **environment):
        command = [sys.executable, folder / "report.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment).stderr

    missing = said()
    assert str(folder / "03_interpolation.ipynb") in missing
    assert "03_interpolation (1).ipynb" in missing
    assert "python report.py --notebooks FOLDER" in missing
    assert "python report.py --set 'BETAS=(0, 1e-3)'" in said("--set", "BETAS=(0,")
    assert f'-m pip install -e "{folder}[report]"' in said(PYTHONPATH=str(tmp_path / "without"))


@pytest.mark.slow
def test_without_typst_it_says_what_to_install(tmp_path):
    (tmp_path / "typst.py").write_text("raise ImportError('No module named typst')")
    found = subprocess.run(
        [sys.executable, ROOT / "tools" / "classroom" / "report.py"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.strip() == (
        "No module named typst: the report needs more packages. Run  make report, or pip install '.[teacher]'"
    )


def printed_about(**changed):
    """The output of the cell that the report adds, with something else in it."""
    settings = {"SEED": 0, "TUNED": 0.001} | changed.pop("settings", {})
    own, said = json.loads(about(**settings))
    return [new_output("stream", text=json.dumps([own, said | changed]) + "\n")]


def test_cells_are_found_whatever_their_ids_and_wherever_they_were_moved(folder):
    """As after a tool that strips outputs and numbers the cells, and after cells were dragged."""
    expected, pictures = collected(folder)
    for name in gather.NAMES:
        notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        for number, cell in enumerate(notebook.cells):
            cell.id = str(number)
        notebook.cells = notebook.cells[:2] + notebook.cells[:1:-1]
        nbformat.write(notebook, folder / f"{name}.ipynb")
    data, images = collected(folder)
    assert data == expected
    assert images == pictures


def test_an_answer_is_found_in_another_notebook_and_without_its_heading(folder, capsys):
    first, second = (nbformat.read(folder / f"{name}.ipynb", as_version=4) for name in gather.NAMES[:2])
    moved = next(cell for cell in second.cells if cell.id == "answer-a3")
    second.cells.remove(moved)
    first.cells.append(moved)
    unnamed = next(cell for cell in second.cells if cell.id == "answer-a2")
    unnamed.source, unnamed.id = "without a heading", "0"
    unnamed.metadata.nbgrader = {"grade_id": "answer-a2"}
    again = new_markdown_cell("**Answer A4.** said twice")
    second.cells += [again, new_markdown_cell("**Answer A4.** YOUR ANSWER HERE")]
    nbformat.write(first, folder / f"{gather.NAMES[0]}.ipynb")
    nbformat.write(second, folder / f"{gather.NAMES[1]}.ipynb")
    answers = collected(folder)[0]["answers"]
    assert "It is 5.5" in answers["A3"]["text"], "with its first notebook's numbers"
    assert answers["A2"]["text"].strip() == "without a heading"
    assert "2 cells hold an answer A4: the report shows the first" in capsys.readouterr().out
    assert "It is 0.5" in answers["A4"]["text"]


def test_an_answer_that_is_missing_is_said_and_the_report_is_made(folder, capsys):
    edit(folder, 1, answer_a3=None)
    data, images = collected(folder)
    assert data["answers"]["A3"]["words"] == 0
    assert "no cell holds the answer A3. It must begin with  **Answer A3.**" in capsys.readouterr().out
    assert report.compiled(data, images).startswith(b"%PDF")


def colours(pages):
    """The colours that cover more than a few pixels."""
    images = [Image.open(io.BytesIO(page)).convert("RGB") for page in pages]
    return {colour for image in images for count, colour in image.getcolors(1 << 24) if count > 200}


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "beside"])
def test_a_picture_in_an_answer_is_shown(folder, kind):
    picture, file = Image.new("RGB", (900, 2000), (0, 128, 0)), io.BytesIO()
    picture.save(file, "png" if kind == "beside" else kind)
    path = folder / f"{gather.NAMES[0]}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == "answer-a1")
    if kind == "beside":
        (folder / "own.png").write_bytes(file.getvalue())
        cell.source = "**Answer A1.** see\n\n![own](own.png)"
    else:
        cell.source = f"**Answer A1.** see ![image.{kind}](attachment:image.{kind}) and"
        cell.attachments = {f"image.{kind}": {f"image/{kind}": base64.b64encode(file.getvalue()).decode()}}
    nbformat.write(notebook, path)
    data, images = collected(folder)
    green = colours(report.compiled(data, images, format="png", ppi=36))
    assert any(g > 100 and max(r, b) < 20 for r, g, b in green)


@pytest.mark.parametrize("written", ["my%20plot.png", "<my plot.png>", "my%20plot.png 'mine'", '<my plot.png> "mine"'])
def test_a_picture_whose_name_has_a_space_is_shown(folder, written):
    Image.new("RGB", (9, 9), (0, 128, 0)).save(folder / "my plot.png")
    text, files, missing = answers.with_pictures(f"see ![x]({written}) here", new_code_cell(), folder, "p")
    assert (text, list(files), missing) == ("see ![x](p-1.png) here", ["p-1.png"], [])


@pytest.mark.parametrize("written", ["![x][p]", '<img src="plot.png" width="300">'])
def test_a_picture_written_in_another_way_is_said_to_be_left_out(folder, written):
    text, files, missing = answers.with_pictures(f"see {written} here", new_code_cell(), folder, "p")
    assert (text, files, missing) == (
        "see (picture left out: write it as ![what it is](its-file.png)) here", {}, [written]
    )  # fmt: skip


@pytest.mark.parametrize("damage", ["<html>", '{"cells": 3}', '{"a": 1}', b"\xff\xfe{\x00"])
def test_a_damaged_notebook_is_named_before_anything_runs(folder, damage):
    path = folder / "02_vae_beta_sweep.ipynb"
    path.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    with pytest.raises(SystemExit, match=r"02_vae_beta_sweep.ipynb is not a notebook, or is damaged"):
        report.prepared(folder, {})


def test_a_notebook_without_ids_makes_a_report(folder):
    """As Colab and older tools save it: format 4.4."""
    path = folder / "02_vae_beta_sweep.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        del cell["id"]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert report.prepared(folder, {"SEED": 7}).keys() == set(gather.NAMES)


@pytest.mark.parametrize(
    "source", ["attachment:lost.png", "/etc/passwd", "../out.png", "https://example.org/a.png", "data.json", "no.png"]
)
def test_a_picture_that_is_not_at_hand_is_said_to_be_left_out(folder, capsys, source):
    Image.new("RGB", (9, 9)).save(folder.parent / "out.png")
    (folder / "data.json").write_text("{}")
    edit(folder, 0, answer_a1=f"**Answer A1.** so ![plot]({source}) it is")
    data, images = collected(folder)
    assert f"so plot (picture left out: {source.split('/')[-1]}) it is" in " ".join(
        data["answers"]["A1"]["text"].split()
    )
    assert f"answer A1: the picture {source} is left out: it is neither pasted" in capsys.readouterr().out
    assert report.compiled(data, images).startswith(b"%PDF")


@pytest.mark.parametrize(
    "formula",
    [
        r"\begin{align} a &= b \\ &= c \end{align}", r"\begin{align*}a&=b\\&=c\end{align*}",
        "$$\\begin{align}\na &= b \\\\\n&= c\n\\end{align}$$",
        "\\begin{align}\na &= b \\\\\n\n&= c\\label{x}\n\\end{align}",
        r"\\[a = b\\]", r"\\(a = b\\)", r"\begin{equation}a = b\end{equation}", r"\begin{gather}a\\b\end{gather}",
    ],
)  # fmt: skip
def test_formulas_that_jupyterlab_sets_are_set(folder, tmp_path, formula):
    edit(folder, 0, answer_a1=f"**Answer A1.** so {formula} it is")
    data, images = collected(folder)
    assert len(shown(tmp_path, data, images, "math.equation")) > len(shown(tmp_path, data | {"answers": {
        **data["answers"], "A1": data["answers"]["A1"] | {"text": ""}}}, images, "math.equation"))  # fmt: skip
    assert "begin" not in data["answers"]["A1"]["text"]
    assert report.compiled(data, images).startswith(b"%PDF")


def test_code_stays_code():
    assert "begin{align}" in gather.to_typst("`\\begin{align}x\\end{align}`")


def test_letters_of_other_scripts_are_set_or_said(folder, monkeypatch, capsys):
    monkeypatch.setitem(OUTPUTS, "about", printed_about(name="محمد Ελένη Юлия"))
    data, _ = collected(folder)
    assert data["notes"] == []
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda *a, **k: [])
    monkeypatch.setitem(OUTPUTS, "about", printed_about(name="李明"))
    data, images = collected(folder)
    assert data["notes"] == ["No font on the machine that made this has: U+660E, U+674E."]
    assert "no font on this machine has 明 李" in capsys.readouterr().out
    assert report.compiled(data, images).startswith(b"%PDF")


def test_a_font_of_the_machine_that_has_the_letters_is_taken(monkeypatch, tmp_path):
    font = tmp_path / "own" / "font.ttf"
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda *a, **k: [str(font)])
    monkeypatch.setattr(answers, "_characters", lambda path: {ord("李")} if path == font else set())
    assert answers.fonts_for("李 a") == ([answers.FALLBACK, font.parent], "")


def test_name_course_and_date_stand_on_the_first_page(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(OUTPUTS, "about", printed_about(date="1 May"))
    data, images = collected(folder)
    assert "Zoë · Deep Learning · 1 May" in " ".join(shown(tmp_path, data, images, "<person>"))


def test_fewer_epochs_than_planned_and_settings_that_disagree_are_said(folder, monkeypatch, tmp_path):
    monkeypatch.setitem(OUTPUTS, "about", printed_about(settings={"EPOCHS": 2}))
    data, images = collected(folder)
    assert data["notes"] == ['Trained for 2 epochs; 10 are planned (run = "final" in settings.toml).']
    assert shown(tmp_path, data, images, "<note>") == data["notes"]
    data["settings"]["SEED"] = ["0", "1", "0"]
    assert gather.notes(data)["notes"][1] == "SEED differs between the notebooks: 0, 1, 0."


def test_all_points_are_there_and_those_for_code_are_checked(folder, tmp_path, monkeypatch):
    def checked(title, points):
        grade = {"grade": True, "points": points, "grade_id": title}
        return [new_markdown_cell(f"## {title} ({points} points)"), new_code_cell(title, metadata={"nbgrader": grade})]

    assert "28 points: 14 for code, 14 for 5 answers" in " ".join(shown(tmp_path, *collected(folder), "<points>"))
    notebook = new_notebook(cells=[*checked("The KL", 2), *checked("The draw", 2), *checked("The step", 10)])
    nbformat.write(notebook, folder / "00_code.ipynb")
    run = report.execute.run

    def run_code(notebook, allow_errors=False, folder=None):
        if not allow_errors:
            return run(notebook, folder)
        for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
            cell.outputs, cell.execution_count = [], number or None
        cell.outputs = [new_output("error", ename="Mistake", evalue="the sum: got 3, expected 4. Most likely")]

    monkeypatch.setattr(report.execute, "run", run_code)
    data, images = collected(folder)
    said = {task["title"]: task["said"] for task in data["code"]}
    assert said == {
        "The KL": "did not run", "The draw": "", "The step": "Mistake: the sum: got 3, expected 4. Most likely",
    }  # fmt: skip
    assert "2 of 14 points by the checks" in " ".join(shown(tmp_path, data, images, "<passed>"))


def test_what_answers_cite_is_there(folder, tmp_path, monkeypatch):
    path = folder / f"{gather.NAMES[1]}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [new_code_cell("held_out = 1"), new_code_cell("plotting.samples_against_beta(quality)")]
    nbformat.write(notebook, path)
    monkeypatch.setitem(SOURCES, "tuning", "held_out")
    monkeypatch.setitem(SOURCES, "quality", "plotting.samples_against_beta")
    monkeypatch.setitem(OUTPUTS, "tuning", [new_output("stream", text="β = 0.0005: 120\n")])
    monkeypatch.setitem(OUTPUTS, "quality", [new_output("display_data", {"image/png": png()})] * 2)
    data, images = collected(folder)
    assert [(e["answer"], len(e["pictures"]), e["text"]) for e in data["exhibits"]] == [
        ("A4", 0, "β = 0.0005: 120"), ("A4", 2, ""),
    ]  # fmt: skip
    assert "β = 0.0005: 120" in " ".join(shown(tmp_path, data, images, "raw"))


def test_claims_stand_in_their_order(folder, monkeypatch):
    lines = "".join(f"C1.{n}  it is so: holds\n" for n in (2, 10, 1))
    monkeypatch.setitem(OUTPUTS, "claims", [new_output("stream", text=lines)])
    monkeypatch.setitem(OUTPUTS, "measured", [])
    assert [claim["id"] for claim in collected(folder)[0]["claims"]] == ["C1.1", "C1.2", "C1.10"]


@pytest.mark.slow
def test_in_print_no_picture_has_a_title_that_its_caption_repeats():
    code = (
        rerun.PRINT
        + """
import matplotlib.pyplot as plt
figure, axes = plt.subplots(1, 4)
for ax, title in zip(axes, ("H1: autoencoder", "β = 0.001: test images", "4 → 6", "β = 0\\n46 nats")):
    ax.set_title(title)
figure.suptitle("β = 10")
print([ax.get_title() for ax in axes], repr(figure.get_suptitle()))
"""
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['', '', '4 → 6', 'β = 0\\n46 nats'] ''\n"


def test_no_page_of_the_real_report_is_blank_by_a_third():
    """From the notebooks' saved outputs; the last page may be."""
    notebooks = {name: nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4) for name in gather.NAMES}
    for notebook in notebooks.values():
        notebook.cells.append(new_code_cell("NAMES = ", outputs=printed_about(threads=1)))
    data, images = report.collect(notebooks, ROOT / "notebooks", [])
    *pages, _ = report.compiled(data, images, format="png", ppi=50)
    assert len(pages) >= 6
    for number, page in enumerate(pages, 1):
        pixels = np.asarray(Image.open(io.BytesIO(page)).convert("L"))
        height, width = pixels.shape
        assert (pixels[round(0.93 * height) :, : round(0.45 * width)] > 200).all(), f"page {number} overflows"
        rows = np.flatnonzero((pixels < 200).any(1))
        rows = rows[rows < 0.93 * len(pixels)]  # without the page's number
        assert np.diff(rows, prepend=0, append=round(0.93 * len(pixels))).max() < len(pixels) / 3, f"page {number}"


def test_one_thread_is_no_threads(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(OUTPUTS, "about", printed_about(threads=1))
    data, images = collected(folder)
    assert "on 1 thread." in " ".join(shown(tmp_path, data, images, "par"))


@pytest.mark.parametrize(
    ("traceback", "place"),
    [
        (
            ["\x1b[31mFile ~/hw2/latent.py:12, in sample_prior(model, n)\x1b[0m\n  raise"],
            ", in hw2/latent.py, sample_prior",
        ),
        (["File C:\\own\\hw2\\losses.py:3, in kl_normal(mu)"], ", in hw2/losses.py, kl_normal"),
        (["Cell In[3], line 1"], ""),
    ],
)
def test_an_error_of_the_students_code_names_its_function(traceback, place):
    assert rerun.where(traceback) == place

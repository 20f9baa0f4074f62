"""The address of the repository: first cells that install, badges that open, and all of it can be taken back."""

import importlib.util
import shutil
import types
from pathlib import Path

import address
import nbformat
import pytest
import student

ROOT = Path(__file__).parents[2]


OURS = "some-university/vae-homework-2"
FILES = [Path("README.md"), *(Path("notebooks") / path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb")))]


@pytest.fixture
def copy(tmp_path):
    """The files that hold the address, as they are without one."""
    (tmp_path / "notebooks").mkdir()
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path / file)
    address.main("--none", tmp_path)
    if address.BADGES.partition("]")[0] not in (ROOT / "README.md").read_text(encoding="utf-8"):
        assert contents(tmp_path) == contents(ROOT), "it takes back what it wrote, and nothing else"
    return tmp_path


def contents(folder):
    return {file: (folder / file).read_bytes() for file in FILES}


def first_cells(folder):
    notebooks = (nbformat.read(path, as_version=4) for path in sorted((folder / "notebooks").glob("*.ipynb")))
    return [cell.source for notebook in notebooks for cell in notebook.cells if cell.id == "imports"]


def test_the_last_address_counts_and_none_takes_all_back(copy):
    without = contents(copy)
    address.main(OURS, copy)
    ours = contents(copy)
    assert [file for file in FILES if ours[file] == without[file]] == []
    address.main("an/other", copy)
    assert not any(OURS.encode() in text for text in contents(copy).values())
    address.main(f"https://github.com/{OURS}.git", copy)
    assert contents(copy) == ours
    address.main("--none", copy)
    assert contents(copy) == without


@pytest.mark.parametrize("missing", [True, False])
def test_a_first_cell_installs_where_hw2_is_missing_and_only_there(missing, copy, monkeypatch):
    address.main(OURS, copy)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if missing and name == "hw2" else find_spec(name)
    )
    cells = first_cells(copy)
    assert len(cells) == 4
    for source in cells:
        ran = []
        shell = types.SimpleNamespace(run_line_magic=lambda *words, ran=ran: ran.append(words))
        begin, found, _ = source.partition("\n\nimport matplotlib")
        assert found
        exec(begin, {"get_ipython": lambda shell=shell: shell})
        assert ran == [("pip", f"install --quiet git+https://github.com/{OURS}")] * missing


def test_without_an_address_a_first_cell_says_what_is_missing(copy, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for source in first_cells(copy):
        with pytest.raises(ModuleNotFoundError, match=r"Run  %pip install -e FOLDER"):
            exec(source, {})


def test_badges_open_a_notebook_that_is_there_and_the_readme_stays_short(copy):
    address.main(OURS, copy)
    text = (copy / "README.md").read_text(encoding="utf-8")
    assert text.splitlines()[2:4] == [
        "[![Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{OURS}/blob/main/{address.FIRST})",
        "[![Binder](https://mybinder.org/badge_logo.svg)]"
        f"(https://mybinder.org/v2/gh/{OURS}/HEAD?urlpath=lab/tree/{address.FIRST})",
    ]
    assert (ROOT / address.FIRST).is_file()
    assert len(text.encode()) < 7000


@pytest.mark.parametrize(
    "given",
    [
        "",
        "hw2",
        "https://example.org/a/b",
        "a/b/c",
        'a/b"',
        "--nothing",
        "../..",
        "a/..",
        "-a/b",
        "ä/ö",
        "github.com/a",
    ],
)
def test_what_is_no_address_changes_nothing(given, copy):
    before = contents(copy)
    with pytest.raises(SystemExit, match="expected OWNER/NAME"):
        address.main(given, copy)
    assert contents(copy) == before


def test_the_student_edition_never_installs_the_solution(copy):
    def editions():
        paths = sorted((copy / "notebooks").glob("*.ipynb"))
        return [student.student_notebook(nbformat.read(path, as_version=4)) for path in paths]

    without = editions()
    address.main(OURS, copy)
    assert all(OURS in source for source in first_cells(copy))
    assert editions() == without
    edited = nbformat.read(copy / address.FIRST, as_version=4)
    (imports,) = [cell for cell in edited.cells if cell.id == "imports"]
    imports.source = imports.source.replace("is None:", "is None:  # on Colab")
    with pytest.raises(ValueError, match="installs something"):
        student.student_notebook(edited)


def test_other_badges_stay(copy):
    readme = copy / "README.md"
    text = readme.read_text(encoding="utf-8").replace("\n\n", "\n\n[![tests](a.svg)](b)\n\n", 1)
    readme.write_text(text, encoding="utf-8")
    address.main(OURS, copy)
    assert "[![tests](a.svg)](b)" in readme.read_text(encoding="utf-8")
    address.main("--none", copy)
    assert readme.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (FILES[0], "# What", "What", "does not begin with a title"),
        (FILES[2], 'find_spec(\\"hw2\\") is None:', "True:", "02_vae_beta_sweep.ipynb: no cell"),
    ],
)
def test_where_it_finds_no_place_it_says_so_and_changes_nothing(file, old, new, says, copy):
    text = (copy / file).read_text(encoding="utf-8")
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    before = contents(copy)
    with pytest.raises(SystemExit, match=says):
        address.main(OURS, copy)
    assert contents(copy) == before

"""Write down where the repository lies on GitHub: `address.py OWNER/NAME`, or `address.py --none` to take it back.

With an address the first cell of a notebook installs hw2 from there where it is missing, as on Colab, and the README
has badges that open the notebooks on Colab and on Binder. Repeat it in a fork, with the fork's own.
"""

import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
MISSING = """\
    raise ModuleNotFoundError(
        "this kernel has no hw2. Run  %pip install -e FOLDER  in a cell, where FOLDER has "
        "pyproject.toml (.. in a clone), restart the kernel, and run this again"
    )
"""
INSTALL = """\
    where = "git+https://github.com/{address}"
    get_ipython().run_line_magic("pip", f"install --quiet {{where}}")
"""
COLAB = "https://colab.research.google.com"
FIRST = "notebooks/01_autoencoder.ipynb"
BADGES = f"""\
[![Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github/{{address}}/blob/main/{FIRST})
[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/{{address}}/HEAD?urlpath=lab/tree/{FIRST})

"""


# What the first cell does where hw2 is missing; the badges of this tool, below the title and its empty line.
BLOCK = re.compile(r'(?<=find_spec\("hw2"\) is None:\n)(?: .*\n)+')
TOP = re.compile(r"\A(# .*\n\n)(?:(?:\[!\[(?:Colab|Binder)\]\(.*\n)+\n)?")


def first_cell(source: str, address: str | None) -> str:
    """A notebook's first cell that installs hw2 from the address, or without one says that it is missing."""
    return BLOCK.sub(lambda _: INSTALL.format(address=address) if address else MISSING, source)


def with_badges(readme: str, address: str | None) -> str:
    """The README with the address's badges below its title, or without one with none."""
    badges = BADGES.format(address=address) if address else ""
    return TOP.sub(lambda found: found[1] + badges, readme)


def main(given: str, root: Path = ROOT) -> None:
    url = r"(?:https://github\.com/)?([a-z\d][a-z\d-]*/(?!\.{1,2}/?$)[\w.-]+?)(?:\.git)?/?"
    found = re.fullmatch(url, given, flags=re.ASCII | re.IGNORECASE)
    if given != "--none" and not found:
        raise SystemExit(f"expected OWNER/NAME, as in https://github.com/OWNER/NAME, or --none; got {given!r}")
    address = found[1] if found else None
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    if not TOP.match(text):
        raise SystemExit(f"{readme} does not begin with a title, # and an empty line, below which badges belong")
    notebooks = {path: nbformat.read(path, as_version=4) for path in sorted((root / "notebooks").glob("0*.ipynb"))}
    for path, notebook in notebooks.items():
        imports = [cell for cell in notebook.cells if cell.get("id") == "imports" and BLOCK.search(cell.source)]
        if not imports:
            raise SystemExit(
                f'{path}: no cell with the id imports has the line: if importlib.util.find_spec("hw2") is None:'
            )
        imports[0].source = first_cell(imports[0].source, address)
    for path, notebook in notebooks.items():
        nbformat.write(notebook, path)
    readme.write_text(with_badges(text, address), encoding="utf-8")


if __name__ == "__main__":
    main(*(sys.argv[1:2] or [""]))

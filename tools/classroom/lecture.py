"""The whole story as one page without code, for a lecture: `make lecture`, or `lecture.py [FILE]`.

The notebook written (default: lecture.ipynb) has the cells of the three notebooks that are tagged `lecture`: the
pictures, the loss, the answers and the sliders, without what only a reader of the notebooks can look up or do: the
ids of claims, cells of code, exercises. Large type, short lines, no progress bars.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
# A line as wide as 54 zeros has at most 75 letters, in the usual fonts.
STYLE = """<style>
.jp-RenderedHTMLCommon { font-size: 21px; line-height: 1.5; }
.jp-RenderedHTMLCommon :is(p, ul, ol, blockquote) { max-width: 54ch; }
.jp-RenderedHTMLCommon :is(h1, h2, h3) { max-width: 40ch; }
.jp-RenderedHTMLCommon table { font-size: 18px; }
.jp-RenderedHTMLCommon :is(th, td) { max-width: 22em; text-align: left; }
.jp-RenderedText pre { font-size: 17px; }
.jp-OutputArea-output img { max-width: 100%; }
.hw2-explorer { zoom: 1.4; }
.hw2-explorer .hw2-note { display: none; }
</style>"""
QUIET = 'import os\n\nos.environ["TQDM_DISABLE"] = "1"  # no progress bars; before anything imports tqdm'

# What the notebooks say of cells that are not on the page, and what is said in its place.
INSTEAD = {
    "In our run, whose pictures the repository shows, ": "In our run ",
    r" The first cell does it by hand for one pair\.": "",
    r" \(exercise 1\)": "",
    r" The next cell checks it against the definition,.*?200,000 draws\.": "",
    r"The three rows that the next cell prints are the same loss up to a factor\.":
        "With averages in place of sums it is the same loss up to a factor, and the number β is another.",
    r"The next cell\s+prints the Fréchet score.*":
        "We take the Fréchet score of 5,000 samples against them (0 is best) for every β of the sweep. The network at "
        "the tuned β trains for twice as many epochs as the others.",
}  # fmt: skip


def spoken(source: str) -> str:
    """A cell's text without claims (the line that an answer rests on, the last column of a table of them, comments),
    without exercises, and with INSTEAD.
    """
    for written, said in INSTEAD.items():
        source = re.sub(written, said, source, flags=re.S)
    source = re.sub(r"\n*^## Exercises$.*", "", source, flags=re.M | re.S)
    source = re.sub(r"\n*^\*Rests on C\d.*?\*$", "", source, flags=re.M | re.S)
    if re.search(r"^\|.*\| claims \|$", source, flags=re.M):
        source = re.sub(r"^(\|.*\|)[^|\n]*\|$", r"\1", source, flags=re.M)
    return re.sub(r"<!--.*?-->", "", source)


def lecture() -> NotebookNode:
    """One notebook of all tagged cells in their order, without outputs."""
    cells = [new_markdown_cell(STYLE, id="style"), new_code_cell(QUIET, id="quiet")]
    for path in sorted(FOLDER.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if "lecture" in cell.metadata.get("tags", []):
                cell.id = f"{path.stem[:2]}-{cell.id}"
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
                    cell.source = cell.source.replace("notebook_settings(", f'notebook_settings("{FOLDER.name}", ')
                else:
                    cell.source = spoken(cell.source)
                cells.append(cell)
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


if __name__ == "__main__":
    nbformat.write(lecture(), Path(sys.argv[1] if len(sys.argv) > 1 else "lecture.ipynb"))

"""The whole story as one page without code, for a lecture: `make lecture`, or `lecture.py [FILE]`.

The notebook written (default: lecture.ipynb) has the cells of the three notebooks that are tagged `lecture`: the
pictures, the answers and the sliders, without what takes long. From kept runs it is ready in less than a minute.
"""

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_notebook

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


def lecture() -> NotebookNode:
    """One notebook of all tagged cells in their order, without outputs."""
    cells = []
    for path in sorted(FOLDER.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if "lecture" in cell.metadata.get("tags", []):
                cell.id = f"{path.stem[:2]}-{cell.id}"
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
                cells.append(cell)
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


if __name__ == "__main__":
    nbformat.write(lecture(), Path(sys.argv[1] if len(sys.argv) > 1 else "lecture.ipynb"))

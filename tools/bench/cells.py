"""Where the notebooks' minutes go: seconds of every code cell, the slowest first.

    HW2_CACHE=$(mktemp -d) python tools/bench/cells.py    # from scratch
    python tools/bench/cells.py                           # from the runs that are kept

The notebooks are not written.
"""

import sys
from datetime import datetime
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from timing import keep

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SHOWN = 12  # cells


def seconds(cell: nbformat.NotebookNode) -> float:
    """From the kernel's start of a cell to its reply."""
    stamps = cell.metadata["execution"]
    start, end = (datetime.fromisoformat(stamps[f"iopub.status.{state}"]) for state in ("busy", "idle"))
    return (end - start).total_seconds()


def main() -> None:
    rows, totals = [], {}
    for path in sorted(NOTEBOOKS.glob("0*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=None, resources={"metadata": {"path": path.parent}}).execute()
        spent = {cell.id: seconds(cell) for cell in notebook.cells if cell.cell_type == "code"}
        totals[path.stem] = sum(spent.values())
        rows += [(s, path.stem, cell) for cell, s in spent.items()]
    table = [(name, "all", f"{total:.0f}") for name, total in totals.items()]
    table += [("all four", "", f"{sum(totals.values()):.0f}")]
    table += [(name, cell, f"{s:.0f}") for s, name, cell in sorted(rows, reverse=True)[:SHOWN]]
    keep("cells", ("notebook", "cell", "seconds"), table, "Below the sums, the slowest cells.")


if __name__ == "__main__":
    sys.exit(main())

"""The notebooks' claims from outside: what they say, the bounds they set, and the values that a run of theirs gives."""

import ast
import math
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "notebooks"))
from execute import measured

from hw2.study.claims import Claim

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def bounds(arch: str) -> dict[str, Claim]:
    """The claims about one architecture by their ids, with their bounds for it and NaN for their values."""

    def number(node: ast.expr) -> float:
        return eval(compile(ast.Expression(node), "claim", "eval"), {"ARCH": arch})  # literals, or {...}[ARCH]

    found = {}
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            calls = ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ()
            for call in calls:
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Claim":
                    id_, sentence, _, *positional = call.args
                    given = dict(zip(("at_least", "at_most"), positional, strict=False))
                    given |= {keyword.arg: keyword.value for keyword in call.keywords}
                    limits = {name: number(node) for name, node in given.items()}
                    claim = Claim(ast.literal_eval(id_), ast.literal_eval(sentence), math.nan, **limits)
                    if claim.applies("mnist", arch):
                        found[claim.id] = claim
    return found


def printed_bounds(path: Path) -> dict[str, str]:
    """The bounds in words that a saved notebook shows, by claim."""
    found = measured(nbformat.read(path, as_version=4))
    return {id_: bound.removeprefix("must be ") for id_, (_, bound) in found.items()}


def errors(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """The cells that failed, and how."""
    return {
        cell.id: f"{output.ename}: {output.evalue}"
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    }

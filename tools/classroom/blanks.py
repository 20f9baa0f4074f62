"""The module as students get it: the functions that they write have lost their bodies, and keep their docstrings.

TASKS, in hw2.checks.tasks, lists these functions.
"""

import ast
import textwrap
from pathlib import Path

from hw2.checks.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = sorted({f"hw2/{function.partition('.')[0]}.py" for task in TASKS for function in task.functions})
# ConditionedVAE.forward holds the lines that students write: theirs are called in its place.
GIVEN_AWAY = """modulation = self._modulate(self.draw_betas(len(x), generator) if betas is None else betas)

class Modulated(nn.Sequential):
    def forward(self, h: Tensor) -> Tensor:
        for layer in self:
            h = layer(h)
            if isinstance(layer, nn.Linear):
                scale, shift = next(modulation)
                h = scale * h + shift
        return h

at = VAE.__new__(VAE)  # this network at these β, as a plain VAE
at.__dict__ = self.__dict__ | {"_modules": {"encoder": Modulated(*self.encoder), "decoder": Modulated(*self.decoder)}}
return VAE.forward(at, x, generator)"""


def function_node(tree: ast.Module, name: str) -> ast.FunctionDef:
    """The definition of "function" or "Class.method" in a module. ValueError if there is none, or it says nothing."""
    node: ast.AST = tree
    for part in name.split("."):
        found = [n for n in ast.iter_child_nodes(node) if getattr(n, "name", None) == part]
        if len(found) != 1:
            raise ValueError(f"there is no {name}: correct TASKS")
        node = found[0]
    if not isinstance(node, ast.FunctionDef) or not ast.get_docstring(node):
        raise ValueError(f"{name} must be a function with a docstring, which is the assignment's text")
    return node


def emptied(source: str, names: list[str], body: str = "raise NotImplementedError") -> str:
    """A module's source, where of the bodies of the named functions the docstring stays and `body` takes the rest."""
    lines = source.splitlines()
    nodes = [function_node(ast.parse(source), name) for name in names]
    for node in sorted(nodes, key=lambda n: n.lineno, reverse=True):
        docstring = node.body[0]
        lines[docstring.end_lineno : node.end_lineno] = textwrap.indent(body, " " * docstring.col_offset).splitlines()
    return "\n".join(lines) + "\n"


def docstring_of(function: str) -> str:
    """Signature and docstring of "module.function", as text."""
    module, _, name = function.partition(".")
    node = function_node(ast.parse((ROOT / "hw2" / f"{module}.py").read_text(encoding="utf-8")), name)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{name}({ast.unparse(node.args)}){returns}\n\n{ast.get_docstring(node)}"


def empty(folder: Path) -> None:
    """Take the bodies out of the modules in folder/hw2."""
    for file in WRITTEN:
        module = Path(file).stem
        names = [f.partition(".")[2] for task in TASKS for f in task.functions if f.startswith(f"{module}.")]
        path = folder / file
        path.write_text(emptied(path.read_text(encoding="utf-8"), names), encoding="utf-8")
    path = folder / "hw2" / "conditioned.py"
    source = emptied(path.read_text(encoding="utf-8"), ["ConditionedVAE.forward"], GIVEN_AWAY)
    path.write_text(source.replace(", device_of, reparametrize", ", device_of", 1), encoding="utf-8")

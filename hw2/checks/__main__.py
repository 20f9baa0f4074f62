"""`python -m hw2.checks [FOLDER or MODULE]`: a line for each task, its points, and the total.

Without an argument the hw2 that Python finds is checked. FOLDER: one that holds hw2/. MODULE: the name of a module, or
a file, with functions of the same names (reparametrize, kl_normal, ...); what it lacks gets no points.
"""

import importlib
import importlib.util
import sys
import textwrap
import time
from pathlib import Path
from types import ModuleType

from .mistake import Mistake
from .tasks import PROMISE, TASKS, TOTAL, run


def load(name: str) -> ModuleType:
    """The package hw2 in a folder, a module in a file, or one by its name. SystemExit if there is none."""
    path = Path(name)
    if path.is_dir():
        path = path / "hw2" / "__init__.py" if (path / "hw2").is_dir() else path / "__init__.py"
    if path.suffix == ".py":
        if not path.is_file():
            sys.exit(f"there is no {path}: name a folder that holds hw2/, a file, or a module")
        folder = [str(path.parent)] if path.name == "__init__.py" else None
        alias = "submission" if folder else path.stem  # hw2 itself is imported already: it holds these checks
        spec = importlib.util.spec_from_file_location(alias, path, submodule_search_locations=folder)
        sys.modules[alias] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: name a folder that holds hw2/, a file, or a module")


def main(name: str = "") -> int:
    """Print a line per task. Returns the points."""
    start, points = time.perf_counter(), 0
    module = load(name) if name else sys.modules[__package__.partition(".")[0]]
    print(f"{module.__name__}: {module.__file__}\n")
    for task in TASKS:
        try:
            run(task, module)
        except Mistake as mistake:
            said = textwrap.indent("\n".join(mistake.lines(72)), "    ")
            print(f"{task.title:<42}0 of {task.points}\n{said}")
        else:
            points += task.points
            print(f"{task.title:<42}{task.points} of {task.points}   passed")
    print(f"\n{'in all':<41}{points:>2} of {TOTAL}   {time.perf_counter() - start:.0f} seconds\n")
    print("\n".join(textwrap.wrap(PROMISE, 76)))
    return points


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]) < TOTAL)

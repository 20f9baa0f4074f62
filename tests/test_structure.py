"""What may import what: the core is read on its own, and no circle of modules comes about."""

import ast
from pathlib import Path

import pytest

import hw2

PACKAGE = Path(hw2.__file__).parent
CORE = {
    "inputs", "config", "guards", "data", "networks", "models", "losses", "training", "latent", "conditioned"
}  # fmt: skip
MAY_IMPORT = {  # room: the rooms beside itself
    **dict.fromkeys(CORE, CORE),
    "notebook_settings": {"config", "data", "inputs"},
    "plotting": {"inputs", "losses"},
    "runs": CORE,
    "study": CORE | {"runs"},
    "explore": CORE | {"plotting", "study"},
    "checks": set(),
}


def imports_of(path):
    """The modules of hw2 that a file imports, as dotted names within hw2, wherever in the file it does so."""
    package = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            base = tuple(part for part in base if part)
            for name in node.names:
                inner = PACKAGE.joinpath(*base, name.name)
                yield ".".join((*base, name.name) if inner.with_suffix(".py").exists() or inner.is_dir() else base)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for name in names:
                assert name.split(".")[0] != "hw2", f"{path} imports {name}: say it relatively"


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): sorted(set(imports_of(path)))
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}


def test_every_room_is_known():
    assert {name.split(".")[0] for name in MODULES} == MAY_IMPORT.keys()


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module):
    room = module.split(".")[0]
    others = {name.split(".")[0] for name in MODULES[module]} - {room}
    assert others <= MAY_IMPORT[room], f"{room} may not import {others - MAY_IMPORT[room]}"


def test_study_takes_only_files_of_weights_from_runs():
    taken = {name for module in MODULES if module.startswith("study") for name in MODULES[module] if "runs" in name}
    assert taken <= {"runs.files"}


def test_there_is_no_circle():
    left = {module: set(names) & MODULES.keys() for module, names in MODULES.items()}
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}


@pytest.mark.parametrize("room", ["runs", "study", "explore", "checks"])
def test_each_package_says_what_it_is_for(room):
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")))
    assert text
    assert 1 <= text.count(".") <= 4

"""The checks as a whole: a student edition has them before any function of hw2 is written."""

import ast
from pathlib import Path

import pytest

from hw2 import checks


@pytest.mark.parametrize("module", sorted(Path(checks.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_imports_nothing_of_hw2_but_the_checks(module):
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1, "a relative import reaches out of the package"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert "hw2" not in [name.partition(".")[0] for name in names]

"""Imports run one way: components, pipelines, serving → lidloop; pipelines → components; nothing back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "lidloop": set(),
    "components": {"lidloop"},
    "pipelines": {"lidloop", "components"},
    "serving": {"lidloop"},
}


def imported_houses(source: str) -> set[str]:
    """Which of the four packages a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found & set(ALLOWED)


@pytest.mark.parametrize("house", ALLOWED)
def test_imports_run_one_way(house: str) -> None:
    files = sorted((ROOT / house).rglob("*.py"))
    assert files, f"{house} has no modules"
    wrong = {
        str(file.relative_to(ROOT)): sorted(bad)
        for file in files
        if (bad := imported_houses(file.read_text()) - ALLOWED[house] - {house})
    }
    assert not wrong


def test_the_check_sees_every_form_of_import() -> None:
    source = (
        "import serving.app as a\ndef f():\n    from pipelines.local.run import run_local\nimport numpy\n"
    )
    assert imported_houses(source) == {"serving", "pipelines"}

"""Direction of imports: the contracts in pyproject.toml (import-linter) hold, and break when they should."""

from __future__ import annotations

import graphlib
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("lidloop", "components", "pipelines", "serving")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of ``folder/pyproject.toml`` over the packages in ``folder``."""
    linter = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [linter, "--no-logo", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_import_contracts_hold() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_module_imports_itself_in_a_circle() -> None:
    """Also between a package and its own modules, which the contract on siblings leaves out."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the four packages' Python files and of pyproject.toml."""
    folder = tmp_path_factory.mktemp("imports")
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        pytest.param(
            "lidloop/files.py", "import serving.app", "lidloop is at the bottom", id="up to another package"
        ),
        pytest.param(
            "serving/app.py", "import pipelines.settings", "lidloop is at the bottom", id="to a sibling"
        ),
        pytest.param(
            "serving/app.py", "import components.step", "serving imports nothing but lidloop", id="serving"
        ),
        pytest.param(
            "lidloop/labels.py",
            "def late():\n    from lidloop.data.dataset import Dataset",
            "Layers of lidloop",
            id="up a layer, inside a function",
        ),
        pytest.param(
            "lidloop/models/bundle.py", "import lidloop.labels", "Layers of lidloop", id="within a layer"
        ),
        pytest.param(
            "lidloop/unplaced.py", "import json", "Layers of lidloop", id="module without a place in a layer"
        ),
        pytest.param("serving/settings.py", "import serving.app", "No cycles", id="cycle inside one package"),
    ],
)
def test_an_import_against_the_contracts_is_found(copy: Path, file: str, line: str, broken: str) -> None:
    target = copy / file
    before = target.read_text() if target.exists() else None
    target.write_text(f"{before or ''}\n{line}\n")
    try:
        result = lint(copy)
    finally:
        target.unlink()
        if before is not None:
            target.write_text(before)
    assert result.returncode == 1
    found = [text for text in result.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(broken) for text in found), result.stdout + result.stderr


def test_the_copy_without_a_change_passes(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout + result.stderr

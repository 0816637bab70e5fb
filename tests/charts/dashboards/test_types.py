"""The dashboards type-checked by the TypeScript compiler against Grafana's types (npm @grafana/schema).

``make cluster-tools`` installs both into ``.tools``; the tests are skipped without them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.charts.dashboards.conftest import Boards
from tests.tools.grafana_types import MODULES, TYPES, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def type_errors(folder: Path, boards: Boards) -> list[str]:
    """Errors of the compiler."""
    for file in ("screen.d.ts", "tsconfig.json"):
        shutil.copy(TYPES / file, folder)
    (folder / "node_modules").symlink_to(MODULES)
    for name, board in boards.items():
        text = json.dumps(board)
        (folder / f"{name}.ts").write_text(
            f"import type {{ Screen }} from './screen';\nexport const board: Screen = {text};\n"
        )
    made = subprocess.run([MODULES / ".bin" / "tsc", "--project", folder], capture_output=True, text=True)
    return made.stdout.splitlines()


def test_dashboards_match_the_types_of_grafana(tmp_path: Path, boards: Boards) -> None:
    assert type_errors(tmp_path, boards) == []


def _fixed(board: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(board))
    return copied


def test_wrong_dashboards_are_type_errors(tmp_path: Path, boards: Boards) -> None:
    """An option of another kind of panel, an unknown enum value, a number as a unit."""
    wrong = {name: _fixed(boards["labels"]) for name in ("option", "value", "unit", "fine")}
    wrong["option"]["panels"][0]["options"]["xField"] = "feature"
    wrong["value"]["panels"][0]["options"]["textMode"] = "loud"
    wrong["unit"]["panels"][0]["fieldConfig"]["defaults"]["unit"] = 1
    told = [line.partition(".ts(")[0] for line in type_errors(tmp_path, wrong) if not line.startswith(" ")]
    found = {Path(file).name for file in told}
    assert found == {"option", "value", "unit"}

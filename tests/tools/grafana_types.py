"""Grafana's types and a TypeScript compiler for tests of the dashboards: from npm, by a lock file's hashes.

``python tests/tools/grafana_types.py`` puts them into ``.tools/grafana`` where they are not there yet, 33 MB.
Where they cannot be had (no npm, no network) it says why, and the tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TYPES: Final = ROOT / "tests" / "charts" / "dashboards" / "types"
FOLDER: Final = ROOT / ".tools" / "grafana"
MODULES: Final = FOLDER / "node_modules"
LOCK: Final = "package-lock.json"


def missing() -> str | None:
    """Why the types are not to be had; None where they are there, as the lock file says."""
    if shutil.which("node") is None:
        return "node is not installed"
    kept = FOLDER / LOCK
    if not (MODULES / ".bin" / "tsc").exists() or kept.read_bytes() != (TYPES / LOCK).read_bytes():
        return "no @grafana/schema in .tools: make cluster-tools"
    return None


def main() -> None:
    """Install what is missing; print the reason and leave with status 1 where that fails."""
    if missing() is None:
        return
    try:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        for name in ("package.json", LOCK):
            shutil.copy(TYPES / name, FOLDER)
        command = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", FOLDER]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"@grafana/schema cannot be had: {getattr(error, 'stderr', None) or error}")


if __name__ == "__main__":
    main()

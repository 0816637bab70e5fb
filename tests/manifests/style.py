"""Style of the project's YAML files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from yamllint import linter
from yamllint.config import YamlLintConfig

RULES: Final[dict[str, Any]] = {
    "line-length": {"max": 120},
    "document-start": "disable",
    "braces": {"max-spaces-inside": 0},
}
_CONFIG: Final = YamlLintConfig(json.dumps({"extends": "default", "rules": RULES}))


def slips(path: Path) -> list[str]:
    """Return the problems that yamllint finds in a file."""
    return [str(problem) for problem in linter.run(path.read_text(), _CONFIG)]

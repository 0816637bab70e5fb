"""Table of the chart's values, from the comments in ``values.yaml``.

Every value (a key whose value is no mapping, or an empty one) has a comment ``# -- …`` right above it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from benchmarks.pages.markdown import table

CHART: Final = Path(__file__).parents[2] / "charts" / "lidloop"
TYPES: Final = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}


class Value(NamedTuple):
    """A value of the chart: its path, its default, and the text of its comment; empty without one."""

    path: str
    default: Any
    description: str


def section() -> str:
    """All values of the chart as a Markdown table.

    Raises:
        ValueError: for values without a comment; names them.
    """
    found = values((CHART / "values.yaml").read_text())
    if missing := [value.path for value in found if not value.description]:
        raise ValueError(f"no `# --` comment in values.yaml: {', '.join(missing)}")
    rows = (
        (
            f"`{v.path}`",
            TYPES[type(v.default)],
            f"`{json.dumps(v.default, ensure_ascii=False)}`",
            v.description,
        )
        for v in found
    )
    return table(("value", "type", "default", "description"), rows)


def values(text: str) -> list[Value]:
    """All values of a ``values.yaml``, in its order."""
    return list(_walk(yaml.compose(text, yaml.SafeLoader), "", text.splitlines()))


def _walk(node: Any, prefix: str, lines: list[str]) -> Iterator[Value]:
    for key, item in node.value:
        path = f"{prefix}{key.value}"
        description = _comment(lines, key.start_mark.line)
        # A mapping with a comment of its own is one value, even if it has keys.
        if isinstance(item, yaml.MappingNode) and item.value and not description:
            yield from _walk(item, path + ".", lines)
        else:
            yield Value(path, yaml.safe_load(yaml.serialize(item)), description)


def _comment(lines: list[str], line: int) -> str:
    """The ``# --`` comment right above a line, as one line; empty if there is none."""
    parts: list[str] = []
    while line > 0 and (found := re.fullmatch(r"\s*#\s?(.*)", lines[line - 1])):
        parts.insert(0, found[1].strip())
        line -= 1
    text = " ".join(parts)
    return text.removeprefix("-- ") if text.startswith("-- ") else ""

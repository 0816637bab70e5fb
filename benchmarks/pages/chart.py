"""Writes the table of values in the chart's README from the comments in values.yaml: run it.

Every value (a key whose value is no mapping, or an empty one) carries the comment ``# -- …`` right above it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

CHART: Final = Path(__file__).parents[2] / "charts" / "lidloop"
BEGIN: Final = "<!-- values: python benchmarks/pages/chart.py writes what follows -->"
END: Final = "<!-- end of values -->"
KINDS: Final = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}


class Value(NamedTuple):
    """A value of the chart: its path, its default, and what its comment says; empty without one."""

    path: str
    default: Any
    about: str


def values(text: str) -> list[Value]:
    """All values of a values.yaml, in its order."""
    lines = text.splitlines()
    root = yaml.compose(text, yaml.SafeLoader)
    return list(_walk(root, "", lines))


def _walk(node: Any, prefix: str, lines: list[str]) -> Iterator[Value]:
    for key, item in node.value:
        path = f"{prefix}{key.value}"
        about = comment(lines, key.start_mark.line)
        # A mapping with a comment of its own is one value, however much it holds.
        if isinstance(item, yaml.MappingNode) and item.value and not about:
            yield from _walk(item, path + ".", lines)
        else:
            yield Value(path, yaml.safe_load(yaml.serialize(item)), about)


def comment(lines: list[str], line: int) -> str:
    """The ``# --`` comment right above a line, as one line; empty where there is none."""
    parts: list[str] = []
    while line > 0 and (found := re.fullmatch(r"\s*#\s?(.*)", lines[line - 1])):
        parts.insert(0, found[1].strip())
        line -= 1
    text = " ".join(parts)
    return text.removeprefix("-- ") if text.startswith("-- ") else ""


def table(found: list[Value]) -> str:
    """The table, in Markdown."""
    rows = ["| value | kind | default | what |", "| --- | --- | --- | --- |"]
    for value in found:
        default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
        about = value.about.replace("|", "\\|")
        rows.append(f"| `{value.path}` | {KINDS[type(value.default)]} | `{default}` | {about} |")
    return "\n".join(rows)


def document(readme: str, found: list[Value]) -> str:
    """The README with the table of values in its place.

    Raises:
        ValueError: where the README does not say where that is.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} … {END}")
    return f"{head}{BEGIN}\n\n{table(found)}\n\n{END}{tail}"


def main() -> None:
    """Rewrite the README, or say what is missing."""
    found = values((CHART / "values.yaml").read_text())
    silent = [value.path for value in found if not value.about]
    if silent:
        sys.exit(f"no `# --` comment in values.yaml: {', '.join(silent)}")
    path = CHART / "README.md"
    path.write_text(document(path.read_text(), found))


if __name__ == "__main__":
    main()

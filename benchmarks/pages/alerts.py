"""Writes the table of alerts in docs/WATCHING.md from the chart's rules: run it, or ``make docs``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

RULES: Final = Path(__file__).parents[2] / "charts" / "lidloop" / "files" / "rules"
PAGE: Final = Path(__file__).parents[2] / "docs" / "WATCHING.md"
BEGIN: Final = "<!-- alerts: python benchmarks/pages/alerts.py writes what follows -->"
END: Final = "<!-- end of alerts -->"


def alerts() -> list[dict[str, Any]]:
    """All alerts, by file and in its order."""
    groups = [
        group for path in sorted(RULES.glob("*.yaml")) for group in yaml.safe_load(path.read_text())["groups"]
    ]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def table(found: list[dict[str, Any]]) -> str:
    """The alerts, in Markdown."""
    rows = ["| alert | severity | after | what it says |", "| --- | --- | --- | --- |"]
    for rule in found:
        name, severity = rule["alert"], rule["labels"]["severity"]
        more = [f"{key}: {value}" for key, value in rule["labels"].items() if key != "severity"]
        severity = ", ".join([severity, *more])
        said = re.sub(r"\{\{(.*?)\}\}", _placeholder, rule["annotations"]["summary"])
        rows.append(f"| [{name}](runbooks/{name}.md) | {severity} | {rule['for']} | {said} |")
    return "\n".join(rows)


def _placeholder(found: re.Match[str]) -> str:
    """What stands for a part that Prometheus fills in: the label's name, or `…` for the value."""
    label = re.search(r"\$labels\.(\w+)", found[1])
    return f"*{label[1]}*" if label else "…"


def document(page: str, found: list[dict[str, Any]]) -> str:
    """The page with the table in its place.

    Raises:
        ValueError: where the page does not say where that is.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{head}{BEGIN}\n\n{table(found)}\n\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(document(PAGE.read_text(), alerts()))

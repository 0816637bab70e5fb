"""Table of the chart's alerts, from the rule files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.pages.markdown import table

RULES: Final = Path(__file__).parents[2] / "charts" / "lidloop" / "files" / "rules"


def section() -> str:
    """Name, severity, delay and summary of each alert, as a Markdown table."""
    files = [yaml.safe_load(path.read_text()) for path in sorted(RULES.glob("*.yaml"))]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"] if "alert" in rule]
    return table(("alert", "severity", "after", "message"), map(_row, rules))


def _row(rule: dict[str, Any]) -> tuple[str, ...]:
    name, labels = rule["alert"], dict(rule["labels"])
    severity = ", ".join([labels.pop("severity"), *(f"{key}: {value}" for key, value in labels.items())])
    summary = re.sub(r"\{\{(.*?)\}\}", _placeholder, rule["annotations"]["summary"])
    return f"[{name}](runbooks/{name}.md)", severity, rule["for"], summary


def _placeholder(found: re.Match[str]) -> str:
    """Shown for a template expression of Prometheus: the label's name, or ``…`` for a value."""
    label = re.search(r"\$labels\.(\w+)", found[1])
    return f"*{label[1]}*" if label else "…"

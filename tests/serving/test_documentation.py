"""docs/SERVING.md: its tables list every setting, every type of problem and every metric, and no others."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from lidloop.screening.reasons import KINDS
from lidloop.screening.thresholds import THRESHOLDS
from serving.intake import PARAMETERS, SUBJECT
from serving.metrics import Metrics
from serving.problems import PROBLEM_TYPES
from serving.settings import PREFIX, Settings

TEXT = (Path(__file__).parents[2] / "docs" / "SERVING.md").read_text()


def section(title: str) -> str:
    """Text of a section, up to the next heading of its level."""
    [found] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def first_cells(text: str) -> list[str]:
    """First cell of every row of the tables in a text, without the head."""
    rows = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return [cell for cell in rows[1:] if not cell.startswith("---")]


def test_every_setting_is_documented() -> None:
    listed = re.findall(rf"`({PREFIX}\w+)`", "\n".join(first_cells(section("Settings"))))
    assert sorted(listed) == sorted(PREFIX + field.name.upper() for field in fields(Settings))


def test_every_problem_is_documented_with_its_status() -> None:
    listed = {}
    for status, kinds in re.findall(r"^\| ([\d, ]+) \| (.*?) \|", section("Errors"), re.MULTILINE):
        names = re.findall(r"`/problems/([\w-]+)`", kinds)
        listed |= dict(zip(names, map(int, status.split(",")), strict=True))
    assert listed == {name: kind.status for name, kind in PROBLEM_TYPES.items()}


def test_metrics_that_are_documented_exist() -> None:
    exposed = set(
        re.findall(r"^# TYPE (\w+) ", Metrics(window=1, limit=1).exposition().decode(), re.MULTILINE)
    )
    listed = re.findall(r"`(\w+)`", "\n".join(first_cells(section("Metrics"))))
    assert {f"lidloop_serving_{name}" for name in listed} == exposed


def test_every_parameter_is_documented() -> None:
    listed = re.findall(r"`(\w+)`", "\n".join(first_cells(section("Request and answer"))))
    assert sorted(listed) == sorted((*PARAMETERS, SUBJECT))


def test_every_threshold_and_reason_is_documented() -> None:
    text = section("The flag")
    for name, threshold in THRESHOLDS.items():
        assert f"| `{PREFIX}{name.upper()}` | {threshold.default:g} | {threshold.text} |" in text
        [defaults] = re.findall(rf"`{PREFIX}{name.upper()}`.*? \| ([\d., ]+) \| thresholds in mm", TEXT)
        assert defaults.split(", ") == [f"{entry.default:g}" for entry in THRESHOLDS.values()]
    assert set(KINDS) <= set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE))

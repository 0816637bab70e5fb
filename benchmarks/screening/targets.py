"""Targets of the screening flag, and what was reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Target(NamedTuple):
    """A target: what, the figure reached with its interval, the limit as text, and if it is met (None
    without a figure)."""

    what: str
    reached: Mapping[str, Any]
    limit: str
    met: bool | None


def targets_of(report: Mapping[str, Any]) -> list[Target]:
    """The targets, each for the sources of choosing and for the one held back; drawn ptosis once."""
    out = []
    lines = {line["group"]: line for line in report["who"]}
    held_back = {line["group"]: line for line in report["false_flags"]}
    out.append(_at_least("judged, of the faces of the targets", lines["targets"]["now"], 0.5))
    for group in ("chosen on (AFW, LFPW)", "held back (HELEN)"):
        flagged = held_back[group]["now"]["flagged"]
        out.append(_at_most(f"flagged as they were, of those judged, {group}", flagged, 0.1))
    for part, name in (("chosen", "chosen on (AFW, LFPW)"), ("held back", "held back (HELEN)")):
        line = next(
            row for row in report["sensitivity"]
            if (row["part"], row["group"], row["mm"]) == (part, "one side", 2.0)
        )  # fmt: skip
        what = f"one side lowered by 2 mm: flagged on that side and no other, of those judged, {name}"
        out.append(_at_least(what, line["now"]["right"], 0.9))
        out.append(_at_least(f"the same, of all of them, {name}", line["now"]["right_of_all"], 0.9))
    for line in report["drawn"]:
        if line["severity"] in ("moderate", "severe"):
            what = f"drawn {line['severity']} ptosis: flagged, of all of them"
            out.append(_at_least(what, line["now"]["flagged_of_all"], 0.95))
    for line in report["slopes"]:
        if line["part"] == "all":
            value = line["slope"]["value"]
            met = None if value is None else 0.9 <= value <= 1.1
            what = f"lowering measured over lowering made, {line['length'].upper()}"
            out.append(Target(what, line["slope"], "0.9 to 1.1", met))
    return out


def _at_least(what: str, reached: Mapping[str, Any], limit: float) -> Target:
    value = reached["value"]
    return Target(what, reached, f"≥ {100 * limit:g} %", None if value is None else value >= limit)


def _at_most(what: str, reached: Mapping[str, Any], limit: float) -> Target:
    value = reached["value"]
    return Target(what, reached, f"≤ {100 * limit:g} %", None if value is None else value <= limit)

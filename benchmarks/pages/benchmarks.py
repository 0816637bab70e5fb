"""Write ``docs/reports/BENCHMARKS.md`` from ``docs/reports/data/benchmarks.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.common import Row
from benchmarks.pages.markdown import render
from benchmarks.registry import MEASUREMENTS


def page(stored: Mapping[str, Any]) -> str:
    """The page's Markdown.

    Args:
        stored: ``{"benchmarks": {name: entry}}``; an entry holds ``measured`` (date), ``machine`` and either
            ``report``, ``skipped`` (the reason) or ``failed`` (class of the error).
    """
    entries = stored.get("benchmarks", {})
    table, details = [], []
    for name, measurement in MEASUREMENTS.items():
        entry = entries.get(name, {})
        report = entry.get("report")
        table.append((name, measurement.rows(report) if report else [], missing(entry)))
        if report:
            details.append((name, entry, notes(name, report)))
    return render("pages/benchmarks.md.j2", table=table, details=details, met=met)


def notes(name: str, report: Mapping[str, Any]) -> str:
    """List of remarks about a measurement, as Markdown."""
    measurement = MEASUREMENTS[name]
    return render(f"pages/notes/{measurement.notes}.md.j2", **measurement.constants, **report)


def met(row: Row) -> str:
    """Last column of the table: the target is met or missed, or there is none."""
    return "–" if row.met is None else "met" if row.met else "**missed**"


def missing(entry: Mapping[str, Any]) -> str:
    """The reason why an entry has no report."""
    if "skipped" in entry:
        return f"skipped: {entry['skipped']}"
    return f"failed: {entry.get('failed', 'unknown')}" if entry else "not measured yet"

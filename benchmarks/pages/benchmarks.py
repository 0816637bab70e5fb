"""``docs/reports/BENCHMARKS.md`` from ``docs/reports/data/benchmarks.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from benchmarks import auto_label, detection, exporter, overhead, service, sigma, soak, tracking, unlabelled
from benchmarks.common import Row
from benchmarks.measurements import measure as measurements
from benchmarks.scale import page as scale_page


class Page(NamedTuple):
    """How a measurement is shown: its command, the lines of its table, and what to know beside them."""

    command: str
    rows: Callable[[Mapping[str, Any]], list[Row]]
    notes: Callable[[Mapping[str, Any]], list[str]]


def _filter_rows(report: Mapping[str, Any]) -> list[Row]:
    lines = []
    for name, what, target in (
        ("paper_exact", "as the paper filters", report["target"]),
        ("priority", "priority NMS", None),
    ):
        figures = report[name]
        ratio = figures["ratio"]
        lines.append(
            Row(
                f"Filter alone, {what}, {report['images']:,} pictures", f"{figures['lidloop_seconds']:.3f} s",
                f"{figures['plain_seconds']:.2f} s", f"{ratio:.0f}×",
                "–" if target is None else f"≥ {target:g}×", None if target is None else ratio >= target,
            )
        )  # fmt: skip
    return lines


def _filter_notes(report: Mapping[str, Any]) -> list[str]:
    return [
        f"{report['labels']:,} labels and {report['predictions']:,} predictions, from boxes in memory to "
        f"kept predictions; theirs are Python loops over boxes; the best of {report['repeat']} timings in "
        "turns; both kept the same."
    ]


PAGES: Final[dict[str, Page]] = {
    "auto_label": Page("python -m benchmarks.auto_label", auto_label.rows, auto_label.notes),
    "detection": Page("python -m benchmarks.detection", detection.rows, detection.notes),
    "filter": Page("python -m benchmarks.filter", _filter_rows, _filter_notes),
    "measurements": Page("python -m benchmarks --only measurements", measurements.rows, measurements.notes),
    "service": Page("python -m benchmarks.service", service.rows, service.notes),
    "exporter": Page("python -m benchmarks.exporter", exporter.rows, exporter.notes),
    "tracking": Page("python -m benchmarks.tracking", tracking.rows, tracking.notes),
    "soak": Page("make soak", soak.rows, soak.notes),
    "sigma": Page("python -m benchmarks.sigma", sigma.rows, sigma.notes),
    "unlabelled": Page("python -m benchmarks.unlabelled", unlabelled.rows, unlabelled.notes),
    "unlabelled_real": Page("python -m benchmarks.unlabelled --real", unlabelled.rows, unlabelled.notes),
    "overhead": Page("python -m benchmarks.overhead RUN_DIR", overhead.rows, overhead.notes),
    "scale": Page("python -m benchmarks --only scale", scale_page.rows, scale_page.notes),
}
"""Every measurement, in the order of the page."""

_HEAD: Final = """# Benchmarks

Generated from `docs/reports/data/benchmarks.json` by `make docs`; measured by `make bench`.
Theirs is the procedure of [arXiv 2404.05348](https://arxiv.org/abs/2404.05348) done
plainly: Ultralytics `predict` over the folder with `save_txt`, then Python loops over boxes. Both sides of a
line ran side by side on one machine, so read the ratio; the absolute figures are that machine's.
"""


def met(row: Row) -> str:
    """The last column: a target is met or missed, or there is none."""
    return "–" if row.met is None else "met" if row.met else "**missed**"


def page(stored: Mapping[str, Any]) -> str:
    """The page of ``docs/reports/data/benchmarks.json``.

    Args:
        stored: ``{"benchmarks": {name: entry}}``; an entry holds ``measured`` (date), ``machine`` and either
            ``report``, ``skipped`` (the reason) or ``failed`` (kind of error).
    """
    entries = stored.get("benchmarks", {})
    table = [
        "| question | lidloop | theirs | ratio or share | target | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    details = []
    for name, how in PAGES.items():
        entry = entries.get(name)
        if entry is None or "report" not in entry:
            why = "not measured yet" if entry is None else _why(entry)
            table.append(f"| `{name}` | – | – | – | – | {_cell(why)} |")
            continue
        for row in how.rows(entry["report"]):
            cells = (row.question, row.ours, row.theirs, row.ratio, row.target, met(row))
            table.append("| " + " | ".join(map(_cell, cells)) + " |")
        details.append(f"## {name}\n\n`{how.command}`, {_where(entry)}\n")
        details.append("\n".join(f"- {note}" for note in how.notes(entry["report"])) + "\n")
    return "\n".join([_HEAD, *table, "", *details])


def _why(entry: Mapping[str, Any]) -> str:
    return (
        f"skipped: {entry['skipped']}" if "skipped" in entry else f"failed: {entry.get('failed', 'unknown')}"
    )


def _where(entry: Mapping[str, Any]) -> str:
    machine = entry["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    quick = " Quick sizes: only proof that it runs." if entry.get("quick") else ""
    return f"{entry['measured']}, {machine['cpu']}, {machine['cores']} cores, {versions}.{quick}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

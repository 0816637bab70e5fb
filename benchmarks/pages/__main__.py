"""Regenerates what needs no measuring under ``docs/``: ``python -m benchmarks.pages``, or ``make docs``.

Every page has its figures beside it as JSON, and is made from them alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.closed_loop.page import closed_loop_page
from benchmarks.common import DATA, REPORTS
from benchmarks.measurements import page as measured
from benchmarks.pages import benchmarks as render
from benchmarks.pages.images import images_page
from benchmarks.pages.metrics import metrics_page
from benchmarks.pages.protocols import protocols_page
from benchmarks.scale import page as scaled
from lidloop.files import write_atomic


def benchmarks_page(docs: Path) -> Path | None:
    """Write ``BENCHMARKS.md`` from ``benchmarks.json``; None where nothing was measured yet."""
    stored = docs / DATA / "benchmarks.json"
    if not stored.exists():
        return None
    page = docs / REPORTS / "BENCHMARKS.md"
    write_atomic(page, render.page(json.loads(stored.read_text())))
    return page


def measurements_page(docs: Path) -> Path | None:
    """Write ``MEASUREMENTS.md`` from ``benchmarks.json``; None where nothing was measured yet."""
    stored = docs / DATA / "benchmarks.json"
    entry = json.loads(stored.read_text())["benchmarks"].get("measurements", {}) if stored.exists() else {}
    if "report" not in entry:
        return None
    page = docs / REPORTS / "MEASUREMENTS.md"
    write_atomic(page, measured.page(entry))
    return page


def scale_page(docs: Path) -> Path | None:
    """Write ``SCALE.md`` from ``benchmarks.json``; None where nothing was measured yet."""
    stored = docs / DATA / "benchmarks.json"
    entry = json.loads(stored.read_text())["benchmarks"].get("scale", {}) if stored.exists() else {}
    if "report" not in entry:
        return None
    page = docs / REPORTS / "SCALE.md"
    write_atomic(page, scaled.page(entry))
    return page


def results_page(docs: Path) -> Path | None:
    """Write ``RESULTS.md`` from ``results.json``; None where no run's figures are kept there.

    A review that a person wrote (``review.json``) is read again, too.
    """
    from benchmarks.results import write_results

    stored = docs / DATA / "results.json"
    return write_results(stored, docs) if stored.exists() else None


PAGES = (
    closed_loop_page,
    benchmarks_page,
    measurements_page,
    scale_page,
    results_page,
    images_page,
    protocols_page,
    metrics_page,
)
"""What needs no run joins here. The README's picture needs one: ``python -m benchmarks.picture RUN_DIR``."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    docs = parser.parse_args(arguments).docs
    for make in PAGES:
        page = make(docs)
        print(f"{make.__name__}: {'nothing to make it from' if page is None else page}")


if __name__ == "__main__":
    main()

"""Write all generated pages under ``docs`` that need no measurement: ``python -m benchmarks.pages``.

``make docs`` runs this. The figures of a page are stored as JSON below ``docs/reports/data``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.closed_loop.page import closed_loop_page
from benchmarks.common import DATA, DOCS, REPORTS
from benchmarks.drift.page import drift_page
from benchmarks.no_labels.page import no_labels_page
from benchmarks.pages import benchmarks, sections
from benchmarks.pages.images import images_page
from benchmarks.pages.markdown import render
from benchmarks.pages.metrics import metrics_page
from benchmarks.pages.protocols import protocols_page
from benchmarks.results import write_results
from benchmarks.review.page import review_page
from benchmarks.review.worth import worth_page
from benchmarks.screening.page import screening_page
from benchmarks.starter.page import starter_page
from lidloop.files import write_atomic

ENTRIES: Final = {"measurements": "MEASUREMENTS.md", "scale": "SCALE.md"}
"""Pages about one measurement, from ``NAME/page.md.j2``."""


def write_benchmark_pages(docs: Path) -> list[Path]:
    """Write ``BENCHMARKS.md`` and the pages about one measurement from ``benchmarks.json``, if any."""
    stored = _stored(docs)
    if stored is None:
        return []
    texts = {"BENCHMARKS.md": benchmarks.page(stored)}
    for name, page in ENTRIES.items():
        entry = stored["benchmarks"].get(name, {})
        if "report" in entry:
            texts[page] = render(f"{name}/page.md.j2", **{"quick": False, **entry})
    for page, text in texts.items():
        write_atomic(docs / REPORTS / page, text)
    return [docs / REPORTS / page for page in texts]


def _stored(docs: Path) -> dict[str, Any] | None:
    file = docs / DATA / "benchmarks.json"
    return json.loads(file.read_text()) if file.exists() else None


def results_page(docs: Path) -> Path | None:
    """Write ``RESULTS.md`` from ``results.json`` and ``review.json``; None if the former does not exist."""
    stored = docs / DATA / "results.json"
    return write_results(stored, docs) if stored.exists() else None


PAGES: Final[tuple[Callable[[Path], Path | list[Path] | None], ...]] = (
    closed_loop_page,
    drift_page,
    write_benchmark_pages,
    results_page,
    no_labels_page,
    review_page,
    worth_page,
    starter_page,
    screening_page,
    images_page,
    protocols_page,
    metrics_page,
    sections.write_all,
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS)
    docs = parser.parse_args(arguments).docs
    for make in PAGES:
        made = make(docs)
        paths = made if isinstance(made, list) else [made] if made else []
        print(f"{make.__name__}: {', '.join(map(str, paths)) or 'no figures stored'}")


if __name__ == "__main__":
    main()

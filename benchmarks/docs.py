"""Regenerates what needs no measuring under ``docs/``: ``python -m benchmarks.docs``, or ``make docs``.

Every page has its figures beside it as JSON, and is made from them alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks import render
from lidloop.files import write_atomic


def benchmarks_page(docs: Path) -> Path | None:
    """Write ``BENCHMARKS.md`` from ``benchmarks.json``; None where nothing was measured yet."""
    stored = docs / "benchmarks.json"
    if not stored.exists():
        return None
    page = docs / "BENCHMARKS.md"
    write_atomic(page, render.page(json.loads(stored.read_text())))
    return page


def results_page(docs: Path) -> Path | None:
    """Write ``RESULTS.md`` from ``results/``; None where no run's figures are kept there."""
    if not (docs / "results" / "summary.json").exists() or find_spec("benchmarks.results") is None:
        return None
    command = [sys.executable, "-m", "benchmarks.results", str(docs / "results")]
    subprocess.run(command, check=True)
    return docs / "RESULTS.md"


PAGES = (benchmarks_page, results_page)
"""A page or picture that needs no measuring joins here, the README's ``picture.png`` for one."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.docs", description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    docs = parser.parse_args(arguments).docs
    for make in PAGES:
        page = make(docs)
        print(f"{make.__name__}: {'nothing to make it from' if page is None else page}")


if __name__ == "__main__":
    main()

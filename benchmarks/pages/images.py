"""Write ``docs/IMAGES.md``: how images are built, and the figures that ``make image-test`` stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.common import DATA
from benchmarks.pages.markdown import NONE, render, table
from lidloop import __version__
from lidloop.files import write_atomic

STORED: Final = DATA / "images.json"
DOCKERFILE: Final = Path(__file__).parents[2] / "serving" / "Dockerfile"
COLUMNS: Final = {
    "size_mb": "MB",
    "base_mb": "of it the base",
    "build_s": "built in s",
    "ready_s": "ready after s",
    "screening_s": "first screening s",
    "imports_s": "imports s",
    "memory_mb": "peak memory MB",
}
"""Headings by the names of figures."""


def images_page(docs: Path) -> Path | None:
    """Write ``IMAGES.md`` from ``images.json``; None if the latter does not exist."""
    if not (docs / STORED).exists():
        return None
    write_atomic(docs / "IMAGES.md", page(json.loads((docs / STORED).read_text()), DOCKERFILE.read_text()))
    return docs / "IMAGES.md"


def page(stored: dict[str, Any], dockerfile: str) -> str:
    """The page's Markdown.

    Args:
        stored: content of ``images.json``: a row of figures for each image, and the machine.
        dockerfile: text of a Dockerfile, for its default base.
    """
    base = next(line for line in dockerfile.splitlines() if line.startswith("ARG BASE="))
    rows = (
        [name, *(NONE if row.get(key) is None else row[key] for key in COLUMNS)]
        for name, row in stored["images"].items()
    )
    return render(
        "pages/images.md.j2",
        version=__version__,
        base=base.removeprefix("ARG BASE="),
        table=table(["image", *COLUMNS.values()], rows),
        dates=sorted({row["measured"] for row in stored["images"].values()}),
        machine=stored["machine"],
    )

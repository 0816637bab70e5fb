"""``docs/IMAGES.md``: how the images are built, and the figures that ``make image-test`` left."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any, Final

from benchmarks.common import DATA
from lidloop import __version__
from lidloop.files import write_atomic

TEMPLATE: Final = Path(__file__).with_suffix(".md")
STORED: Final = "images.json"
DOCKERFILE: Final = Path(__file__).parents[2] / "serving" / "Dockerfile"
COLUMNS: Final = {
    "size_mb": "MB",
    "base_mb": "of it the base",
    "build_s": "built in s",
    "ready_s": "ready after s",
    "screening_s": "first screening s",
    "imports_s": "imports s",
    "memory_mb": "most memory MB",
}
"""Figures and their headings."""


def images_page(docs: Path) -> Path | None:
    """Write ``IMAGES.md`` from ``images.json``; None where nothing was measured yet."""
    stored = docs / DATA / STORED
    if not stored.exists():
        return None
    page = docs / "IMAGES.md"
    write_atomic(page, render(json.loads(stored.read_text()), DOCKERFILE.read_text()))
    return page


def render(stored: dict[str, Any], dockerfile: str) -> str:
    """The page's text.

    Args:
        stored: content of ``images.json``: a row of figures per image.
        dockerfile: text of one Dockerfile, for its default base.
    """
    base = next(line for line in dockerfile.splitlines() if line.startswith("ARG BASE="))
    lines = ["| image | " + " | ".join(COLUMNS.values()) + " |", "| --- |" + " --- |" * len(COLUMNS)]
    for name, row in stored["images"].items():
        values = ("–" if row.get(key) is None else str(row[key]) for key in COLUMNS)
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    dates = sorted({row["measured"] for row in stored["images"].values()})
    machine = stored["machine"]
    return string.Template(TEMPLATE.read_text()).substitute(
        version=__version__,
        base=base.removeprefix("ARG BASE="),
        table="\n".join(lines),
        machine=f"Measured {', '.join(dates)} on {machine['cores']} cores of a machine that had other work, "
        f"too ({machine['cpu']}).",
    )

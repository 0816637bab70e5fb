"""Write ``docs/reports/NO_LABELS.md`` from ``no-labels.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from benchmarks.common import DATA
from benchmarks.pages.markdown import render
from lidloop.files import write_atomic

STORED: Final = "no-labels.json"
PAGE: Final = "reports/NO_LABELS.md"


def no_labels_page(docs: Path) -> Path | None:
    """Write the page; None if ``no-labels.json`` does not exist."""
    stored = docs / DATA / STORED
    if not stored.exists():
        return None
    write_atomic(docs / PAGE, render("no_labels/page.md.j2", **json.loads(stored.read_text())))
    return docs / PAGE

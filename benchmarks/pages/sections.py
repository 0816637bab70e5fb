"""Write the generated sections of pages that are otherwise written by hand.

A section stands between ``<!-- NAME: written by make docs -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.pages import alerts, chart, flags, pipeline
from benchmarks.review import formats
from lidloop.files import write_atomic

SECTIONS: Final[dict[tuple[str, str], Callable[[], str]]] = {
    ("docs/WATCHING.md", "alerts"): alerts.section,
    ("docs/PIPELINE.md", "settings"): pipeline.settings,
    ("docs/PIPELINE.md", "parameters"): pipeline.parameters,
    ("docs/SERVING.md", "thresholds"): flags.thresholds,
    ("docs/SERVING.md", "reasons"): flags.reasons,
    ("docs/REVIEW.md", "formats"): formats.section,
    ("charts/lidloop/README.md", "values"): chart.section,
}
"""Sections by page and name."""


def replaced(page: str, name: str, section: str) -> str:
    """A page's text with one of its sections replaced.

    Raises:
        ValueError: if the page lacks the marks of that section.
    """
    begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page lacks {begin} … {end}")
    return f"{head}{begin}\n\n{section}\n\n{end}{tail}"


def write_all(docs: Path) -> list[Path]:
    """Rewrite all sections of the pages that exist in the repository whose documents are ``docs``."""
    written = []
    for (name, section), make in SECTIONS.items():
        path = docs.parent / name
        if path.exists():
            write_atomic(path, replaced(path.read_text(), section, make()))
            written.append(path)
    return list(dict.fromkeys(written))

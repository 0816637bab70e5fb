"""Write ``docs/STARTER.md`` from ``starter.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.common import DATA
from benchmarks.pages.markdown import NONE, render
from lidloop.files import write_atomic

STORED: Final = "starter.json"
PAGE: Final = "STARTER.md"


class Target(NamedTuple):
    """One target beside what was measured."""

    what: str
    wanted: str
    measured: str
    held_back: str
    """The same on the sources that nothing was chosen on."""
    met: bool | None


def starter_page(docs: Path) -> Path | None:
    """Write the page; None if ``starter.json`` does not exist."""
    stored = docs / DATA / STORED
    if not stored.exists():
        return None
    entry = json.loads(stored.read_text())
    write_atomic(docs / PAGE, render("starter/page.md.j2", **entry, targets=list(targets(entry))))
    return docs / PAGE


def targets(entry: Mapping[str, Any]) -> Iterator[Target]:
    """Targets and what was measured, on all photographs and on the sources held back."""
    real, wanted = entry["report"]["real"], entry["report"]["targets"]
    kept_back = [v for name, v in real["by_source"].items() if name not in entry["report"]["chosen_on"]]
    rows = (
        ("recall", "faces found", "at least", 1),
        ("nme_mean", "NME of the faces found, mean", "at most", -1),
        ("nme_failure8", "NME above 8 %", "at most", -1),
    )
    for key, what, rule, sign in rows:
        value, limit = real["overall"][key], wanted[key]
        unseen = ", ".join(_percent(v[key]) for v in kept_back) or NONE
        met = None if value is None else sign * value >= sign * limit
        yield Target(what, f"{rule} {_percent(limit)}", _percent(value), unseen, met)
    count = entry["false_finds"]
    yield Target(
        "finds that are no face, in 100 pictures",
        f"at most {wanted['false_finds']}",
        NONE if count is None else str(count),
        NONE,
        None if count is None else count <= wanted["false_finds"],
    )


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f} %"

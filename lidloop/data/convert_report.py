"""Content of ``convert-report.json``: counts and rejects of a conversion."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lidloop.data.formats.records import Reject

NUMBERS: Final = (
    "annotations",
    "pictures",
    "images",
    "faces",
    "copies_merged",
    "duplicate_faces",
    "clipped_points",
    "unannotated_pictures",
)


class Report:
    """Counts and rejects, per source string and source name.

    A row counts ``annotations`` (faces as given, rejected ones included), ``pictures`` (named with an
    annotation or as empty), ``images`` (written for this source), ``copies_merged`` (pictures that became
    part of another one), ``faces`` (kept), ``duplicate_faces``, ``clipped_points`` and
    ``unannotated_pictures`` (beside ``.pts`` files, without one). ``rejects``, ``clipped`` and
    ``duplicates`` list the cases; their ``file`` is relative to the source.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}

    def row(self, spec: str, name: str) -> dict[str, Any]:
        """The row of a source string and source name."""
        if (spec, name) not in self.rows:
            counts: dict[str, Any] = dict.fromkeys(NUMBERS, 0)
            lists: dict[str, Any] = {"rejects": [], "clipped": [], "duplicates": []}
            self.rows[spec, name] = {"source": spec, "name": name, **counts, **lists}
        return self.rows[spec, name]

    def reject(self, spec: str, reject: Reject) -> None:
        """Add a reject."""
        entry = {"file": reject.file, "reason": reject.reason, "detail": reject.detail}
        self.row(spec, reject.source)["rejects"].append(entry)

    def rejects(self, spec: str) -> list[dict[str, str]]:
        """All rejects of a source string."""
        return [r for (s, _), row in self.rows.items() if s == spec for r in row["rejects"]]

    def content(self, copies: Mapping[str, Sequence[str]], info: Mapping[str, Any]) -> dict[str, Any]:
        """The report as it is written; ``copies`` lists the files of every image made of several."""
        rows = [self.rows[key] for key in sorted(self.rows)]
        for row in rows:
            for name in ("rejects", "clipped", "duplicates"):
                row[name].sort(key=lambda item: json.dumps(item, sort_keys=True))
        totals = {name: sum(row[name] for row in rows) for name in NUMBERS}
        totals["rejects"] = sum(len(row["rejects"]) for row in rows)
        reasons = Counter(r["reason"] for row in rows for r in row["rejects"])
        merged = [{"image": image, "files": list(copies[image])} for image in sorted(copies)]
        return {
            "format": 1,
            **info,
            "totals": totals,
            "reasons": dict(sorted(reasons.items())),
            "sources": rows,
            "copies": merged,
        }

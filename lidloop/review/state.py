"""Labels of a version as decisions change them, picture by picture, and the ledger of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.formats import yolo
from lidloop.data.picture_index import ImageRecord
from lidloop.data.version_writer import LEDGER_SCHEMA
from lidloop.labels import HUMAN, Face, Floats, box_of
from lidloop.review.faces import label_ids, label_lines


@dataclass
class Line:
    """One label.

    Attributes:
        text: its line without the line end.
        box: (4,) in pixels.
        row: its row in the ledger of the version before; for a new one, in that of the next.
        face: its id.
        is_new: it became human by a decision.
        before: box before the decision, for one that was a label already.
    """

    text: bytes
    box: Floats
    row: dict[str, Any]
    face: str
    is_new: bool = False
    before: Floats | None = None


def read_state(dataset: Dataset, labels: LabelVersion) -> dict[str, list[Line]]:
    """Labels of every picture, in the order of their lines."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for row in labels.ledger().to_pylist():
        if row["line"] >= 0:
            rows[row["image"], row["line"]] = row
    state = {}
    for record in dataset.records:
        lines = label_lines(labels, record.id)
        found = yolo.parse(b"\n".join(lines).decode(), record.width, record.height, where=record.id)
        state[record.id] = [
            Line(text, face.box, rows[record.id, n], name)
            for n, (text, face, name) in enumerate(
                zip(lines, found, label_ids(record.id, lines), strict=True)
            )
        ]
    return state


def make_ledger(
    dataset: Dataset, state: Mapping[str, list[Line]], gone: Sequence[dict[str, Any]]
) -> pa.Table:
    """The ledger of the new version: its labels, then what people took away, by picture."""
    away: dict[str, list[dict[str, Any]]] = {}
    for row in gone:
        away.setdefault(row["image"], []).append(row)
    rows: list[dict[str, Any]] = []
    for record in dataset.records:
        for n, line in enumerate(state[record.id]):
            row = {**line.row, "line": n}
            if line.before is None and not line.is_new:
                row |= {"iou": 0.0, "reason": "human" if row["origin"] == HUMAN else "existing"}
            rows.append(row)
        rows += away.get(record.id, [])
    return pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA)


def format_line(points: Floats, record: ImageRecord) -> bytes:
    """Label line of points (51, 3) in pixels; the box bounds the visible ones."""
    return (
        yolo.format_lines([Face(box_of(points), points)], record.width, record.height).rstrip("\n").encode()
    )

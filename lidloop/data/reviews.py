"""Decisions of people on faces, as they are kept in a label version: ``ledger/review-v<k>.parquet``.

One row per decision, in the version that the decision made; later versions carry the files on. The table is
the only place that holds reviewers' names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lidloop.data.dataset import LabelVersion
from lidloop.data.tables import BOX, read_table, write_table
from lidloop.labels import Floats

REVIEW_SCHEMA: Final = pa.schema(
    [
        ("decision", pa.string()),  # SHA-256 of what was decided: the same decision twice has one
        ("face", pa.string()),  # id of the face
        ("image", pa.string()),
        ("verdict", pa.string()),  # confirmed | corrected | declined | added | unsure
        ("outcome", pa.string()),  # applied | agreed | disputed | superseded | noted
        ("reviewer", pa.string()),  # name, or "" where none was given
        ("session", pa.string()),  # random id of one person's sitting
        ("at", pa.string()),  # time of the decision, ISO 8601
        ("tool", pa.string()),
        ("note", pa.string()),
        ("before", pa.string()),  # label line that was there; "" for none
        ("proposed", pa.string()),  # label line that the decision asks for; "" for none
        ("x1", pa.float64()),  # box of the face that was reviewed, pixels of the upright picture
        ("y1", pa.float64()),
        ("x2", pa.float64()),
        ("y2", pa.float64()),
        ("origin", pa.int32()),  # iteration that found the face, -1 for a human label or an added face
    ]
)

_NAME: Final = "review-v{}.parquet"


def write_review(labels_root: Path, version: int, rows: Sequence[dict[str, Any]]) -> None:
    """Write the decisions that made a version into its folder."""
    table = pa.Table.from_pylist(list(rows), schema=REVIEW_SCHEMA)
    write_table(labels_root / "ledger" / _NAME.format(version), table)


def read_reviews(labels: LabelVersion) -> list[dict[str, Any]]:
    """Read all decisions that a version carries, in the order in which they were imported.

    Raises:
        DatasetError: for a damaged file.
    """
    rows: list[dict[str, Any]] = []
    for version in range(labels.version + 1):
        file = labels.root / "ledger" / _NAME.format(version)
        if file.exists():
            rows += read_table(file).to_pylist()
    return rows


def declined_boxes(rows: Sequence[dict[str, Any]]) -> dict[str, Floats]:
    """Places where a person said that there is no face: (n, 4) boxes in pixels by picture.

    A later decision on the same face that gives it a label takes the place off the list.
    """
    places: dict[str, tuple[str, list[float]]] = {}
    for row in rows:
        if row["outcome"] != "applied":
            continue
        if row["verdict"] == "declined":
            places[row["face"]] = (row["image"], [row[name] for name in BOX])
        else:
            places.pop(row["face"], None)
    boxes: dict[str, list[list[float]]] = {}
    for image, box in places.values():
        boxes.setdefault(image, []).append(box)
    return {image: np.array(group, dtype=np.float64).reshape(-1, 4) for image, group in boxes.items()}

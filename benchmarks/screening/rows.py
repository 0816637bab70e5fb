"""Measured faces as rows: what was made of the lids, what was measured. The rule is applied afterwards.

A row holds all that a flag is decided from, so that rules and thresholds are compared without detecting the
faces again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lidloop.detection.detector import Detector
from lidloop.files import write_atomic
from lidloop.labels import Face, Floats, box_iou, box_of
from lidloop.screening.measurements import (
    SIDES,
    EyeMeasurement,
    FaceMeasurement,
    Flag,
    Length,
    Pupil,
    Reason,
    Scale,
    Side,
)
from lidloop.screening.ptosis import measure_face
from lidloop.screening.screen import CONF

MIN_IOU: Final = 0.3
"""Smallest IoU of a detected box with the human one, to be the same face."""


@dataclass(frozen=True, slots=True)
class Row:
    """One face of one picture, as it was or with lids lowered.

    Attributes:
        name: of the person. source: ``afw``, ``helen``, ``lfpw`` or ``drawn``.
        group: ``as it was``, ``one side``, ``both sides``, or the degree of a drawn ptosis.
        made_px, made_mm: how far each lid was lowered, by side; millimetres by the outer canthi.
        low: sides that are lower than they were, or of a drawn ptosis.
        target: a face of the targets: large, frontal, sharp.
        canthal_px, yaw, sharpness: by the human landmarks.
        facts: what else is known of the person or the drawing, such as skin tone, glasses, degrees.
        found: detected with at least the served score.
        measured: see ``to_json``; None if the face was not found.
    """

    name: str
    source: str
    group: str
    made_px: Mapping[str, float]
    made_mm: Mapping[str, float]
    low: tuple[Side, ...]
    target: bool
    canthal_px: float
    yaw: float
    sharpness: float | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    found: bool = False
    score: float | None = None
    measured: Mapping[str, Any] | None = None


def to_json(measured: FaceMeasurement) -> dict[str, Any]:
    """Convert a measurement to JSON values, without its lid curves."""
    flag = measured.flag
    return {
        "points": np.round(measured.face.points[:, :2], 2).tolist(),
        "score": measured.face.score,
        "eyes": {
            side: {
                "lengths": {name: asdict(length) for name, length in eye.lengths.items()},
                "ratio": eye.height_to_width,
                "pupil": None if eye.pupil is None else asdict(eye.pupil),
                "lid_method": eye.lid_method,
                "lid_quality": eye.lid_quality,
                "withheld": {name: [r.code, r.text] for name, r in eye.withheld.items()},
            }
            for side, eye in measured.eyes.items()
        },
        "differences": {name: asdict(length) for name, length in measured.differences.items()},
        "roll": measured.roll,
        "yaw": measured.yaw,
        "scale": None if measured.scale is None else asdict(measured.scale),
        "problems": [[r.code, r.text] for r in measured.problems],
        "flag": [flag.level, list(flag.sides), [[r.code, r.text] for r in flag.reasons]],
    }


def from_json(value: Mapping[str, Any]) -> FaceMeasurement:
    """Inverse of ``to_json``; the lid curves are empty."""
    none = np.zeros((0, 2))
    points = np.concatenate([np.array(value["points"]), np.full((len(value["points"]), 1), 2.0)], axis=1)
    eyes: dict[Side, EyeMeasurement] = {
        side: EyeMeasurement(
            side,
            {name: Length(**length) for name, length in eye["lengths"].items()},
            eye["ratio"],
            None if eye["pupil"] is None else Pupil(**eye["pupil"]),
            none,
            none,
            eye["lid_method"],
            eye["lid_quality"],
            {name: Reason(*reason) for name, reason in eye["withheld"].items()},
        )
        for side, eye in ((s, value["eyes"][s]) for s in SIDES)
    }
    level, sides, reasons = value["flag"]
    return FaceMeasurement(
        Face(box_of(points), points, score=value["score"]),
        eyes,
        {name: Length(**length) for name, length in value["differences"].items()},
        value["roll"],
        value["yaw"],
        None if value["scale"] is None else Scale(**value["scale"]),
        tuple(Reason(*reason) for reason in value["problems"]),
        Flag(level, tuple(sides), tuple(Reason(*reason) for reason in reasons)),
    )


def detect_and_measure(
    image: NDArray[np.uint8], points: Floats, detector: Detector
) -> tuple[float | None, dict[str, Any] | None]:
    """Find the face of known landmarks in a picture as the service does, and measure it.

    Returns:
        Its score and its measurement; None, None if no face of at least the served score covers it.
    """
    box = box_of(np.concatenate([points[:, :2], np.full((len(points), 1), 2.0)], axis=1))
    faces = detector.detect([image], conf=CONF)[0]
    iou = box_iou(np.array([face.box for face in faces]).reshape(-1, 4), box[None])[:, 0]
    if iou.max(initial=0.0) < MIN_IOU:
        return None, None
    best = faces[int(iou.argmax())]
    return best.score, to_json(measure_face(image, best))


def write_rows(rows: list[Row], path: Path) -> None:
    """Write rows as Parquet; nested values as JSON text."""
    columns = [{k: _stored(v) for k, v in asdict(row).items()} for row in rows]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(columns), out)
    write_atomic(path, out.getvalue())


def read_rows(path: Path) -> list[Row]:
    """Inverse of ``write_rows``."""
    rows = []
    for row in pq.read_table(path).to_pylist():
        for name in ("made_px", "made_mm", "low", "facts", "measured"):
            row[name] = None if row[name] is None else json.loads(row[name])
        rows.append(Row(**{**row, "low": tuple(row["low"])}))
    return rows


def _stored(value: Any) -> Any:
    if isinstance(value, (Mapping, tuple, list)):
        return json.dumps(value)
    return value

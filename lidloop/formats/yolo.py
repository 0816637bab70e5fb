"""YOLO pose lines: ``class cx cy w h (x y v)×51``, normalised by the picture's size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lidloop.errors import SourceError
from lidloop.labels import Face
from lidloop.landmarks import N_POINTS

_FIELDS = 5 + 3 * N_POINTS


def format_lines(faces: Sequence[Face], width: int, height: int) -> str:
    """Format faces as label lines, each ended by a newline; six decimals, under 0.005 px at 10,000 px."""
    lines = []
    for face in faces:
        x1, y1, x2, y2 = face.box
        head = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        points = " ".join(f"{x / width:.6f} {y / height:.6f} {int(v)}" for x, y, v in face.points)
        lines.append("0 " + " ".join(f"{value:.6f}" for value in head) + " " + points + "\n")
    return "".join(lines)


def parse(text: str, width: int, height: int, *, where: str) -> list[Face]:
    """Read label lines of a picture of that size in pixels. The faces carry the human origin.

    Raises:
        SourceError: names ``where`` and the line for a wrong number of fields or what is not a number.
    """
    faces = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != _FIELDS:
            raise SourceError(f"{where}, line {number}: {len(fields)} fields instead of {_FIELDS}")
        try:
            values = np.array(fields, dtype=np.float64)
        except ValueError:
            raise SourceError(f"{where}, line {number}: not a number") from None
        if not np.isfinite(values).all():
            raise SourceError(f"{where}, line {number}: not a finite number")
        _, cx, cy, w, h = values[:5]
        box = np.array(
            [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
        )
        points = values[5:].reshape(N_POINTS, 3) * (width, height, 1)
        faces.append(Face(box, points))
    return faces

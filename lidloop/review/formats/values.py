"""Checked access to the values of foreign files."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np

from lidloop.data.formats.text import shown
from lidloop.errors import DatasetError
from lidloop.labels import Floats
from lidloop.landmarks import N_POINTS, NAMES
from lidloop.review.exchange import Manifest, SentPicture

INDEX: Final[dict[str, int]] = {name: k for k, name in enumerate(NAMES)}
"""Landmarks by name; ``left`` and ``right`` are the picture's sides (``lidloop.landmarks``)."""


def expect(value: Any, kind: type | tuple[type, ...], where: str) -> Any:
    """The value, if it is of that type.

    Raises:
        DatasetError: for another type; names ``where``.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DatasetError(f"{where} is {shown(value, 40)}, which it cannot be")
    return value


def number(value: Any, where: str) -> float:
    """A finite number.

    Raises:
        DatasetError: for anything else.
    """
    given = float(expect(value, (int, float), where))
    if not math.isfinite(given):
        raise DatasetError(f"{where} is not finite")
    return given


def parsed(data: bytes, where: str) -> Any:
    """JSON content.

    Raises:
        DatasetError: for what is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where} is not valid JSON: {shown(str(error))}") from None


def picture_named(name: Any, manifest: Manifest, known: dict[str, SentPicture], where: str) -> SentPicture:
    """The picture that was sent out under a name; folders before the name do not matter.

    Raises:
        DatasetError: for a name that was not sent out.
    """
    text = str(expect(name, str, where))
    last = text.replace("\\", "/").rpartition("/")[2]
    if last not in known:
        raise DatasetError(f"{where}: picture {shown(text, 80)} was not sent out")
    return known[last]


def no_points() -> Floats:
    """Points (51, 3) of which none is visible."""
    return np.zeros((N_POINTS, 3))


def place(points: Floats, name: Any, x: float, y: float, visibility: int, where: str) -> None:
    """Set one point of a face.

    Raises:
        DatasetError: for a name that is no landmark, and for one that is there twice.
    """
    if not isinstance(name, str) or name not in INDEX:
        raise DatasetError(f"{where}: {shown(name, 60)} is no landmark")
    row = INDEX[name]
    if points[row, 2] > 0:
        raise DatasetError(f"{where}: {name} is there twice")
    points[row] = (x, y, visibility)

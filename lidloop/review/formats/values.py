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
from lidloop.review.decisions import LARGEST
from lidloop.review.exchange import Manifest, Returned, SentPicture

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
    """A finite number of at most ``LARGEST``.

    Raises:
        DatasetError: for anything else.
    """
    given = expect(value, (int, float), where)
    if not math.isfinite(given if isinstance(given, float) else 0):
        raise DatasetError(f"{where} is not finite")
    if abs(given) > LARGEST:
        raise DatasetError(f"{where} is larger than {LARGEST:,.0f}")
    return float(given)


def number_of_text(text: str, where: str) -> float:
    """A finite number that is written as text.

    Raises:
        DatasetError: for anything else.
    """
    try:
        return number(float(text), where)
    except ValueError:
        raise DatasetError(f"{where} is {shown(text, 40)}, which is no number") from None


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
    """The picture that was sent out under a name; folders before it and a URL's parameters do not matter.

    Raises:
        DatasetError: for a name that was not sent out.
    """
    text = str(expect(name, str, where))
    for name in (text, text.partition("?")[0]):
        last = name.replace("\\", "/").rpartition("/")[2]
        if last in known:
            return known[last]
    raise DatasetError(f"{where}: picture {shown(text, 80)} was not sent out")


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
    if max(abs(x), abs(y)) > LARGEST:
        raise DatasetError(f"{where}: {name} is further than {LARGEST:,.0f} pixels away")
    points[row] = (x, y, visibility)


def came_back(
    face: str, points: Floats, where: str, *, kind: Any = None, score: Any = None, iteration: Any = None
) -> Returned:
    """A face with what the tool kept of its kind, score and iteration, as values or as text.

    Raises:
        DatasetError: for another type, and a number that is none.
    """
    found = {}
    for name, value in (("score", score), ("iteration", iteration)):
        if value is not None and value != "":
            at = f"{where}: {name}"
            found[name] = number_of_text(value, at) if isinstance(value, str) else number(value, at)
    origin = found.get("iteration")
    if origin is not None and not origin.is_integer():
        raise DatasetError(f"{where}: iteration {origin} is no whole number")
    return Returned(
        face, points, str(expect(kind or "", str, f"{where}: kind")), found.get("score"),
        None if origin is None else int(origin),
    )  # fmt: skip

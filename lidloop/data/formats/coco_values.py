"""Values of a COCO file in the forms that exporters write: ids, sizes, and the keypoints of a face. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.points import raw_points, wrong_count
from lidloop.data.formats.records import Unusable
from lidloop.landmarks import N_IBUG, N_POINTS

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,400}(\.0*)?")
_FACE_IN_BODY: Final = {133: 23, 136: 26}
"""First face point of whole-body schemes: COCO-WholeBody (17 body, 6 feet, 68 face, 42 hands) and Halpe
(26 body, 68 face, 42 hands)."""


def canonical_id(value: object) -> int | str | None:
    """An id in one form: ``"7"`` and ``7.0`` become 7. None for what cannot be an id.

    Text with a leading zero stays text: ``"007"`` is not 7.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else None
    if isinstance(value, str):
        text = value.strip()
        if _WHOLE.fullmatch(text):
            digits = text.partition(".")[0].lstrip("+")
            if digits.lstrip("-") == "0" or not digits.lstrip("-").startswith("0"):
                return int(digits)
        return text or None
    return None


def has_points(annotation: Mapping[str, Any]) -> bool:
    """True if an annotation holds keypoints, rather than a box or polygon alone."""
    return any(
        isinstance(annotation.get(key), list) and annotation[key] for key in ("keypoints", "face_kpts")
    )


def face_points(annotation: Mapping[str, Any]) -> NDArray[np.float64]:
    """The (51, 3) points of an annotation.

    Read are lists of x, y, visibility, flat or nested; lists of x, y, flat or nested; the face of
    COCO-WholeBody (``face_kpts``, or within 133 keypoints) and of Halpe (within 136).

    Raises:
        Unusable: for an annotation to be ignored, another number of points, or what are no numbers.
    """
    if annotation.get("iscrowd"):
        raise Unusable("ignored", "iscrowd is set")
    if isinstance(annotation.get("face_kpts"), list):
        if not annotation.get("face_valid", True):
            raise Unusable("ignored", "face_valid is false")
        return _checked(_points(annotation["face_kpts"]))
    keypoints = annotation.get("keypoints")
    if not isinstance(keypoints, list):
        raise Unusable("wrong-point-count", "no keypoints")
    points = _points(keypoints)
    first = _FACE_IN_BODY.get(len(points))
    if first is not None:
        points = points[first : first + N_IBUG]
    return _checked(points)


def _points(values: list[Any]) -> list[Sequence[object]]:
    """Points of two or three values each, from a flat or a nested list.

    Raises:
        Unusable: where the values are no points, or their number does not tell how many belong to one.
    """
    if values and all(isinstance(value, dict) for value in values):
        named = [tuple(value.get(key) for key in ("x", "y", "v") if key in value) for value in values]
        return _nested(named)
    if values and all(isinstance(value, list) for value in values):
        return _nested([tuple(value) for value in values])
    n = len(values)
    pairs = n % 2 == 0 and n // 2 in (N_POINTS, N_IBUG) and not _has_visibility(values)
    if not pairs and n % 3:
        raise Unusable("wrong-point-count", f"{n} values are no triples x, y, visibility")
    step = 2 if pairs else 3
    return [tuple(values[k : k + step]) for k in range(0, n, step)]


def _nested(points: Sequence[tuple[object, ...]]) -> list[Sequence[object]]:
    lengths = {len(point) for point in points}
    if len(lengths) != 1 or not lengths <= {2, 3}:
        raise Unusable(
            "wrong-point-count", f"points of {sorted(lengths)} values; each needs x, y or x, y, visibility"
        )
    return list(points)


def _has_visibility(values: Sequence[object]) -> bool:
    """True if the values are triples whose every third one is 0, 1 or 2, as 34 points of 102 values are."""
    return len(values) % 3 == 0 and all(v in (0, 1, 2) for v in values[2::3] if isinstance(v, int | float))


def _checked(points: Sequence[Sequence[object]]) -> NDArray[np.float64]:
    if len(points) not in (N_POINTS, N_IBUG):
        raise wrong_count(len(points))
    visibility = [point[2] for point in points] if len(points[0]) == 3 else None
    return raw_points([point[:2] for point in points], visibility)

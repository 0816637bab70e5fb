"""Checks of the points of one face, the same for every format. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.data.formats.records import Unusable
from lidloop.data.formats.text import shown
from lidloop.landmarks import N_IBUG, N_JAW, N_POINTS

KNOWN_COUNTS: Final = {
    5: "eyes, nose and mouth corners",
    17: "a body, as of COCO",
    21: "AFLW or a hand",
    29: "COFW",
    33: "a body, as of MediaPipe",
    39: "a profile face, as of Menpo",
    70: "OpenPose or OpenFace with pupils",
    98: "WFLW",
    106: "JD-landmark",
    133: "COCO-WholeBody",
    136: "Halpe",
    194: "HELEN's own scheme",
    468: "MediaPipe's face mesh",
    478: "MediaPipe's face mesh with irises",
}
"""Point schemes that are met in practice and are not iBUG's, by number of points."""


def wrong_count(n: int) -> Unusable:
    """The rejection of a face of ``n`` points, with the name of the scheme where ``n`` gives it away."""
    known = f" ({KNOWN_COUNTS[n]})" if n in KNOWN_COUNTS else ""
    return Unusable("wrong-point-count", f"{n} points{known}; {N_POINTS} or {N_IBUG} are needed")


def raw_points(
    xy: Sequence[Sequence[object]],
    visibility: Sequence[object] | None = None,
    *,
    negative_is_missing: bool = False,
) -> NDArray[np.float64]:
    """Check 51 or 68 points and return the (51, 3) that are used; the jaw is dropped.

    Visibility above 0 that is neither 1 nor 2 counts as 2: some tools write a confidence there. A missing
    point becomes 0 0 0. A point is missing if its visibility is 0 or less, or if it lies at exactly -1 -1, or
    at exactly 0 0 while it is not marked as hidden (1): tools write these for points that nobody placed.

    Args:
        xy: x and y of each point.
        visibility: of each point; None if the format has none.
        negative_is_missing: a negative x or y means a missing point, as Ultralytics reads YOLO lines without
            visibility.

    Raises:
        Unusable: for another number of points, or values that are not finite numbers.
    """
    if len(xy) not in (N_POINTS, N_IBUG):
        raise wrong_count(len(xy))
    try:
        points = np.full((len(xy), 3), 2.0)
        if visibility is not None:
            v = np.array(visibility, dtype=np.float64)
            points[:, 2] = np.where(np.isnan(v), np.nan, np.where(v <= 0, 0.0, np.where(v == 1, 1.0, 2.0)))
        points[:, :2] = np.array(xy, dtype=np.float64)
    except OverflowError:
        raise Unusable("not-a-number", "a number is too large") from None
    except (TypeError, ValueError) as error:
        raise Unusable("not-a-number", shown(str(error))) from None
    if len(points) == N_IBUG:
        points = points[N_JAW:]
    x, y, seen = points[:, 0], points[:, 1], points[:, 2]
    missing = (seen == 0) | ((x == -1) & (y == -1)) | ((x == 0) & (y == 0) & (seen == 2))
    if negative_is_missing:
        missing |= (x < 0) | (y < 0)
    points[missing] = 0.0
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise Unusable("not-a-number", f"point {bad} of the {N_POINTS} is not finite")
    return points


def length(value: object) -> float | None:
    """Width or height of an image in pixels; None where it is missing, null, 0 or no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None

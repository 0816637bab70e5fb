"""Bring annotated points into the picture that is there: its size, its orientation, its borders. Pure."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from lidloop.data.formats.records import Unusable
from lidloop.labels import Floats, box_of

Fit = Literal["", "scale", "turn", "auto"]
FITS: Final[tuple[Fit, ...]] = ("", "scale", "turn", "auto")
"""Treatments of annotations of another size than the picture's: reject them; scale their points; turn them
as EXIF turns the picture; whichever of these makes both axes agree."""

Size = tuple[float | None, float | None]

_MIN_BOX: Final = 1.0  # pixels; a smaller box is empty


def fit_points(points: Floats, given: Size, upright: tuple[int, int], orientation: int, fit: Fit) -> Floats:
    """Points in pixels of the upright picture, from points in a picture of the size in the annotation file.

    Args:
        points: (51, 3) x, y, visibility.
        given: width and height in the annotation file; None where it does not say.
        upright: width and height of the decoded picture.
        orientation: its EXIF orientation, 1…8.
        fit: see ``FITS``.

    Raises:
        Unusable: where the sizes differ and ``fit`` does not allow for that, or cannot.

    Example:
        A picture stored as 640 x 480 with orientation 6 is 480 x 640 upright. Points that were placed in
        640 x 480 are turned by ``fit="turn"``.
    """
    width, height = (given[k] or upright[k] for k in (0, 1))
    if abs(width - upright[0]) <= 0.5 and abs(height - upright[1]) <= 0.5:
        return points
    stored = upright[::-1]
    turned = orientation >= 5 and _agree((width, height), stored) and not _agree((width, height), upright)
    scaled = (width, height) != (stored if turned else upright)
    target = stored if turned else upright
    needed: Fit = "auto" if turned and scaled else "turn" if turned else "scale"
    if fit in (needed, "auto") and _agree((width, height), target):
        result = points.copy()
        seen = points[:, 2] > 0
        result[seen, :2] *= np.array(target, dtype=np.float64) / (width, height)
        return turn_upright(result, upright, orientation) if turned else result
    sizes = (
        f"the annotations are for {width:g} x {height:g} pixels, the picture has {upright[0]} x {upright[1]}"
    )
    if _agree((width, height), target):
        ways = {
            "turn": "they were made before EXIF turned it",
            "scale": "both axes differ by one factor",
            "auto": "they were made before EXIF turned it, at another size",
        }
        advice = f"if it is the same picture, add ?fit={needed} to the source"
        raise Unusable("size-mismatch", f"{sizes}: {ways[needed]}; {advice}")
    if _agree((width, height), stored):
        raise Unusable("size-mismatch", f"{sizes}: one of them lies on its side, and nothing tells which way")
    raise Unusable("size-mismatch", f"{sizes}: the picture was cropped, or is another one")


def _agree(given: tuple[float, float], actual: tuple[int, int]) -> bool:
    """True if two sizes differ by one factor on both axes, up to rounding to whole pixels."""
    long = 0 if given[0] >= given[1] else 1
    factor = actual[long] / given[long]
    return abs(given[1 - long] * factor - actual[1 - long]) <= 0.5 * (factor + 1) + 0.5


def turn_upright(points: Floats, upright: tuple[int, int], orientation: int) -> Floats:
    """Points in the picture as stored, as points in the picture that EXIF has turned.

    Args:
        points: (n, 3) x, y, visibility; 0-based pixel centres of the stored picture.
        upright: width and height after turning.
        orientation: EXIF orientation, 1…8.
    """
    x, y = points[:, 0].copy(), points[:, 1].copy()
    if orientation >= 5:
        x, y = y, x
    if orientation in (2, 3, 6, 7):
        x = upright[0] - 1 - x
    if orientation in (3, 4, 7, 8):
        y = upright[1] - 1 - y
    result = points.copy()
    seen = points[:, 2] > 0
    result[seen, 0], result[seen, 1] = x[seen], y[seen]
    return result


def into_picture(points: Floats, size: Floats) -> tuple[Floats, list[int]]:
    """Move points outside a picture of ``size`` (width, height) onto its outermost pixel centres.

    Returns:
        the points, and the indices of those that lay outside; they have visibility 1 now. The picture
        reaches half a pixel beyond its outermost pixel centres; a point in that margin is moved but seen.

    Raises:
        Unusable: for a face most of whose points are outside the picture, or whose box is empty.
    """
    seen = points[:, 2] > 0
    xy = points[:, :2]
    outside = seen & ((xy < -0.5) | (xy > size - 0.5)).any(axis=1)
    if 2 * outside.sum() > seen.sum():
        raise Unusable(
            "outside-picture",
            f"{outside.sum()} of {seen.sum()} points are outside the picture of {size[0]:.0f} x "
            f"{size[1]:.0f}: the annotations are for another picture or size",
        )
    points = points.copy()
    points[seen, :2] = np.clip(xy[seen], 0, size - 1)
    points[outside, 2] = 1.0
    box = box_of(points)
    if not (box[2:] - box[:2] >= _MIN_BOX).all():
        detail = "no point is visible" if not seen.any() else "the points span less than a pixel"
        raise Unusable("empty-box", detail)
    return points, np.flatnonzero(outside).tolist()

"""Skin tone of a face from its own pixels: the individual typology angle (ITA) of cheeks and glabella.

ITA is arctan((L* - 50) / b*) in degrees, of CIE L*a*b* colours; dermatology groups it from very light to dark
(Chardon et al., Int J Cosmet Sci 1991; Del Bino and Bernerd, Br J Dermatol 2013). The definition assumes a
colorimeter or a calibrated camera. From a photograph in unknown light it is rough: a warm lamp or a shadow
moves a face by a group or more, so groups compare many faces and say nothing of a single one.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.labels import Floats
from lidloop.landmarks import LEFT_EYE, MOUTH_CORNERS, RIGHT_EYE, outer_canthal_distance

TONES: Final[tuple[tuple[str, float], ...]] = (
    ("very light", 55.0),
    ("light", 41.0),
    ("intermediate", 28.0),
    ("tan", 10.0),
    ("brown", -30.0),
    ("dark", -90.0),
)
"""Groups of skin tone, each with the angle in degrees above which it begins."""
MIN_CHROMA: Final = 3.0
"""Median distance from grey, in L*a*b* units, below which a picture counts as one without colour."""
_PATCH: Final = 0.07
_USABLE: Final = (8.0, 97.0)


def typology_angle(image: NDArray[np.uint8], points: Floats) -> float | None:
    """Individual typology angle of a face in degrees.

    The median colour of three patches of skin is used: both cheeks, half-way from the lower lid to the
    corner of the mouth, and the glabella. Their radius is 7 % of the outer-canthal distance.

    Args:
        image: (h, w, 3) uint8 RGB. points: (51, 2+) landmarks in its pixels.

    Returns:
        -90…90; None for a picture without colour, or if fewer than 20 pixels of skin are usable.

    Example:
        >>> import numpy as np
        >>> from lidloop.synthetic import draw_face
        >>> face = draw_face(seed=3)
        >>> -90 <= typology_angle(face.image, face.faces[0].points) <= 90
        True
    """
    radius = max(1.0, _PATCH * float(outer_canthal_distance(points)))
    if not np.isfinite(radius):
        return None
    found = [_patch(image, centre, radius) for centre in _centres(points)]
    pixels = np.concatenate(found)
    if len(pixels) < 20:
        return None
    lab = cv2.cvtColor((pixels[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    lab = lab[(lab[:, 0] > _USABLE[0]) & (lab[:, 0] < _USABLE[1])]
    if len(lab) < 20 or float(np.median(np.hypot(lab[:, 1], lab[:, 2]))) < MIN_CHROMA:
        return None
    lightness, yellow = float(np.median(lab[:, 0])), float(np.median(lab[:, 2]))
    return float(np.degrees(np.arctan2(lightness - 50, max(yellow, 1e-6))))


def tone_of(angle: float | None) -> str:
    """Group of an angle in degrees (``TONES``); ``unknown`` for None.

    Example:
        >>> tone_of(60.0), tone_of(41.0), tone_of(-31.0), tone_of(None)
        ('very light', 'intermediate', 'dark', 'unknown')
    """
    if angle is None:
        return "unknown"
    return next((name for name, above in TONES if angle > above), TONES[-1][0])


def _centres(points: Floats) -> list[Floats]:
    out = []
    for eye, corner in zip((LEFT_EYE, RIGHT_EYE), MOUTH_CORNERS, strict=True):
        lid = points[[pair[1] for pair in eye.lid_pairs], :2].mean(axis=0)
        out.append(0.5 * lid + 0.5 * points[corner, :2])
    brows = points[[eye.brow[k] for eye, k in ((LEFT_EYE, -1), (RIGHT_EYE, 0))], :2]
    return [*out, brows.mean(axis=0)]


def _patch(image: NDArray[np.uint8], centre: Floats, radius: float) -> NDArray[np.uint8]:
    """Pixels within a circle, (n, 3); those outside the picture are left out."""
    low = np.clip(np.floor(centre - radius), 0, image.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(centre + radius) + 1, 0, image.shape[1::-1]).astype(int)
    ys, xs = np.mgrid[low[1] : high[1], low[0] : high[0]]
    inside = (xs - centre[0]) ** 2 + (ys - centre[1]) ** 2 <= radius**2
    part: NDArray[np.uint8] = image[low[1] : high[1], low[0] : high[0]][inside]
    return part

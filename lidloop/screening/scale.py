"""Millimetres per pixel of a face: the caller's, else from the iris, else from the outer canthi."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from lidloop.screening.measurements import (
    CANTHAL_MM,
    CANTHAL_RELATIVE_ERROR,
    IRIS_MM,
    IRIS_RELATIVE_ERROR,
    Pupil,
    Scale,
)

MIN_IRIS_QUALITY: Final = 0.5
"""Irises below are not used for a scale."""
IRIS_FIT_ERROR: Final = 0.02
"""Relative error of one fitted iris radius."""
MAX_YAW_FOR_SCALE: Final = 0.36
"""A yaw proxy of 0.36 is about 21°: seen so, the outer canthi are 7 % closer."""
TAN_PER_YAW: Final = 1.06
"""Tangent of the yaw angle over the yaw proxy, for a nose tip 42 mm before the outer canthi and 90 mm
between these."""


def scale_of(mm_per_px: float | None, pupils: Sequence[Pupil], canthal_px: float, yaw: float) -> Scale | None:
    """Choose the best scale that is known.

    Args:
        mm_per_px: as the caller gave it, taken as exact.
        pupils: those known of both eyes.
        canthal_px: distance between the outer canthi in pixels; 0 where it is not known.
        yaw: the yaw proxy. Turning the head brings the canthi closer by the cosine of the angle, which is
            undone; half of what was undone is added to the error, in quadrature.

    Both irises of a person are of one size; half their difference is an error of the fit.

    Returns:
        None where nothing gives a scale: a head turned beyond ``MAX_YAW_FOR_SCALE`` without an iris.
    """
    if mm_per_px is not None:
        return Scale(mm_per_px, "given", 0.0)
    irises = [
        (p.quality, p.iris_radius)
        for p in pupils
        if p.iris_radius is not None and p.quality >= MIN_IRIS_QUALITY
    ]
    if irises:
        weight = sum(q for q, _ in irises)
        radii = [r for _, r in irises]
        radius = sum(q * r for q, r in irises) / weight
        fit = max(IRIS_FIT_ERROR / math.sqrt(len(irises)), (max(radii) - min(radii)) / (2 * radius))
        error = math.hypot(IRIS_RELATIVE_ERROR, fit)
        return Scale(IRIS_MM / (2 * radius), "iris", error)
    if canthal_px <= 0 or abs(yaw) > MAX_YAW_FOR_SCALE:
        return None
    cosine = 1 / math.hypot(1, TAN_PER_YAW * yaw)
    error = math.hypot(CANTHAL_RELATIVE_ERROR, (1 - cosine) / 2)
    return Scale(CANTHAL_MM * cosine / canthal_px, "outer-canthal", error)

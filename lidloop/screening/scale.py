"""Millimetres per pixel of a face: given by the caller, else from the iris, else from the outer canthi."""

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
"""Smallest quality (0…1) of an iris that is used for the scale."""
IRIS_FIT_ERROR: Final = 0.02
"""Relative error of one fitted iris radius."""
MAX_YAW_FOR_SCALE: Final = 0.36
"""Largest yaw proxy for a scale from the canthi: about 21°, where the outer canthi appear 7 % closer."""
TAN_PER_YAW: Final = 1.06
"""Tangent of the yaw angle over the yaw proxy, for a nose tip 42 mm in front of the outer canthi, which are
90 mm apart."""


def scale_of(mm_per_px: float | None, pupils: Sequence[Pupil], canthal_px: float, yaw: float) -> Scale | None:
    """Choose the most accurate scale: the caller's, else the iris, else the outer canthi.

    Both irises of a person have the same size, so half their difference is an error of the fit.

    Args:
        mm_per_px: scale given by the caller, taken as exact.
        pupils: known pupils of both eyes.
        canthal_px: distance between the outer canthi in pixels; 0 if not known.
        yaw: the yaw proxy. A turned head shortens the canthal distance by the cosine of the angle. This is
            corrected, and half of the correction is added to the error in quadrature.

    Returns:
        The scale; None without one: no iris, and a head turned beyond ``MAX_YAW_FOR_SCALE``.
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

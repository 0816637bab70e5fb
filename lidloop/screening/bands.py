"""Lengths in millimetres with their error bands, and the differences between the sides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from lidloop.screening.eye_reading import Method
from lidloop.screening.measurements import DIFFERENCES, SIDES, EyeMeasurement, Length, Scale, Side

METHOD_ERROR: Final[Mapping[Method, float]] = {"pixels": 0.007, "landmarks": 0.023}
"""Standard error of a length as a share of the outer-canthal distance, by method; measured in
docs/reports/MEASUREMENTS.md."""

DIFFERENCE_ERROR: Final[Mapping[Method, float]] = {"pixels": 0.0045, "landmarks": 0.023}
"""Standard error that a side adds to a difference, in the same unit. In the pixels what is wrong on both
sides alike cancels: on 300-W faces the difference of PFH is within 0.9 % of that of the human lid points for
68 %, and half of that variance is taken to be the human points' own."""


def length_of(px: float, method: Method, scale: Scale | None, canthal: float) -> Length:
    """Convert pixels to a ``Length`` with millimetres and error band.

    Rounded to two decimals only here, so that all responses and the flag use the same numbers.

    Args:
        px: pixels of the picture. canthal: outer-canthal distance in the same pixels.
        method: of the measurement.
        scale: millimetres per pixel; None if not known.
    """
    if scale is None:
        return Length(round(px, 2), method=method)
    mm = px * scale.mm_per_px
    error = _error(mm, (METHOD_ERROR[method],), scale, canthal)
    return Length(round(px, 2), round(mm, 2), round(error, 2), method)


def differences_of(
    eyes: Mapping[Side, EyeMeasurement], scale: Scale | None, canthal: float
) -> dict[str, Length]:
    """OD minus OS of each length in ``DIFFERENCES`` that is known on both sides.

    A difference is that of the two values beside it, to the last decimal. Its band has the method's errors of
    both sides and the scale's share of the difference: a wrong scale changes both sides alike. Where the
    sides were measured by different methods, the difference has the less exact one.
    """
    out = {}
    for name in DIFFERENCES:
        od, os_ = (eyes[side].lengths.get(name) for side in SIDES)
        if od is None or os_ is None:
            continue
        error = None
        difference = subtract(od, os_)
        if difference.mm is not None and scale is not None:
            sides = (DIFFERENCE_ERROR[od.method], DIFFERENCE_ERROR[os_.method])
            error = round(_error(difference.mm, sides, scale, canthal), 2)
        out[name] = Length(difference.px, difference.mm, error, difference.method)
    return out


def subtract(od: Length, os_: Length) -> Length:
    """OD minus OS, without an error band; see ``differences_of``."""
    mm = None if od.mm is None or os_.mm is None else round(od.mm - os_.mm, 2)
    method: Method = "pixels" if od.method == os_.method == "pixels" else "landmarks"
    return Length(round(od.px - os_.px, 2), mm, None, method)


def _error(mm: float, shares: tuple[float, ...], scale: Scale, canthal: float) -> float:
    """Standard error in mm: of the scale, and errors given as shares of the outer-canthal distance."""
    unit = canthal * scale.mm_per_px
    return math.hypot(mm * scale.relative_error, *(share * unit for share in shares))

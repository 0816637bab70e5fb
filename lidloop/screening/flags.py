"""Screening flag of a face, by thresholds on its measurements. A flag is never a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping

from lidloop.screening.figures import figure
from lidloop.screening.measurements import SIDES, EyeMeasurement, Flag, Length, Reason, Side, Thresholds


def flag_of(
    eyes: Mapping[Side, EyeMeasurement],
    differences: Mapping[str, Length],
    thresholds: Thresholds,
    *,
    damaged: bool = False,
) -> Flag:
    """Flag a face by its measurements in millimetres.

    The level depends on the estimates only; an error band that crosses a threshold adds a reason. The sides
    are compared by MRD1, or by PFH if MRD1 is not known on both. The level is ``none`` only if both sides
    could be judged: if nothing is flagged, a side without MRD1 or a damaged file gives ``undetermined``.

    Args:
        eyes: measurements by side.
        differences: OD minus OS by name.
        thresholds: thresholds of the flag, in millimetres.
        damaged: the image file is or may be damaged.
    """
    by_lid = {side: mrd1 for side in SIDES if (mrd1 := _in_mm(eyes[side].lengths, "mrd1")) is not None}
    found = [_by_lid(side, mrd1, thresholds) for side, mrd1 in by_lid.items()]
    found.append(_by_difference(differences, thresholds))
    reasons = tuple(reason for _, _, some in found for reason in some)
    flagged = {side for side, _, _ in found if side is not None}
    if flagged:
        functional = any(level == "functional" for _, level, _ in found)
        sides = tuple(side for side in SIDES if side in flagged)
        return Flag("functional" if functional else "suspicious", sides, reasons)
    missing = [side for side in SIDES if side not in by_lid]
    if missing:
        text = f"MRD1 of {' and '.join(missing)} is not known in millimetres; see withheld"
        return Flag("undetermined", (), (*reasons, Reason("not-judged", text)))
    if damaged:
        text = "the image file may be damaged, so that nothing can be ruled out"
        return Flag("undetermined", (), (*reasons, Reason("not-judged", text)))
    return Flag("none", (), reasons)


_Found = tuple[Side | None, str, list[Reason]]
"""Flagged side (None if not flagged), level, and reasons."""


def _by_lid(side: Side, mrd1: Length, thresholds: Thresholds) -> _Found:
    name, mm = f"{side} MRD1", mrd1.mm
    functional, suspicious = thresholds.mrd1_functional, thresholds.mrd1_suspicious
    near = _near_threshold(name, mrd1, (functional, suspicious))
    if mm is not None and mm <= functional:
        return (
            side,
            "functional",
            [Reason("mrd1-functional", _reason_text(name, mrd1, "up to", functional)), *near],
        )
    if mm is not None and mm < suspicious:
        return (
            side,
            "suspicious",
            [Reason("mrd1-suspicious", _reason_text(name, mrd1, "under", suspicious)), *near],
        )
    return None, "none", near


def _by_difference(differences: Mapping[str, Length], thresholds: Thresholds) -> _Found:
    known = [name for name in ("mrd1", "pfh") if _in_mm(differences, name) is not None]
    if not known:
        return None, "none", []
    difference = differences[known[0]]
    mm = difference.mm or 0.0
    label = f"difference of {known[0].upper()}"
    size = Length(abs(difference.px), abs(mm), difference.mm_error, difference.method)
    near = _near_threshold(label, size, (thresholds.asymmetry,))
    if abs(mm) < thresholds.asymmetry:
        return None, "none", near
    lower: Side = "OD" if mm < 0 else "OS"
    text = _reason_text(f"{label}, {lower} lower", size, "from", thresholds.asymmetry)
    return lower, "suspicious", [Reason("asymmetry", text), *near]


def _in_mm(lengths: Mapping[str, Length], name: str) -> Length | None:
    """Return the length if it is known in millimetres, else None."""
    length = lengths.get(name)
    return None if length is None or length.mm is None else length


def _reason_text(name: str, length: Length, how: str, limit: float) -> str:
    return f"{name} {_figures(length)} mm, threshold {how} {limit:g} mm"


def _figures(length: Length) -> str:
    """Millimetres and their error band, formatted as in tables."""
    return " ± ".join(figure(v) for v in (length.mm, length.mm_error) if v is not None)


def _near_threshold(name: str, length: Length, limits: tuple[float, ...]) -> list[Reason]:
    """Return a reason for each threshold within the error band of a length."""
    if length.mm is None or length.mm_error is None:
        return []
    return [
        Reason(
            "near-threshold",
            f"{name} {_figures(length)} mm: the error band crosses {limit:g} mm",
        )
        for limit in limits
        if abs(length.mm - limit) <= length.mm_error
    ]

"""Screening flag of a face: thresholds on its lengths with their error bands. A flag is never a diagnosis.

Two signs are looked for, each only in lengths whose error band can carry it:

* The sides differ: one upper lid is lower than the other. The difference is that of MRD1 and of PFH,
  weighted two to one: a wrong pupil centre changes only the first, a raised lower lid only the second. The
  error of the scale and what is wrong on both sides alike cancel, so this is the more exact sign.
* The lids are low: MRD1 plus its error band is at most a threshold, on both sides, on the only eye that the
  picture shows, or on the lower side of a face whose sides differ.

Whatever the bands cannot decide is ``undetermined``, with what to photograph again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lidloop.screening.figures import figure
from lidloop.screening.measurements import (
    SIDES,
    EyeMeasurement,
    FaceMeasurement,
    Flag,
    Length,
    Reason,
    Side,
)
from lidloop.screening.reasons import WITHHOLD_JUDGEMENT
from lidloop.screening.thresholds import Thresholds

LARGEST_BAND: Final = 1.2
"""Largest error band in millimetres of an MRD1 that is judged: the landmarks' 2 mm are too wide, whatever the
estimate. A quarter of a normal MRD1."""
LARGEST_DIFFERENCE_BAND: Final = 1.2
"""Largest error band in millimetres of a difference that is judged."""
SURE_ASYMMETRY: Final = 2.0
"""A difference whose lower bound is this many times the threshold is flagged in a picture of eyes that look
aside or are narrowed, too: neither makes that much."""
_PFH_WEIGHT: Final = 1 / 3
_AGAIN: Final = "photograph again from the front, sharp, the eyes relaxed and looking into the lens"


@dataclass(frozen=True, slots=True)
class _Difference:
    """Height of the higher upper lid above the lower one, in millimetres; ``text`` has the figures."""

    lower: Side
    mm: float
    band: float
    text: str


def flag_of(
    eyes: Mapping[Side, EyeMeasurement],
    differences: Mapping[str, Length],
    thresholds: Thresholds,
    *,
    doubts: Sequence[Reason] = (),
    damage: Reason | None = None,
) -> Flag:
    """Flag a face by its measurements in millimetres.

    Args:
        eyes: measurements by side.
        differences: OD minus OS by name.
        thresholds: thresholds of the flag, in millimetres.
        doubts: problems of the picture that leave no judgement (``reasons.WITHHOLD_JUDGEMENT``), with what to
            do. A difference far beyond the threshold is flagged all the same.
        damage: damage of the image file; the level is then never ``none``.

    Example:
        >>> from lidloop.screening.measurements import Length
        >>> flag_of({}, {"mrd1": Length(-9.0, -2.6, 0.6, "pixels")}, Thresholds()).sides
        ('OD',)
    """
    difference = _difference_of(differences)
    known = {side: mrd1 for side in SIDES if side in eyes and (mrd1 := _judged_mrd1(eyes[side])) is not None}
    sure = difference is not None and difference.mm - difference.band >= SURE_ASYMMETRY * thresholds.asymmetry
    shown = [side for side in SIDES if not _is_hidden(eyes.get(side))]
    found = {} if doubts and not sure else _found(known, shown, difference, thresholds)
    if found:
        return _flagged(found, known, thresholds)
    reasons = [*doubts, *_undecided(eyes, known, difference, thresholds)]
    if damage is not None:
        reasons.append(damage)
    return Flag("undetermined" if reasons else "none", (), tuple(reasons))


def flag_with_problems(
    eyes: Mapping[Side, EyeMeasurement],
    differences: Mapping[str, Length],
    problems: Sequence[Reason],
    thresholds: Thresholds,
) -> Flag:
    """Flag a face by its measurements and the problems of its picture, damage of the file among them."""
    damage = next((reason for reason in problems if reason.code == "damaged"), None)
    doubts = [reason for reason in problems if reason.code in WITHHOLD_JUDGEMENT]
    return flag_of(eyes, differences, thresholds, doubts=doubts, damage=damage)


def judged_again(measured: FaceMeasurement, thresholds: Thresholds | None = None) -> Flag:
    """Flag of stored measurements under other thresholds; with those of the measurement its own flag.

    Args:
        measured: measurements with the problems of their picture.
        thresholds: thresholds of the flag; the defaults if not given.
    """
    limits = thresholds or Thresholds()
    return flag_with_problems(measured.eyes, measured.differences, measured.problems, limits)


def _difference_of(differences: Mapping[str, Length]) -> _Difference | None:
    """Difference of the upper lids; None if it is not known or its band is too wide.

    By MRD1 and PFH; by PFH alone if the pupil of a side is not known.
    """
    parts = {
        name: differences[name]
        for name in ("mrd1", "pfh")
        if name in differences and _carried(differences[name], LARGEST_DIFFERENCE_BAND)
    }
    if not parts:
        return None
    weights = {"mrd1": 1 - _PFH_WEIGHT, "pfh": _PFH_WEIGHT} if len(parts) == 2 else dict.fromkeys(parts, 1.0)
    mm = sum(weights[name] * (length.mm or 0.0) for name, length in parts.items())
    band = sum(weights[name] * (length.mm_error or 0.0) for name, length in parts.items())
    lower: Side = "OD" if mm < 0 else "OS"
    sign = -1 if mm < 0 else 1
    each = " and ".join(
        f"{name.upper()} by {_figures(sign * (length.mm or 0.0), length.mm_error)} mm"
        for name, length in parts.items()
    )
    together = f", together {figure(round(abs(mm), 2))} mm" if len(parts) == 2 else ""
    return _Difference(lower, round(abs(mm), 2), round(band, 2), f"{lower} is lower: {each}{together}")


def _judged_mrd1(eye: EyeMeasurement) -> Length | None:
    """MRD1 in millimetres if its band can carry a judgement, else None."""
    length = eye.lengths.get("mrd1")
    return length if length is not None and _carried(length, LARGEST_BAND) else None


def _carried(length: Length, largest: float) -> bool:
    return length.mm is not None and (length.mm_error or 0.0) <= largest


def _is_hidden(eye: EyeMeasurement | None) -> bool:
    """True if the picture does not show the eye, as a close-up of the other one."""
    reason = None if eye is None else eye.withheld.get("mrd1")
    return reason is not None and reason.code in ("cut-off", "eye-hidden")


def _found(
    known: Mapping[Side, Length],
    shown: Sequence[Side],
    difference: _Difference | None,
    thresholds: Thresholds,
) -> dict[Side, Reason]:
    """Reason by flagged side; empty if nothing is found."""
    limit = thresholds.mrd1_suspicious
    low = {side: _upper(mrd1) <= limit for side, mrd1 in known.items()}
    found: dict[Side, Reason] = {}
    if low and all(low.get(side, False) for side in shown):
        also = "; a blink looks the same, so take a second photograph" if len(known) == 2 else ""
        for side, mrd1 in known.items():
            found[side] = Reason("mrd1-suspicious", _threshold_text(side, mrd1, limit) + also)
    if difference is not None:
        side, asymmetry = difference.lower, thresholds.asymmetry
        if difference.mm - difference.band >= asymmetry or (difference.mm >= asymmetry and low.get(side)):
            also = f"; {found[side].text}" if side in found else ""
            text = f"{difference.text}, threshold from {asymmetry:g} mm{also}"
            found[side] = Reason("asymmetry", text)
    return found


def _flagged(found: Mapping[Side, Reason], known: Mapping[Side, Length], thresholds: Thresholds) -> Flag:
    """Flag with its level: ``functional`` if the MRD1 of a flagged side, with its band, is that small."""
    limit = thresholds.mrd1_functional
    sides = tuple(side for side in SIDES if side in found)
    functional = [
        Reason("mrd1-functional", _threshold_text(side, known[side], limit))
        for side in sides
        if side in known and _upper(known[side]) <= limit
    ]
    reasons = (*functional, *(found[side] for side in sides))
    return Flag("functional" if functional else "suspicious", sides, reasons)


def _undecided(
    eyes: Mapping[Side, EyeMeasurement],
    known: Mapping[Side, Length],
    difference: _Difference | None,
    thresholds: Thresholds,
) -> list[Reason]:
    """Reasons for which ptosis cannot be excluded; empty if it can."""
    reasons = [reason for side in SIDES if side not in known and (reason := _not_known(side, eyes.get(side)))]
    if reasons:
        return reasons
    excluded = thresholds.asymmetry + thresholds.asymmetry_margin
    if difference is None:
        reasons.append(
            Reason("band-too-wide", f"the difference between the sides is not known well enough; {_AGAIN}")
        )
    elif difference.mm + difference.band >= excluded:
        text = (
            f"{difference.text} ± {figure(difference.band)} mm: neither enough for a flag nor little enough "
            f"to exclude {excluded:g} mm; {_AGAIN}"
        )
        reasons.append(Reason("near-threshold", text))
    limit = max(thresholds.mrd1_suspicious, thresholds.mrd1_functional)
    if all((mrd1.mm or 0.0) <= limit for mrd1 in known.values()):
        each = " and ".join(f"{side} {_figures(mrd1.mm, mrd1.mm_error)} mm" for side, mrd1 in known.items())
        text = f"MRD1 of both sides is low ({each}), but the error bands cross {limit:g} mm; {_AGAIN}"
        reasons.append(Reason("near-threshold", text))
    return reasons


def _not_known(side: Side, eye: EyeMeasurement | None) -> Reason:
    """Reason why the MRD1 of a side is not judged, with what to do."""
    mrd1 = None if eye is None else eye.lengths.get("mrd1")
    if mrd1 is not None and mrd1.mm is not None:
        text = (
            f"{side} MRD1 {_figures(mrd1.mm, mrd1.mm_error)} mm: the error band is too wide to judge it; "
            "take a larger, sharper picture with nothing in front of the eyes"
        )
        return Reason("band-too-wide", text)
    withheld = None if eye is None else eye.withheld.get("mrd1")
    if withheld is not None:
        return Reason("not-judged", f"MRD1 of {side} is not known: {withheld.text}")
    return Reason("not-judged", f"MRD1 of {side} is not known in millimetres; give millimetres per pixel")


def _upper(length: Length) -> float:
    """Upper end of the error band in millimetres."""
    return round((length.mm or 0.0) + (length.mm_error or 0.0), 2)


def _threshold_text(side: Side, mrd1: Length, limit: float) -> str:
    return f"{side} MRD1 {_figures(mrd1.mm, mrd1.mm_error)} mm, with its error band up to {limit:g} mm"


def _figures(mm: float | None, error: float | None) -> str:
    """Millimetres and their error band, formatted as in tables."""
    return " ± ".join(figure(value) for value in (mm, error) if value is not None)

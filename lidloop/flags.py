"""When a face is flagged: thresholds applied to measurements. A flag is never a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping

from lidloop.measurements import SIDES, EyeMeasurement, Flag, Length, Reason, Side, Thresholds


def flag_of(
    eyes: Mapping[Side, EyeMeasurement], differences: Mapping[str, Length], thresholds: Thresholds
) -> Flag:
    """Flag a face by its millimetres.

    The level follows the estimates; where an error band crosses the threshold a reason says so. The sides
    are compared by MRD1, or by PFH where MRD1 is not known on both. Nothing is called ``none`` that could not
    be looked at: without a flag, a side whose MRD1 is withheld makes it ``undetermined``.
    """
    reasons: list[Reason] = []
    sides: set[Side] = set()
    functional = False
    judged: list[Side] = []
    for side in SIDES:
        mrd1 = eyes[side].lengths.get("mrd1")
        if mrd1 is None or mrd1.mm is None:
            continue
        judged.append(side)
        for level, limit, hit in (
            ("functional", thresholds.mrd1_functional, mrd1.mm <= thresholds.mrd1_functional),
            ("suspicious", thresholds.mrd1_suspicious, mrd1.mm < thresholds.mrd1_suspicious),
        ):
            if hit:
                reasons.append(Reason(f"mrd1-{level}", _says(f"{side} MRD1", mrd1, limit, below=True)))
                sides.add(side)
                functional |= level == "functional"
                break
        reasons += _doubt(f"{side} MRD1", mrd1, (thresholds.mrd1_functional, thresholds.mrd1_suspicious))
    name = "mrd1" if _known(differences, "mrd1") else "pfh"
    difference = differences.get(name)
    if difference is not None and difference.mm is not None:
        label = f"difference of {name.upper()}"
        size = Length(abs(difference.px), abs(difference.mm), difference.mm_error, difference.method)
        if abs(difference.mm) >= thresholds.asymmetry:
            lower: Side = "OD" if difference.mm < 0 else "OS"
            reasons.append(
                Reason("asymmetry", _says(f"{label}, {lower} lower", size, thresholds.asymmetry, below=False))
            )
            sides.add(lower)
        reasons += _doubt(label, size, (thresholds.asymmetry,))
    if sides:
        ordered = tuple(side for side in SIDES if side in sides)
        return Flag("functional" if functional else "suspicious", ordered, tuple(reasons))
    missing = [side for side in SIDES if side not in judged]
    if missing:
        reasons.append(
            Reason("not-judged", f"MRD1 of {' and '.join(missing)} is not known in millimetres; see withheld")
        )
        return Flag("undetermined", (), tuple(reasons))
    return Flag("none", (), tuple(reasons))


def _known(lengths: Mapping[str, Length], name: str) -> bool:
    return name in lengths and lengths[name].mm is not None


def _says(what: str, length: Length, limit: float, *, below: bool) -> str:
    return f"{what} {_figures(length)} mm, threshold {'under' if below else 'from'} {limit:g} mm"


def _figures(length: Length) -> str:
    """Millimetres to one decimal, by way of the two that answers carry, so that both read the same."""
    tenths = [f"{round(v, 2):.1f}" for v in (length.mm, length.mm_error) if v is not None]
    return " ± ".join(tenths)


def _doubt(what: str, length: Length, limits: tuple[float, ...]) -> list[Reason]:
    """A reason for every threshold that lies within a length's error band."""
    if length.mm is None or length.mm_error is None:
        return []
    return [
        Reason(
            "near-threshold",
            f"{what} {_figures(length)} mm: the error band crosses {limit:g} mm",
        )
        for limit in limits
        if abs(length.mm - limit) <= length.mm_error
    ]

"""The rule that is served, and the rule of version 0.1.0, applied to a stored measurement."""

from __future__ import annotations

from typing import NamedTuple

from lidloop.screening.flags import judged_again
from lidloop.screening.measurements import SIDES, FaceMeasurement, Side
from lidloop.screening.thresholds import Thresholds


class Decision(NamedTuple):
    """Level of a flag, its sides, and the codes of its reasons."""

    level: str
    sides: tuple[Side, ...]
    reasons: tuple[str, ...]

    @property
    def judged(self) -> bool:
        return self.level != "undetermined"

    @property
    def flagged(self) -> bool:
        return self.level in ("suspicious", "functional")


def rule_now(measured: FaceMeasurement, thresholds: Thresholds | None = None) -> Decision:
    """Apply the rule that is served, as ``measure_face`` does it."""
    flag = judged_again(measured, thresholds)
    return Decision(flag.level, flag.sides, tuple(reason.code for reason in flag.reasons))


def rule_of_before(measured: FaceMeasurement) -> Decision:
    """The rule of 0.1.0, which looks at the estimates only, whatever their bands and methods.

    MRD1 up to 2 mm is functional, under 4 mm suspicious; a difference of 2 mm is suspicious on the lower
    side, by MRD1, or by PFH if MRD1 is not known on both; ``undetermined`` only if nothing is flagged and
    the MRD1 of a side is not known.
    """
    mrd1 = {
        side: length.mm
        for side in SIDES
        if (length := measured.eyes[side].lengths.get("mrd1")) is not None and length.mm is not None
    }
    low = {side: mm for side, mm in mrd1.items() if mm < 4}
    difference = next(
        (d.mm for name in ("mrd1", "pfh") if (d := measured.differences.get(name)) and d.mm is not None), 0.0
    )
    reasons = ["mrd1-functional" if mm <= 2 else "mrd1-suspicious" for mm in low.values()]
    flagged = set(low)
    if abs(difference) >= 2:
        flagged.add("OD" if difference < 0 else "OS")
        reasons.append("asymmetry")
    if flagged:
        level = "functional" if any(mm <= 2 for mm in low.values()) else "suspicious"
        return Decision(level, tuple(s for s in SIDES if s in flagged), tuple(reasons))
    if len(mrd1) < 2:
        return Decision("undetermined", (), ("not-judged",))
    return Decision("none", (), ())

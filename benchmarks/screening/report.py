"""Figures of the screening page from measured rows: pure functions, JSON-ready."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.screening.measure import AS_IT_WAS, LOWERED_MM, SEVERITIES
from benchmarks.screening.people import CHOSEN_ON
from benchmarks.screening.rows import Row, from_json
from benchmarks.screening.rule import Decision, rule_now, rule_of_before
from lidloop.evaluation.intervals import Estimate, share_of
from lidloop.labels import Floats
from lidloop.screening.measurements import FaceMeasurement
from lidloop.screening.thresholds import Thresholds

SIZES: Final = ((0, 60), (60, 100), (100, 150), (150, 10_000))
CURVE: Final = tuple(round(0.1 * k, 1) for k in range(2, 41))
"""Thresholds of the difference between the sides in millimetres, for the curve."""
RULES: Final[Mapping[str, Callable[[FaceMeasurement], Decision]]] = {
    "now": rule_now,
    "before": rule_of_before,
}
NOT_FOUND: Final = "not found"


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A row with its measurement and the decision of each rule; None where the face was not found."""

    row: Row
    measured: FaceMeasurement | None
    by: Mapping[str, Decision | None]


def judge(rows: Iterable[Row]) -> list[Judged]:
    """Apply the rules to all rows."""
    out = []
    for row in rows:
        measured = None if row.measured is None else from_json(row.measured)
        by = {name: None if measured is None else rule(measured) for name, rule in RULES.items()}
        out.append(Judged(row, measured, by))
    return out


def report_of(judged: Sequence[Judged]) -> dict[str, Any]:
    """Figures of the page but those by group of people."""
    photographs = [j for j in judged if j.row.source != "drawn"]
    healthy = [j for j in photographs if j.row.group == AS_IT_WAS]
    targets = [j for j in healthy if j.row.target]
    lowered = [j for j in photographs if j.row.group != AS_IT_WAS]
    parts = parts_of(targets)
    return {
        "faces": len(healthy),
        "targets_n": len(targets),
        "lowered_n": len({j.row.name for j in lowered}),
        "who": [who(name, part) for name, part in everybody(healthy)],
        "false_flags": [false_flags(name, part) for name, part in false_groups(targets)],
        "reasons": reasons_of(targets),
        "sensitivity": sensitivity_table(lowered),
        "slopes": slopes(targets, lowered),
        "drawn": [severity_line(s, judged) for s in SEVERITIES],
        "curve": {name: curve(part, parts_of(lowered)[name]) for name, part in parts.items()},
    }


def parts_of(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Faces on which thresholds were chosen, those that were only reported, and all."""
    return {
        "chosen": [j for j in judged if j.row.source in CHOSEN_ON],
        "held back": [j for j in judged if j.row.source not in CHOSEN_ON],
        "all": list(judged),
    }


def everybody(healthy: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    """Groups of the table of who is judged."""
    groups = [("all faces", list(healthy)), ("targets", [j for j in healthy if j.row.target])]
    groups += [(f"targets, {s.upper()}", [j for j in healthy if j.row.target and j.row.source == s])
               for s in sorted({j.row.source for j in healthy})]  # fmt: skip
    return groups + by_size(healthy)


def by_size(part: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    """Faces by the pixels between their outer canthi."""
    return [
        (
            f"{low}–{high} px" if high < SIZES[-1][1] else f"{low} px and more",
            [j for j in part if low <= j.row.canthal_px < high],
        )
        for low, high in SIZES
    ]


def who(name: str, part: Sequence[Judged]) -> dict[str, Any]:
    """Line of the table of who is judged by the rule of now, and why not; a face may have several reasons."""
    reasons: Counter[str] = Counter()
    for j in part:
        decision = j.by["now"]
        if decision is None:
            reasons[NOT_FOUND] += 1
        elif not decision.judged:
            problems = [] if j.measured is None else [r.code for r in j.measured.problems]
            reasons.update({*problems, *decision.reasons})
    return {
        "group": name, "faces": len(part),
        "found": estimate(share_of(sum(j.row.found for j in part), len(part))),
        **{rule: estimate(share_of(sum(_is_judged(j, rule) for j in part), len(part))) for rule in RULES},
        "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    }  # fmt: skip


def false_groups(targets: Sequence[Judged]) -> list[tuple[str, list[Judged]]]:
    """Groups of the table of false flags, all of them targets."""
    groups = [("all targets", list(targets)), ("chosen on (AFW, LFPW)", parts_of(targets)["chosen"]),
              ("held back (HELEN)", parts_of(targets)["held back"])]  # fmt: skip
    groups += [(s.upper(), [j for j in targets if j.row.source == s])
               for s in sorted({j.row.source for j in targets})]  # fmt: skip
    return groups + by_size(targets)[2:]


def false_flags(name: str, part: Sequence[Judged]) -> dict[str, Any]:
    """Flagged faces of a group that nobody chose for ptosis, by rule: of those judged, and of all."""
    line: dict[str, Any] = {"group": name, "faces": len(part)}
    for rule in RULES:
        known = [j for j in part if _is_judged(j, rule)]
        flagged = sum(_is_flagged(j, rule) for j in part)
        line[rule] = {
            "judged": len(known), "flagged": estimate(share_of(flagged, len(known))),
            "of_all": estimate(share_of(flagged, len(part))),
        }  # fmt: skip
    return line


def reasons_of(targets: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """Flagged targets by code of a reason and by rule; a face may have several."""
    out: dict[str, dict[str, int]] = {}
    for rule in RULES:
        for j in targets:
            decision = j.by[rule]
            if decision is not None and decision.flagged:
                for code in dict.fromkeys(decision.reasons):
                    out.setdefault(code, dict.fromkeys(RULES, 0))[rule] += 1
    return out


def sensitivity_table(lowered: Sequence[Judged]) -> list[dict[str, Any]]:
    """Faces with lowered lids by part, group and millimetres."""
    lines = []
    for name, part in parts_of(lowered).items():
        for group in ("one side", "both sides"):
            for mm in LOWERED_MM:
                some = [j for j in part if j.row.group == group and mm in j.row.made_mm.values()]
                lines.append({"part": name, "group": group, "mm": mm, **caught(some)})
    return lines


def severity_line(severity: str, judged: Sequence[Judged]) -> dict[str, Any]:
    """Drawn faces of one degree of ptosis."""
    part = [j for j in judged if j.row.source == "drawn" and j.row.group == severity]
    return {"severity": severity, **caught(part)}


def caught(part: Sequence[Judged]) -> dict[str, Any]:
    """Faces of low lids by rule: judged; flagged; flagged on the right side, of the judged and of all."""
    out: dict[str, Any] = {"faces": len(part)}
    for rule in RULES:
        known = [j for j in part if _is_judged(j, rule)]
        right = sum(_is_right(j, rule) for j in part)
        flagged = sum(_is_flagged(j, rule) for j in part)
        out[rule] = {
            "judged": estimate(share_of(len(known), len(part))),
            "flagged": estimate(share_of(flagged, len(known))),
            "flagged_of_all": estimate(share_of(flagged, len(part))),
            "right": estimate(share_of(right, len(known))),
            "right_of_all": estimate(share_of(right, len(part))),
        }
    return out


def slopes(targets: Sequence[Judged], lowered: Sequence[Judged], *, seed: int = 0) -> list[dict[str, Any]]:
    """Lowering that was measured over the lowering that was made, in pixels, on the lids that were lowered.

    The slope is of least squares through the origin, so that 0 px stay 0; its interval is a bootstrap over
    people. ``pfh`` needs no pupil, ``mrd1`` does. Only lids found in the pixels before and after.
    """
    before = {j.row.name: j.measured for j in targets if j.measured is not None}
    lines = []
    for name, part in parts_of(lowered).items():
        for length in ("mrd1", "pfh"):
            made: dict[str, list[tuple[float, float]]] = {}
            for j in part:
                first = before.get(j.row.name)
                if first is None or j.measured is None:
                    continue
                for side, px in j.row.made_px.items():
                    old, new = (m.eyes[side].lengths.get(length) for m in (first, j.measured))  # type: ignore[index]
                    if old and new and old.method == new.method == "pixels":
                        made.setdefault(j.row.name, []).append((px, old.px - new.px))
            slope = _slope([np.array(v) for v in made.values()], seed)
            lines.append({
                "part": name, "length": length, "people": len(made),
                "lids": sum(map(len, made.values())), "slope": estimate(slope),
            })  # fmt: skip
    return lines


def _slope(people: Sequence[Floats], seed: int) -> Estimate:
    """Slope through the origin of (n, 2) pairs of each person, with a bootstrap over people."""
    if not people:
        return Estimate(None, None, None, 0)
    sums = np.array([[(p[:, 0] * p[:, 1]).sum(), (p[:, 0] ** 2).sum()] for p in people])
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(sums), (1000, len(sums)))
    resampled = sums[draws].sum(axis=1)
    low, high = np.quantile(resampled[:, 0] / resampled[:, 1], [0.025, 0.975])
    return Estimate(float(sums[:, 0].sum() / sums[:, 1].sum()), float(low), float(high), len(sums))


def curve(targets: Sequence[Judged], lowered: Sequence[Judged]) -> list[dict[str, Any]]:
    """Sensitivity against specificity over the threshold of the difference, the other thresholds as served.

    Sensitivity: of the faces lowered by 2 mm on one side, flagged on that side; specificity: of the targets
    as they were, not flagged; both of the faces judged at that threshold.
    """
    two = [j for j in lowered if j.row.group == "one side" and 2.0 in j.row.made_mm.values()]
    points = []
    for mm in CURVE:
        thresholds = Thresholds(asymmetry=mm)
        healthy = [rule_now(j.measured, thresholds) for j in targets if j.measured is not None]
        low = [(j, rule_now(j.measured, thresholds)) for j in two if j.measured is not None]
        known = [decision for decision in healthy if decision.judged]
        found = [is_right(decision, j.row) for j, decision in low if decision.judged]
        points.append({
            "mm": mm,
            "specificity": estimate(share_of(sum(not decision.flagged for decision in known), len(known))),
            "sensitivity": estimate(share_of(sum(found), len(found))),
            "judged": round(len(known) / max(len(targets), 1), 4),
        })  # fmt: skip
    return points


def estimate(value: Estimate) -> dict[str, Any]:
    """An estimate as JSON, rounded."""
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in value._asdict().items()}


def _is_judged(j: Judged, rule: str) -> bool:
    decision = j.by[rule]
    return decision is not None and decision.judged


def _is_flagged(j: Judged, rule: str) -> bool:
    decision = j.by[rule]
    return decision is not None and decision.flagged


def _is_right(j: Judged, rule: str) -> bool:
    decision = j.by[rule]
    return decision is not None and is_right(decision, j.row)


def is_right(decision: Decision, row: Row) -> bool:
    """Flagged, on the sides whose lids are low and no other."""
    return decision.flagged and set(decision.sides) == set(row.low)

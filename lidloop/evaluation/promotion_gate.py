"""Promotion gate: decide on gold metrics if a new model replaces the champion. Pure functions.

Only metrics on the gold yardstick are used: the human validation labels of version 0, which never change.
Gold may lack labels of some faces, so precision is never used: a model that finds those faces would get a
lower precision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ERRORS: Final[dict[str, str]] = {"lid_error_mean": "lid-opening error", "nme_mean": "NME"}
"""Error metrics that the gate compares: key in the metrics and name in messages."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Tolerances below which two models count as equal.

    Attributes:
        recall: largest loss of recall, as a fraction: 0.005 is half a point. Measured from the best recall
            of all champions so far, so that losses do not add up over promotions.
        recall_faces: largest loss of matched gold faces; the larger of both limits holds. On 40 faces one
            face is 2.5 points of recall, and may be chance.
        worse: largest relative rise of either error: 0.02 is 2 % of the champion's.
        gain: smallest relative improvement of both errors together, so that noise does not replace the
            champion.
    """

    recall: float = 0.005
    recall_faces: int = 1
    worse: float = 0.02
    gain: float = 0.002

    def lost_recall(self, faces: int) -> float:
        """Largest tolerated loss of recall on ``faces`` gold faces, as a fraction."""
        return max(self.recall, self.recall_faces / faces) if faces > 0 else self.recall


DEFAULT: Final = Tolerances()


@dataclass(frozen=True, slots=True)
class Decision:
    """Decision of the gate, and its reasons as sentences."""

    promote: bool
    reasons: list[str] = field(default_factory=list)


def decide(
    candidate: Mapping[str, Any],
    champion: Mapping[str, Any] | None,
    *,
    earlier: Sequence[Mapping[str, Any]] = (),
    tolerances: Tolerances = DEFAULT,
) -> Decision:
    """Decide if ``candidate`` replaces ``champion``.

    Both are metrics on the same gold faces: ``faces``, ``matched``, ``recall``, ``lid_error_mean`` and
    ``nme_mean`` are used (fractions; other keys are ignored). ``earlier`` are the metrics of the previous
    champions; unusable ones and those on another number of faces are ignored. The candidate is promoted if
    all of these hold:

    1. its metrics are finite numbers and it matched at least one gold face;
    2. recall is at least the best of the champion's and the earlier ones', less
       ``tolerances.lost_recall(faces)``: against the champion's alone, every promotion could lose a little
       more;
    3. neither error is above ``(1 + tolerances.worse)`` times the champion's;
    4. the geometric mean of the two ratios candidate / champion is below ``1 - tolerances.gain``.

    Without a champion, or if the champion's metrics are unusable, only the first condition counts. The ratios
    of B to A are the inverses of those of A to B, so two models never replace each other in both directions.
    """
    unusable = _unusable(candidate)
    if unusable:
        return Decision(False, unusable)
    if champion is None:
        return Decision(True, ["there is no champion yet"])
    broken = _unusable(champion)
    if broken:
        return Decision(True, ["the champion has no usable gold metrics: " + "; ".join(broken)])
    faces = int(candidate["faces"])
    if faces != int(champion["faces"]):
        return Decision(
            False,
            [f"measured on {faces} gold faces, the champion on {int(champion['faces'])}: not comparable"],
        )

    refusals, notes = losses(candidate, champion, tolerances=tolerances)
    comparable = (m for m in earlier if not _unusable(m) and int(m["faces"]) == faces)
    best = max((float(m["recall"]) for m in comparable), default=0.0)
    if not refusals and _loses_recall(candidate, best, tolerances):
        refusals.append(
            f"recall {_percent(best)} of an earlier champion → {_percent(candidate['recall'])}: together the "
            f"promotions since would lose more than the {_percent(tolerances.lost_recall(faces))} allowed on "
            f"{faces} faces"
        )
    if not refusals:
        ratios = (_ratio(float(candidate[key]), float(champion[key])) for key in ERRORS)
        combined = math.sqrt(math.prod(ratios))
        if not combined < 1 - tolerances.gain:
            refusals.append(
                f"the errors together are {combined:.4f} of the champion's; "
                f"below {1 - tolerances.gain:g} would replace it ({'; '.join(notes)})"
            )
    return Decision(not refusals, refusals or notes)


def losses(
    candidate: Mapping[str, Any], reference: Mapping[str, Any], *, tolerances: Tolerances
) -> tuple[list[str], list[str]]:
    """Check conditions 2 and 3 of ``decide``; return reasons of refusal, and notes on metrics within limits.

    Both arguments are metrics on the same gold faces. If either is unusable, its problems are the reasons.
    """
    broken = _unusable(candidate) + _unusable(reference)
    if broken:
        return broken, []
    refusals: list[str] = []
    notes: list[str] = []
    faces = int(reference["faces"])
    allowed = tolerances.lost_recall(faces)
    text = f"recall {_percent(reference['recall'])} → {_percent(candidate['recall'])}"
    if _loses_recall(candidate, float(reference["recall"]), tolerances):
        refusals.append(f"{text}: lost more than the {_percent(allowed)} allowed on {faces} faces")
    else:
        notes.append(text)
    for key, name in ERRORS.items():
        text = f"{name} {_percent(reference[key])} → {_percent(candidate[key])}"
        if _ratio(float(candidate[key]), float(reference[key])) > 1 + tolerances.worse:
            refusals.append(f"{text}: more than {_percent(tolerances.worse)} worse")
        else:
            notes.append(text)
    return refusals, notes


def _loses_recall(candidate: Mapping[str, Any], before: float, tolerances: Tolerances) -> bool:
    allowed = tolerances.lost_recall(int(candidate["faces"]))
    return float(candidate["recall"]) < before - allowed - 1e-9


def _unusable(metrics: Mapping[str, Any]) -> list[str]:
    """Return the reasons why these metrics cannot be compared; empty if they can."""
    reasons = []
    for key in ("faces", "matched", "recall", *ERRORS):
        value = metrics.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            reasons.append(f"gold {key} is {value!r}, not a number to compare")
    if not reasons and metrics["matched"] < 1:
        reasons.append("it matched no gold face")
    return reasons


def _ratio(new: float, old: float) -> float:
    if old > 0:
        return new / old
    return 1.0 if new == 0 else math.inf


def _percent(value: float) -> str:
    return f"{100 * value:.4g} %"

"""Opinions of several people on one face: who counts, who agrees, and what follows. Pure functions.

The last decision of every person counts. Where all who have an opinion agree, it is applied; where they
differ, nothing changes and all are kept as ``disputed``. ``unsure`` is no opinion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import numpy as np

from lidloop.data.formats import yolo
from lidloop.labels import Floats, box_of

Outcome = Literal["applied", "agreed", "disputed", "superseded", "noted"]

SAME_POINTS: Final = 0.02
"""Two labels agree if their points are at most this far apart on average, over the size of the box; between
people, landmark annotations differ by 2 to 3 % of the distance of the pupils, which is about 1 % of a box."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """Decision of a person on a face.

    Attributes:
        person: name or sitting.
        at: time of the decision.
        verdict: as in the decision.
        proposed: label line that the decision asks for; empty for ``declined`` and ``unsure``.
        is_new: False for one that an earlier import brought.
        was_applied: True for an earlier one that changed the labels.
    """

    person: str
    at: datetime
    verdict: str
    proposed: bytes
    is_new: bool = True
    was_applied: bool = False


def settle(opinions: Sequence[Opinion]) -> list[Outcome]:
    """Outcome of every opinion on one face, in the order given.

    Earlier opinions come first, in the order of their imports. Their outcomes are those that they would have
    now; only those of new ones are recorded. At most one new opinion is ``applied``: the earliest, where it
    changes what is there.
    """
    order = sorted(range(len(opinions)), key=lambda k: _rank(opinions[k]))
    last = {opinions[k].person: k for k in order if opinions[k].verdict != "unsure"}
    counted = [k for k in order if k in last.values()]
    outcomes: list[Outcome] = ["superseded"] * len(opinions)
    for k, opinion in enumerate(opinions):
        if opinion.verdict == "unsure":
            outcomes[k] = "noted"
    if not counted:
        return outcomes
    first = opinions[counted[0]]
    agree = all(same(first, opinions[k]) for k in counted[1:])
    # What stands is what was applied last, in the order of the imports, even if its person has changed it.
    standing = next((opinion for opinion in reversed(opinions) if opinion.was_applied), None)
    for k in counted:
        outcomes[k] = "agreed" if agree else "disputed"
    if agree and (standing is None or not same(standing, first)):
        new = [k for k in counted if opinions[k].is_new]
        if new:
            outcomes[new[0]] = "applied"
    return outcomes


def _rank(opinion: Opinion) -> tuple[datetime, bool, str, str, bytes]:
    """Order of time; the tie-break makes the result independent of the order of files."""
    return opinion.at, opinion.is_new, opinion.person, opinion.verdict, opinion.proposed


def same(a: Opinion, b: Opinion) -> bool:
    """True if two opinions ask for the same: no face, or points that differ by less than ``SAME_POINTS``."""
    if not a.proposed or not b.proposed:
        return a.proposed == b.proposed
    return a.proposed == b.proposed or distance(points_of(a.proposed), points_of(b.proposed)) <= SAME_POINTS


def points_of(line: bytes) -> Floats:
    """Points of a label line in shares of the picture's width and height: (51, 3)."""
    return yolo.parse(line.decode(), 1, 1, where="a label line")[0].points


def distance(a: Floats, b: Floats) -> float:
    """Mean distance of the points that both labels have, over the size of the first one's box.

    Args:
        a, b: (51, 3) in the same unit. Infinite where they have no point in common.
    """
    both = (a[:, 2] > 0) & (b[:, 2] > 0)
    box = box_of(a)
    size = float(np.sqrt(max((box[2:] - box[:2]).prod(), 0)))
    if not both.any() or not size > 0:
        return float("inf")
    return float(np.linalg.norm(a[both, :2] - b[both, :2], axis=1).mean()) / size

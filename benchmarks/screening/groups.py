"""Groups of photographed and of drawn faces for the screening page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from benchmarks.screening.measure import RANDOM
from benchmarks.screening.report import Judged
from lidloop.evaluation.groups import UNKNOWN, compare, pose_of, size_of
from lidloop.evaluation.skin_tone import tone_of
from lidloop.labels import Floats

MIN_PX: Final = 60.0
"""Smallest outer-canthal distance of the second comparison by skin tone, in which small faces do not count:
tones differ in size, too."""
_ANGLES: Final = ((0.0, "within 5°"), (5.0, "5–12°"), (12.0, "over 12°"))
_SHARES: Final = ((0.0, "0–0.2 %"), (0.002, "0.2–0.6 %"), (0.006, "over 0.6 %"))
_EXPOSURES: Final = ((0.0, "dark"), (0.75, "middle"), (1.05, "bright"))
_NOISES: Final = ((0.0, "0–2 levels"), (2.0, "2–5 levels"), (5.0, "over 5 levels"))
_OPENINGS: Final = ((0.0, "narrow"), (0.9, "middle"), (1.1, "wide"))


def groups_of(photographs: Sequence[Judged], drawn: Sequence[Judged]) -> dict[str, Any]:
    """Compare the photographs as they were, and the drawn faces of any kind.

    ``judged`` and ``flagged`` are of the faces found, and ``flagged`` of those judged. Of the photographs
    only large, frontal and sharp faces count for both, of the drawn ones only those without ptosis for
    ``flagged``.
    """
    real = {
        "skin tone": [tone_of(j.row.facts["typology_angle"]) for j in photographs],
        "size": [size_of(j.row.canthal_px) for j in photographs],
        "pose": [pose_of(j.row.yaw) for j in photographs],
        f"skin tone, {MIN_PX:g} px and more": [
            tone_of(j.row.facts["typology_angle"]) if j.row.canthal_px >= MIN_PX else UNKNOWN
            for j in photographs
        ],
    }
    some = [j for j in drawn if j.row.group == RANDOM]
    facts = [j.row.facts for j in some]
    known = {
        "skin tone": [tone_of(fact["typology_angle"]) for fact in facts],
        "size": [size_of(j.row.canthal_px) for j in some],
        "pose": [pose_of(j.row.yaw) for j in some],
        "glasses": [fact["glasses"] for fact in facts],
        "ptosis": [("none", "one side", "both sides")[sum(d > 0 for d in f["degrees"])] for f in facts],
        "pitch": [_within(_ANGLES, abs(fact["pitch"])) for fact in facts],
        "roll": [_within(_ANGLES, abs(fact["roll"])) for fact in facts],
        "gaze": [_within(_ANGLES, fact["gaze"]) for fact in facts],
        "blur": [_within(_SHARES, fact["blur"]) for fact in facts],
        "noise": [_within(_NOISES, fact["noise"]) for fact in facts],
        "exposure": [_within(_EXPOSURES, fact["exposure"]) for fact in facts],
        "opening": [_within(_OPENINGS, fact["opening"]) for fact in facts],
    }
    return {
        "photographs": compare(real, _values(photographs, [j.row.target for j in photographs])).to_json(),
        "drawn": compare(known, _values(some, [True] * len(some))).to_json(),
    }


def _values(judged: Sequence[Judged], screened: Sequence[bool]) -> dict[str, Floats]:
    decisions = [j.by["now"] if wanted else None for j, wanted in zip(judged, screened, strict=True)]
    return {
        "recall": np.array([float(j.row.found) for j in judged]),
        "nme": np.array([j.row.facts.get("nme", np.nan) for j in judged]),
        "lid_error": np.array([j.row.facts.get("lid_error", np.nan) for j in judged]),
        "judged": np.array([np.nan if d is None else float(d.judged) for d in decisions]),
        "flagged": np.array([
            np.nan if d is None or not d.judged or j.row.low else float(d.flagged)
            for j, d in zip(judged, decisions, strict=True)
        ]),
    }  # fmt: skip


def _within(table: Sequence[tuple[float, str]], value: float) -> str:
    return next(name for least, name in reversed(table) if value >= least)

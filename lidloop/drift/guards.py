"""Guards against the known failures of self-labelling: a number with a limit for each. Pure functions.

Each guard looks at what an iteration made before its model may become champion, and trips above its limit.
With too little to judge it has no value and does not trip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lidloop.drift.agreement import HUMAN_NAME, Agreement
from lidloop.errors import LidloopError
from lidloop.labels import Floats

MIN_FACES: Final = 30
"""Faces that two opinions must share: of fewer, one bad face moves their mean."""
MIN_GROWN: Final = 50
"""Newly grown labels for their spread to be judged: a share of so many is known to some 7 points."""
PARTS: Final = 3
"""Equal parts into which human labels are cut by a feature, to see from which of them growth comes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the guards.

    Attributes:
        grown_share: share of grown labels among those that the next model learns from. At a half the loop's
            own opinions begin to outvote people's; self-consuming training is stable only while enough of the
            data stays real (Bertrand et al., On the Stability of Iterative Retraining of Generative Models on
            their own Data, ICLR 2024).
        disagreement: systematic distance between labels that an earlier iteration grew and what this model
            predicts there, of the outer-canthal distance. 0.02 is 1.8 mm on a face of 90 mm: what the
            screening flags as a difference between the eyes is 2 mm.
        confirmation_bias: by how much gold may get worse while the model agrees better with its forebears'
            labels, relative. 0.02 is what the gate tolerates of an error that gets worse.
        source_concentration: how far the growth may be that of one source, or of one third of the faces by
            a feature, alone: 0 is as spread as the pictures or people's labels, 1 all from one. 0.8 leaves
            room for sources where people labelled only some of the faces, and for small ones.
    """

    grown_share: float = 0.5
    disagreement: float = 0.02
    confirmation_bias: float = 0.02
    source_concentration: float = 0.8


DEFAULT: Final = Limits()


@dataclass(frozen=True, slots=True)
class Guard:
    """A guard's answer: ``value`` is None where there is too little to judge; ``why`` is a sentence."""

    name: str
    value: float | None
    threshold: float
    why: str

    @property
    def tripped(self) -> bool:
        """True if the number is beyond its limit."""
        return self.value is not None and self.value > self.threshold

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "value": self.value,
            "threshold": self.threshold,
            "tripped": self.tripped,
            "why": self.why,
        }


def grown_share(counts: Mapping[str, Mapping[str, int]], *, limits: Limits = DEFAULT) -> Guard:
    """Judge the share of grown labels in the training split.

    Args:
        counts: of a label version, as in its ``version.json``: ``{"train": {"human": n, "grown": n}, …}``.
    """
    human, grown = (int(counts["train"][origin]) for origin in ("human", "grown"))
    if not human + grown:
        return Guard("grown_share", None, limits.grown_share, "there are no labels to learn from")
    why = f"{grown} of {human + grown} labels to learn from are grown"
    return Guard("grown_share", grown / (human + grown), limits.grown_share, why)


def disagreement(found: Sequence[Agreement], *, limits: Limits = DEFAULT) -> Guard:
    """Judge how far this model and earlier iterations' labels are apart on the same faces, systematically.

    Args:
        found: by origin; those with people's labels are not looked at: gold says how far off a model is.
    """
    known = [
        (entry.offset, entry)
        for entry in found
        if entry.origin != HUMAN_NAME and entry.faces >= MIN_FACES and entry.offset is not None
    ]
    if not known:
        why = f"no earlier iteration grew labels on {MIN_FACES} faces that this model finds again"
        return Guard("disagreement", None, limits.disagreement, why)
    value, worst = max(known, key=lambda item: item[0])
    why = (
        f"on {worst.faces} faces the labels of iteration {worst.origin} and this model's points lie "
        f"{value:.2%} of the outer-canthal distance apart in the same way (NME {worst.nme:.2%})"
    )
    return Guard("disagreement", value, limits.disagreement, why)


def confirmation_bias(iterations: Sequence[Mapping[str, Any]], *, limits: Limits = DEFAULT) -> Guard:
    """Judge whether the model agrees better with grown labels while it gets worse on people's.

    Compared with the earlier iteration that was best on gold, so that several small steps count together. The
    value is the smaller of two relative changes: how much the gold NME rose, and how much the NME on grown
    validation labels fell; it is positive only where both happened.

    Args:
        iterations: ``evaluation.json``'s history, this iteration last.
    """
    points = [point for entry in iterations if (point := _opinions(entry)) is not None]
    known = bool(points) and bool(iterations) and points[-1][0] == iterations[-1]["iteration"]
    if not known or len(points) < 2:
        why = f"no two iterations were measured on {MIN_FACES} grown validation labels"
        return Guard("confirmation_bias", None, limits.confirmation_bias, why)
    number, gold, own = points[-1]
    best, gold_best, own_best = min(points[:-1], key=lambda point: point[1])
    value = min(gold / gold_best - 1, 1 - own / own_best)
    why = (
        f"from iteration {best} to {number}, NME on gold {gold_best:.2%} → {gold:.2%}, on grown validation "
        f"labels {own_best:.2%} → {own:.2%}"
    )
    return Guard("confirmation_bias", value, limits.confirmation_bias, why)


def _opinions(entry: Mapping[str, Any]) -> tuple[int, float, float] | None:
    """Iteration, NME on gold, and NME on the grown labels alone, which is what the paper yardstick has more.

    A grown label overlaps no label by an IoU above 0.3, so adding them changes no match of a gold face.
    """
    gold, paper = entry["gold"]["overall"], entry["paper"]["overall"]
    grown = paper["nme_faces"] - gold["nme_faces"]
    if grown < MIN_FACES or not gold["nme_mean"]:
        return None
    own = (paper["nme_mean"] * paper["nme_faces"] - gold["nme_mean"] * gold["nme_faces"]) / grown
    return (int(entry["iteration"]), float(gold["nme_mean"]), float(own)) if own > 0 else None


def concentration(grown: Mapping[str, int], expected: Mapping[str, float]) -> tuple[float, str] | None:
    """Share of the growth that comes from one part alone, and its name: 0 as expected, 1 all of it.

    Args:
        grown: grown labels by part.
        expected: share of each part if growth were spread as what there is to grow from; sums to 1.

    Returns:
        None with fewer than two parts to grow from, or no growth.
    """
    total = sum(grown.values())
    parts = {name: share for name, share in expected.items() if share < 1}
    if total < 1 or not parts:
        return None
    excess = {name: (grown.get(name, 0) / total - share) / (1 - share) for name, share in parts.items()}
    name = max(excess, key=lambda part: excess[part])
    return max(0.0, excess[name]), name


def source_concentration(
    grown_by_source: Mapping[str, int],
    pictures_by_source: Mapping[str, int],
    human: Mapping[str, Floats],
    grown: Mapping[str, Floats],
    *,
    limits: Limits = DEFAULT,
) -> Guard:
    """Judge whether the newly grown labels come from one source, or one part of the population, alone.

    Args:
        grown_by_source: newly grown labels by source. pictures_by_source: all pictures by source.
        human, grown: values by feature, of people's labels, which each feature cuts into thirds, and of the
            newly grown ones; NaN is left out.

    Raises:
        LidloopError: where no source has a picture.
    """
    total = sum(pictures_by_source.values())
    if not total:
        raise LidloopError("there are no pictures to grow labels on")
    new = sum(grown_by_source.values())
    if new < MIN_GROWN:
        why = f"{new} labels were grown; {MIN_GROWN} are needed to say where they come from"
        return Guard("source_concentration", None, limits.source_concentration, why)
    found = [
        (concentration(grown_by_source, {k: n / total for k, n in pictures_by_source.items()}), "source")
    ]
    for name in sorted(set(human) & set(grown)):
        found.append((_by_thirds(human[name], grown[name]), name))
    known = [(answer[0], what, answer[1]) for answer, what in found if answer is not None]
    if not known:
        why = "one source, and no faces of people's labels to compare with"
        return Guard("source_concentration", None, limits.source_concentration, why)
    value, what, part = max(known)
    where = f"source {part}" if what == "source" else f"the {part} third of the faces by {what}"
    why = f"of {new} newly grown labels, those of {where} are {value:.0%} of the way from their due to all"
    return Guard("source_concentration", value, limits.source_concentration, why)


def _by_thirds(human: Floats, grown: Floats) -> tuple[float, str] | None:
    human, grown = human[~np.isnan(human)], grown[~np.isnan(grown)]
    if len(human) < MIN_FACES or len(grown) < MIN_GROWN:
        return None
    edges = np.quantile(human, [k / PARTS for k in range(1, PARTS)])
    names = ("lowest", "middle", "highest")
    counts = [np.bincount(np.searchsorted(edges, v), minlength=PARTS).tolist() for v in (human, grown)]
    shares = {name: n / len(human) for name, n in zip(names, counts[0], strict=True)}
    return concentration(dict(zip(names, counts[1], strict=True)), shares)

"""Guards against known failures of self-labelling: one value and one limit each. Pure functions.

A guard is computed from the results of an iteration, before its model can become champion, and trips if its
value is above its limit. With too little data it has no value and does not trip.
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
"""Smallest number of faces that two sets of points must share; with fewer, one bad face changes the mean."""
MIN_GROWN: Final = 50
"""Smallest number of newly grown labels for ``source_concentration``: shares are then known to ± 7 points."""
PARTS: Final = 3
"""Number of equal parts into which human labels are divided by a feature, to compare growth in each."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the guards.

    Attributes:
        grown_share: share of grown labels in the training labels of the next model. Above one half, grown
            labels outnumber human labels; training on own predictions is stable only while enough of the
            data stays real (Bertrand et al., On the Stability of Iterative Retraining of Generative Models on
            their own Data, ICLR 2024).
        disagreement: systematic distance between labels grown by an earlier iteration and this model's
            predictions of the same faces, as a share of the outer-canthal distance. 0.02 is 1.8 mm on a face
            of 90 mm; the screening flags a difference of 2 mm between the eyes.
        confirmation_bias: relative rise of the gold NME while the NME on grown labels falls. 0.02 equals the
            gate's tolerance of a worse error.
        source_concentration: share of the growth that comes from one source alone, or from one third of the
            faces by a feature: 0 is distributed as the pictures or the human labels, 1 is all from one part.
            0.8 allows for sources where only some of the faces have human labels, and for small sources.
        group_gap: number of groups of faces, such as a skin tone, on which the model is worse than on all
            other faces by more than chance explains (``lidloop.evaluation.groups``). None is allowed.
    """

    grown_share: float = 0.5
    disagreement: float = 0.02
    confirmation_bias: float = 0.02
    source_concentration: float = 0.8
    group_gap: float = 0.0


DEFAULT: Final = Limits()


@dataclass(frozen=True, slots=True)
class Guard:
    """Result of a guard: ``value`` is None with too little data; ``why`` explains it in one sentence."""

    name: str
    value: float | None
    threshold: float
    why: str

    @property
    def tripped(self) -> bool:
        """True if the value is above its limit."""
        return self.value is not None and self.value > self.threshold

    def to_json(self) -> dict[str, Any]:
        """Return the result by name, ready for JSON."""
        return {
            "value": self.value,
            "threshold": self.threshold,
            "tripped": self.tripped,
            "why": self.why,
        }


def grown_share(counts: Mapping[str, Mapping[str, int]], *, limits: Limits = DEFAULT) -> Guard:
    """Compute the share of grown labels in the training split.

    Args:
        counts: label counts of a version, as in ``version.json``: ``{"train": {"human": n, "grown": n}, …}``.
        limits: limits of the guards.
    """
    human, grown = (int(counts["train"][origin]) for origin in ("human", "grown"))
    if not human + grown:
        return Guard("grown_share", None, limits.grown_share, "there are no training labels")
    why = f"{grown} of {human + grown} training labels are grown"
    return Guard("grown_share", grown / (human + grown), limits.grown_share, why)


def disagreement(found: Sequence[Agreement], *, limits: Limits = DEFAULT) -> Guard:
    """Compute the largest systematic distance between this model and labels of earlier iterations.

    Args:
        found: agreement by origin; human labels are ignored, as the gold metrics measure the error on them.
        limits: limits of the guards.
    """
    known = [
        (entry.offset, entry)
        for entry in found
        if entry.origin != HUMAN_NAME and entry.faces >= MIN_FACES and entry.offset is not None
    ]
    if not known:
        why = f"fewer than {MIN_FACES} faces have both a label of an earlier iteration and a prediction"
        return Guard("disagreement", None, limits.disagreement, why)
    value, worst = max(known, key=lambda item: item[0])
    why = (
        f"on {worst.faces} faces this model's points are shifted against the labels of iteration "
        f"{worst.origin} by {value:.2%} of the outer-canthal distance (NME {worst.nme:.2%})"
    )
    return Guard("disagreement", value, limits.disagreement, why)


def confirmation_bias(iterations: Sequence[Mapping[str, Any]], *, limits: Limits = DEFAULT) -> Guard:
    """Compute by how much the model gets worse on human labels while it gets better on grown labels.

    The model is compared with the earlier iteration of lowest gold NME, so that several small steps add up.
    The value is the smaller of two relative changes: the rise of the gold NME, and the fall of the NME on
    grown validation labels. It is positive only if both occurred.

    Args:
        iterations: history in ``evaluation.json``, this iteration last.
        limits: limits of the guards.
    """
    points = [point for entry in iterations if (point := _nme_by_origin(entry)) is not None]
    known = bool(points) and bool(iterations) and points[-1][0] == iterations[-1]["iteration"]
    if not known or len(points) < 2:
        why = f"fewer than two iterations have metrics on {MIN_FACES} grown validation labels"
        return Guard("confirmation_bias", None, limits.confirmation_bias, why)
    number, gold, own = points[-1]
    best, gold_best, own_best = min(points[:-1], key=lambda point: point[1])
    value = min(gold / gold_best - 1, 1 - own / own_best)
    why = (
        f"from iteration {best} to {number}, NME on gold {gold_best:.2%} → {gold:.2%}, on grown validation "
        f"labels {own_best:.2%} → {own:.2%}"
    )
    return Guard("confirmation_bias", value, limits.confirmation_bias, why)


def _nme_by_origin(entry: Mapping[str, Any]) -> tuple[int, float, float] | None:
    """Return iteration, NME on gold, and NME on the grown labels alone; None with too few grown labels.

    The paper yardstick is gold plus the grown labels, so their NME is the difference of the two. A grown
    label has an IoU of at most 0.3 with other labels, so it does not change the match of a gold face.
    """
    gold, paper = entry["gold"]["overall"], entry["paper"]["overall"]
    grown = paper["nme_faces"] - gold["nme_faces"]
    if grown < MIN_FACES or not gold["nme_mean"]:
        return None
    own = (paper["nme_mean"] * paper["nme_faces"] - gold["nme_mean"] * gold["nme_faces"]) / grown
    return (int(entry["iteration"]), float(gold["nme_mean"]), float(own)) if own > 0 else None


def concentration(grown: Mapping[str, int], expected: Mapping[str, float]) -> tuple[float, str] | None:
    """Return the largest excess share of growth in one part, and the part's name.

    0 means that growth is distributed as expected, 1 that it all comes from one part.

    Args:
        grown: number of grown labels by part.
        expected: expected share of each part; sums to 1.

    Returns:
        None with fewer than two parts, or no growth.
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
    """Compute how far the newly grown labels come from one source, or one part of the population, alone.

    Args:
        grown_by_source: number of newly grown labels by source.
        pictures_by_source: number of all pictures by source.
        human: values of the human labels by feature; each feature divides them into thirds.
        grown: values of the newly grown labels by feature. NaN is ignored in both.
        limits: limits of the guards.

    Raises:
        LidloopError: if no source has a picture.
    """
    total = sum(pictures_by_source.values())
    if not total:
        raise LidloopError("there are no pictures to grow labels on")
    new = sum(grown_by_source.values())
    if new < MIN_GROWN:
        why = f"{new} labels were grown; {MIN_GROWN} are needed to measure their concentration"
        return Guard("source_concentration", None, limits.source_concentration, why)
    found = [
        (concentration(grown_by_source, {k: n / total for k, n in pictures_by_source.items()}), "source")
    ]
    for name in sorted(set(human) & set(grown)):
        found.append((_by_thirds(human[name], grown[name]), name))
    known = [(result[0], by, result[1]) for result, by in found if result is not None]
    if not known:
        why = "there is only one source, and too few human labels to compare with"
        return Guard("source_concentration", None, limits.source_concentration, why)
    value, by, part = max(known)
    where = f"source {part}" if by == "source" else f"the {part} third of the faces by {by}"
    why = (
        f"of {new} newly grown labels, {where} has the largest excess: {value:.0%} "
        "(0 % as expected, 100 % all labels)"
    )
    return Guard("source_concentration", value, limits.source_concentration, why)


def group_gap(iterations: Sequence[Mapping[str, Any]], *, limits: Limits = DEFAULT) -> Guard:
    """Count the groups of faces that fall behind the others, on the gold faces of this iteration.

    Args:
        iterations: history in ``evaluation.json``, this iteration last; entries of earlier versions have no
            groups.
        limits: limits of the guards.
    """
    groups = iterations[-1].get("groups") if iterations else None
    if not groups or not groups["comparisons"]:
        why = f"no group of at least {MIN_FACES} gold faces can be compared with another"
        return Guard("group_gap", None, limits.group_gap, why)
    behind = [gap["text"] for gap in groups["gaps"] if gap["is_failure"]]
    why = "; ".join(behind) or f"no group falls behind in {groups['comparisons']} comparisons"
    return Guard("group_gap", float(len(behind)), limits.group_gap, why)


def _by_thirds(human: Floats, grown: Floats) -> tuple[float, str] | None:
    human, grown = human[~np.isnan(human)], grown[~np.isnan(grown)]
    if len(human) < MIN_FACES or len(grown) < MIN_GROWN:
        return None
    edges = np.quantile(human, [k / PARTS for k in range(1, PARTS)])
    names = ("lowest", "middle", "highest")
    counts = [np.bincount(np.searchsorted(edges, v), minlength=PARTS).tolist() for v in (human, grown)]
    shares = {name: n / len(human) for name, n in zip(names, counts[0], strict=True)}
    return concentration(dict(zip(names, counts[1], strict=True)), shares)

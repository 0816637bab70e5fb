"""The review queue: faces in the order in which a person should look at them. Pure functions.

**Labels.** Each signal (``lidloop.review.signals``) becomes a number of robust standard deviations above its
median over the labels of the same kind; what lies below the median counts as 0. The evidence of a label is
the sum of ``WEIGHTS`` × log(1 + deviations), so that several weak signals add up and no single one rules.
Missing signals count as 0.

**Dropped faces** are ordered by how likely they are faces: the model's score, times the share of the box that
is free of labels, times how usual the shape is. Several iterations that found the face count for it.

The numbers of human, grown and dropped faces cannot be compared, so each kind is ordered by itself. The
orders are merged by the share of wrong faces that is expected of each kind (``lidloop.review.shares``): of a
kind with twice the share, twice as much is at the front. ``suspicion`` is the share of all faces that are
less suspicious: an order, not a probability.

``benchmarks.review`` measures the order. The weights were chosen on LFPW and AFW with known errors, merging
and the weight of the confidence on drawn faces (other ones than the report's); HELEN was kept for the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lidloop.data.ledgers import Ints, Ledger
from lidloop.labels import HUMAN, Floats, LabelSet
from lidloop.review import signals
from lidloop.review.faces import Faces
from lidloop.review.shapes import fit_reference
from lidloop.review.shares import expected_shares, merged
from lidloop.review.signals import robust_z

WEIGHTS: Final[dict[str, float]] = {
    "confidence": 4.0,
    "overlap": 1.0,
    "iterations": 1.0,
    "disagreement": 4.0,
    "views": 4.0,
    "residual": 2.0,
    "unusual": 1.0,
    "drift": 0.5,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One face of the queue.

    Attributes:
        face: id of the face.
        image: id of its picture.
        line: line in the picture's label file, -1 for a dropped face.
        kind: ``human``, ``grown`` or ``dropped``.
        suspicion: share of all labels and dropped faces that are less suspicious, 0 to 1; the queue is
            sorted by it, falling.
        why: the signal that adds most, by name of ``signals.SIGNALS``; for a dropped face its reason in the
            ledger.
        signals: value of each signal that could be had.
        row: of the face in ``Faces``.
    """

    face: str
    image: str
    line: int
    kind: str
    suspicion: float
    why: str
    signals: Mapping[str, float]
    row: int


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence that the order is computed from, besides the faces.

    Attributes:
        sizes: width and height in pixels by picture.
        ledgers: of all versions.
        predictions: sets of predictions, one for each model.
        views: sets of predictions on mirrored and smaller pictures.
    """

    sizes: Mapping[str, tuple[int, int]]
    ledgers: Sequence[Ledger] = ()
    predictions: Sequence[LabelSet] = ()
    views: Sequence[LabelSet] = ()


def make_queue(faces: Faces, evidence: Evidence, *, human: bool = False) -> list[Entry]:
    """Order grown and dropped faces, and human labels where asked for, most suspicious first.

    Args:
        faces: labels and dropped faces of a version.
        evidence: see there.
        human: also the human labels.

    Returns:
        The entries; tie-break: the id.
    """
    is_label = faces.is_label
    labels, dropped = faces.all.select(is_label), faces.all.select(~is_label)
    shape = fit_reference(labels.points[labels.origin == HUMAN])
    found = signals.of_labels(
        labels, labels, evidence.sizes, ledgers=evidence.ledgers, predictions=evidence.predictions,
        views=evidence.views, shape=shape,
    )  # fmt: skip
    found_dropped = signals.of_labels(dropped, labels, evidence.sizes, shape=shape)
    evidence_of = np.zeros(len(faces))
    strongest = np.array(faces.reason, dtype=object)
    for origin in (True, False):  # human labels have other medians than grown ones
        mine = np.flatnonzero((labels.origin == HUMAN) == origin)
        parts = contributions({name: values[mine] for name, values in found.items()})
        evidence_of[mine] = np.sum(list(parts.values()), axis=0)
        strongest[mine] = np.array(list(parts), dtype=object)[np.argmax(list(parts.values()), axis=0)]
    evidence_of[~is_label] = of_dropped(found_dropped, found, faces.times[~is_label])
    known = {name: np.concatenate([values, found_dropped[name]]) for name, values in found.items()}
    kinds = faces.kinds
    shares = expected_shares(labels.origin, found, evidence_of[~is_label])
    suspicion = merged(evidence_of, kinds, shares)
    rows = np.arange(len(faces)) if human else np.flatnonzero(kinds != "human")
    entries = [
        Entry(
            faces.ids[row], faces.all.images[faces.all.image[row]], int(faces.line[row]), str(kinds[row]),
            round(float(suspicion[row]), 6), str(strongest[row]),
            {name: float(values[row]) for name, values in known.items() if np.isfinite(values[row])}, row,
        )
        for row in rows.tolist()
    ]  # fmt: skip
    return sorted(entries, key=lambda entry: (-entry.suspicion, entry.face))


def contributions(found: Mapping[str, Floats]) -> dict[str, Floats]:
    """Evidence of each signal for each label: weight × log(1 + robust deviations above the median).

    Args:
        found: (n,) values by signal; the same labels are the reference.
    """
    return {
        name: WEIGHTS[name] * np.log1p(np.nan_to_num(np.maximum(robust_z(values, values), 0)))
        for name, values in found.items()
    }


def of_dropped(found: Mapping[str, Floats], labels: Mapping[str, Floats], times: Ints) -> Floats:
    """Evidence that dropped faces are faces: (n,), 0 to 1.3.

    Args:
        found: (n,) values by signal of the dropped faces.
        labels: (m,) values by signal of the labels, the reference for the shape.
        times: (n,) iterations that found each face.
    """
    score = 1 - np.nan_to_num(found["confidence"], nan=1.0)
    free = 1 - np.clip(np.nan_to_num(found["overlap"]), 0, 1)
    odd = np.nan_to_num(np.maximum(robust_z(found["residual"], labels["residual"]), 0))
    usual = 1 / (1 + np.log1p(odd / 3))
    often = np.minimum(1 + 0.1 * (times - 1), 1.3)
    result: Floats = score * free**2 * usual * often
    return result

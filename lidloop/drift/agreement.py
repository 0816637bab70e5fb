"""Agreement of the current labels with a model's predictions of the same faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lidloop.evaluation import metrics
from lidloop.evaluation.evaluate import DEFAULT_SCORE, MATCH_IOU
from lidloop.labels import HUMAN, Floats, LabelSet

HUMAN_NAME: Final = "human"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences between predictions and the labels of one origin, over the faces that both have.

    Lengths are in outer-canthal distances of the label.

    Attributes:
        origin: ``human``, or the iteration that grew the labels.
        faces: labels with a prediction of box IoU of at least 0.5 and both outer canthi visible.
        nme: mean distance of the points; None without faces.
        offset: systematic part of the error, the same on all faces: root mean square over the points of the
            length of mean(prediction - label), corrected for the variance of a mean over so few faces.
            Random errors of single faces average out; shifted labels do not. None with fewer than two faces.
    """

    origin: str
    faces: int
    nme: float | None
    offset: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON."""
        return {"origin": self.origin, "faces": self.faces, "nme": self.nme, "offset": self.offset}


def agreements(labels: LabelSet, predictions: LabelSet) -> list[Agreement]:
    """Compare predictions with labels, by origin of the labels: human labels first.

    Args:
        labels: labels of any origins.
        predictions: predictions of one model on the same pictures; scores under 0.25 are ignored.
    """
    label, prediction = same_faces(labels, predictions)
    origins = labels.origin[label]
    found = []
    for origin in np.unique(labels.origin).tolist():
        rows = origins == origin
        name = HUMAN_NAME if origin == HUMAN else str(origin)
        found.append(agreement(name, labels.points[label[rows]], predictions.points[prediction[rows]]))
    return found


def agreement(origin: str, labels: Floats, predictions: Floats) -> Agreement:
    """Compare the points of n labels (n, 51, 3) and of their predictions (n, 51, 2+), in pixels."""
    scale = metrics.outer_canthal_scale(labels)
    usable = ~np.isnan(scale)
    labels, predictions, scale = labels[usable], predictions[usable], scale[usable]
    moved = (predictions[..., :2] - labels[..., :2]) / scale[:, None, None]
    moved = np.where(labels[..., 2:] > 0, moved, np.nan)
    if not len(moved):
        return Agreement(origin, 0, None, None)
    nme = float(metrics.normalised_mean_error(predictions, labels).mean())
    return Agreement(origin, len(moved), nme, _offset(moved))


def _offset(moved: Floats) -> float | None:
    """Root mean square over points of the systematic displacement: (n, 51, 2), NaN for invisible points.

    The squared length of a mean over n faces is too large by variance / n in expectation, so that is
    subtracted.
    """
    n = (~np.isnan(moved)).sum(axis=0)
    counted = n[:, 0] > 1
    if not counted.any():
        return None
    part = moved[:, counted]
    mean, variance = np.nanmean(part, axis=0), np.nanvar(part, axis=0, ddof=1)
    square = (mean**2 - variance / n[counted]).sum(axis=-1).mean()
    return float(np.sqrt(max(0.0, square)))


def same_faces(labels: LabelSet, predictions: LabelSet) -> tuple[metrics.Ints, metrics.Ints]:
    """Match labels and predictions greedily by falling score, at a box IoU of at least 0.5.

    Returns:
        Row numbers of the matched labels and of their predictions, (k,) each.
    """
    rows = np.flatnonzero(predictions.score >= DEFAULT_SCORE)
    found = predictions.select(rows).reindex(labels.images)
    kept = rows[np.isin(predictions.image[rows], _known(labels, predictions))]
    order = metrics.order_by_score(found)
    found, kept = found.select(order), kept[order]
    a, b = metrics.pairs_in_image(found.image, labels.image, metrics.truth_order(labels))
    iou = metrics.paired_iou(found.boxes[a], labels.boxes[b])
    match = metrics.greedy_match(
        a,
        b,
        iou,
        rank=metrics.rank_in_image(found.image),
        ignored=np.zeros(len(labels), dtype=bool),
        thresholds=np.array([MATCH_IOU]),
    )[:, 0]
    pairs = np.flatnonzero(match >= 0)
    return match[pairs], kept[pairs]


def _known(labels: LabelSet, predictions: LabelSet) -> metrics.Ints:
    """Indices of the predictions' pictures that the labels also have."""
    names = set(labels.images)
    return np.array([k for k, name in enumerate(predictions.images) if name in names], dtype=np.int64)

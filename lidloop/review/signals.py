"""Signals that a label is wrong, one number per face; larger is more suspicious. Pure functions.

NaN says that a signal cannot be had for a face.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from lidloop.data.ledgers import Ints, Ledger
from lidloop.drift.features import features
from lidloop.labels import HUMAN, Floats, LabelSet, box_iou
from lidloop.review.shapes import ShapeReference

SIGNALS: Final[dict[str, str]] = {
    "confidence": "1 minus the model's score of a grown label",
    "overlap": "largest IoU with another label of the picture",
    "iterations": "1 minus the IoU with the nearest prediction of a later iteration, mean over iterations",
    "disagreement": "mean distance of the points to the model's prediction of this face, over the size of "
    "its box; median over the iterations whose predictions are there",
    "views": "the same under a mirrored and a smaller picture",
    "residual": "what the principal components of human labels leave of the shape",
    "unusual": "distance of the shape from human labels within the components, in standard deviations",
    "drift": "largest distance of a feature that the drift guards watch from the human labels, in standard "
    "deviations",
}
"""Signals by name."""

SEEN: Final = 0.25
"""Smallest score of a prediction that counts as one."""
ANY_OVERLAP: Final = 0.1
"""IoU from which a prediction may be of the same face as a label that is misplaced."""
MISPLACED: Final = 0.5
"""``disagreement`` of a face that the model does not predict while it predicts another one that has no label:
half the size of its box, and the largest value."""
NOT_FOUND: Final = 0.12
"""``disagreement`` of a face that the model does not predict in a picture whose predictions all have a label:
more often a difficult face than a wrong label."""
CLAIMED: Final = 0.3
"""IoU from which a prediction belongs to a label."""
WATCHED: Final = (
    "box_aspect", "pfh_ratio_left", "pfh_ratio_right", "pfh_asymmetry", "brow_lid_left", "brow_lid_right",
    "yaw", "pitch", "roll",
)  # fmt: skip
"""Features of ``lidloop.drift`` that belong to a face alone, not to its place in the picture."""


def confidence(faces: LabelSet) -> Floats:
    """1 - score of grown and dropped faces; NaN for human labels. Shape (n,)."""
    return np.where(faces.origin == HUMAN, np.nan, 1 - faces.score)


def overlap(faces: LabelSet, labels: LabelSet) -> Floats:
    """Largest IoU of each face with a label of its picture that is not the face itself: (n,).

    Args:
        faces: of the pictures of ``labels``, in the same order.
        labels: the current labels.
    """
    result = np.zeros(len(faces))
    for rows, others in _by_image(faces, labels):
        iou = box_iou(faces.boxes[rows], labels.boxes[others])
        same = (faces.boxes[rows][:, None] == labels.boxes[others][None]).all(axis=2)
        result[rows] = np.where(same, 0, iou).max(axis=1, initial=0)
    return result


def iterations(labels: LabelSet, ledgers: Sequence[Ledger]) -> Floats:
    """Disagreement of later iterations about each label, from the boxes in the ledgers alone: (n,).

    The iterations after the one that grew a label have predicted its picture again. An iteration's share is 1
    minus the largest IoU of its predictions with the label. NaN for labels of the last iteration.
    """
    total, count = np.zeros(len(labels)), np.zeros(len(labels))
    index = {name: k for k, name in enumerate(labels.images)}
    for ledger in ledgers[1:]:
        iteration = ledger.version - 1
        mine = (ledger.origin == iteration) & (ledger.confidence >= SEEN) & (ledger.reason != "existing")
        rows = np.flatnonzero(mine & np.isfinite(ledger.boxes).all(axis=1))
        image = np.array([index[str(name)] for name in ledger.image[rows]], dtype=np.int64)
        later = np.flatnonzero(labels.origin < iteration)
        best = _largest_iou(labels.image[later], labels.boxes[later], image, ledger.boxes[rows])
        total[later] += 1 - best
        count[later] += 1
    mean: Floats = np.divide(total, count, out=np.full(len(labels), np.nan), where=count > 0)
    return mean


def disagreement(faces: LabelSet, predictions: LabelSet) -> Floats:
    """Mean distance of the points of each face to the model's prediction of it, over the box's size: (n,).

    The prediction is the one of largest IoU; a face without one gets ``MISPLACED`` or ``NOT_FOUND``. The size
    is the square root of the area of the prediction's box. NaN for faces without visible points, and for
    pictures that the model has not seen.

    Args:
        faces: all labels of their pictures, so that predictions without a label can be told.
        predictions: of one model.
    """
    found = predictions.select(predictions.score >= SEEN).reindex(faces.images)
    seen = np.isin(np.array(faces.images, dtype=object), np.array(predictions.images, dtype=object))
    result = np.full(len(faces), np.nan)
    for rows, others in _by_image(faces, found):
        if not seen[faces.image[rows[0]]]:
            continue
        visible = faces.points[rows, :, 2] > 0
        if not len(others):
            result[rows] = np.where(visible.any(axis=1), NOT_FOUND, np.nan)
            continue
        iou = box_iou(faces.boxes[rows], found.boxes[others])
        missing = MISPLACED if (iou.max(axis=0) < CLAIMED).any() else NOT_FOUND
        best = iou.argmax(axis=1)
        prediction = others[best]
        distance = np.linalg.norm(faces.points[rows, :, :2] - found.points[prediction, :, :2], axis=-1)
        mean = np.divide(
            (distance * visible).sum(axis=1), visible.sum(axis=1), out=np.full(len(rows), np.nan),
            where=visible.any(axis=1),
        )  # fmt: skip
        size = np.sqrt((found.boxes[prediction, 2:] - found.boxes[prediction, :2]).clip(0).prod(axis=1))
        share = np.divide(mean, size, out=np.full(len(rows), MISPLACED), where=size > 0)
        near = iou[np.arange(len(rows)), best] >= ANY_OVERLAP
        result[rows] = np.where(np.isnan(mean), np.nan, np.where(near, np.minimum(share, MISPLACED), missing))
    return result


def median_disagreement(faces: LabelSet, opinions: Sequence[LabelSet]) -> Floats:
    """Median of ``disagreement`` over sets of predictions, without those that have not seen a face."""
    if not opinions:
        return np.full(len(faces), np.nan)
    each = np.stack([disagreement(faces, found) for found in opinions])
    result = np.full(len(faces), np.nan)
    known = np.isfinite(each).any(axis=0)
    result[known] = np.nanmedian(each[:, known], axis=0)
    return result


def drift(faces: LabelSet, sizes: Mapping[str, tuple[int, int]], reference: LabelSet) -> Floats:
    """Largest robust deviation of a watched feature from the reference: (n,), in standard deviations.

    Args:
        faces, reference: faces in pixels of their pictures.
        sizes: width and height in pixels by picture.
    """
    mine, theirs = features(faces, sizes), features(reference, sizes)
    result = np.full(len(faces), np.nan)
    for name in WATCHED:
        known = theirs[name][np.isfinite(theirs[name])]
        if len(known):
            result = np.fmax(result, np.abs(robust_z(mine[name], known)))
    return result


def robust_z(values: Floats, reference: Floats) -> Floats:
    """Values in robust standard deviations (1.4826 × median absolute deviation) from the reference's median.

    NaN of the reference is ignored; NaN everywhere for a reference without a value. The deviation is at least
    1 % of the reference's range, so that a signal that is mostly constant does not explode.
    """
    known = reference[np.isfinite(reference)]
    if not len(known):
        return np.full(np.shape(values), np.nan)
    middle = np.median(known)
    spread = 1.4826 * np.median(np.abs(known - middle))
    return np.asarray((values - middle) / max(spread, 0.01 * np.ptp(known), 1e-9))


def of_labels(
    faces: LabelSet,
    labels: LabelSet,
    sizes: Mapping[str, tuple[int, int]],
    *,
    ledgers: Sequence[Ledger] = (),
    predictions: Sequence[LabelSet] = (),
    views: Sequence[LabelSet] = (),
    shape: ShapeReference | None = None,
) -> dict[str, Floats]:
    """Compute all signals of ``SIGNALS``: (n,) each, NaN where one cannot be had.

    Args:
        faces: faces to judge, in the pictures of ``labels``.
        labels: current labels, human and grown; the human ones are the reference of ``drift``.
        sizes: width and height in pixels by picture.
        ledgers: of all versions, for ``iterations``.
        predictions: sets of predictions on the pictures as they are, one for each model.
        views: sets of predictions on changed pictures, in pixels of the pictures as they are.
        shape: shape of human labels.
    """
    nothing = np.full(len(faces), np.nan)
    residual, unusual = (
        shape.distances(faces.points) if shape is not None and len(faces) else (nothing, nothing)
    )
    return {
        "confidence": confidence(faces),
        "overlap": overlap(faces, labels),
        "iterations": iterations(faces, ledgers) if len(ledgers) > 1 else nothing,
        "disagreement": median_disagreement(faces, predictions),
        "views": median_disagreement(faces, views),
        "residual": residual,
        "unusual": unusual,
        "drift": drift(faces, sizes, labels.select(labels.origin == HUMAN)) if len(faces) else nothing,
    }


def _largest_iou(image: Ints, boxes: Floats, other_image: Ints, other_boxes: Floats) -> Floats:
    """Largest IoU of each box with another box of the same picture; 0 without one."""
    result = np.zeros(len(boxes))
    by_image: dict[int, list[int]] = {}
    for row, name in enumerate(other_image.tolist()):
        by_image.setdefault(name, []).append(row)
    for row, name in enumerate(image.tolist()):
        if others := by_image.get(name):
            result[row] = box_iou(boxes[row][None], other_boxes[others]).max()
    return result


def _by_image(faces: LabelSet, others: LabelSet) -> Iterator[tuple[Ints, Ints]]:
    """Row numbers of the faces of each picture, and of the others there; both sets name the same pictures."""
    order, there = np.argsort(faces.image, kind="stable"), np.argsort(others.image, kind="stable")
    names, starts = np.unique(faces.image[order], return_index=True)
    groups = np.split(order, starts[1:]) if len(names) else []
    for name, rows in zip(names.tolist(), groups, strict=True):
        low, high = np.searchsorted(others.image[there], [name, name + 1])
        yield rows, there[low:high]

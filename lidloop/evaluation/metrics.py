"""Metrics of an evaluation on plain arrays: IoU, OKS, greedy matching, average precision, landmark errors.

Matching and average precision follow COCO's evaluation (Lin et al., Microsoft COCO, ECCV 2014, and its
``cocoeval``): predictions by falling score, each takes the free truth of its image that is most similar,
101 recall levels, precision made monotone.

Tie-break: in ``cocoeval`` ties depend on the order of the file: predictions of equal score keep their order,
and of equally similar truths the last annotation is taken. Here equal rows are first ordered by their
coordinates (``order_by_score``, ``truth_order``), so the metrics do not depend on the order of rows. They
equal those of ``cocoeval`` for a file that is sorted in this way.

Time and memory grow with the pairs of faces in the same image, not with all predictions times all truths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.autolabel.priority_nms import priority_order
from lidloop.labels import Floats, LabelSet
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, Eye, lid_opening, outer_canthal_distance

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

THRESHOLDS: Final[Floats] = np.linspace(0.5, 0.95, 10)
"""Similarity thresholds of a correct prediction: AP50 is the first, AP50:95 the mean over all."""

RECALL_LEVELS: Final[Floats] = np.linspace(0.0, 1.0, 101)

OKS_AREA_FACTOR: Final = 0.53
"""Area of a face in OKS, as a share of its box. COCO uses the area of a person's mask; without masks,
Ultralytics and xtcocotools use 0.53 of the box, as here."""

_CHUNK = 100_000


def order_by_score(predictions: LabelSet) -> Ints:
    """Row numbers by falling score (n,); ties by image index, then box, then points."""
    order = priority_order(predictions.image, predictions.score, predictions.boxes, predictions.points)
    by_score: Ints = order[np.argsort(-predictions.score[order], kind="stable")]
    return by_score


def truth_order(truth: LabelSet) -> Ints:
    """Row numbers by image index (m,); within an image by box, then points."""
    return priority_order(truth.image, np.zeros(len(truth)), truth.boxes, truth.points)


def rank_in_image(image: Ints) -> Ints:
    """Count the earlier rows of the same image, for each row: (n,) to (n,)."""
    order = np.argsort(image, kind="stable")
    ordered = image[order]
    rank = np.empty(len(image), dtype=np.int64)
    rank[order] = np.arange(len(image)) - np.searchsorted(ordered, ordered, side="left")
    return rank


def pairs_in_image(a: Ints, b: Ints, order: Ints) -> tuple[Ints, Ints]:
    """Every pair of a row of ``a`` and a row of ``b`` in the same image: (n,), (m,), (m,) to two (pairs,).

    Args:
        a, b: image index of each row.
        order: row numbers of ``b`` sorted by image, as ``truth_order`` gives them.

    Returns:
        Row numbers into ``a``, rising, and into ``b``, in the given order within a row of ``a``.
    """
    ordered = b[order]
    first = np.searchsorted(ordered, a, side="left")
    count = np.searchsorted(ordered, a, side="right") - first
    rows = np.repeat(np.arange(len(a)), count)
    offset = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return rows, order[first[rows] + offset]


def paired_iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of boxes row by row: (n, 4), (n, 4) to (n,). Two empty boxes have IoU 0."""
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, 2:], b[:, 2:])
    inter = np.clip(high - low, 0, None).prod(axis=-1)
    areas = box_area(a) + box_area(b) - inter
    iou: Floats = np.divide(inter, areas, out=np.zeros_like(inter), where=areas > 0)
    return iou


def box_area(boxes: Floats) -> Floats:
    """Area in px² of boxes (x1, y1, x2, y2): (n, 4) to (n,); 0 for an empty box."""
    area: Floats = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1)
    return area


def paired_oks(predicted: Floats, truth: Floats, boxes: Floats, *, sigma: float) -> Floats:
    """Object keypoint similarity row by row: (n, 51, 2+), (n, 51, 3), (n, 4) to (n,).

    The mean over the truth's points with visibility above 0 of exp(-d² / (2 A (2σ)²)), with d the distance in
    pixels and A = 0.53 of the area of the truth's box. The visibility of predicted points is ignored.

    For a truth without a visible point, d is the distance to its box enlarged by its size on each side, as in
    COCO. The caller must ignore such a truth in average precision, as COCO does.

    Args:
        predicted: points in pixels, not clipped to the picture.
        truth: points in pixels, and visibility.
        boxes: the truth's boxes in pixels.
        sigma: the one standard deviation that all points share, relative to √A.
    """
    visible = truth[..., 2] > 0
    seen = visible.sum(axis=-1)
    square = _square_distance(predicted, truth)
    blind = np.flatnonzero(seen == 0)
    if len(blind):
        size = boxes[blind, 2:] - boxes[blind, :2]
        low, high = (boxes[blind, :2] - size)[:, None], (boxes[blind, 2:] + size)[:, None]
        xy = predicted[blind, :, :2]
        outside = np.clip(low - xy, 0, None) + np.clip(xy - high, 0, None)
        square[blind] = (outside**2).sum(axis=-1)
    area = OKS_AREA_FACTOR * box_area(boxes) + np.spacing(1)
    similarity = np.exp(-square / (2 * (2 * sigma) ** 2 * area[:, None]))
    counted = visible | (seen == 0)[:, None]
    oks: Floats = np.where(counted, similarity, 0).sum(axis=-1) / counted.sum(axis=-1)
    return oks


def pairs_oks(
    predicted: Floats, truth: Floats, boxes: Floats, rows: Ints, columns: Ints, *, sigma: float
) -> Floats:
    """``paired_oks`` of pairs (``rows`` of ``predicted``, ``columns`` of ``truth``), in bounded memory."""
    oks = np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        r, c = rows[part], columns[part]
        oks[part] = paired_oks(predicted[r], truth[c], boxes[c], sigma=sigma)
    return oks


def greedy_match(
    rows: Ints,
    columns: Ints,
    value: Floats,
    *,
    rank: Ints,
    ignored: Bools,
    thresholds: Floats = THRESHOLDS,
) -> Ints:
    """Match predictions to truths greedily, at several thresholds and for all images at once.

    Within an image, predictions are processed in the order of ``rank``. Each takes the unmatched truth of
    greatest similarity that reaches the threshold; tie-break: the last pair, as in ``cocoeval``. An ignored
    truth is taken only if no other truth is left.

    Args:
        rows, columns: (pairs,) predictions, rising, and truths of the same image, from ``pairs_in_image``.
        value: (pairs,) their similarity in 0…1.
        rank: (n,) position of a prediction in its image, from 0, without ties.
        ignored: (m,) truths that do not count as truths to find.
        thresholds: (t,) similarities from which a pair may match.

    Returns:
        (n, t) the truth of each prediction, or -1.
    """
    match = np.full((len(rank), len(thresholds)), -1, dtype=np.int64)
    taken = np.zeros((len(ignored), len(thresholds)), dtype=bool)
    limits = np.minimum(thresholds, 1 - 1e-10)
    near = np.flatnonzero(value >= limits.min())
    near = near[np.argsort(rank[rows[near]], kind="stable")]
    rows, columns, value = rows[near], columns[near], value[near]
    # Shift the ignored truths, not the others, so that the compared similarities stay exact.
    key = np.where(ignored[columns], value - 2, value)
    bounds = np.flatnonzero(np.diff(rank[rows], prepend=-1, append=len(rank)))
    for begin, end in pairwise(bounds):
        row, column = rows[begin:end], columns[begin:end]
        free = (value[begin:end, None] >= limits) & ~taken[column]
        preference = np.where(free, key[begin:end, None], -np.inf)
        new = np.diff(row, prepend=-1) != 0
        starts, segment = np.flatnonzero(new), np.cumsum(new) - 1
        best = np.maximum.reduceat(preference, starts, axis=0)
        index = np.arange(end - begin)[:, None]
        winner = np.where(free & (preference == best[segment]), index, -1)
        winner = np.maximum.reduceat(winner, starts, axis=0)
        one, level = np.nonzero(winner >= 0)
        truth = column[winner[one, level]]
        match[row[starts][one], level] = truth
        taken[truth, level] = True
    return match


def average_precision(hit: Bools, n_truth: int, *, judged: Bools | None = None) -> Floats | None:
    """Average precision at COCO's 101 recall levels: (n, t) to (t,).

    Args:
        hit: (n, t) True for a prediction that matched a truth; by falling score, for t thresholds.
        n_truth: number of truths that count.
        judged: (n, t) False for a prediction that matched an ignored truth; it counts neither as correct nor
            as wrong.

    Returns:
        None if ``n_truth`` is 0; 0 without predictions.
    """
    if n_truth == 0:
        return None
    levels = range(hit.shape[1])
    return np.array([_one_precision(hit[:, k], n_truth, None if judged is None else judged[:, k])
                     for k in levels])  # fmt: skip


def _one_precision(hit: Bools, n_truth: int, judged: Bools | None) -> np.float64:
    """Average precision at one threshold: (n,), (n,) to a number."""
    if judged is None:
        judged = np.ones_like(hit)
    found = np.cumsum(hit & judged)
    precision = found / np.maximum(np.cumsum(judged), 1)
    precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    at = np.searchsorted(found / n_truth, RECALL_LEVELS, side="left")
    return np.float64(precision[at].mean())


def point_square_errors(predicted: Floats, truth: Floats) -> Floats:
    """Squared distance in px² of every point: (n, 51, 2+), (n, 51, 3) to (n, 51); NaN if invisible."""
    square = _square_distance(predicted, truth)
    return np.where(truth[..., 2] > 0, square, np.nan)


def outer_canthal_scale(truth: Floats) -> Floats:
    """Outer-canthal distance in px, the normaliser of errors: (n, 51, 3) to (n,).

    NaN if a canthus has visibility 0 or both have the same position.
    """
    distance = outer_canthal_distance(truth)
    seen = (truth[:, [LEFT_EYE.outer, RIGHT_EYE.outer], 2] > 0).all(axis=-1)
    return np.where(seen & (distance > 0), distance, np.nan)


def normalised_mean_error(predicted: Floats, truth: Floats) -> Floats:
    """Normalised mean error of each face: (n, 51, 2+), (n, 51, 3) to (n,); NaN if not defined.

    Mean distance of the visible points, divided by the outer-canthal distance of the truth (the inter-ocular
    normalisation of 300-W).
    """
    distance = np.sqrt(point_square_errors(predicted, truth))
    visible = ~np.isnan(distance)
    mean = np.nansum(distance, axis=-1) / np.maximum(visible.sum(axis=-1), 1)
    error: Floats = mean / outer_canthal_scale(truth)
    return error


def lid_opening_error(predicted: Floats, truth: Floats, eye: Eye) -> Floats:
    """|PFH - PFH_true| over the truth's outer-canthal distance: (n, 51, 2+), (n, 51, 3) to (n,).

    NaN where a lid point of the eye or an outer canthus has visibility 0 in the truth.
    """
    error = np.abs(lid_opening(predicted, eye) - lid_opening(truth, eye)) / outer_canthal_scale(truth)
    lids = [index for pair in eye.lid_pairs for index in pair]
    return np.where((truth[:, lids, 2] > 0).all(axis=-1), error, np.nan)


def cumulative_error_auc(errors: Floats, limit: float) -> float | None:
    """Area under the cumulative error curve from 0 to ``limit``, divided by ``limit``; 1 if all errors are 0.

    Exact integral of the empirical curve: the mean of max(0, 1 - e / limit). None without errors.
    """
    return float(np.clip(1 - errors / limit, 0, None).mean()) if len(errors) else None


@dataclass(frozen=True, eq=False)
class FaceErrors:
    """Errors of each true face, in the order of the truth's rows; NaN where undefined.

    Attributes:
        matched: (n,) True if a prediction was matched.
        points: (n, 51, 3) landmarks of that prediction.
        score, iou, oks: (n,) values of that prediction.
        squares: (n, 51) squared distance of each visible point in px².
        nme: (n,). lid_left, lid_right: (n,) lid-opening error of the eye at the picture's left and right.
    """

    matched: Bools
    points: Floats
    score: Floats
    iou: Floats
    oks: Floats
    squares: Floats
    nme: Floats
    lid_left: Floats
    lid_right: Floats

    def take(self, rows: Ints) -> FaceErrors:
        """Return the errors of some faces."""
        return FaceErrors(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def concat(cls, several: Sequence[FaceErrors]) -> FaceErrors:
        """Return the errors of several sets of faces, one after the other."""
        return cls(
            *(np.concatenate([getattr(errors, field.name) for errors in several]) for field in fields(cls))
        )


def face_errors(found: LabelSet, truth: LabelSet, match: Ints, *, sigma: float) -> FaceErrors:
    """Compute the errors of each true face; ``match`` (n,) is its row in ``found``, -1 without a match."""
    matched = match >= 0
    rows = np.flatnonzero(matched)
    points, boxes = found.points[match[rows]], found.boxes[match[rows]]
    true_points, true_boxes = truth.points[rows], truth.boxes[rows]

    def spread(values: Floats) -> Floats:
        full = np.full((len(truth), *values.shape[1:]), np.nan)
        full[rows] = values
        return full

    return FaceErrors(
        matched=matched,
        points=spread(points),
        score=spread(found.score[match[rows]]),
        iou=spread(paired_iou(boxes, true_boxes)),
        oks=spread(paired_oks(points, true_points, true_boxes, sigma=sigma)),
        squares=spread(point_square_errors(points, true_points)),
        nme=spread(normalised_mean_error(points, true_points)),
        lid_left=spread(lid_opening_error(points, true_points, LEFT_EYE)),
        lid_right=spread(lid_opening_error(points, true_points, RIGHT_EYE)),
    )


def _square_distance(a: Floats, b: Floats) -> Floats:
    """Squared distance: (..., 2+), (..., 2+) to (...); much faster than a sum over an axis of length 2."""
    square: Floats = (a[..., 0] - b[..., 0]) ** 2 + (a[..., 1] - b[..., 1]) ** 2
    return square


def mean_of_known(values: Floats, axis: int = 0) -> Floats:
    """Mean over an axis of the values that are not NaN; NaN where there is none."""
    known: Bools = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    mean: Floats = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean

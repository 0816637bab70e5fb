"""Priority NMS over the boxes of many pictures at once. Pure NumPy: no loop over pictures or boxes.

Existing labels come first and are never dropped. Predictions follow by falling confidence; a prediction is
dropped if its IoU with a label or a kept prediction is above the threshold. This is greedy non-maximum
suppression with the labels as candidates of infinite confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.autolabel.pairwise_iou import compare
from lidloop.labels import Floats

KEPT: Final = 0
OVERLAPS_LABEL: Final = 1
OVERLAPS_PREDICTION: Final = 2

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class NmsResult:
    """Decision on every prediction.

    Attributes:
        decision: (n,) ``KEPT``, ``OVERLAPS_LABEL`` or ``OVERLAPS_PREDICTION``; rows that did not take part
            are also ``KEPT``, and the caller must exclude them.
        label_iou: (n,) largest IoU with a label of the same picture, for all rows; 0 without overlap.
    """

    decision: NDArray[np.int8]
    label_iou: Floats


def priority_nms(
    label_image: Ints,
    label_boxes: Floats,
    image: Ints,
    boxes: Floats,
    score: Floats,
    *,
    iou: float,
    takes_part: Bools | None = None,
    among_predictions: bool = True,
) -> NmsResult:
    """Decide which predictions to keep, given the labels and the other predictions.

    Boxes must be finite; a box without area overlaps nothing.

    Args:
        label_image: (m,) picture index of each label, from 0.
        label_boxes: (m, 4) x1, y1, x2, y2 in pixels.
        image: (n,) picture index of each prediction.
        boxes: (n, 4) boxes of the predictions.
        score: (n,) confidence; tie-break: the earlier row has priority (see ``priority_order``).
        iou: a pair overlaps if its IoU is above this; an equal IoU is allowed.
        takes_part: (n,) True for candidates; other rows suppress nothing and only get their ``label_iou``.
            All by default.
        among_predictions: False checks predictions against labels only.
    """
    by_image = _by_image(label_image)
    if by_image is not None:
        label_image, label_boxes = label_image[by_image], label_boxes.take(by_image, axis=0)
    by_image = _by_image(image)
    if by_image is not None:
        image, boxes = image[by_image], boxes.take(by_image, axis=0)
    label_iou = _largest_label_iou(label_image, label_boxes, image, boxes)
    overlaps = label_iou > iou
    candidate = ~overlaps
    if takes_part is not None:
        takes_part = takes_part if by_image is None else takes_part[by_image]
        overlaps &= takes_part
        candidate &= takes_part
    decision = np.multiply(overlaps, OVERLAPS_LABEL, dtype=np.int8)
    if among_predictions:
        rows = np.flatnonzero(candidate)
        first, second = _overlapping_pairs(image[rows], boxes.take(rows, axis=0), iou)
        first, second = rows[first], rows[second]
        score = score if by_image is None else score[by_image]
        swap = score[second] > score[first]  # rows of a picture are in the order they came in
        dropped = _greedy(np.where(swap, second, first), np.where(swap, first, second), len(image))
        decision[dropped] = OVERLAPS_PREDICTION
    if by_image is None:
        return NmsResult(decision, label_iou)
    back = np.empty_like(by_image)
    back[by_image] = np.arange(len(by_image))
    return NmsResult(decision[back], label_iou[back])


def priority_order(image: Ints, score: Floats, boxes: Floats, points: Floats) -> Ints:
    """Order rows by picture, falling confidence, box coordinates, then points; independent of input order.

    Confidence is compared as a 32-bit float, as it is stored.

    Args:
        image: (n,), score: (n,), boxes: (n, 4), points: (n, 51, 3).

    Returns:
        (n,) row numbers.
    """
    bits = score.astype(np.float32).view(np.uint32)
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))  # integers in the order of the floats
    key = (image.astype(np.uint64) << np.uint64(32)) | (~rising).astype(np.uint64)
    if len(key) > 1 and (key[1:] > key[:-1]).all():
        return np.arange(len(key))
    order: Ints = np.argsort(key, kind="stable")  # fast, as rows are mostly sorted by picture
    runs = _runs(order, key)
    if runs.any():
        tied = order[runs]
        columns = _without_nan(boxes[tied])
        order[runs] = tied[np.lexsort((*columns.T[::-1], key[tied]))]
        runs &= _runs(order, key, _without_nan(boxes))
    if runs.any():
        tied = order[runs]
        columns = _without_nan(np.concatenate([boxes[tied], points[tied].reshape(len(tied), -1)], axis=1))
        order[runs] = tied[np.lexsort((*columns.T[::-1], key[tied]))]
    return order


def _runs(order: Ints, key: NDArray[np.uint64], columns: Floats | None = None) -> Bools:
    """(n,) True for positions in ``order`` whose row equals a neighbour in key and columns (ties)."""
    same = key[order[1:]] == key[order[:-1]]
    if columns is not None:
        same &= (columns[order[1:]] == columns[order[:-1]]).all(axis=1)
    runs = np.zeros(len(order), dtype=bool)
    runs[1:] |= same
    runs[:-1] |= same
    return runs


def _without_nan(values: Floats) -> Floats:
    largest = float(np.finfo(np.float64).max)
    return np.nan_to_num(values, nan=np.inf, posinf=largest, neginf=-largest)


def _by_image(image: Ints) -> Ints | None:
    """Row numbers of a stable sort by picture; None if the rows are already sorted."""
    if (image[1:] >= image[:-1]).all():
        return None
    order: Ints = np.argsort(image, kind="stable")
    return order


def _largest_label_iou(label_image: Ints, label_boxes: Floats, image: Ints, boxes: Floats) -> Floats:
    """Largest IoU of every prediction with a label of its picture: (n,). Both sorted by picture."""
    largest = np.zeros(len(image))
    if not len(label_image) or not len(image):
        return largest
    counts = np.bincount(label_image, minlength=1 + max(int(label_image[-1]), int(image[-1])))
    starts = np.cumsum(counts) - counts

    def labels_of(part: slice) -> tuple[Ints, Ints]:
        return starts.take(image[part]), counts.take(image[part])

    for rows, _, iou in compare(boxes, label_boxes, labels_of):
        np.maximum.at(largest, rows, iou)
    return largest


def _overlapping_pairs(image: Ints, boxes: Floats, iou: float) -> tuple[Ints, Ints]:
    """Pairs of rows (earlier, later) of one picture with an IoU above ``iou``; rows sorted by picture."""
    next_ = np.arange(1, len(image) + 1)
    behind = np.cumsum(np.bincount(image))[image] - next_

    first, second = [image[:0]], [image[:0]]
    for rows, others, value in compare(boxes, boxes, lambda part: (next_[part], behind[part])):
        above = np.flatnonzero(value > iou)
        first.append(rows.take(above))
        second.append(others.take(above))
    return np.concatenate(first), np.concatenate(second)


def _greedy(ahead: Ints, behind: Ints, n: int) -> Bools:
    """Resolve overlapping pairs in rounds: (n,) True for rows that a kept row of higher priority drops.

    A round keeps every row without an undecided row of higher priority, and drops the rows that overlap it.
    Decided pairs leave the list. The number of rounds is the length of the longest chain of overlaps.
    """
    dropped = np.zeros(n, dtype=bool)
    while len(ahead):
        waits = np.zeros(n, dtype=bool)
        waits[behind] = True
        dropped[behind[~waits[ahead]]] = True
        open_ = np.flatnonzero(waits[ahead] & ~dropped[ahead] & ~dropped[behind])
        ahead, behind = ahead[open_], behind[open_]
    return dropped

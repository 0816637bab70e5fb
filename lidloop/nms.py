"""Priority NMS over the boxes of many pictures at once. Pure NumPy: no loop over pictures or boxes.

Labels that are there already come first and are never dropped. Predictions follow by falling confidence;
one is dropped when its IoU with anything kept is above the threshold (greedy non-maximum suppression,
with the labels as candidates of infinite confidence).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from lidloop.labels import Floats

KEPT: Final = 0
OVERLAPS_LABEL: Final = 1
OVERLAPS_PREDICTION: Final = 2

T = TypeVar("T")
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ROWS: Final = 1 << 15  # rows and pairs worked on at a time, so that they stay in the processor's cache
_PAIRS: Final = 1 << 15
_TINY: Final = float(np.finfo(np.float64).smallest_subnormal)


@dataclass(frozen=True, eq=False)
class NmsResult:
    """What became of every prediction.

    Attributes:
        decision: (n,) ``KEPT``, ``OVERLAPS_LABEL`` or ``OVERLAPS_PREDICTION``; rows that did not take part
            are ``KEPT`` here and are the caller's to tell apart.
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
    """Decide which predictions stay beside the labels and beside each other.

    Boxes must be finite; one without area overlaps nothing.

    Args:
        label_image: (m,) picture index of each label, from 0. label_boxes: (m, 4) x1, y1, x2, y2.
        image: (n,) picture index of each prediction. boxes: (n, 4). score: (n,) confidence; among
            equal scores the row that comes first has priority (see ``priority_order``).
        iou: a pair overlaps when its IoU is above this; exactly this is allowed.
        takes_part: (n,) rows that are candidates at all; the others drop nothing and only get their
            ``label_iou``. All by default.
        among_predictions: False checks predictions against labels only.
    """
    n_images = 1 + max(int(label_image.max(initial=-1)), int(image.max(initial=-1)))
    by_image = _by_image(label_image)
    if by_image is not None:
        label_image, label_boxes = label_image[by_image], label_boxes[by_image]
    by_image = _by_image(image)
    if by_image is not None:
        image, boxes = image[by_image], boxes[by_image]
    label_iou = _largest_label_iou(label_image, label_boxes, image, boxes, n_images)
    candidate = label_iou <= iou
    if takes_part is not None:
        takes_part = takes_part if by_image is None else takes_part[by_image]
        candidate &= takes_part
        decision = np.where(takes_part & ~candidate, OVERLAPS_LABEL, KEPT).astype(np.int8)
    else:
        decision = np.where(candidate, KEPT, OVERLAPS_LABEL).astype(np.int8)
    if among_predictions:
        rows = np.flatnonzero(candidate)
        first, second = _overlapping_pairs(image[rows], boxes[rows], iou)
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
    """Order rows by picture, falling confidence, box coordinates, then points: the same whatever the
    order they came in. Confidence counts as a 32-bit float, as it is stored.

    Args:
        image: (n,), score: (n,), boxes: (n, 4), points: (n, 51, 3).

    Returns:
        (n,) row numbers.
    """
    bits = score.astype(np.float32).view(np.uint32)
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))  # order of floats as that of integers
    key = (image.astype(np.uint64) << np.uint64(32)) | (~rising).astype(np.uint64)
    if len(key) > 1 and (key[1:] > key[:-1]).all():
        return np.arange(len(key))
    order: Ints = np.argsort(key)
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
    """Positions in ``order`` whose row equals the row before or after it in key and columns: (n,)."""
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
    """Row numbers that sort by picture and keep the order within; None where the rows are sorted."""
    if (image[1:] >= image[:-1]).all():
        return None
    order: Ints = np.argsort(image, kind="stable")
    return order


def _largest_label_iou(
    label_image: Ints, label_boxes: Floats, image: Ints, boxes: Floats, n_images: int
) -> Floats:
    """Largest IoU of every prediction with a label of its picture: (n,). Both sorted by picture."""
    largest = np.zeros(len(image))
    counts = np.bincount(label_image, minlength=n_images)
    starts = np.cumsum(counts) - counts
    first, count = starts[image], counts[image]

    def work(part: slice) -> None:
        for rows, _, value in _compare(boxes, label_boxes, first, count, part):
            largest[rows] = value.max(axis=0, initial=0)

    _in_parts(work, len(image))
    return largest


def _overlapping_pairs(image: Ints, boxes: Floats, iou: float) -> tuple[Ints, Ints]:
    """Pairs of rows (earlier, later) of one picture with an IoU above ``iou``; rows sorted by picture."""
    behind = np.arange(1, len(image) + 1)
    count = np.cumsum(np.bincount(image))[image] - behind

    def work(part: slice) -> list[tuple[Ints, Ints]]:
        found = []
        for rows, others, value in _compare(boxes, boxes, behind, count, part):
            above, at = np.nonzero(value > iou)
            found.append((rows[at], others[above, at]))
        return found

    found = [pair for pairs in _in_parts(work, len(image)) for pair in pairs]
    none = np.zeros(0, dtype=np.int64)
    return np.concatenate([none, *(a for a, _ in found)]), np.concatenate([none, *(b for _, b in found)])


def _in_parts(work: Callable[[slice], T], n: int) -> list[T]:
    """Do ``work`` on every ``_ROWS`` of n rows, side by side on the cores there are: NumPy lets go of the
    interpreter. The results are in order, so the outcome does not depend on the cores."""
    parts = [slice(low, min(low + _ROWS, n)) for low in range(0, n, _ROWS)]
    threads = min(
        len(parts), len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    )
    if threads < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))


def _compare(
    a: Floats, b: Floats, first: Ints, count: Ints, part: slice
) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Compare box i of ``a`` with the ``count[i]`` boxes of ``b`` from ``first[i]`` on, for i in ``part``.

    Neither ``first`` nor ``first + count`` ever falls, so the boxes of a part lie close together. Rows with
    the same count are worked on together, about ``_PAIRS`` pairs at a time.

    Yields:
        Row numbers of ``a`` (p,), those of ``b`` that each is compared with (k, p), and ``_iou`` (k, p).
    """
    runs = count[part]
    start, stop = int(first[part.start]), int(first[part.stop - 1] + runs[-1])
    a_columns, b_columns = _columns(a[part]), _columns(b[start:stop])
    from_here = first[part] - start
    # NumPy sorts 16 bits by radix.
    order = np.argsort(runs.astype(np.uint16) if runs.max() < 1 << 16 else runs, kind="stable")
    ordered = runs[order]
    cuts = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist(), len(order)]
    for begin, end in pairwise(cuts):
        k = int(ordered[begin])
        step = max(1, _PAIRS // max(k, 1))
        for at in range(begin, end if k else begin, step):
            rows = order[at : min(at + step, end)]
            others = from_here[rows] + np.arange(k)[:, None]
            one, many = a_columns.take(rows, axis=1), b_columns.take(others, axis=1)
            yield rows + part.start, others + start, _iou(many, one[:, None])


def _columns(boxes: Floats) -> Floats:
    """Boxes (n, 4) as (5, n): x1, y1, x2, y2 and area, each contiguous.

    The area is never 0, so that nothing is divided by 0 later.
    """
    columns = np.empty((5, len(boxes)))
    columns[:4] = boxes.T
    np.multiply(columns[2] - columns[0], columns[3] - columns[1], out=columns[4])
    np.maximum(columns[4], _TINY, out=columns[4])
    return columns


def _iou(a: Floats, b: Floats) -> Floats:
    """IoU of columns (5, …) that broadcast: that of ``labels.box_iou``, bit for bit, where boxes share area,
    and 0 or less where they do not."""
    low = np.maximum(a[:2], b[:2])
    side = np.minimum(a[2:4], b[2:4])
    side -= low
    inter: Floats = side[0]
    np.maximum(inter, 0, out=inter)  # one side is enough: two negative ones would make an area
    inter *= side[1]
    union = np.add(a[4], b[4], out=low[0])
    union -= inter
    inter /= union
    return inter


def _greedy(ahead: Ints, behind: Ints, n: int) -> Bools:
    """Resolve overlapping pairs in rounds: (n,) True for rows that something kept ahead of them drops.

    A round keeps every row that waits for nobody and drops the rows behind those; what is decided leaves
    the list. It takes as many rounds as the longest chain of overlaps is long.
    """
    dropped = np.zeros(n, dtype=bool)
    while len(ahead):
        waits = np.zeros(n, dtype=bool)
        waits[behind] = True
        dropped[behind[~waits[ahead]]] = True
        open_ = np.flatnonzero(waits[ahead] & ~dropped[ahead] & ~dropped[behind])
        ahead, behind = ahead[open_], behind[open_]
    return dropped

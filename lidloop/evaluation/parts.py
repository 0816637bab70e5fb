"""Comparison of predictions with labels in parts of the pictures, and metrics of the parts together.

Matching happens within a picture, so a part is compared without the others. What it hands on (``Counted``) is
a few numbers for each face; joined in the order of the pictures' ids they give the same metrics as one
comparison of all, bit for bit, for any partition and any order of the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.evaluation import metrics
from lidloop.labels import Floats, LabelSet

MAX_DETECTIONS: Final = 100

_LEAF: Final = 1 << 16
_LEVELS: Final = np.arange(len(metrics.THRESHOLDS), dtype=np.uint16)
Bits = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Counted:
    """Results of a part as columns: n predictions and m true faces, by picture in the order of their ids.

    Attributes:
        images: ids of the part's pictures, sorted.
        found_image: (n,) index of each prediction's picture; within a picture by falling priority.
        found_score: (n,).
        box, pose, judged: (n,) a bit for each threshold: matched by box, matched by OKS, matched no true face
            that is ignored.
        image: (m,) index of each true face's picture. blind: (m,) True without a visible point.
        matched, score, iou, oks, nme, lid_left, lid_right: (m,) as in ``metrics.FaceErrors``.
        mse: (m,) mean squared distance of the visible points in px².
        squares: (m,) number of points with a squared distance.
        values: the squared distances of all points that have one, in px²; those of face k behind those of
            face k - 1. A list of arrays.
    """

    images: tuple[str, ...]
    found_image: NDArray[np.int32]
    found_score: Floats
    box: Bits
    pose: Bits
    judged: Bits
    image: NDArray[np.int32]
    blind: metrics.Bools
    matched: metrics.Bools
    score: Floats
    iou: Floats
    oks: Floats
    nme: Floats
    lid_left: Floats
    lid_right: Floats
    mse: Floats
    squares: NDArray[np.int16]
    values: list[Floats]


@dataclass(frozen=True, eq=False)
class Compared:
    """A part as it was compared: its columns, and its true faces with their errors, by picture."""

    counted: Counted
    truth: LabelSet
    errors: metrics.FaceErrors


def compare_part(predictions: LabelSet, truth: LabelSet, *, sigma: float, score: float) -> Compared:
    """Compare predictions and labels of some pictures; arguments as of ``evaluate``, which checks them."""
    names = sorted(truth.images)  # equal scores of two images are ordered by name, not by position
    truth, found = truth.reindex(names), predictions.reindex(names)
    order = metrics.order_by_score(found)
    found = found.select(order)
    rank = metrics.rank_in_image(found.image)
    few = rank < MAX_DETECTIONS
    found, rank = found.select(few), rank[few]

    rows, columns = metrics.pairs_in_image(found.image, truth.image, metrics.truth_order(truth))
    iou = metrics.paired_iou(found.boxes[rows], truth.boxes[columns])
    oks = metrics.pairs_oks(found.points, truth.points, truth.boxes, rows, columns, sigma=sigma)
    blind = np.logical_not((truth.points[..., 2] > 0).any(axis=-1))
    nothing = np.zeros(len(truth), dtype=bool)
    by_box = metrics.greedy_match(rows, columns, iou, rank=rank, ignored=nothing)
    by_pose = metrics.greedy_match(rows, columns, oks, rank=rank, ignored=blind)
    judged = ~np.append(blind, False)[by_pose]  # the appended False is for -1, no match

    match = np.full(len(truth), -1, dtype=np.int64)
    pairs = np.flatnonzero((found.score >= score) & (by_box[:, 0] >= 0))
    match[by_box[pairs, 0]] = pairs
    errors = metrics.face_errors(found, truth, match, sigma=sigma)

    by_image = np.argsort(found.image, kind="stable")  # within a picture by rank, which is by priority
    known = ~np.isnan(errors.squares)
    visible = known.sum(axis=-1)
    by_truth = np.argsort(truth.image, kind="stable")
    counted = Counted(
        images=tuple(names),
        found_image=found.image[by_image].astype(np.int32),
        found_score=found.score[by_image],
        box=_bits(by_box >= 0)[by_image],
        pose=_bits(by_pose >= 0)[by_image],
        judged=_bits(judged)[by_image],
        image=truth.image[by_truth].astype(np.int32),
        blind=blind[by_truth],
        matched=errors.matched[by_truth],
        score=errors.score[by_truth],
        iou=errors.iou[by_truth],
        oks=errors.oks[by_truth],
        nme=errors.nme[by_truth],
        lid_left=errors.lid_left[by_truth],
        lid_right=errors.lid_right[by_truth],
        mse=(np.nansum(errors.squares, axis=-1) / np.where(visible, visible, np.nan))[by_truth],
        squares=visible[by_truth].astype(np.int16),
        values=[errors.squares[by_truth][known[by_truth]]],
    )
    return Compared(counted, truth, errors)


def join(parts: Sequence[Counted]) -> Counted:
    """Join parts, in any order, whose pictures differ.

    Raises:
        ValueError: for no parts, or a picture that is in two of them.
    """
    if not parts:
        raise ValueError("there is no part to join")
    parts = sorted(parts, key=lambda part: part.images[:1])
    names = [name for part in parts for name in part.images]
    order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    images = tuple(names[k] for k in order.tolist())
    if len(set(images)) != len(images):
        raise ValueError("a picture is in two parts")
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order))
    starts = np.cumsum([0, *(len(part.images) for part in parts)])

    def placed(name: str) -> NDArray[np.int32]:
        return np.concatenate(
            [place[start + getattr(p, name)] for start, p in zip(starts, parts, strict=False)]
        )

    found, faces = placed("found_image"), placed("image")
    by_found, by_face = np.argsort(found, kind="stable"), np.argsort(faces, kind="stable")
    columns = {}
    for field in fields(Counted):
        if field.name not in ("images", "found_image", "image", "values"):
            rows = by_found if field.name in ("found_score", "box", "pose", "judged") else by_face
            columns[field.name] = np.concatenate([getattr(part, field.name) for part in parts])[rows]
    values = [chunk for part in parts for chunk in part.values]
    if (np.diff(by_face) < 0).any():  # parts that are no ranges of pictures: faces change places
        lengths = np.concatenate([part.squares for part in parts])
        ends = np.cumsum(lengths)
        everything = np.concatenate(values)
        values = [everything[ends[k] - lengths[k] : ends[k]] for k in by_face.tolist()]
        values = [np.concatenate(values)] if values else []
    return Counted(
        images=images, found_image=found[by_found], image=faces[by_face], values=values, **columns
    )  # fmt: skip


def select_values(counted: Counted, rows: metrics.Bools) -> list[Floats]:
    """Squared distances of some of the faces, (m,) True for these, in the order of the faces."""
    if rows.all():
        return counted.values
    chosen = []
    keep = np.repeat(rows, counted.squares)
    start = 0
    for chunk in counted.values:
        chosen.append(chunk[keep[start : start + len(chunk)]])
        start += len(chunk)
    return chosen


def mean_of(chunks: Sequence[Floats]) -> float | None:
    """Mean of the values of several arrays, equal to that of NumPy for their concatenation, to the last bit.

    NumPy adds an array in halves, each a multiple of eight values; so does this, without joining the arrays.
    None without values.
    """
    ends = np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    if not total:
        return None

    def slice_of(low: int, high: int) -> Floats:
        parts = []
        k = int(np.searchsorted(ends, low, side="right"))
        while low < high:
            start = int(ends[k]) - len(chunks[k])
            end = min(high, int(ends[k]))
            parts.append(chunks[k][low - start : end - start])
            low, k = end, k + 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return float(_halved_sum(slice_of, 0, total) / total)


def _halved_sum(slice_of: Callable[[int, int], Floats], low: int, high: int) -> np.float64:
    n = high - low
    if n <= _LEAF:
        return np.float64(np.add.reduce(slice_of(low, high)))
    half = n // 2
    half -= half % 8
    return np.float64(_halved_sum(slice_of, low, low + half) + _halved_sum(slice_of, low + half, high))


def hits(bits: Bits) -> metrics.Bools:
    """Unpack bits by threshold: (n,) to (n, t)."""
    return np.asarray((bits[:, None] >> _LEVELS) & 1, dtype=bool)


def by_falling_score(counted: Counted) -> metrics.Ints:
    """(n,) rows of predictions by falling score; ties by picture, then by priority in it."""
    return np.argsort(-counted.found_score, kind="stable")


def sources_of(images: Sequence[str], sources: Mapping[str, str]) -> NDArray[np.object_]:
    """(images,) source of each picture."""
    return np.array([sources[name] for name in images], dtype=object)


def _bits(matches: metrics.Bools) -> Bits:
    """Pack (n, t) truth values into (n,) numbers."""
    packed: Bits = (matches.astype(np.uint16) << _LEVELS).sum(axis=1, dtype=np.uint16)
    return packed

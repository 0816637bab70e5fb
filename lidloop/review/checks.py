"""Checks of decisions before any of them has an effect. Pure functions that return problems as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from lidloop.data.dataset import Dataset
from lidloop.data.picture_index import ImageRecord
from lidloop.errors import printable
from lidloop.labels import Floats, box_iou, box_of
from lidloop.review.decisions import Decision, DecisionFile
from lidloop.review.faces import SAME_FACE
from lidloop.review.shapes import sides_are_swapped

OUTSIDE_PX: Final = 0.5
"""Pixels that a visible point may be outside the picture, as other tools round; it is moved inside."""
MIN_VISIBLE: Final = 3


def check_file(file: DecisionFile, dataset: Dataset, version: int) -> Iterator[str]:
    """Problems of a file as a whole: another dataset, a later label version, other pictures."""
    if file.dataset != dataset.digest:
        yield "the decisions are about another dataset (its digest differs)"
        return
    if file.labels > version:
        yield f"the decisions are about label version {file.labels}, the run's newest is {version}"
    for image in dict.fromkeys(decision.image for decision in file.decisions):
        record = dataset.by_id.get(image)
        if record is None:
            yield f"the dataset has no picture {printable(image)}"
        elif file.pictures.get(image) != record.sha256:
            yield f"picture {printable(image)} is not the one that was reviewed (its SHA-256 differs)"


def check_points(decision: Decision, record: ImageRecord) -> Iterator[str]:
    """Problems of the points of one decision: outside the picture, too few, sides exchanged."""
    if decision.points is None:
        return
    points = decision.array()
    name = name_of(decision)
    seen = points[:, 2] > 0
    if seen.sum() < MIN_VISIBLE:
        yield f"{name}: {int(seen.sum())} visible points; a label has at least {MIN_VISIBLE}"
        return
    size = np.array([record.width, record.height])
    outside = ((points[seen, :2] < -OUTSIDE_PX) | (points[seen, :2] > size + OUTSIDE_PX)).any(axis=1)
    if outside.any():
        yield f"{name}: {int(outside.sum())} visible points are outside the picture"
    box = box_of(points)
    if (box[2:] - box[:2]).min() <= 0:
        yield f"{name}: the points have no area"
    if sides_are_swapped(points[None])[0]:
        yield f"{name}: left and right are exchanged; names are the picture's sides"


def check_neighbours(
    name: str, box: Floats, before: Floats | None, others: Sequence[Floats]
) -> Iterator[str]:
    """Problem of a face that was moved onto another one.

    Args:
        name: of the face, for the message.
        box: (4,) of the face as decided.
        before: (4,) box that it had; None for a face that had no label.
        others: (4,) boxes of the other labels of the picture.
    """
    if not others:
        return
    boxes = np.array(others).reshape(-1, 4)
    now = box_iou(box[None], boxes)[0]
    then = np.zeros(len(boxes)) if before is None else box_iou(before[None], boxes)[0]
    if ((now >= SAME_FACE) & (now > then + 1e-6)).any():
        yield f"{name}: it lies on another label of the picture (IoU {now.max():.2f})"


def inside(points: Floats, record: ImageRecord) -> Floats:
    """Points (51, 3) with those just outside moved onto the border, and invisible ones 0 0 0."""
    result = points.copy()
    result[:, :2] = np.clip(result[:, :2], 0, [record.width, record.height])
    result[result[:, 2] <= 0] = 0
    return result


def name_of(decision: Decision) -> str:
    """A face as messages name it."""
    return printable(decision.face or f"{decision.image} (added)")


def summary(problems: Mapping[str, Sequence[str]], shown: int = 8) -> str:
    """The problems of files in one sentence each, cut to a number of them."""
    lines = [f"{name}: {problem}" for name, found in problems.items() for problem in found]
    more = f"; and {len(lines) - shown} more" if len(lines) > shown else ""
    return "; ".join(lines[:shown]) + more

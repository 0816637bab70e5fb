"""Labels with known errors: a share of the labels is replaced by wrong ones of several kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.autolabel.candidates import finish_points
from lidloop.labels import Floats, LabelSet, box_of
from lidloop.landmarks import FLIP

KINDS: Final = ("shifted", "sides swapped", "another picture's", "another face's in the box")
"""The label moved by 15 to 40 % of its box; left and right points exchanged; the label of another picture, as
when files are mixed up; the points of another face, moved and scaled to the box of this one."""
CORRECT: Final = -1

Ints = NDArray[np.int64]


def corrupted(
    labels: LabelSet, sizes: Mapping[str, tuple[int, int]], *, share: float, seed: int
) -> tuple[LabelSet, Ints]:
    """Replace a share of the labels by wrong ones, the kinds in equal numbers.

    Args:
        labels: correct labels; at least two pictures have one.
        sizes: width and height of the pictures in pixels.
        share: of the labels, 0 to 1.

    Returns:
        The labels in the same order, and (n,) the index into ``KINDS`` of each error, ``CORRECT`` for others.
    """
    rng = np.random.default_rng(seed)
    count = round(share * len(labels))
    rows = rng.permutation(len(labels))[:count]
    kinds = np.full(len(labels), CORRECT)
    kinds[rows] = np.arange(count) % len(KINDS)
    points = labels.points.copy()
    size = np.array([sizes[labels.images[k]] for k in labels.image], dtype=np.float64).reshape(-1, 2)
    for row in rows.tolist():
        wrong = _wrong(labels, size, row, KINDS[kinds[row]], rng)
        points[row] = finish_points(wrong[None], size[row][None])[0]
    return replace(labels, points=points, boxes=box_of(points)), kinds


def _wrong(labels: LabelSet, size: Floats, row: int, kind: str, rng: np.random.Generator) -> Floats:
    """Points (51, 3) of a wrong label for the face of a row; they may lie outside the picture."""
    points = labels.points[row].copy()
    box = labels.boxes[row]
    if kind == "shifted":
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.4)
        points[:, :2] += (
            length * np.sqrt((box[2:] - box[:2]).prod()) * np.array([np.cos(angle), np.sin(angle)])
        )
        return points
    if kind == "sides swapped":
        return points[list(FLIP)]
    others = np.flatnonzero(labels.image != labels.image[row])
    other = int(rng.choice(others))
    points = labels.points[other].copy()
    if kind == "another picture's":
        points[:, :2] *= size[row] / size[other]
        return points
    other_box = labels.boxes[other]
    points[:, :2] = box[:2] + (points[:, :2] - other_box[:2]) / (other_box[2:] - other_box[:2]) * (
        box[2:] - box[:2]
    )
    return points

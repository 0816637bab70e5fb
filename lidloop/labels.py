"""Data structures for face labels, and the geometry of their boxes. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.landmarks import N_POINTS

HUMAN: Final = -1
"""``origin`` of a human label; any other origin is the iteration whose model grew the label."""

Floats = NDArray[np.float64]


def box_of(points: Floats) -> Floats:
    """Bounding box (x1, y1, x2, y2) of the points with visibility above 0.

    Args:
        points: (..., 51, 3) x and y in pixels of the upright picture, and visibility 0, 1 or 2.

    Returns:
        (..., 4) boxes; NaN where a face has no visible point.
    """
    xy = np.where(points[..., 2:3] > 0, points[..., :2], np.nan)
    with np.errstate(all="ignore"):
        low = np.fmin.reduce(xy, axis=-2)
        high = np.fmax.reduce(xy, axis=-2)
    return np.concatenate([low, high], axis=-1)


def box_iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every box in ``a`` with every box in ``b``: (n, 4), (m, 4) to (n, m).

    Boxes are (x1, y1, x2, y2). A pair of empty boxes has IoU 0.
    """
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(axis=-1)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(axis=-1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=-1)
    union = area_a[:, None] + area_b[None, :] - inter
    iou: Floats = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return iou


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One labelled or predicted face in a picture.

    Attributes:
        box: (4,) x1, y1, x2, y2 in pixels of the upright picture.
        points: (51, 3) x, y in pixels of the upright picture, and visibility: 0 outside the picture,
            1 hidden, 2 seen.
        origin: ``HUMAN``, or the iteration whose model grew or predicted the face.
        score: confidence of the model, 0 to 1; 1 for a human label.
    """

    box: Floats
    points: Floats
    origin: int = HUMAN
    score: float = 1.0


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Faces of many pictures as columns (struct of arrays), for vectorised operations.

    Rows may come in any order. ``images`` may name pictures without a face.

    Attributes:
        images: picture ids.
        image: (n,) index into ``images`` of each face's picture.
        boxes: (n, 4), points: (n, 51, 3), origin: (n,), score: (n,): as in ``Face``.
    """

    images: tuple[str, ...]
    image: NDArray[np.int64]
    boxes: Floats
    points: Floats
    origin: NDArray[np.int64]
    score: Floats
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n = len(self.image)
        shapes = (self.boxes.shape, self.points.shape, self.origin.shape, self.score.shape)
        if shapes != ((n, 4), (n, N_POINTS, 3), (n,), (n,)):
            raise ValueError(f"columns of a LabelSet have different lengths: {n} rows, shapes {shapes}")
        object.__setattr__(self, "_index", {name: k for k, name in enumerate(self.images)})

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def from_faces(cls, faces: Mapping[str, Sequence[Face]], images: Iterable[str] | None = None) -> LabelSet:
        """Build a set from faces by picture id; ``images`` fixes the pictures and their order."""
        names = tuple(faces if images is None else images)
        index = {name: k for k, name in enumerate(names)}
        rows = [(index[name], face) for name, group in faces.items() for face in group]
        return cls(
            images=names,
            image=np.array([k for k, _ in rows], dtype=np.int64),
            boxes=np.array([f.box for _, f in rows], dtype=np.float64).reshape(-1, 4),
            points=np.array([f.points for _, f in rows], dtype=np.float64).reshape(-1, N_POINTS, 3),
            origin=np.array([f.origin for _, f in rows], dtype=np.int64),
            score=np.array([f.score for _, f in rows], dtype=np.float64),
        )

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> LabelSet:
        """Return the faces of a boolean mask or of row numbers; the pictures stay as they are."""
        return LabelSet(
            self.images,
            self.image[rows],
            self.boxes[rows],
            self.points[rows],
            self.origin[rows],
            self.score[rows],
        )

    def of(self, image: str) -> list[Face]:
        """Return the faces of one picture, in row order."""
        rows = np.flatnonzero(self.image == self._index[image])
        return [Face(self.boxes[k], self.points[k], int(self.origin[k]), float(self.score[k])) for k in rows]

    def reindex(self, images: Sequence[str]) -> LabelSet:
        """Return the faces of ``images`` only, with ``image`` indexing that sequence."""
        index = {name: k for k, name in enumerate(images)}
        lookup = np.array([index.get(name, -1) for name in self.images], dtype=np.int64)
        image = lookup[self.image] if len(self.image) else self.image
        rows = np.flatnonzero(image >= 0)
        return LabelSet(
            tuple(images),
            image[rows],
            self.boxes[rows],
            self.points[rows],
            self.origin[rows],
            self.score[rows],
        )


def concat(sets: Sequence[LabelSet]) -> LabelSet:
    """Concatenate sets. Pictures keep the order of first appearance, rows keep theirs.

    Raises:
        ValueError: for an empty sequence.
    """
    if not sets:
        raise ValueError("concat needs at least one LabelSet")
    images = tuple(dict.fromkeys(name for s in sets for name in s.images))
    aligned = [s.reindex(images) for s in sets]
    return LabelSet(
        images,
        np.concatenate([s.image for s in aligned]),
        np.concatenate([s.boxes for s in aligned]),
        np.concatenate([s.points for s in aligned]),
        np.concatenate([s.origin for s in aligned]),
        np.concatenate([s.score for s in aligned]),
    )

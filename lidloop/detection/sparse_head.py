"""A network that computes boxes and points only where it is asked for them.

A network answers a batch with the scores of all anchors; boxes and points of chosen anchors come when asked
for. ``WholeAnswer`` has them already, from a network that computed all of them. ``SparseNetwork`` runs the
parts that ``lidloop.training.split_graph`` makes: with 51 points the two heads are more than half of the
arithmetic, and a
picture has a handful of faces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from lidloop.detection.runtimes import Floats32, Graph
from lidloop.landmarks import N_POINTS

Ints = NDArray[np.int64]

STRIDES: Final = (8, 16, 32)
"""Cells of the three feature maps in pixels of the network's input; an anchor is a cell's centre."""

WHOLE: Final = "lidloop_whole"
"""Key of a part's metadata: SHA-256 of the whole network's file."""

_BINS: Final = 16
_REACH: Final = 2  # two 3 × 3 convolutions see two cells in each direction
_CHUNK: Final = 256  # anchors at a time: 13 MB of cells at most


class Answer(Protocol):
    """A network's answer for a batch of one shape.

    Attributes:
        scores: (B, anchors), by level, row and column.
    """

    scores: Floats32

    def boxes(self, picture: int, anchors: Ints) -> Floats32:
        """Centre and size of the boxes at anchors of a picture: (n, 4), in pixels of the network's input."""

    def points(self, picture: int, anchors: Ints) -> Floats32:
        """The points at anchors of a picture: (n, 51, 2), x and y in pixels of the network's input."""


Network = Callable[[Floats32], Answer]
"""(B, 3, h, w) RGB in 0…1 to what it says of them."""


class WholeAnswer:
    """An answer that is all there: (B, 5 + 153, anchors), box centre and size, score, then x, y, visibility
    of 51 points, in pixels of the network's input."""

    def __init__(self, raw: Floats32) -> None:
        self._raw = raw
        self.scores = raw[:, 4]

    def boxes(self, picture: int, anchors: Ints) -> Floats32:
        """See ``Answer``."""
        return self._raw[picture, :4, anchors]

    def points(self, picture: int, anchors: Ints) -> Floats32:
        """See ``Answer``."""
        return self._raw[picture, 5:, anchors].reshape(-1, N_POINTS, 3)[..., :2]


@dataclass(frozen=True, eq=False)
class SparseNetwork:
    """The three parts of a network as one ``Network``."""

    scores: Graph
    box_head: Graph
    point_head: Graph

    def __call__(self, batch: Floats32) -> Answer:
        """Run the backbone and the score head."""
        scores, *features = self.scores.run([batch])
        return _SparseAnswer(self, scores[:, 0], features)


class _SparseAnswer:
    def __init__(self, network: SparseNetwork, scores: Floats32, features: Sequence[Floats32]) -> None:
        self.scores = scores
        self._network, self._features = network, features
        sides = [level.shape[2:] for level in features]
        self._starts = np.cumsum([0, *(height * width for height, width in sides)])

    def boxes(self, picture: int, anchors: Ints) -> Floats32:
        """Distances from the cell's centre to the sides, in cells, are expected values over 16 bins
        (distribution focal loss, arXiv 2006.04388)."""
        logits = self._run(self._network.box_head, picture, anchors).reshape(-1, 4, _BINS)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        distances = weights @ np.arange(_BINS, dtype=np.float32)
        column, row, stride = self._places(anchors)
        centre = np.stack([column, row], axis=1) + np.float32(0.5)
        low, high = centre - distances[:, :2], centre + distances[:, 2:]
        return np.concatenate([(low + high) / 2, high - low], axis=1) * stride[:, None]

    def points(self, picture: int, anchors: Ints) -> Floats32:
        """Points are offsets from the cell's corner, in units of two cells (Ultralytics' ``Pose`` head)."""
        raw = self._run(self._network.point_head, picture, anchors).reshape(-1, N_POINTS, 3)
        column, row, stride = self._places(anchors)
        corner = np.stack([column, row], axis=1)
        return (raw[..., :2] * np.float32(2) + corner[:, None]) * stride[:, None, None]

    def _levels(self, anchors: Ints) -> Ints:
        return np.searchsorted(self._starts, anchors, side="right") - 1

    def _places(self, anchors: Ints) -> tuple[Floats32, Floats32, Floats32]:
        """Column, row and stride of anchors: (n,) each."""
        level = self._levels(anchors)
        width = np.array([feature.shape[3] for feature in self._features])[level]
        row, column = np.divmod(anchors - self._starts[level], width)
        stride = np.array(STRIDES, dtype=np.float32)[level]
        return column.astype(np.float32), row.astype(np.float32), stride

    def _run(self, head: Graph, picture: int, anchors: Ints) -> Floats32:
        """A head's answers at anchors: (n, k)."""
        # No anchors are a run too: it says how wide nothing is.
        starts = range(0, max(1, len(anchors)), _CHUNK)
        return np.concatenate([self._run_few(head, picture, anchors[k : k + _CHUNK]) for k in starts])

    def _run_few(self, head: Graph, picture: int, anchors: Ints) -> Floats32:
        level = self._levels(anchors)
        inputs: list[Floats32] = []
        for k, feature in enumerate(self._features):
            inputs += neighbourhoods(feature[picture], anchors[level == k] - self._starts[k])
        by_level = head.run(inputs)[0]
        answers = np.empty_like(by_level)
        answers[np.argsort(level, kind="stable")] = by_level
        return answers


def neighbourhoods(feature: Floats32, cells: Ints) -> tuple[Floats32, Floats32]:
    """What surrounds cells of a feature map, as the head parts take it.

    Args:
        feature: (C, h, w).
        cells: (n,) row × w + column.

    Returns:
        (n, C, 5, 5), zero outside the map; and (n, 1, 3, 3), 1 for the cells around each that lie inside.
    """
    height, width = feature.shape[1:]
    around = np.arange(-_REACH, _REACH + 1)
    rows, columns = (cells // width)[:, None] + around, (cells % width)[:, None] + around
    in_rows, in_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    patches = feature[:, rows[:, :, None], columns[:, None, :]].transpose(1, 0, 2, 3)
    patches = np.where(inside, patches, np.float32(0))
    middle = slice(1, -1)
    return patches, inside[:, :, middle, middle].astype(np.float32)

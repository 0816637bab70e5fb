"""Lazy evaluation of the network: boxes and points are computed only for selected anchors.

A network returns the scores of all anchors of a batch; boxes and points are then requested for some anchors.
``DenseOutput`` holds them from a network that computed all. ``SparseNetwork`` runs the parts that
``lidloop.training.split_graph`` makes: with 51 points the two heads are more than half of the arithmetic, and
a picture has only a few faces.
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
"""Cell sizes of the three feature maps, in pixels of the network's input; an anchor is a cell's centre."""

WHOLE: Final = "lidloop_whole"
"""Metadata key of a part; its value is the SHA-256 of the whole network's file."""

_BINS: Final = 16
_REACH: Final = 2  # two 3 × 3 convolutions reach two cells in each direction
_CHUNK: Final = 256  # anchors per run: at most 13 MB of cells


class NetworkOutput(Protocol):
    """A network's output for a batch of pictures of equal shape.

    Attributes:
        scores: (B, anchors), ordered by level, row and column.
    """

    scores: Floats32

    def boxes(self, picture: int, anchors: Ints) -> Floats32:
        """Boxes at anchors of a picture: (n, 4) centre and size, in pixels of the network's input."""

    def points(self, picture: int, anchors: Ints) -> Floats32:
        """Points at anchors of a picture: (n, 51, 2), x and y in pixels of the network's input."""


Network = Callable[[Floats32], NetworkOutput]
"""Function from (B, 3, h, w) RGB in 0…1 to the output for this batch."""


class DenseOutput:
    """Output of a network that computed all anchors: (B, 5 + 153, anchors).

    The rows are box centre and size, score, then x, y, visibility of 51 points, in pixels of the network's
    input.
    """

    def __init__(self, raw: Floats32) -> None:
        self._raw = raw
        self.scores = raw[:, 4]

    def boxes(self, picture: int, anchors: Ints) -> Floats32:
        """See ``NetworkOutput``."""
        return self._raw[picture, :4, anchors]

    def points(self, picture: int, anchors: Ints) -> Floats32:
        """See ``NetworkOutput``."""
        return self._raw[picture, 5:, anchors].reshape(-1, N_POINTS, 3)[..., :2]


@dataclass(frozen=True, eq=False)
class SparseNetwork:
    """The three parts of a network as one ``Network``."""

    scores: Graph
    box_head: Graph
    point_head: Graph

    def __call__(self, batch: Floats32) -> NetworkOutput:
        """Run the backbone and the score head on (B, 3, h, w) RGB in 0…1."""
        scores, *features = self.scores.run([batch])
        return _SparseOutput(self, scores[:, 0], features)


class _SparseOutput:
    def __init__(self, network: SparseNetwork, scores: Floats32, features: Sequence[Floats32]) -> None:
        self.scores = scores
        self._network, self._features = network, features
        sides = [level.shape[2:] for level in features]
        self._starts = np.cumsum([0, *(height * width for height, width in sides)])

    def boxes(self, picture: int, anchors: Ints) -> Floats32:
        """Compute boxes from distances between the cell's centre and the sides.

        A distance, in cells, is the expected value over 16 bins (distribution focal loss, arXiv 2006.04388).
        """
        logits = self._run(self._network.box_head, picture, anchors).reshape(-1, 4, _BINS)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        distances = weights @ np.arange(_BINS, dtype=np.float32)
        column, row, stride = self._cells(anchors)
        centre = np.stack([column, row], axis=1) + np.float32(0.5)
        low, high = centre - distances[:, :2], centre + distances[:, 2:]
        return np.concatenate([(low + high) / 2, high - low], axis=1) * stride[:, None]

    def points(self, picture: int, anchors: Ints) -> Floats32:
        """Compute points from offsets to the cell's corner, in units of two cells (Ultralytics' ``Pose``)."""
        raw = self._run(self._network.point_head, picture, anchors).reshape(-1, N_POINTS, 3)
        column, row, stride = self._cells(anchors)
        corner = np.stack([column, row], axis=1)
        return (raw[..., :2] * np.float32(2) + corner[:, None]) * stride[:, None, None]

    def _levels(self, anchors: Ints) -> Ints:
        return np.searchsorted(self._starts, anchors, side="right") - 1

    def _cells(self, anchors: Ints) -> tuple[Floats32, Floats32, Floats32]:
        """Column, row and stride of anchors: (n,) each."""
        level = self._levels(anchors)
        width = np.array([feature.shape[3] for feature in self._features])[level]
        row, column = np.divmod(anchors - self._starts[level], width)
        stride = np.array(STRIDES, dtype=np.float32)[level]
        return column.astype(np.float32), row.astype(np.float32), stride

    def _run(self, head: Graph, picture: int, anchors: Ints) -> Floats32:
        """Output of a head at anchors: (n, k)."""
        # Runs also for no anchors, to get the width k of the empty output.
        starts = range(0, max(1, len(anchors)), _CHUNK)
        return np.concatenate([self._run_few(head, picture, anchors[k : k + _CHUNK]) for k in starts])

    def _run_few(self, head: Graph, picture: int, anchors: Ints) -> Floats32:
        level = self._levels(anchors)
        inputs: list[Floats32] = []
        for k, feature in enumerate(self._features):
            inputs += neighbourhoods(feature[picture], anchors[level == k] - self._starts[k])
        by_level = head.run(inputs)[0]
        outputs = np.empty_like(by_level)
        outputs[np.argsort(level, kind="stable")] = by_level
        return outputs


def neighbourhoods(feature: Floats32, cells: Ints) -> tuple[Floats32, Floats32]:
    """Cut the 5 × 5 neighbourhood of each cell out of a feature map, as input of the head parts.

    Args:
        feature: (C, h, w) feature map.
        cells: (n,) cell index, row × w + column.

    Returns:
        (n, C, 5, 5) neighbourhoods, zero outside the map; and (n, 1, 3, 3) masks, 1 for cells inside it.
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

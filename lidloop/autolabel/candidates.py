"""Candidates: raw predictions of a model, converted to the form of labels. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.autolabel.priority_nms import Bools
from lidloop.labels import Floats, LabelSet, box_of

MIN_POINTS_INSIDE: Final = 41
"""Default smallest number of points inside the picture: all points except both brows.

With fewer, an eye or half the mouth is outside, where predictions are unreliable because almost no human
label is such a face: all 2,012 faces checked in AFW, HELEN and LFPW have 50 or 51 points inside."""

REASONS: Final = (
    "grown", "overlaps-label", "overlaps-prediction", "below-confidence", "degenerate", "outside-picture",
    "human", "existing", "relabelled", "declined",
)  # fmt: skip
"""Reasons in the ledger; the first three in the order of the codes of ``lidloop.autolabel.priority_nms``."""
BELOW, DEGENERATE, OUTSIDE, HUMAN_LABEL, EXISTING_LABEL, RELABELLED, DECLINED = range(3, 10)

_GRID: Final = 1e6  # the text format writes six decimals
_ROWS: Final = 1 << 14  # faces per chunk: their points take 20 MB


@dataclass(frozen=True, eq=False)
class Candidates:
    """Predictions in the form in which they would be written.

    Attributes:
        boxes: (n, 4) x1, y1, x2, y2 in pixels of the upright picture, rounded as in the label text. For a
            prediction without a usable box: the network's box, or zeros if that is not finite.
        reason: (n,) index into ``REASONS`` of the reason to drop the prediction; 0 for a candidate.
    """

    boxes: Floats
    reason: NDArray[np.int8]


def find_candidates(
    predictions: LabelSet,
    sizes: Floats,
    *,
    conf: float = 0.7,
    min_points_inside: int = MIN_POINTS_INSIDE,
    paper_exact: bool = False,
) -> Candidates:
    """Convert unclipped predictions to the boxes that would be written, and drop unusable predictions.

    The box is the bounding box of the points inside the picture (0 ≤ x ≤ width, 0 ≤ y ≤ height, as normalised
    coordinates lie in 0…1). With ``paper_exact`` it is the network's box, clipped, and no prediction is
    dropped for points outside.

    Args:
        predictions: raw predictions in pixels of the upright picture.
        sizes: (images, 2) width and height in pixels.
        conf: smallest score of a candidate.
        min_points_inside: smallest number of points inside the picture.
        paper_exact: as in arXiv 2404.05348, see above.
    """
    n = len(predictions)
    boxes, reason = np.zeros((n, 4)), np.zeros(n, dtype=np.int8)
    for low in range(0, n, _ROWS):
        rows = slice(low, low + _ROWS)
        raw, points, score = predictions.boxes[rows], predictions.points[rows], predictions.score[rows]
        size = sizes[predictions.image[rows]]
        has_box: Bools = np.asarray(np.isfinite(raw).all(axis=1))
        finite = has_box & np.isfinite(points).all(axis=(1, 2)) & np.isfinite(score)
        if paper_exact:
            enough = np.ones(len(raw), dtype=bool)
            bounds = np.clip(raw, 0, np.tile(size, 2))
        else:
            seen = _points_inside(points, size)
            enough = np.count_nonzero(seen[..., 2], axis=1) >= min_points_inside
            bounds = box_of(seen)
        written, has_area = _written_boxes(bounds, size)
        usable = finite & has_area
        boxes[rows] = np.where(usable[:, None], written, np.where(has_box[:, None], raw, 0))
        # As 32-bit floats, as scores are stored: 0.7 stays 0.7.
        below = score.astype(np.float32) < np.float32(conf)
        reason[rows] = np.select(
            [~finite, below, ~enough, ~has_area], [DEGENERATE, BELOW, OUTSIDE, DEGENERATE]
        )
    return Candidates(boxes, reason)


def finish_points(points: Floats, size: Floats, *, paper_exact: bool = False) -> Floats:
    """Convert points to the form in which they are written: (n, 51, 3) to (n, 51, 3).

    Coordinates are rounded as in the label text; visibility is 2 inside the picture, and points outside are
    0 0 0. With ``paper_exact``, points outside are moved onto the border with visibility 2.

    Args:
        points: (n, 51, 3) in pixels of the upright picture.
        size: (n, 2) width and height of the pictures in pixels.
        paper_exact: see above.
    """
    result = points.copy()
    if paper_exact:
        result[..., :2] = np.clip(points[..., :2], 0, size[:, None])
        result[..., 2] = 2
    else:
        result = _points_inside(points, size)
    grid = np.rint(result[..., :2] / size[:, None] * _GRID) + 0.0  # turns -0.0 into 0.0
    result[..., :2] = grid / _GRID * size[:, None]
    return result


def _points_inside(points: Floats, size: Floats) -> Floats:
    xy = points[..., :2]
    inside = np.all((xy >= 0) & (xy <= size[:, None]), axis=-1) & (points[..., 2] > 0)
    result: Floats = np.where(inside[..., None], points, 0.0)
    result[..., 2] = np.where(inside, 2.0, 0.0)
    return result


def _written_boxes(bounds: Floats, size: Floats) -> tuple[Floats, Bools]:
    """Return boxes exactly as reading back their text gives them, and (n,) True for boxes with area."""
    with np.errstate(invalid="ignore"):
        grid = np.rint(bounds / np.tile(size, 2) * _GRID) + 0.0
    side = grid[:, 2:] - grid[:, :2]
    centre = np.rint((grid[:, :2] + grid[:, 2:]) / 2) / _GRID
    has_area = np.all(side > 0, axis=1)
    side = side / _GRID
    return np.concatenate([(centre - side / 2) * size, (centre + side / 2) * size], axis=1), has_area

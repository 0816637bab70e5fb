"""Distance of a face's shape from those of human labels, without position, size and rotation.

The shapes are aligned by Procrustes analysis and described by principal components (``lidloop.drift.shape``).
The reference may hold wrong labels: the faces that fit worst are left out and the fit is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.drift.shape import RESIDUAL, Shape, fit_shape
from lidloop.evaluation.metrics import mean_of_known
from lidloop.labels import Floats
from lidloop.landmarks import GROUPS

COMPONENTS: Final = 12
FIRST_COMPONENTS: Final = 3
"""Of the first fit: they describe the pose of the head. More could describe a single wrong label."""
TRIMMED: Final = 0.1
"""Share of the reference that is left out of the second fit."""
_VISIBLE: Final = 20  # a similarity and the components of fewer points say little


@dataclass(frozen=True, eq=False)
class ShapeReference:
    """Shape of human labels.

    Attributes:
        shape: mean and principal components.
        centre, spread: (k,) median and robust standard deviation of the reference in each component.
    """

    shape: Shape
    centre: Floats
    spread: Floats

    def distances(self, points: Floats) -> tuple[Floats, Floats]:
        """Distances of faces from the reference: (n, 51, 3) to two times (n,).

        Returns:
            What the components leave of the shape, over its centroid size; and the root mean square of the
            components in robust standard deviations. NaN for a face with fewer than 20 visible points.
        """
        found = self.shape.features(completed(points, self.shape.mean))
        scores = _scores(found, len(self.centre))
        return found[RESIDUAL], np.sqrt((((scores - self.centre) / self.spread) ** 2).mean(axis=1))


def fit_reference(points: Floats) -> ShapeReference | None:
    """Fit the reference to human labels (n, 51, 3); None with fewer than 100 complete faces."""
    shape = fit_shape(points, components=FIRST_COMPONENTS)
    if shape is None:
        return None
    residual = shape.features(points)[RESIDUAL]
    known = points[np.isfinite(residual)]
    limit = np.quantile(residual[np.isfinite(residual)], 1 - TRIMMED)
    typical = known[residual[np.isfinite(residual)] <= limit]
    shape = fit_shape(typical, components=COMPONENTS) or shape
    scores = _scores(shape.features(typical), len(shape.components))
    centre = np.median(scores, axis=0)
    spread = 1.4826 * np.median(np.abs(scores - centre), axis=0)
    return ShapeReference(shape, centre, np.maximum(spread, 1e-6))


def completed(points: Floats, mean: Floats) -> Floats:
    """Give invisible points the place that the mean shape has there: (n, 51, 3), (51, 2) to (n, 51, 3).

    The mean is moved, scaled and rotated to the visible points (least squares). A face with fewer than 20
    visible points stays as it is.
    """
    result = points.copy()
    m = mean[:, 0] + 1j * mean[:, 1]
    for row in np.flatnonzero((points[..., 2] <= 0).any(axis=1)).tolist():
        seen = points[row, :, 2] > 0
        if seen.sum() < _VISIBLE:
            continue
        z = points[row, seen, 0] + 1j * points[row, seen, 1]
        (turn, place), *_ = np.linalg.lstsq(np.stack([m[seen], np.ones(seen.sum())], axis=1), z, rcond=None)
        filled = turn * m[~seen] + place
        result[row, ~seen] = np.stack([filled.real, filled.imag, np.ones(len(filled))], axis=1)
    return result


def sides_are_swapped(points: Floats) -> NDArray[np.bool_]:
    """(n,) True where left and right of a face are exchanged: (n, 51, 3).

    From the left eye to the right one and on to the mouth an upright picture turns clockwise, in any rotation
    of the face; a mirrored order of points turns the other way. False where those points are not visible.
    """
    xy = np.where(points[..., 2:] > 0, points[..., :2], np.nan)

    def centre(group: str) -> Floats:
        return mean_of_known(xy[:, list(GROUPS[group])], axis=1)

    left, right, mouth = centre("left_eye"), centre("right_eye"), centre("outer_lip")
    across, down = right - left, mouth - (left + right) / 2
    turn = across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]
    return np.asarray(np.nan_to_num(turn) < 0)


def _scores(found: dict[str, Floats], count: int) -> Floats:
    return np.stack([found[f"shape_{k + 1}"] for k in range(count)], axis=1)

"""Shape of a face as a few numbers: its points after removing position, size and rotation.

Faces are aligned by generalised Procrustes analysis and described by the principal components of the
reference faces (Gower 1975; Cootes et al., Active Shape Models, CVIU 1995). What the components leave over
has a feature of its own: points that scatter, or belong to another face, make shapes that no component knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import LidloopError
from lidloop.labels import Floats
from lidloop.landmarks import LEFT_EYE, N_POINTS, RIGHT_EYE

COMPONENTS: Final = 5
MIN_FACES: Final = 100
"""Least number of complete faces to fit to: of fewer, the components describe these faces and no others."""
RESIDUAL: Final = "shape_residual"

_ROUNDS: Final = 20
_SETTLED: Final = 1e-8
_DIGITS: Final = 6


@dataclass(frozen=True, eq=False)
class Shape:
    """The mean of aligned faces and the directions in which they differ most.

    Attributes:
        mean: (51, 2), centred on 0, of length 1 as a vector, its outer canthi level.
        components: (k, 102) orthonormal rows, x and y of the points in turn.
        explained: (k,) share of the reference's variance, falling.
    """

    mean: Floats
    components: Floats
    explained: Floats

    @property
    def definitions(self) -> dict[str, str]:
        """Names and meanings of the features."""
        words = "of the points without place, size and turn, over their centroid size"
        named = {
            f"shape_{k + 1}": f"principal component {k + 1} {words}; {100 * share:.0f} % of the variance"
            for k, share in enumerate(self.explained.tolist())
        }
        return named | {RESIDUAL: f"what {len(self.explained)} components leave over {words}"}

    def features(self, points: Floats) -> dict[str, NDArray[np.float64]]:
        """Measure faces: (n, 51, 3) to (n,) each; NaN for a face of which a point has visibility 0."""
        rest = align(points, self.mean) - self.mean
        flat = rest.reshape(len(points), 2 * N_POINTS)
        scores = flat @ self.components.T
        left = flat - scores @ self.components
        named = {f"shape_{k + 1}": scores[:, k] for k in range(len(self.components))}
        return named | {RESIDUAL: np.sqrt((left**2).sum(axis=1))}

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON, to six decimals."""
        return {
            "mean": np.round(self.mean, _DIGITS).tolist(),
            "components": np.round(self.components, _DIGITS).tolist(),
            "explained": np.round(self.explained, _DIGITS).tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> Shape | None:
        """Read what ``to_json`` gave; None for None: a profile may have no shape.

        Raises:
            LidloopError: for anything else.
        """
        if content is None:
            return None
        try:
            read = [np.asarray(content[key], np.float64) for key in ("mean", "components", "explained")]
        except (KeyError, TypeError, ValueError) as error:
            raise LidloopError(f"the profile's shape is damaged: {error!r}") from error
        mean, components, explained = read
        if (
            mean.shape != (N_POINTS, 2)
            or explained.ndim != 1
            or components.shape != (len(explained), 2 * N_POINTS)
            or not all(np.isfinite(values).all() for values in read)
        ):
            raise LidloopError("the profile's shape is damaged: not the mean and components of 51 points")
        return cls(mean, components, explained)


def fit_shape(points: Floats, *, components: int = COMPONENTS) -> Shape | None:
    """Fit the mean and the components to reference faces.

    Args:
        points: (n, 51, 3). Faces with a point of visibility 0 are left out.
        components: how many.

    Returns:
        None with fewer than ``MIN_FACES`` complete faces.
    """
    faces = points[(points[..., 2] > 0).all(axis=1)]
    if len(faces) < MIN_FACES:
        return None
    mean = _level(_unit(faces[:1]))[0]
    for _ in range(_ROUNDS):
        aligned = align(faces, mean)
        before, mean = mean, _level(_unit(np.nanmean(aligned, axis=0, keepdims=True)))[0]
        if np.abs(mean - before).max() < _SETTLED:
            break
    rest = (align(faces, mean) - mean).reshape(len(faces), 2 * N_POINTS)
    rest = rest[np.isfinite(rest).all(axis=1)]
    rest = rest - rest.mean(axis=0)
    variance, directions = np.linalg.eigh(rest.T @ rest / len(rest))
    order = np.argsort(-variance)[:components]
    rows = directions[:, order].T
    # A direction and its opposite are one: the sign is fixed, so that equal faces give equal numbers.
    largest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
    rows = rows * np.sign(largest)[:, None]
    total = float(variance.sum())
    return Shape(mean, rows, variance[order] / total if total > 0 else np.zeros(len(order)))


def align(points: Floats, mean: Floats) -> Floats:
    """Move, scale to length 1 and turn faces onto a mean shape: (n, 51, 2+), (51, 2) to (n, 51, 2).

    Never mirrored. NaN for a face of which a point has visibility 0, or whose points are one.
    """
    unit = _unit(points)
    plane = unit[..., 0] + 1j * unit[..., 1]
    turn = (np.conj(plane) * (mean[:, 0] + 1j * mean[:, 1])).sum(axis=1)
    length = np.abs(turn)
    turned = plane * np.divide(turn, length, out=np.full(len(turn), np.nan + 0j), where=length > 0)[:, None]
    return np.stack([turned.real, turned.imag], axis=-1)


def _unit(points: Floats) -> Floats:
    """Centred on 0 and of length 1 as a vector: (n, 51, 2+) to (n, 51, 2)."""
    xy = points[..., :2] - points[..., :2].mean(axis=1, keepdims=True)
    size = np.sqrt((xy**2).sum(axis=(1, 2)))
    whole = size > 0
    if points.shape[-1] > 2:
        whole &= (points[..., 2] > 0).all(axis=1)
    unit: Floats = xy / np.where(whole, size, np.nan)[:, None, None]
    return unit


def _level(shapes: Floats) -> Floats:
    """Turn shapes so that their outer canthi are level: (n, 51, 2) to (n, 51, 2)."""
    plane = shapes[..., 0] + 1j * shapes[..., 1]
    axis = plane[:, RIGHT_EYE.outer] - plane[:, LEFT_EYE.outer]
    turned = plane * (np.conj(axis) / np.abs(axis))[:, None]
    return np.stack([turned.real, turned.imag], axis=-1)

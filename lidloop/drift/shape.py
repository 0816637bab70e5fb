"""Shape features of a face: its points after removing position, size and rotation.

Faces are aligned by generalised Procrustes analysis and described by the principal components of the
reference faces (Gower 1975; Cootes et al., Active Shape Models, CVIU 1995). The residual of the components is
a further feature: it is large if points scatter or belong to another face.
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
"""Smallest number of complete faces to fit to; with fewer, the components overfit."""
RESIDUAL: Final = "shape_residual"

_ROUNDS: Final = 20
_SETTLED: Final = 1e-8
_DIGITS: Final = 6


@dataclass(frozen=True, eq=False)
class Shape:
    """The mean of aligned faces and the directions in which they differ most.

    Attributes:
        mean: (51, 2), centred on 0, of norm 1, its outer canthi horizontal.
        components: (k, 102) orthonormal rows; x and y of the points alternate.
        explained: (k,) share of the variance of the reference, falling.
    """

    mean: Floats
    components: Floats
    explained: Floats

    @property
    def definitions(self) -> dict[str, str]:
        """Definitions of the features by name."""
        words = "of the points without place, size and turn, over their centroid size"
        named = {
            f"shape_{k + 1}": f"principal component {k + 1} {words}; {100 * share:.0f} % of the variance"
            for k, share in enumerate(self.explained.tolist())
        }
        return named | {RESIDUAL: f"what {len(self.explained)} components leave over {words}"}

    def features(self, points: Floats) -> dict[str, NDArray[np.float64]]:
        """Compute the features by name: (n, 51, 3) to (n,) each; NaN for a face with an invisible point."""
        rest = align(points, self.mean) - self.mean
        flat = rest.reshape(len(points), 2 * N_POINTS)
        scores = flat @ self.components.T
        left = flat - scores @ self.components
        named = {f"shape_{k + 1}": scores[:, k] for k in range(len(self.components))}
        return named | {RESIDUAL: np.sqrt((left**2).sum(axis=1))}

    def to_json(self) -> dict[str, Any]:
        """Return the arrays by name, rounded to six decimals, ready for JSON."""
        return {
            "mean": np.round(self.mean, _DIGITS).tolist(),
            "components": np.round(self.components, _DIGITS).tolist(),
            "explained": np.round(self.explained, _DIGITS).tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> Shape | None:
        """Read the result of ``to_json``. None gives None, as a profile may have no shape.

        Raises:
            LidloopError: for any other content.
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
        points: (n, 51, 3). Faces with a point of visibility 0 are ignored.
        components: number of components.

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
    # The sign of a component is arbitrary; fix it, so that equal faces give equal numbers.
    largest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
    rows = rows * np.sign(largest)[:, None]
    total = float(variance.sum())
    return Shape(mean, rows, variance[order] / total if total > 0 else np.zeros(len(order)))


def align(points: Floats, mean: Floats) -> Floats:
    """Align faces with a mean shape: (n, 51, 2+), (51, 2) to (n, 51, 2).

    Faces are translated, scaled to norm 1 and rotated, never mirrored. NaN for a face with a point of
    visibility 0, or with all points at one position.
    """
    unit = _unit(points)
    plane = unit[..., 0] + 1j * unit[..., 1]
    rotation = (np.conj(plane) * (mean[:, 0] + 1j * mean[:, 1])).sum(axis=1)
    length = np.abs(rotation)
    rotated = (
        plane
        * np.divide(rotation, length, out=np.full(len(rotation), np.nan + 0j), where=length > 0)[:, None]
    )
    return np.stack([rotated.real, rotated.imag], axis=-1)


def _unit(points: Floats) -> Floats:
    """Centre faces on 0 and scale them to norm 1: (n, 51, 2+) to (n, 51, 2)."""
    xy = points[..., :2] - points[..., :2].mean(axis=1, keepdims=True)
    size = np.sqrt((xy**2).sum(axis=(1, 2)))
    whole = size > 0
    if points.shape[-1] > 2:
        whole &= (points[..., 2] > 0).all(axis=1)
    unit: Floats = xy / np.where(whole, size, np.nan)[:, None, None]
    return unit


def _level(shapes: Floats) -> Floats:
    """Rotate shapes so that their outer canthi are horizontal: (n, 51, 2) to (n, 51, 2)."""
    plane = shapes[..., 0] + 1j * shapes[..., 1]
    axis = plane[:, RIGHT_EYE.outer] - plane[:, LEFT_EYE.outer]
    rotated = plane * (np.conj(axis) / np.abs(axis))[:, None]
    return np.stack([rotated.real, rotated.imag], axis=-1)

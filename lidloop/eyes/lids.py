"""Lid margins as smooth curves fitted to the rows that the network predicts for every column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lidloop.eyes.margins import STEPS
from lidloop.eyes.network import COLUMNS
from lidloop.labels import Floats

_TERMS: Final = 4
_STIFFNESS: Final = np.diag([0.0, 0.5, 2.0, 4.0])
_LEAST_VARIANCE: Final = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class LidFit:
    """One margin, fitted.

    Attributes:
        curve: (33, 2) x, y in pixels of the patch, from the outer to the inner canthus.
        spread: mean standard deviation of the network's rows, in pixels.
        misfit: weighted root mean square distance of the rows to the curve, in pixels.
    """

    curve: Floats
    spread: float
    misfit: float


def _basis(t: Floats) -> Floats:
    """Basis functions (n, 4): an arch that is 0 at both canthi, times powers of the position along it.

    A lid is steeper at the canthus than a parabola, hence the power 0.75.
    """
    arch = (4 * t * (1 - t)) ** 0.75
    return np.stack([arch * (2 * t - 1) ** k for k in range(_TERMS)], axis=1)


_AT_STEPS: Final = _basis(STEPS)


def fit_lid(rows: Floats, spread: Floats, outer: Floats, inner: Floats) -> LidFit | None:
    """Fit a margin by weighted least squares over the columns between the canthi.

    Args:
        rows, spread: (64,) row of the margin at ``COLUMNS`` and its standard deviation.
        outer, inner: (2,) canthi.

    Returns:
        None if the canthi are too close or in the wrong order.
    """
    length = inner[0] - outer[0]
    if not length > 16:
        return None
    t = (COLUMNS - outer[0]) / length
    inside = (t > 0.03) & (t < 0.97)
    if inside.sum() < 2 * _TERMS:
        return None
    t, width = t[inside], spread[inside]
    line = outer[1] + (inner[1] - outer[1]) * t
    weight = 1 / (width**2 + _LEAST_VARIANCE)
    basis = _basis(t)
    rise = rows[inside] - line
    normal = basis.T @ (weight[:, None] * basis) + _STIFFNESS
    terms = np.linalg.solve(normal, basis.T @ (weight * rise))
    misfit = float(np.sqrt((weight * (basis @ terms - rise) ** 2).sum() / weight.sum()))
    x = outer[0] + length * STEPS
    y = outer[1] + (inner[1] - outer[1]) * STEPS + _AT_STEPS @ terms
    return LidFit(np.stack([x, y], axis=1), float(width.mean()), misfit)

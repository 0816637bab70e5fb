"""The iris as a circle, fitted to the pixels inside the opening that the network classifies as iris.

Pixels covered by the lids do not count. The centre and radius from the network are the prior of the fit; it
dominates if little of the limbus is visible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lidloop.eyes.network import COLUMNS, ROWS
from lidloop.labels import Floats

_SOFT: Final = 1.0
"""Half-width of the limbus in patch pixels: scale of the logistic function."""
_NOISE: Final = 0.5
"""Standard deviation of a pixel's probability, increased since errors of neighbours are correlated."""
_RADIUS_ERROR: Final = 0.06
_CENTRE_ERROR: Final = 1.5
_ITERATIONS: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class IrisFit:
    """A fitted iris, in pixels of the patch.

    Attributes:
        centre: (2,) x, y; the pupil centre.
        radius: of the iris.
        centre_error, radius_error: standard errors of the fit.
        misfit: root mean square difference of circle and probabilities inside the opening, 0…1.
        seen: visible share of the iris disc.
    """

    centre: Floats
    radius: float
    centre_error: float
    radius_error: float
    misfit: float
    seen: float


def fit_iris(
    iris: Floats, upper: Floats, lower: Floats, centre: Floats, radius: float, spread: float
) -> IrisFit | None:
    """Fit a circle by Gauss-Newton.

    Args:
        iris: (32, 64), 0…1 at ``ROWS`` and ``COLUMNS``.
        upper, lower: (n, 2) fitted margins, x rising.
        centre, radius: start values and prior.
        spread: standard deviation of the centre in pixels.

    Returns:
        None if the opening has too few pixels.
    """
    top = np.interp(COLUMNS, upper[:, 0], upper[:, 1], left=np.inf, right=np.inf)
    bottom = np.interp(COLUMNS, lower[:, 0], lower[:, 1], left=-np.inf, right=-np.inf)
    near = np.abs(COLUMNS - centre[0]) < 1.8 * radius
    i, j = np.nonzero((ROWS[:, None] >= top) & (ROWS[:, None] <= bottom) & near)
    if len(i) < 6:
        return None
    x, y, wanted = COLUMNS[j], ROWS[i], iris[i, j]
    prior = np.array([centre[0], centre[1], np.log(radius)])
    centre_error = _CENTRE_ERROR + 0.3 * spread
    stiffness = np.diag([centre_error**-2, centre_error**-2, _RADIUS_ERROR**-2])
    at = prior.copy()
    for _ in range(_ITERATIONS):
        jacobian, residual = _linearise(at, x, y, wanted)
        normal = jacobian.T @ jacobian / _NOISE**2 + stiffness
        step = np.linalg.solve(normal, jacobian.T @ residual / _NOISE**2 + stiffness @ (prior - at))
        at = at + np.clip(step, (-2, -2, -0.1), (2, 2, 0.1))
        if np.abs(step[:2]).max() < 0.02:
            break
    _, residual = _linearise(at, x, y, wanted)
    variance = np.linalg.inv(normal)
    r = float(np.exp(at[2]))
    inside = int((np.hypot(x - at[0], y - at[1]) < r).sum())
    cell = (COLUMNS[1] - COLUMNS[0]) * (ROWS[1] - ROWS[0])
    return IrisFit(
        at[:2],
        r,
        float(np.sqrt(variance[0, 0] + variance[1, 1])),
        float(np.sqrt(variance[2, 2]) * r),
        float(np.sqrt((residual**2).mean())),
        min(1.0, inside * cell / (np.pi * r**2)),
    )


def _linearise(at: Floats, x: Floats, y: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """(n, 3) derivatives of the soft disc by x, y and log radius, and (n,) residuals."""
    dx, dy, r = x - at[0], y - at[1], np.exp(at[2])
    distance = np.hypot(dx, dy) + 1e-9
    disc = 1 / (1 + np.exp(np.clip((distance - r) / _SOFT, -30, 30)))
    slope = disc * (1 - disc) / _SOFT
    jacobian = np.stack([slope * dx / distance, slope * dy / distance, slope * r], axis=1)
    return jacobian, wanted - disc

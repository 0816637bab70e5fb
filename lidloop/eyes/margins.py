"""Lid margins as curves, and the lid heights measured on them, in pixels of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lidloop.labels import Floats
from lidloop.landmarks import Eye

STEPS: Final = np.linspace(0.0, 1.0, 33)
"""Sample positions of a margin: shares of the way from the outer to the inner canthus."""


@dataclass(frozen=True, slots=True, eq=False)
class Margins:
    """Both lid margins of an eye, (n, 2) each, x and y from the outer to the inner canthus."""

    upper: Floats
    lower: Floats


def margins_from_landmarks(points: Floats, eye: Eye) -> Margins:
    """Smooth margins through the six landmarks of an eye.

    Over the line between the canthi each is the cubic ``t (1 - t) (a + b t)`` through its two lid landmarks,
    ``t`` counted from the outer canthus; or straight lines between the landmarks if these are too close to
    each other, or to the canthi, for a cubic.

    Args:
        points: (51, 2+) x, y in pixels.
    """
    outer, inner = points[eye.outer, :2], points[eye.inner, :2]
    axis = inner - outer
    length2 = float(axis @ axis)
    rows = {"upper": [pair[0] for pair in eye.lid_pairs], "lower": [pair[1] for pair in eye.lid_pairs]}
    curves = {}
    for name, ids in rows.items():
        lids = points[ids, :2]
        t = (lids - outer) @ axis / length2 if length2 > 0 else np.zeros(2)
        order = np.argsort(t)
        t, lids = t[order], lids[order]
        if t[0] < 0.1 or t[1] > 0.9 or t[1] - t[0] < 0.1:
            curves[name] = _polyline(np.vstack([outer, lids, inner]))
            continue
        normal = np.array([-axis[1], axis[0]])
        height = (lids - outer) @ normal / length2
        slope, level = np.polyfit(t, height / (t * (1 - t)), 1)
        bend = STEPS * (1 - STEPS) * (level + slope * STEPS)
        curves[name] = outer + STEPS[:, None] * axis + bend[:, None] * normal
    return Margins(curves["upper"], curves["lower"])


def _polyline(corners: Floats) -> Floats:
    """Polyline through corners, sampled at ``STEPS``."""
    at = STEPS * (len(corners) - 1)
    columns = [np.interp(at, np.arange(len(corners)), corners[:, k]) for k in (0, 1)]
    return np.stack(columns, axis=1)


def heights_at(margins: Margins, centre: Floats, down: Floats) -> tuple[float, float] | None:
    """Signed distances from a point up to the upper and down to the lower margin.

    Args:
        centre: (2,) the pupil centre.
        down: (2,) unit vector of the face's own vertical in the picture.

    Returns:
        ``(mrd1, mrd2)``; ``mrd1`` is negative if the upper margin is below the point. None if the
        point is not between the canthi.
    """
    along = np.array([down[1], -down[0]])
    out = []
    for curve in (margins.upper, margins.lower):
        relative = curve - centre
        u, v = relative @ along, relative @ down
        order = np.argsort(u, kind="stable")
        u, v = u[order], v[order]
        if not u[0] < 0 < u[-1]:
            return None
        out.append(float(np.interp(0.0, u, v)))
    return -out[0], out[1]


def opening_beside_pupil(margins: Margins) -> float:
    """Mean distance of the margins at one and two thirds of their arc lengths, the positions of the lid
    landmarks; compares with ``landmarks.lid_opening``."""
    at = [_at_arc(curve, np.array([1 / 3, 2 / 3])) for curve in (margins.upper, margins.lower)]
    return float(np.linalg.norm(at[0] - at[1], axis=1).mean())


def _at_arc(curve: Floats, shares: Floats) -> Floats:
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    return np.stack([np.interp(shares * arc[-1], arc, curve[:, k]) for k in (0, 1)], axis=1)

"""Curves fitted to the rows of every column."""

from __future__ import annotations

import numpy as np
import pytest

from lidloop.eyes.lids import fit_lid
from lidloop.eyes.network import COLUMNS

OUTER, INNER = np.array([25.0, 34.0]), np.array([98.0, 38.0])


def truth(x: np.ndarray, height: float = 20.0, p: float = 0.72, q: float = 0.8) -> np.ndarray:
    """Rows of a margin over the line between the canthi, as the drawn faces have it."""
    t = np.clip((x - OUTER[0]) / (INNER[0] - OUTER[0]), 1e-6, 1 - 1e-6)
    peak = p / (p + q)
    return OUTER[1] + (INNER[1] - OUTER[1]) * t - height * (t / peak) ** p * ((1 - t) / (1 - peak)) ** q


@pytest.mark.parametrize(
    ("height", "p", "q"),
    [(20, 0.72, 0.8), (20, 1.1, 0.6), (8, 0.6, 1.0), (1, 0.7, 0.7), (-12, 0.8, 0.8), (0, 0.7, 0.7)],
)
def test_known_margins_are_found_to_half_a_pixel_in_the_middle(height: float, p: float, q: float) -> None:
    rows = truth(COLUMNS, height, p, q)
    fit = fit_lid(rows, np.ones(64), OUTER, INNER)
    assert fit is not None
    assert np.allclose(fit.curve[[0, -1]], [OUTER, INNER])
    off = np.abs(fit.curve[:, 1] - truth(fit.curve[:, 0], height, p, q))
    assert off[8:-8].max() < 0.5
    assert off[4:-4].max() < 1.2


def test_uncertain_columns_have_little_weight() -> None:
    rows, spread = truth(COLUMNS), np.ones(64)
    rows[28:36] += 15
    spread[28:36] = 12
    fit = fit_lid(rows, spread, OUTER, INNER)
    assert fit is not None
    middle = fit.curve[5:-5]
    assert np.abs(middle[:, 1] - truth(middle[:, 0])).max() < 1.0
    assert fit.misfit > fit_lid(truth(COLUMNS), spread, OUTER, INNER).misfit


@pytest.mark.parametrize(
    ("outer", "inner", "why"),
    [
        (INNER, OUTER, "canthi in the wrong order"),
        (OUTER, OUTER + 7.0, "an eye of 10 pixels"),
        (np.array([-500.0, 0.0]), np.array([-400.0, 0.0]), "no column between the canthi"),
        (np.array([np.nan, 0.0]), INNER, "no number"),
    ],
)
def test_no_curve_without_canthi(outer: np.ndarray, inner: np.ndarray, why: str) -> None:
    assert fit_lid(truth(COLUMNS), np.ones(64), outer, inner) is None, why

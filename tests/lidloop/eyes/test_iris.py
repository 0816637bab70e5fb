"""Circles fitted to the pixels classified as iris."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.eyes.iris import fit_iris
from lidloop.eyes.network import COLUMNS, ROWS
from tests.properties import examples


def lids(top: float, bottom: float) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(24, 100, 33)
    return np.stack([x, np.full(33, top)], 1), np.stack([x, np.full(33, bottom)], 1)


def mask(x: float, y: float, radius: float, noise: float = 0.0) -> np.ndarray:
    distance = np.hypot(COLUMNS[None, :] - x, ROWS[:, None] - y)
    disc = 1 / (1 + np.exp(distance - radius))
    return np.clip(disc + noise * np.random.default_rng(1).standard_normal(disc.shape), 0, 1)


@examples(60)
@given(
    x=st.floats(50, 75), y=st.floats(26, 36), radius=st.floats(11.5, 17), top=st.floats(14, 28),
    dx=st.floats(-2, 2), dy=st.floats(-2, 2), grow=st.floats(0.94, 1.06),
)  # fmt: skip
def test_a_known_circle_is_found(
    x: float, y: float, radius: float, top: float, dx: float, dy: float, grow: float
) -> None:
    """From a start that is a little off, though lids cover some of it."""
    upper, lower = lids(top, 42)
    fit = fit_iris(mask(x, y, radius), upper, lower, np.array([x + dx, y + dy]), radius * grow, 1.0)
    assert fit is not None
    assert np.abs(fit.centre - [x, y]).max() < 1.0
    assert abs(fit.radius / radius - 1) < 0.05
    assert 0 < fit.seen <= 1


def test_errors_grow_as_less_of_the_iris_is_visible() -> None:
    errors = []
    for top in (15, 25, 32):
        fit = fit_iris(mask(62, 30, 14), *lids(top, 40), np.array([62.0, 30.0]), 14.0, 1.0)
        assert fit is not None
        errors.append(fit.centre_error)
    assert errors == sorted(errors)


def test_noise_increases_the_misfit() -> None:
    fits = [
        fit_iris(mask(62, 30, 14, n), *lids(18, 40), np.array([62.0, 30.0]), 14.0, 1.0) for n in (0.0, 0.4)
    ]
    assert fits[0].misfit < 0.02 < 0.1 < fits[1].misfit


@pytest.mark.parametrize(
    ("top", "bottom", "why"),
    [(31, 31, "closed"), (40, 20, "margins crossed"), (100, 120, "beyond the patch")],
)
def test_no_iris_without_an_opening(top: float, bottom: float, why: str) -> None:
    assert fit_iris(mask(62, 30, 14), *lids(top, bottom), np.array([62.0, 30.0]), 14.0, 1.0) is None, why

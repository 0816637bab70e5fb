"""Margins from landmarks, and heights read off curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.eyes.margins import Margins, heights_at, margins_from_landmarks, opening_beside_pupil
from lidloop.landmarks import LEFT_EYE, N_POINTS, RIGHT_EYE, Eye, lid_opening
from lidloop.synthetic import draw_face


def face(upper: float = -6.0, lower: float = 6.0, at: tuple[float, float] = (1 / 3, 2 / 3)) -> np.ndarray:
    """(51, 3): both eyes 30 wide with outer canthi 100 apart; lid points ``upper`` and ``lower`` of the line
    between the canthi, at shares ``at`` of the way inwards."""
    points = np.zeros((N_POINTS, 3))
    points[:, 2] = 2
    for eye, outer, inner in ((LEFT_EYE, 100.0, 130.0), (RIGHT_EYE, 200.0, 170.0)):
        points[eye.outer, :2], points[eye.inner, :2] = (outer, 100), (inner, 100)
        pairs = sorted(eye.lid_pairs, key=lambda pair: pair[0] if eye == LEFT_EYE else -pair[0])
        for share, (up, low) in zip(at, pairs, strict=True):
            points[up, :2] = outer + share * (inner - outer), 100 + upper
            points[low, :2] = outer + share * (inner - outer), 100 + lower
    return points


@pytest.mark.parametrize("eye", [LEFT_EYE, RIGHT_EYE])
def test_margins_run_from_the_outer_to_the_inner_canthus_through_the_lid_points(eye: Eye) -> None:
    points = face()
    margins = margins_from_landmarks(points, eye)
    for curve, column in ((margins.upper, 0), (margins.lower, 1)):
        assert np.allclose(curve[[0, -1]], points[[eye.outer, eye.inner], :2])
        for pair in eye.lid_pairs:
            assert np.abs(curve - points[pair[column], :2]).sum(axis=1).min() < 1.0


@pytest.mark.parametrize(
    ("at", "why"),
    [
        ((0.02, 0.6), "a lid point at the canthus"),
        ((0.5, 0.5), "both lid points in one place"),
        ((-0.2, 1.3), "lid points beyond the canthi"),
        ((0.7, 0.3), "lid points in the wrong order"),
    ],
)
def test_margins_stay_near_landmarks_that_no_cubic_fits(at: tuple[float, float], why: str) -> None:
    margins = margins_from_landmarks(face(at=at), LEFT_EYE)
    for curve in (margins.upper, margins.lower):
        assert np.isfinite(curve).all(), why
        assert np.abs(curve[:, 1] - 100).max() < 15, why


def test_coinciding_canthi_give_finite_margins() -> None:
    assert np.isfinite(margins_from_landmarks(np.ones((N_POINTS, 3)), LEFT_EYE).upper).all()


def test_landmarks_of_drawn_faces_come_near_the_true_heights() -> None:
    """The cubic stands in for the true curve: within one per cent of the outer-canthal distance."""
    for seed in range(4):
        truth = draw_face(seed=seed, canthal_px=100, size=(240, 240), ptosis=(seed / 4, 0)).faces[0]
        for name, eye in (("left", LEFT_EYE), ("right", RIGHT_EYE)):
            margins = margins_from_landmarks(truth.points, eye)
            heights = heights_at(margins, np.array(truth.pupils[name]), np.array([0.0, 1.0]))
            assert heights is not None
            assert abs(heights[0] - truth.eyes[name].mrd1) < 1.0
            assert abs(heights[1] - truth.eyes[name].mrd2) < 1.0


def level(upper: float, lower: float) -> Margins:
    x = np.linspace(0, 30, 16)
    return Margins(np.stack([x, np.full(16, upper)], 1), np.stack([x, np.full(16, lower)], 1))


@pytest.mark.parametrize(
    ("upper", "centre", "expected", "why"),
    [
        (-4.0, (15, 0), (4.0, 5.0), "an open eye"),
        (2.0, (15, 0), (-2.0, 5.0), "the lid hangs below the pupil centre: MRD1 is negative"),
        (-4.0, (31, 0), None, "beyond the canthus"),
        (-4.0, (-0.1, 0), None, "beyond the other canthus"),
    ],
)
def test_heights(upper: float, centre: tuple, expected: tuple | None, why: str) -> None:
    found = heights_at(level(upper, 5.0), np.array(centre, float), np.array([0.0, 1.0]))
    assert found == pytest.approx(expected) if expected else found is None, why


@given(st.floats(-180, 180), st.floats(0.5, 20), st.floats(-1000, 1000))
def test_heights_turn_and_scale_with_the_picture(degrees: float, scale: float, shift: float) -> None:
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    margins = level(-4.0, 5.0)
    moved = Margins(margins.upper @ turn.T + shift, margins.lower @ turn.T + shift)
    down = turn @ [0.0, 1.0] / scale
    found = heights_at(moved, turn @ [10.0, 0.5] + shift, down)
    assert found == pytest.approx((4.5 * scale, 4.5 * scale), rel=1e-6)


def test_opening_beside_the_pupil_agrees_with_the_lid_pairs() -> None:
    truth = draw_face(seed=5, canthal_px=100, size=(240, 240)).faces[0]
    margins = margins_from_landmarks(truth.points, LEFT_EYE)
    assert opening_beside_pupil(margins) == pytest.approx(
        float(lid_opening(truth.points, LEFT_EYE)), rel=0.03
    )

"""Tests of the quality checks of a face's picture."""

from __future__ import annotations

import numpy as np
import pytest

from lidloop.landmarks import LEFT_EYE, N_POINTS
from lidloop.screening.quality import blurred, closed, cut_off, seen, sharpness, tilted, too_small, turned
from lidloop.synthetic import draw_face


@pytest.mark.parametrize(
    ("at", "visibility", "expected", "why"),
    [
        ((0, 0), 2, True, "the first pixel"),
        ((-0.5, 0), 1, True, "the edge of the first pixel, occluded"),
        ((-0.6, 0), 2, False, "left of the picture"),
        ((99.5, 49.5), 2, True, "the edge of the last pixel"),
        ((99.6, 0), 2, False, "right of the picture"),
        ((0, 49.6), 2, False, "below the picture"),
        ((10, 10), 0, False, "visibility 0"),
    ],
)
def test_points_that_may_be_measured(at: tuple, visibility: int, expected: bool, why: str) -> None:
    points = np.full((N_POINTS, 3), 2.0)
    points[5] = *at, visibility
    visible = seen(points, (100, 50))
    assert visible[5] == expected, why
    assert visible.sum() == N_POINTS - (not expected)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (cut_off(np.ones(N_POINTS, bool)), None),
        (cut_off(np.arange(N_POINTS) != 19), "cut-off"),
        (cut_off(np.arange(N_POINTS) != 3), "cut-off"),
        (cut_off(np.arange(N_POINTS) != 40), None),  # the mouth is not measured
        (too_small(60.0), None),
        (too_small(59.9), "too-small"),
        (turned(0.36), None),
        (turned(-0.37), "turned"),
        (tilted(30.0), None),
        (tilted(-31.0), "tilted"),
        (closed([0.09, 0.05]), "eyes-closed"),
        (closed([0.09, 0.3]), None),  # one closed eye may be ptosis
        (closed([0.05]), None),
        (closed([]), None),
        (blurred(None), None),
        (blurred(0.0), "blurred"),
        (blurred(1.0), None),
    ],
)
def test_reasons(reason, code: str | None) -> None:
    assert (reason.code if reason else None) == code
    assert reason is None or reason.text


def test_sharpness_falls_with_blur_and_not_with_exposure() -> None:
    def of(**how: float) -> float:
        picture = draw_face(seed=2, canthal_px=150, size=(360, 360), **how)
        value = sharpness(picture.image, picture.faces[0].points, LEFT_EYE)
        assert value is not None
        return value

    values = [of(blur=sigma) for sigma in (0.0, 1.0, 3.0, 6.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.4 * values[0]
    assert of(exposure=0.6) == pytest.approx(values[0], rel=0.15)


def test_sharpness_of_an_eye_outside_the_picture_is_none() -> None:
    picture = draw_face(seed=2, canthal_px=150, size=(360, 360))
    points = picture.faces[0].points.copy()
    points[:, 0] += 1000
    assert sharpness(picture.image, points, LEFT_EYE) is None
    assert sharpness(np.zeros_like(picture.image), picture.faces[0].points, LEFT_EYE) == 0.0

"""Individual typology angle from the pixels of a face."""

from __future__ import annotations

import numpy as np
import pytest

from lidloop.evaluation.skin_tone import TONES, tone_of, typology_angle
from lidloop.landmarks import N_POINTS
from lidloop.synthetic import draw_face


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((200, 200, 3), colour, np.uint8)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return draw_face(seed=1, size=(200, 200), canthal_px=90).faces[0].points


@pytest.mark.parametrize(
    ("colour", "angle", "tone"),
    [
        ((245, 222, 205), 73.4, "very light"),
        ((224, 185, 155), 50.7, "light"),
        ((198, 150, 118), 32.8, "intermediate"),
        ((160, 116, 84), 6.9, "brown"),
        ((70, 45, 32), -66.6, "dark"),
    ],
)
def test_the_angle_is_that_of_the_skins_colour(
    points: np.ndarray, colour: tuple[int, int, int], angle: float, tone: str
) -> None:
    found = typology_angle(flat(colour), points)
    assert found == pytest.approx(angle, abs=3)
    assert tone_of(found) == tone


def test_a_picture_without_colour_has_no_angle(points: np.ndarray) -> None:
    assert typology_angle(flat((150, 150, 150)), points) is None
    assert tone_of(None) == "unknown"


def test_a_face_outside_its_picture_has_no_angle(points: np.ndarray) -> None:
    assert typology_angle(flat((198, 150, 118)), points + 500) is None


def test_lighter_drawn_skin_has_a_larger_angle() -> None:
    angles, brightness = [], []
    for seed in range(12):
        face = draw_face(seed=seed, size=(200, 200), canthal_px=90)
        angle = typology_angle(face.image, face.faces[0].points)
        if angle is not None:
            angles.append(angle)
            tip = face.faces[0].points[13, :2].round().astype(int)
            brightness.append(float(face.image[tip[1], tip[0]].mean()))
    assert len(angles) > 8
    assert np.corrcoef(angles, brightness)[0, 1] > 0.8


def test_groups_are_in_falling_order_and_cover_every_angle() -> None:
    limits = [above for _, above in TONES]
    assert limits == sorted(limits, reverse=True)
    assert [tone_of(above + 0.1) for _, above in TONES] == [name for name, _ in TONES]
    assert tone_of(-90.0) == "dark"


def test_all_landmarks_in_one_place_have_no_angle() -> None:
    assert typology_angle(flat((198, 150, 118)), np.zeros((N_POINTS, 3))) is None

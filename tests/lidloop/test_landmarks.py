"""Indices and measures of the 51-landmark scheme."""

import numpy as np
import pytest

from lidloop import landmarks
from lidloop.errors import LidloopError


def test_groups_cover_every_point_once() -> None:
    covered = [k for group in landmarks.GROUPS.values() for k in group]
    assert covered == list(range(landmarks.N_POINTS))
    assert len(set(landmarks.NAMES)) == landmarks.N_POINTS


def test_flip_is_its_own_inverse() -> None:
    flip = np.array(landmarks.FLIP)
    assert sorted(landmarks.FLIP) == list(range(51))
    assert (flip[flip] == np.arange(51)).all()


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("left_eye_outer_canthus", "right_eye_outer_canthus", "canthi change sides, outer stays outer"),
        ("left_eye_inner_canthus", "right_eye_inner_canthus", "inner stays inner"),
        ("left_eye_upper_lid_outer", "right_eye_upper_lid_outer", "upper lid to upper lid"),
        ("left_eye_lower_lid_inner", "right_eye_lower_lid_inner", "lower lid to lower lid"),
        ("left_brow_0", "right_brow_4", "outer ends of the brows"),
        ("nose_bridge_2", "nose_bridge_2", "the middle stays"),
        ("nose_base_2", "nose_base_2", "the middle stays"),
        ("outer_lip_0", "outer_lip_6", "corners of the mouth"),
        ("outer_lip_3", "outer_lip_3", "middle of the upper lip"),
        ("outer_lip_9", "outer_lip_9", "middle of the lower lip"),
        ("inner_lip_0", "inner_lip_4", "inner corners of the mouth"),
    ],
)
def test_flip_swaps_left_and_right_names(a: str, b: str, reason: str) -> None:
    assert landmarks.NAMES[landmarks.FLIP[landmarks.NAMES.index(a)]] == b, reason


@pytest.mark.parametrize("n", [51, 68])
def test_from_ibug68_drops_the_jaw(n: int) -> None:
    points = np.arange(2.0 * n).reshape(n, 2)
    kept = landmarks.from_ibug68(points)
    assert kept.shape == (51, 2)
    assert (kept == points[-51:]).all()


@pytest.mark.parametrize("shape", [(50, 2), (67, 2), (0, 2), (68,), (2, 68, 2)])
def test_from_ibug68_rejects_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(LidloopError, match="expected 68 or 51 points"):
        landmarks.from_ibug68(np.zeros(shape))


def test_mirroring_swaps_the_patients_eyes() -> None:
    assert landmarks.patient_eyes() == {"OD": landmarks.LEFT_EYE, "OS": landmarks.RIGHT_EYE}
    assert landmarks.patient_eyes(mirrored=True) == {"OD": landmarks.RIGHT_EYE, "OS": landmarks.LEFT_EYE}


def test_distances_match_values_computed_by_hand() -> None:
    points = np.zeros((51, 3))
    points[19, :2], points[28, :2] = (10, 20), (13, 24)  # 3-4-5
    points[[20, 21], 1] = 4.0
    points[23, 1], points[24, 1] = 10.0, 12.0  # pairs (20, 24): 8, (21, 23): 6
    assert landmarks.outer_canthal_distance(points) == pytest.approx(5.0)
    assert landmarks.lid_opening(points, landmarks.LEFT_EYE) == pytest.approx(7.0)
    assert landmarks.lid_opening(points, landmarks.RIGHT_EYE) == 0.0
    many = np.stack([points, 2 * points])
    assert landmarks.lid_opening(many, landmarks.LEFT_EYE).tolist() == pytest.approx([7.0, 14.0])

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lidloop.drift import DEFINITIONS, PER_IMAGE, features
from lidloop.errors import LidloopError
from lidloop.labels import Face, LabelSet, box_of
from lidloop.landmarks import FLIP, GROUPS, LEFT_EYE, N_POINTS, RIGHT_EYE
from tests.properties import examples

SIZE = (400, 300)


def frontal() -> np.ndarray:
    """(51, 3): a level face whose lengths are known: outer canthi 100 apart, eyes 30 wide, left eye 12 open,
    right eye 6, brows 25 (left) and 20 (right) above the upper lids, nose tip midway."""
    points = np.zeros((N_POINTS, 3))
    points[:, :2] = 150, 150
    points[:, 2] = 2
    for eye, outer, inner, opening, brow in (
        (LEFT_EYE, 100, 130, 12, 25),
        (RIGHT_EYE, 200, 170, 6, 20),
    ):
        points[eye.outer, :2] = outer, 100
        points[eye.inner, :2] = inner, 100
        for x, (upper, lower) in zip((-5, 5), eye.lid_pairs, strict=True):
            middle = (outer + inner) / 2
            points[upper, :2] = middle + x, 100 - opening / 2
            points[lower, :2] = middle + x, 100 + opening / 2
        for x, index in zip((-10, -5, 0, 5, 10), eye.brow, strict=True):
            points[index, :2] = (outer + inner) / 2 + x, 100 - opening / 2 - brow
    return points


def one(points: np.ndarray, *, score: float = 0.8) -> LabelSet:
    return LabelSet.from_faces({"a": [Face(box_of(points), points, origin=1, score=score)]})


def measured(points: np.ndarray) -> dict[str, float]:
    return {name: float(values[0]) for name, values in features(one(points), {"a": SIZE}).items()}


def rotated(points: np.ndarray, degrees: float) -> np.ndarray:
    """Rotated about (150, 120), positive clockwise as seen in the picture (y points down)."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    out = points.copy()
    out[:, :2] = (points[:, :2] - (150, 120)) @ turn.T + (150, 120)
    return out


def mirrored(points: np.ndarray) -> np.ndarray:
    out = points[list(FLIP)].copy()
    out[:, 0] = SIZE[0] - out[:, 0]
    return out


def test_features_of_a_face_with_known_lengths() -> None:
    got = measured(frontal())
    # box: x 100…200, y from the left brow (100 - 6 - 25 = 69) to 150
    assert got == {
        PER_IMAGE: 1,
        "box_size": pytest.approx(np.hypot(100, 81) / 500),
        "box_aspect": pytest.approx(100 / 81),
        "position_x": pytest.approx(150 / 400),
        "position_y": pytest.approx((69 + 150) / 2 / 300),
        "roll": pytest.approx(0),
        "yaw": pytest.approx(0),
        "pitch": pytest.approx(1),
        "pfh_ratio_left": pytest.approx(12 / 30),
        "pfh_ratio_right": pytest.approx(6 / 30),
        "pfh_asymmetry": pytest.approx(0.06),
        "brow_lid_left": pytest.approx(0.25),
        "brow_lid_right": pytest.approx(0.20),
        "confidence": pytest.approx(0.8),
    }


def test_every_feature_has_a_definition() -> None:
    assert list(features(one(frontal()), {"a": SIZE})) == list(DEFINITIONS)


@pytest.mark.parametrize("degrees", [-150, -30, 10, 45, 120])
def test_roll_is_the_angle_and_changes_no_ratio(degrees: float) -> None:
    straight, turned = measured(frontal()), measured(rotated(frontal(), degrees))
    assert turned["roll"] == pytest.approx(degrees)
    for name in ("yaw", "pfh_ratio_left", "pfh_asymmetry", "brow_lid_right"):
        assert turned[name] == pytest.approx(straight[name], abs=1e-9), name


@pytest.mark.parametrize(("x", "expected"), [(100, -1.0), (125, -0.5), (200, 1.0)])
def test_yaw_follows_the_nose_tip(x: float, expected: float) -> None:
    points = frontal()
    points[GROUPS["nose_bridge"][-1], 0] = x
    assert measured(points)["yaw"] == pytest.approx(expected)


@examples(50)
@given(hnp.arrays(np.float64, (N_POINTS, 2), elements=st.integers(0, 300 * 64).map(lambda x: x / 64)))
def test_a_mirrored_face_swaps_sides_and_signs(xy: np.ndarray) -> None:
    points = np.concatenate([xy, np.full((N_POINTS, 1), 2.0)], axis=1)
    there, back = measured(points), measured(mirrored(points))
    close = {"rel": 1e-6, "abs": 1e-6, "nan_ok": True}
    turn = there["roll"] + back["roll"]
    if (xy[LEFT_EYE.outer] == xy[RIGHT_EYE.outer]).all():
        assert np.isnan(turn)
    else:
        assert turn == pytest.approx(0, abs=1e-6) or abs(turn) == pytest.approx(360)
    assert back["yaw"] == pytest.approx(-there["yaw"], **close)
    assert back["pfh_asymmetry"] == pytest.approx(-there["pfh_asymmetry"], **close)
    assert back["pfh_ratio_left"] == pytest.approx(there["pfh_ratio_right"], **close)
    assert back["brow_lid_right"] == pytest.approx(there["brow_lid_left"], **close)
    assert back["position_x"] == pytest.approx(1 - there["position_x"], **close)
    assert back["box_size"] == pytest.approx(there["box_size"], **close)


@examples(50)
@given(st.floats(0.2, 5))
def test_scale_changes_only_size_and_position(scale: float) -> None:
    points = frontal()
    small = points * (scale, scale, 1)
    there, here = measured(points), measured(small)
    assert here["box_size"] == pytest.approx(scale * there["box_size"])
    for name in set(DEFINITIONS) - {"box_size", "position_x", "position_y"}:
        assert here[name] == pytest.approx(there[name], abs=1e-9), name


@pytest.mark.parametrize(
    ("index", "undefined"),
    [
        pytest.param(
            LEFT_EYE.outer,
            {"roll", "yaw", "pitch", "pfh_ratio_left", "pfh_asymmetry", "brow_lid_left", "brow_lid_right"},
            id="an outer canthus is needed for the scale",
        ),
        pytest.param(LEFT_EYE.lid_pairs[0][1], {"pfh_ratio_left", "pfh_asymmetry"}, id="a lower lid point"),
        pytest.param(RIGHT_EYE.inner, {"pfh_ratio_right"}, id="an inner canthus"),
        pytest.param(RIGHT_EYE.brow[2], {"brow_lid_right"}, id="a brow point"),
        pytest.param(GROUPS["nose_bridge"][-1], {"yaw", "pitch"}, id="the nose tip"),
        pytest.param(GROUPS["outer_lip"][0], {"pitch"}, id="a corner of the mouth"),
        pytest.param(GROUPS["inner_lip"][0], set(), id="another lip point is needed for nothing"),
    ],
)
def test_features_of_an_invisible_point_are_undefined(index: int, undefined: set[str]) -> None:
    points = frontal()
    points[index] = 0
    got = measured(points)
    assert {name for name, value in got.items() if np.isnan(value)} == undefined


def test_pictures_without_a_face_are_counted() -> None:
    face = Face(box_of(frontal()), frontal())
    labels = LabelSet.from_faces({"a": [face, face], "b": [face]}, images=["a", "empty", "b"])
    got = features(labels, {"a": SIZE, "b": SIZE})
    assert got[PER_IMAGE].tolist() == [2, 0, 1]
    assert len(got["roll"]) == 3


@pytest.mark.parametrize("sizes", [{}, {"b": SIZE}, {"a": (0, 300)}])
def test_a_picture_without_a_size_is_rejected(sizes: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(LidloopError, match="'a'"):
        features(one(frontal()), sizes)

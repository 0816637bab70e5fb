from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import procrustes

from lidloop.drift import Shape
from lidloop.drift.shape import COMPONENTS, MIN_FACES, RESIDUAL, align, fit_shape
from lidloop.errors import LidloopError
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE
from tests.lidloop.drift.synthetic_faces import synthetic_faces
from tests.properties import examples

FACES = synthetic_faces(150, seed=0).points


@pytest.fixture(scope="module")
def shape() -> Shape:
    fitted = fit_shape(FACES)
    assert fitted is not None
    return fitted


def test_mean_is_horizontal_with_norm_1_and_components_are_orthonormal(shape: Shape) -> None:
    assert np.linalg.norm(shape.mean) == pytest.approx(1)
    assert shape.mean.sum(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert shape.mean[LEFT_EYE.outer, 1] == pytest.approx(shape.mean[RIGHT_EYE.outer, 1])
    assert shape.mean[LEFT_EYE.outer, 0] < shape.mean[RIGHT_EYE.outer, 0]
    assert shape.components @ shape.components.T == pytest.approx(np.eye(COMPONENTS), abs=1e-9)
    assert 0.5 < shape.explained.sum() < 1
    assert np.all(np.diff(shape.explained) <= 0)


def test_alignment_equals_scipy(shape: Shape) -> None:
    """SciPy also fits the scale: for a distance d here, its disparity is 1 - (1 - d² / 2)²."""
    aligned = align(FACES[:20], shape.mean)
    for face, ours in zip(FACES[:20], aligned, strict=True):
        distance = ((ours - shape.mean) ** 2).sum()
        _, _, theirs = procrustes(shape.mean, face[:, :2])
        assert 1 - (1 - distance / 2) ** 2 == pytest.approx(theirs, rel=1e-6)


@examples(40)
@given(
    st.integers(0, 149), st.floats(-3.1, 3.1), st.floats(0.2, 6), st.floats(-500, 500), st.floats(-500, 500)
)
def test_position_size_and_rotation_do_not_change_features(
    shape: Shape, k: int, angle: float, scale: float, x: float, y: float
) -> None:
    face = FACES[k : k + 1]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = face.copy()
    moved[..., :2] = scale * face[..., :2] @ turn.T + (x, y)
    there, here = shape.features(face), shape.features(moved)
    for name, value in there.items():
        assert here[name] == pytest.approx(value, abs=1e-8), name


def test_equal_faces_give_equal_numbers_in_any_order(shape: Shape) -> None:
    again = fit_shape(FACES[::-1].copy())
    assert again is not None
    for name, values in shape.features(FACES).items():
        assert again.features(FACES)[name] == pytest.approx(values, abs=1e-4), name


def test_a_face_composed_of_the_components_has_no_residual(shape: Shape) -> None:
    made = np.full((1, 51, 3), 2.0)
    tangent = shape.components[0].reshape(51, 2)
    made[0, :, :2] = 100 * (shape.mean + 0.02 * tangent)
    assert shape.features(made)[RESIDUAL][0] < 1e-3
    scattered = made.copy()
    scattered[..., :2] += np.random.default_rng(0).normal(0, 3, (51, 2))
    assert shape.features(scattered)[RESIDUAL][0] > 0.1


def test_a_face_with_a_hidden_point_has_no_shape(shape: Shape) -> None:
    faces = FACES[:2].copy()
    faces[0, 40, 2] = 0
    found = shape.features(faces)
    assert all(np.isnan(values[0]) and np.isfinite(values[1]) for values in found.values())
    assert all(np.isnan(v).all() for v in shape.features(np.ones((1, 51, 3))).values()), "all points are one"
    assert all(len(values) == 0 for values in shape.features(np.zeros((0, 51, 3))).values())


def test_faces_with_invisible_points_are_not_used_for_the_fit() -> None:
    faces = FACES[:MIN_FACES].copy()
    assert fit_shape(faces) is not None
    faces[0, 0, 2] = 0
    assert fit_shape(faces) is None, "one too few"


def test_json_round_trip(shape: Shape) -> None:
    text = json.dumps(shape.to_json(), allow_nan=False)
    back = Shape.from_json(json.loads(text))
    assert back is not None
    assert back.to_json() == shape.to_json()
    for name, values in shape.features(FACES).items():
        assert back.features(FACES)[name] == pytest.approx(values, abs=1e-4), name


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"mean": [[0, 0]]}, id="a mean of one point"),
        pytest.param({"components": [[0.0] * 102]}, id="fewer components than shares"),
        pytest.param({"mean": "no"}, id="not numbers"),
        pytest.param({"explained": None}, id="no shares"),
        pytest.param({"explained": [float("nan")] * 5}, id="not finite"),
    ],
)
def test_a_damaged_shape_is_rejected(shape: Shape, change: dict[str, object]) -> None:
    with pytest.raises(LidloopError, match="shape is damaged"):
        Shape.from_json(shape.to_json() | change)

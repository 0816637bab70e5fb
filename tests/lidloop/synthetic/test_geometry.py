"""Geometry of drawn faces: lid heights, ptosis, symmetry, projection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.landmarks import FLIP, LEFT_EYE, RIGHT_EYE, lid_opening, outer_canthal_distance
from lidloop.synthetic.geometry import (
    DROP_AT_FULL_PTOSIS_MM,
    MIN_OPENING_MM,
    SIDES,
    Expression,
    Identity,
    Pose,
    build,
    severity_of,
)
from lidloop.synthetic.truth import SceneOptions, truth_of
from tests.properties import examples

degrees = st.floats(0, 1)
angles = st.floats(-35, 35)
poses = st.builds(Pose, yaw=angles, pitch=st.floats(-18, 18), roll=angles, scale=st.floats(0.3, 8))
identities = st.builds(
    Identity,
    inner_half=st.floats(14, 18),
    fissure=st.floats(26.5, 31.5),
    tilt=st.floats(-1, 4.5),
    mrd1=st.floats(2.8, 5),
    mrd2=st.floats(4.2, 6.2),
    brow_arch=st.floats(0.4, 1.6),
    nose_length=st.floats(0.85, 1.15),
    mouth_width=st.floats(0.85, 1.15),
)


@given(identities, poses, degrees, degrees)
@examples(60)
def test_opening_is_the_sum_of_both_margin_distances(
    who: Identity, pose: Pose, left: float, right: float
) -> None:
    truth = truth_of(build(who, Expression(), (left, right)), pose)
    for eye in truth.eyes.values():
        assert eye.pfh == pytest.approx(eye.mrd1 + eye.mrd2, abs=1e-9)
        assert eye.pfh > 0


@given(identities, degrees)
@examples(40)
def test_lid_heights_of_a_frontal_face_are_the_identitys(who: Identity, degree: float) -> None:
    truth = truth_of(build(who, Expression(), (0.0, degree)), Pose(scale=2.0))
    assert truth.eyes["left"].mrd1 == pytest.approx(2 * who.mrd1)
    assert truth.eyes["left"].mrd2 == pytest.approx(2 * who.mrd2)
    drop = min(degree * DROP_AT_FULL_PTOSIS_MM, who.mrd1 + who.mrd2 - MIN_OPENING_MM)
    assert truth.eyes["right"].drop == pytest.approx(2 * drop)
    assert truth.eyes["right"].mrd1 == pytest.approx(2 * (who.mrd1 - drop))
    assert truth.eyes["right"].mrd2 == pytest.approx(2 * who.mrd2)


@given(identities, poses, degrees, degrees, st.sampled_from([0, 1]))
@examples(60)
def test_more_ptosis_lowers_that_lid_only(
    who: Identity, pose: Pose, one: float, other: float, side: int
) -> None:
    low, high = sorted((one, other))
    degree = [(low, 0.0), (high, 0.0)] if side == 0 else [(0.0, low), (0.0, high)]
    less, more = (truth_of(build(who, Expression(), d), pose) for d in degree)
    name, still = SIDES[side], SIDES[1 - side]
    assert more.eyes[name].mrd1 <= less.eyes[name].mrd1 + 1e-9
    assert more.eyes[still] == less.eyes[still]
    same = [k for k in range(51) if k not in _upper(side)]
    np.testing.assert_allclose(more.points[same], less.points[same], atol=1e-9)


def _upper(side: int) -> set[int]:
    return {pair[0] for pair in (LEFT_EYE, RIGHT_EYE)[side].lid_pairs}


@given(identities, angles, st.floats(-18, 18), angles, degrees, degrees, st.floats(-15, 15))
@examples(40)
def test_mirrored_parameters_give_the_mirrored_face(
    who: Identity, yaw: float, pitch: float, roll: float, left: float, right: float, gaze: float
) -> None:
    face = truth_of(
        build(who, Expression(gaze=(gaze, 4.0)), (left, right)), Pose(yaw, pitch, roll, 2.0, (100.0, 50.0))
    )
    mirrored = truth_of(
        build(who, Expression(gaze=(-gaze, 4.0)), (right, left)),
        Pose(-yaw, pitch, -roll, 2.0, (-100.0, 50.0)),
    )
    np.testing.assert_allclose(face.points[list(FLIP), :2] * (-1, 1), mirrored.points[:, :2], atol=1e-9)
    assert face.eyes["left"].mrd1 == pytest.approx(mirrored.eyes["right"].mrd1)
    assert face.pupils["left"][0] == pytest.approx(-mirrored.pupils["right"][0])


def test_iris_scales_with_the_outer_canthal_distance() -> None:
    truth = truth_of(build(Identity(), Expression()), Pose(scale=3.0))
    canthal = outer_canthal_distance(truth.points)
    assert canthal == pytest.approx(270.0, abs=0.3)  # a little more: the outer canthi stand higher
    assert 2 * truth.iris_radius / canthal == pytest.approx(11.7 / 90, rel=1e-3)


@given(poses, degrees)
@examples(30)
def test_pair_opening_is_that_of_the_landmarks(pose: Pose, degree: float) -> None:
    truth = truth_of(build(Identity(), Expression(), (degree, 0.0)), pose)
    assert truth.eyes["left"].pfh_pairs == pytest.approx(float(lid_opening(truth.points, LEFT_EYE)))
    assert truth.eyes["right"].pfh_pairs == pytest.approx(float(lid_opening(truth.points, RIGHT_EYE)))


@given(identities, degrees)
@examples(30)
def test_lid_points_lie_on_the_margins_at_thirds_of_their_length(who: Identity, degree: float) -> None:
    eye = build(who, Expression(), (degree, 0.0)).eyes["left"]
    a = np.linspace(1e-4, 1 - 1e-4, 20001) * eye.length
    for upper in (True, False):
        b = eye.margin(a, upper=upper)[0]
        arc = np.concatenate([[0], np.cumsum(np.hypot(np.diff(a), np.diff(b)))])
        for share, point in zip((1 / 3, 2 / 3), eye.thirds(upper=upper), strict=True):
            at = (point - eye.corner) @ np.linalg.pinv(eye.plane).T
            assert at[1] == pytest.approx(float(eye.margin(at[0], upper=upper)[0]), abs=1e-9)
            assert np.interp(at[0], a, arc) / arc[-1] == pytest.approx(share, abs=0.01)


def test_slope_of_the_margin_is_its_derivative() -> None:
    eye = build(Identity(), Expression(), (0.4, 0.0)).eyes["left"]
    a = np.linspace(3, eye.length - 3, 50)
    for upper in (True, False):
        numeric = (eye.margin(a + 1e-5, upper=upper)[0] - eye.margin(a - 1e-5, upper=upper)[0]) / 2e-5
        np.testing.assert_allclose(eye.margin(a, upper=upper)[1], numeric, atol=1e-6)


def test_points_are_ordered_as_in_the_ibug_scheme() -> None:
    p = truth_of(build(Identity(), Expression(mouth_open=8)), Pose(scale=1.0)).points
    assert (np.diff(p[0:10, 0]) > 0).all()  # brows left to right
    assert (np.diff(p[10:14, 1]) > 0).all()  # bridge downwards
    assert (np.diff(p[14:19, 0]) > 0).all()
    assert (np.diff(p[31:38, 0]) > 0).all()
    assert (np.diff(p[37:43, 0]) < 0).all()
    assert (np.diff(p[43:48, 0]) > 0).all()
    assert p[34, 1] < p[45, 1] < p[49, 1] < p[40, 1]  # outer upper, inner upper, inner lower, outer lower
    for eye in (LEFT_EYE, RIGHT_EYE):
        for upper, lower in eye.lid_pairs:
            assert p[upper, 1] < p[lower, 1]
        assert abs(p[eye.outer, 0]) > abs(p[eye.inner, 0])


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll", "nose"),
    [
        pytest.param(20, 0, 0, (1, 0), id="yaw to the picture's right"),
        pytest.param(0, 20, 0, (0, -1), id="pitch up"),
        pytest.param(0, 0, 20, (-1, 0), id="roll clockwise takes the low nose left"),
    ],
)
def test_signs_of_the_pose(yaw: float, pitch: float, roll: float, nose: tuple[int, int]) -> None:
    model = build(Identity(), Expression())
    moved = Pose(yaw, pitch, roll).project(model.points[13]) - Pose().project(model.points[13])
    assert (moved * nose).sum() > 3


@pytest.mark.parametrize(
    ("drop", "name"),
    [(0.0, "none"), (0.1, "mild"), (2.0, "mild"), (2.1, "moderate"), (4.0, "moderate"), (4.1, "severe")],
)
def test_severity(drop: float, name: str) -> None:
    assert severity_of(drop) == name


def test_degrees_outside_the_range_are_rejected() -> None:
    with pytest.raises(ValueError, match="0…1"):
        build(Identity(), Expression(), (0.0, 1.2))


def test_options_with_a_reversed_range_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"SceneOptions\.yaw"):
        replace(SceneOptions(), yaw=(10.0, -10.0))

"""Tests of the checks that eyes look ahead and the face is at rest, on the geometry of drawn faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lidloop.landmarks import outer_canthal_distance, patient_eyes
from lidloop.screening.measurements import SIDES, EyeMeasurement, Length, Pupil
from lidloop.screening.reasons import KINDS
from lidloop.screening.rest import face_problems, gaze_problem, nod_problem, squint_problem
from lidloop.synthetic import draw_face
from lidloop.synthetic.truth import Picture

EYES = patient_eyes()


def measured(picture: Picture) -> tuple[np.ndarray, dict[str, EyeMeasurement], float]:
    """Landmarks, eyes with the true pupils and heights, and outer-canthal distance."""
    truth = picture.faces[0]
    points = truth.points
    eyes = {}
    for side, name in (("OD", "left"), ("OS", "right")):
        eye, heights = EYES[side], truth.eyes[name]
        upper = points[[eye.outer, *(pair[0] for pair in eye.lid_pairs), eye.inner], :2]
        lower = points[[eye.outer, *(pair[1] for pair in eye.lid_pairs), eye.inner], :2]
        lengths = {name: Length(getattr(heights, name)) for name in ("mrd1", "mrd2")}
        pupil = Pupil(*truth.pupils[name], "fitted", 0.9)
        eyes[side] = EyeMeasurement(side, lengths, None, pupil, upper, lower, "pixels", 0.9, {})
    return points, eyes, float(outer_canthal_distance(points))


def codes(**how) -> set[str]:
    points, eyes, canthal = measured(draw_face(seed=3, **how))
    found = [gaze_problem(eyes), squint_problem(eyes, canthal), nod_problem(points)]
    return {r.code for r in [*found, *face_problems(points, EYES, canthal)] if r is not None}


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({}, set()),
        ({"gaze": (8, 0)}, set()),
        ({"gaze": (28, 0)}, {"looks-aside"}),
        ({"gaze": (-28, 0)}, {"looks-aside"}),
        ({"gaze": (0, -28)}, {"looks-up"}),
        ({"gaze": (0, 28)}, {"looks-down"}),
        ({"roll": 20}, set()),
        ({"yaw": 10}, set()),
        ({"pitch": 28}, {"nodded"}),
    ],
)
def test_gaze_and_pose(how: dict, wanted: set[str]) -> None:
    assert codes(**how) & {"looks-aside", "looks-up", "looks-down", "nodded", "squint"} >= wanted
    if not wanted:
        assert codes(**how) == set()


@pytest.mark.parametrize("degree", [0.4, 0.7, 1.0])
@pytest.mark.parametrize("sides", [(1, 0), (0, 1), (1, 1)])
def test_ptosis_is_no_problem_of_the_picture(degree: float, sides: tuple[int, int]) -> None:
    assert codes(ptosis=(degree * sides[0], degree * sides[1])) == set()


def test_both_eyes_are_narrowed_if_both_lids_of_both_sides_are_close_to_the_pupil() -> None:
    _, eyes, canthal = measured(draw_face(seed=3))
    narrow = {
        side: replace(eye, lengths={"mrd1": Length(0.025 * canthal), "mrd2": Length(0.04 * canthal)})
        for side, eye in eyes.items()
    }
    assert squint_problem(narrow, canthal).code == "squint"
    for side in SIDES:
        assert squint_problem({**narrow, side: eyes[side]}, canthal) is None
        by_landmarks = {**narrow, side: replace(narrow[side], lid_method="landmarks")}
        assert squint_problem(by_landmarks, canthal) is None


def test_eyes_that_look_in_different_directions_give_no_reason() -> None:
    _, eyes, canthal = measured(draw_face(seed=3))
    pupils = {side: replace(eye.pupil, x=eye.pupil.x + (1 if side == "OS" else -1) * 0.06 * canthal)
              for side, eye in eyes.items()}  # fmt: skip
    apart = {side: replace(eye, pupil=pupils[side]) for side, eye in eyes.items()}
    assert gaze_problem(apart) is None
    assert gaze_problem({**eyes, "OD": replace(eyes["OD"], pupil=None)}) is None


@pytest.mark.parametrize(
    ("rows", "factor", "code"),
    [
        ((31, 37), 1.6, "smile"),
        ((45, 49), None, "mouth-open"),
        (range(10), 1.9, "brows-raised"),
        (range(10), 0.5, "brows-lowered"),
    ],
)
def test_a_face_that_is_not_at_rest_is_said_to_be_so(rows, factor: float | None, code: str) -> None:
    points, _, canthal = measured(draw_face(seed=3))
    moved = points.copy()
    if factor is None:
        moved[45, 1], moved[49, 1] = moved[45, 1] - 0.15 * canthal, moved[49, 1] + 0.15 * canthal
    elif code == "smile":
        middle = points[[31, 37], :2].mean(axis=0)
        moved[[31, 37], :2] = middle + factor * (points[[31, 37], :2] - middle)
    else:
        line = points[[19, 22, 25, 28], 1].mean()
        moved[:10, 1] = line + factor * (points[:10, 1] - line)
    found = face_problems(moved, EYES, canthal)
    assert [reason.code for reason in found] == [code]
    assert KINDS[code].subject == "picture"
    one_brow = points.copy()
    one_brow[:5] = moved[:5]
    assert face_problems(one_brow, EYES, canthal) == []


def test_a_lowered_chin_is_told_from_a_raised_one() -> None:
    points, _, _ = measured(draw_face(seed=3))
    line, mouth = points[[19, 28], 1].mean(), points[[31, 37], 1].mean()
    for share, how in ((0.1, "raised"), (0.9, "lowered")):
        points[13, 1] = line + share * (mouth - line)
        assert how in nod_problem(points).text


def test_landmarks_that_coincide_give_no_reason() -> None:
    assert face_problems(np.zeros((51, 3)), EYES, 0.0) == []
    assert nod_problem(np.zeros((51, 3))) is None

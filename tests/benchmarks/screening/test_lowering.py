"""Lids of drawn faces lowered by a known number of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.screening.lowering import Lowered, lower_lids
from lidloop.errors import LidloopError
from lidloop.labels import Face, box_of
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE
from lidloop.screening.ptosis import measure_face
from lidloop.synthetic import draw_face
from lidloop.synthetic.truth import Picture


@pytest.fixture(scope="module")
def face() -> Picture:
    return draw_face(seed=4, size=(460, 460), canthal_px=200, noise=3.0)


def lowered(face: Picture, **by_px: float) -> Lowered:
    truth = face.faces[0]
    pupils: Any = {"OD": truth.pupils["left"], "OS": truth.pupils["right"]}
    return lower_lids(face.image, truth.points, by_px, pupils=pupils)  # type: ignore[arg-type]


def test_the_skin_above_the_margin_moves_by_exactly_the_pixels_asked_for(face: Picture) -> None:
    truth = face.faces[0]
    column = round(truth.pupils["left"][0])
    margin = round(truth.pupils["left"][1] - truth.eyes["left"].mrd1)
    out = lowered(face, OD=5).image
    before = face.image[margin - 3 : margin + 1, column].astype(int)
    after = out[margin + 2 : margin + 6, column].astype(int)
    assert np.abs(before - after).max() <= 2
    assert (
        np.abs(out[margin : margin + 3, column].astype(int) - face.image[margin : margin + 3, column]).max()
        > 20
    )


@pytest.mark.parametrize("roll", [0.0, 17.0])
def test_the_margin_that_is_measured_falls_by_what_was_made(roll: float) -> None:
    picture = draw_face(seed=7, size=(460, 460), canthal_px=190, roll=roll)
    truth = picture.faces[0]
    made = np.array([2.0, 4.0, 6.0, 8.0])
    pupils: Any = {"OD": truth.pupils["left"], "OS": truth.pupils["right"]}
    images = [lowered(picture, OS=float(px)).image for px in made]
    found = [
        measure_face(image, truth.face(), pupils=pupils).eyes["OS"].lengths["mrd1"].px for image in images
    ]
    slope = np.polyfit(made, found, 1)[0]
    assert slope == pytest.approx(-1, abs=0.12)


def test_nothing_but_the_lid_changes(face: Picture) -> None:
    points = face.faces[0].points
    out = lowered(face, OD=6).image
    changed = np.argwhere((out != face.image).any(axis=-1))
    outer, inner = points[LEFT_EYE.outer], points[LEFT_EYE.inner]
    lowest = points[[pair[1] for pair in LEFT_EYE.lid_pairs], 1].max()
    assert len(changed) > 500
    assert changed[:, 1].min() > outer[0] - 1
    assert changed[:, 1].max() < inner[0] + 1
    assert changed[:, 0].max() < lowest
    assert changed[:, 0].min() > points[list(LEFT_EYE.brow), 1].min() - 5


def test_zero_pixels_leave_the_picture_as_it_is(face: Picture) -> None:
    same = lowered(face, OD=0, OS=0)
    assert np.array_equal(same.image, face.image)
    assert same.image is not face.image
    assert [side.px for side in same.truth.values()] == [0, 0]


def test_both_sides_are_lowered_independently_of_each_other(face: Picture) -> None:
    both, od, os_ = (lowered(face, **by).image for by in ({"OD": 4, "OS": 4}, {"OD": 4}, {"OS": 4}))
    middle = face.image.shape[1] // 2
    assert np.array_equal(both[:, :middle], od[:, :middle])
    assert np.array_equal(both[:, middle:], os_[:, middle:])


def test_the_picture_given_is_not_changed(face: Picture) -> None:
    before = face.image.copy()
    lowered(face, OD=3)
    assert np.array_equal(face.image, before)


def test_grain_and_colour_of_the_skin_are_kept(face: Picture) -> None:
    points = face.faces[0].points
    out = lowered(face, OS=4.5).image
    x = round(points[[RIGHT_EYE.outer, RIGHT_EYE.inner], 0].mean())
    y = round(points[[pair[0] for pair in RIGHT_EYE.lid_pairs], 1].mean())
    skin = (slice(y - 18, y - 4), slice(x - 12, x + 12))
    grain = [np.diff(picture[skin].astype(float), axis=1).std() for picture in (face.image, out)]
    assert grain[1] / grain[0] == pytest.approx(1, abs=0.35)
    assert np.abs(face.image[skin].mean(axis=(0, 1)) - out[skin].mean(axis=(0, 1))).max() < 12


def test_millimetres_follow_the_outer_canthi(face: Picture) -> None:
    assert lowered(face, OD=4).truth["OD"].mm == pytest.approx(4 * 90 / 200, rel=0.03)


@pytest.mark.parametrize("by", [-1.0, 60.0])
def test_a_movement_that_no_lid_can_make_is_refused(face: Picture, by: float) -> None:
    with pytest.raises(LidloopError, match="cannot be lowered"):
        lowered(face, OD=by)


def test_landmarks_without_a_vertical_are_refused(face: Picture) -> None:
    points = np.zeros((51, 3))
    with pytest.raises(LidloopError, match="outer canthi"):
        lower_lids(face.image, points, {"OD": 1.0})


def test_a_lowered_face_is_still_measured_on_both_sides(face: Picture) -> None:
    points = face.faces[0].points
    measured = measure_face(lowered(face, OD=5).image, Face(box_of(points), points))
    difference = measured.differences["mrd1"].px
    assert difference == pytest.approx(-5, abs=1.5)

"""Drawn pictures: reproducible, faces at their true positions, eyes exact to the sub-pixel."""

from __future__ import annotations

import numpy as np
import pytest

from lidloop.synthetic import FaceTruth, Picture, SceneOptions, draw_face, draw_picture
from lidloop.synthetic.geometry import SIDES, Identity

PLAIN = SceneOptions(background=0.3, distractors=0, noise=(0, 0), blur=(0, 0), motion=0.0)


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [draw_picture(seed=seed) for seed in range(14)]


def test_a_seed_gives_the_same_bytes(pictures: list[Picture]) -> None:
    again = draw_picture(seed=3)
    assert again.image.tobytes() == pictures[3].image.tobytes()
    assert [f.to_json() for f in again.faces] == [f.to_json() for f in pictures[3].faces]
    assert not np.array_equal(pictures[3].image, pictures[4].image)


def test_pictures_follow_their_options(pictures: list[Picture]) -> None:
    counts = [len(p.faces) for p in pictures]
    assert max(counts) <= 5
    assert sum(counts) > 1.5 * len(pictures)
    for picture in pictures:
        assert picture.image.shape == (360, 480, 3)
        assert picture.image.dtype == np.uint8
        assert picture.image.std() > 8
        for face in picture.faces:
            inside = ((face.points[:, :2] >= 0) & (face.points[:, :2] <= (479, 359))).all(axis=1)
            np.testing.assert_array_equal(face.points[:, 2] == 0, ~inside)
            assert inside.mean() >= 0.6
            box = face.face().box
            assert (box >= 0).all()
            assert (box <= (479, 359, 479, 359)).all()


def test_every_drawn_face_can_be_found(pictures: list[Picture]) -> None:
    for picture in pictures:
        for face in picture.faces:
            assert (face.points[:, 2] == 2).mean() >= 0.3, face.occluder


def test_visibility_flags_have_a_cause(pictures: list[Picture]) -> None:
    for face in (f for p in pictures for f in p.faces):
        hair = face.occluded[:10].any()
        assert not face.occluded.any() or hair or face.occluder != "none" or face.glasses == "sun"


@pytest.mark.parametrize(
    ("options", "check"),
    [
        pytest.param(SceneOptions(faces=(0, 0)), lambda f: False, id="no faces"),
        pytest.param(SceneOptions(ptosis=0.0), lambda f: max(f.ptosis.values()) == 0, id="no ptosis"),
        pytest.param(
            SceneOptions(ptosis=1.0, bilateral=1.0, ptosis_degree=(0.5, 0.9)),
            lambda f: min(f.ptosis.values()) >= 0.5 and max(f.ptosis.values()) <= 0.9,
            id="droopier",
        ),
        pytest.param(
            SceneOptions(face_px=(30, 50), border_cut=0),
            lambda f: np.ptp(f.points[:, :2], axis=0).max() <= 51,
            id="smaller",
        ),
        pytest.param(SceneOptions(border_cut=0.0), lambda f: (f.points[:, 2] > 0).all(), id="none cut"),
        pytest.param(
            SceneOptions(border_cut=1.0), lambda f: (f.points[:, 2] == 0).any(), id="all cut by the border"
        ),
        pytest.param(SceneOptions(yaw=(20, 30)), lambda f: 20 <= f.pose.yaw <= 30, id="turned"),
        pytest.param(SceneOptions(glasses=1.0, sunglasses=0.0), lambda f: f.glasses == "clear", id="glasses"),
    ],
)
def test_options_shift_what_is_drawn(options: SceneOptions, check: object) -> None:
    faces = [f for seed in range(5) for f in draw_picture(seed=seed, options=options).faces]
    assert all(check(face) for face in faces)  # type: ignore[operator]
    assert options.faces == (0, 0) or len(faces) >= 3


def test_lower_exposure_is_darker() -> None:
    dark = draw_picture(seed=1, options=SceneOptions(exposure=(0.3, 0.3)))
    bright = draw_picture(seed=1, options=SceneOptions(exposure=(1.0, 1.0)))
    assert dark.image.mean() < 0.6 * bright.image.mean()


def test_masks_hide_the_mouth_and_sunglasses_the_eyes() -> None:
    masked = SceneOptions(mask=1.0, hand=0.0, clutter=0.0, faces=(1, 1), border_cut=0.0)
    shaded = SceneOptions(sunglasses=1.0, glasses=0.0, mask=0, hand=0, clutter=0, faces=(1, 1), border_cut=0)
    wearers = [f for s in range(8) for f in draw_picture(seed=s, options=masked).faces]
    mouths = [f.occluded[31:51].mean() for f in wearers if f.occluder == "mask"]
    eyes = [f.occluded[19:31].mean() for s in range(8) for f in draw_picture(seed=s, options=shaded).faces]
    assert len(mouths) >= 6  # a mask is left off where too little of the face would remain
    assert min(mouths) == 1.0
    assert np.mean(eyes) > 0.9


def _edge(profile: np.ndarray, guess: float) -> float:
    """Place of the steepest rise near ``guess`` in a profile, to sub-pixel by a parabola."""
    rise = np.diff(profile.astype(np.float64))
    low = max(round(guess) - 3, 1)
    k = low + int(np.argmax(rise[low : round(guess) + 3]))
    left, middle, right = rise[k - 1 : k + 2]
    return k + 0.5 + 0.5 * (left - right) / (left - 2 * middle + right)


def _column_edge(
    image: np.ndarray, truth: FaceTruth, side: str, mm: float, *, upper: bool
) -> tuple[float, float]:
    """Measured and true height of a lid margin in a pixel column ``mm`` beside the pupil (frontal faces)."""
    from lidloop.synthetic.geometry import Expression, build

    x = round(truth.pupils[side][0] + mm * truth.px_per_mm)
    sign = -1 if side == "left" else 1
    ptosis = tuple(truth.eyes[s].ptosis for s in SIDES)
    eye = build(Identity(), Expression(), ptosis).eyes[side]  # type: ignore[index, arg-type]
    corner = truth.pose.project(eye.corner)
    a = sign * (x - corner[0]) / truth.px_per_mm / abs(eye.plane[0, 0])
    true = float(corner[1] + truth.px_per_mm * eye.margin(np.array(a), upper=upper)[0])
    column = image[:, x].mean(axis=1)
    if upper:
        return _edge(column, true), true
    return len(column) - 1 - _edge(column[::-1], len(column) - 1 - true), true


@pytest.mark.parametrize("seed", [0, 2, 5, 7])
@pytest.mark.parametrize("degree", [0.0, 0.25])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.3, 0.45)])
def test_the_sclera_ends_at_the_true_margin(seed: int, degree: float, offset: tuple[float, float]) -> None:
    picture = draw_face(
        seed=seed, size=(700, 500), canthal_px=500, ptosis=(degree, 0.0), identity=Identity(), offset=offset
    )
    truth = picture.faces[0]
    for side in SIDES:
        for mm in (-8.0, 8.0):  # beside the iris
            for upper in (True, False):
                measured, true = _column_edge(picture.image, truth, side, mm, upper=upper)
                assert measured == pytest.approx(true, abs=0.5), (side, mm, upper)


@pytest.mark.parametrize("seed", [0, 5, 7])
def test_the_iris_has_the_true_centre_and_width(seed: int) -> None:
    picture = draw_face(seed=seed, size=(700, 500), canthal_px=500, offset=(0.2, 0.4))
    truth = picture.faces[0]
    for side in SIDES:
        x, y = truth.pupils[side]
        row = picture.image[round(y)].mean(axis=1)
        right = _edge(row, x + truth.iris_radius)
        left = len(row) - 1 - _edge(row[::-1], len(row) - 1 - (x - truth.iris_radius))
        assert (right - left) / 2 == pytest.approx(truth.iris_radius, abs=0.5)
        assert (right + left) / 2 == pytest.approx(x, abs=0.5)


def test_the_light_reflex_marks_the_pupil_centre_until_the_lid_covers_it() -> None:
    shown = draw_face(seed=0, canthal_px=300, size=(480, 480))
    covered = draw_face(seed=0, canthal_px=300, size=(480, 480), ptosis=(1.0, 0.0))
    x, y = (round(v) for v in shown.faces[0].pupils["left"])
    assert shown.image[y, x].min() > 225
    assert covered.faces[0].eyes["left"].mrd1 < 0
    assert covered.image[y, x].max() < 225
    assert covered.faces[0].eyes["left"].severity == "severe"


def test_a_face_has_the_given_width() -> None:
    truth = draw_face(seed=4, canthal_px=222.0).faces[0]
    assert abs(truth.points[28, 0] - truth.points[19, 0]) == pytest.approx(222.0)
    assert (truth.points[:, 2] == 2).all()
    assert truth.ptosis == {"left": 0.0, "right": 0.0}


def test_unknown_glasses_are_rejected() -> None:
    with pytest.raises(ValueError, match="glasses"):
        draw_face(glasses="monocle")


def test_truth_round_trips_through_json(pictures: list[Picture]) -> None:
    face = pictures[0].faces[0]
    again = FaceTruth.from_json(face.to_json())
    np.testing.assert_allclose(again.points, face.points, atol=1e-4)
    assert again.eyes == face.eyes
    assert again.pose == face.pose
    assert again.pupils["left"] == pytest.approx(face.pupils["left"], abs=1e-4)

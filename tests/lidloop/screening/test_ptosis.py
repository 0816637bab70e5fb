"""Measurements of drawn faces, compared with their exact geometry."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lidloop.errors import LidloopError
from lidloop.eyes.look import look_at
from lidloop.eyes_training.face_samples import perturb
from lidloop.images import decode_rgb
from lidloop.labels import Face, box_of
from lidloop.landmarks import FLIP, LEFT_EYE, N_POINTS, lid_opening, outer_canthal_distance
from lidloop.screening.flags import judged_again
from lidloop.screening.measurements import DIFFERENCES, LENGTHS, SIDES, FaceMeasurement
from lidloop.screening.ptosis import measure_face
from lidloop.screening.screen import ModelInfo, Screening
from lidloop.synthetic import draw_face
from lidloop.synthetic.truth import Picture
from serving.screening_answer import to_json
from tests.properties import examples

PICTURE = draw_face(
    seed=21, canthal_px=170, size=(400, 400), ptosis=(0.5, 0.0), roll=5, yaw=4, blur=0.4, noise=2
)
TRUTH = PICTURE.faces[0]
MODEL = ModelInfo("drawn", None, 0, "0" * 64)
FACE = Face(box_of(TRUTH.points), perturb(TRUTH.points, np.random.default_rng(1), 0.02))
CANTHAL = float(outer_canthal_distance(TRUTH.points))


def measured(picture: Picture = PICTURE, **how) -> FaceMeasurement:
    return measure_face(picture.image, picture.faces[0].face() if picture is not PICTURE else FACE, **how)


def moved(points: np.ndarray, matrix: np.ndarray, shift: np.ndarray | float = 0.0) -> Face:
    out = points.copy()
    out[:, :2] = points[:, :2] @ np.asarray(matrix).T + shift
    return Face(box_of(out), out)


def lengths(found: FaceMeasurement) -> dict[str, float]:
    return {f"{side} {name}": value.px for side in SIDES for name, value in found.eyes[side].lengths.items()}


# Lengths


def test_lids_and_pupil_found_in_the_pixels_are_near_the_truth() -> None:
    found = measured()
    assert found.problems == ()
    for side, name in (("OD", "left"), ("OS", "right")):
        eye, true = found.eyes[side], TRUTH.eyes[name]
        assert (eye.lid_method, eye.withheld) == ("pixels", {})
        assert eye.pupil.method == "fitted"
        assert np.linalg.norm(np.array([eye.pupil.x, eye.pupil.y]) - TRUTH.pupils[name]) < 0.01 * CANTHAL
        assert eye.pupil.iris_radius == pytest.approx(TRUTH.iris_radius, rel=0.06)
        for length in ("pfh", "mrd1", "mrd2"):
            assert abs(eye.lengths[length].px - getattr(true, length)) < 0.008 * CANTHAL
        assert eye.height_to_width == pytest.approx(eye.lengths["pfh"].px / eye.lengths["width"].px, rel=1e-3)
        assert eye.lengths["brow_lid"].method == "landmarks"
    assert found.scale.method == "iris"
    assert found.scale.mm_per_px == pytest.approx(1 / TRUTH.px_per_mm, rel=0.07)


@pytest.mark.parametrize("degree", [0.0, 0.3, 0.6, 1.0])
def test_pixel_refinement_is_more_accurate_than_landmarks_at_every_degree_of_ptosis(degree: float) -> None:
    """Mean over four faces and both eyes; at degree 1 the lid covers the pupil."""
    refined, coarse = [], []
    for seed in range(4):
        picture = draw_face(seed=30 + seed, canthal_px=160, size=(380, 380), ptosis=(degree, 0.0), noise=2)
        truth = picture.faces[0]
        points = perturb(truth.points, np.random.default_rng(seed), 0.03)
        found = measure_face(picture.image, Face(box_of(points), points))
        for side, name in (("OD", "left"), ("OS", "right")):
            eye = found.eyes[side]
            assert eye.lid_method == "pixels"
            refined += [abs(eye.lengths[k].px - getattr(truth.eyes[name], k)) for k in ("pfh", "mrd1")]
        coarse.append(abs(float(lid_opening(points, LEFT_EYE)) - truth.eyes["left"].pfh_pairs))
    assert np.mean(refined) < 0.006 * 160
    assert np.mean(refined) < np.mean(coarse)


def test_margins_run_from_the_outer_to_the_inner_canthus() -> None:
    for side, outer, inner in (("OD", 19, 22), ("OS", 28, 25)):
        eye = measured().eyes[side]
        for curve in (eye.upper_lid, eye.lower_lid):
            assert np.linalg.norm(curve[0] - TRUTH.points[outer, :2]) < 0.02 * CANTHAL
            assert np.linalg.norm(curve[-1] - TRUTH.points[inner, :2]) < 0.02 * CANTHAL
        assert (eye.upper_lid[8:-8, 1] < eye.lower_lid[8:-8, 1]).all()


def test_every_length_is_measured_or_withheld_with_a_reason() -> None:
    for picture in (PICTURE, draw_face(seed=1, glasses="sun"), draw_face(seed=2, opening=0.0)):
        for eye in measured(picture).eyes.values():
            assert set(eye.lengths) | set(eye.withheld) == set(LENGTHS)
            assert not set(eye.lengths) & set(eye.withheld)
            assert all(reason.code and reason.text for reason in eye.withheld.values())


def test_differences_are_those_of_the_two_values_shown_beside_them() -> None:
    """OD minus OS; the drooping right eye is lower."""
    found = measured()
    assert set(found.differences) == set(DIFFERENCES)
    check_differences(found)
    assert found.differences["mrd1"].px < 0


def check_differences(found: FaceMeasurement) -> None:
    """Millimetres and pixels of each difference are those of the lengths shown, to two decimals."""
    for name, difference in found.differences.items():
        od, os_ = (found.eyes[side].lengths[name] for side in SIDES)
        assert difference.px == round(od.px - os_.px, 2)
        assert difference.mm == (None if od.mm is None else round(od.mm - os_.mm, 2))
        worse = "pixels" if od.method == os_.method == "pixels" else "landmarks"
        assert difference.method == worse


@pytest.fixture
def unclear_left_eye(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels of the patient's left eye give neither margins nor pupil of sufficient quality."""

    def look(*args):
        od, os_ = look_at(*args)
        return [od, replace(os_, lid_quality=0.3, pupil_quality=0.3)]

    monkeypatch.setattr("lidloop.screening.eye_reading.look_at", look)


@pytest.mark.usefixtures("unclear_left_eye")
def test_sides_measured_by_different_methods_have_the_difference_of_the_values_shown() -> None:
    """As in a report of OD 4.70 and OS 6.96 mm with a difference of +0.49: both re-measured by landmarks."""
    points = FACE.points.copy()
    points[[26, 27], 1] -= 6
    pupils = {"OD": TRUTH.pupils["left"], "OS": TRUTH.pupils["right"]}
    found = measure_face(PICTURE.image, Face(box_of(points), points), pupils=pupils)
    assert [found.eyes[side].lid_method for side in SIDES] == ["pixels", "landmarks"]
    assert found.differences["mrd1"].mm < -2
    assert found.differences["mrd1"].mm_error > found.eyes["OS"].lengths["mrd1"].mm_error
    check_differences(found)


@pytest.mark.usefixtures("unclear_left_eye")
def test_pfh_is_measured_beside_the_pupil_on_both_sides_if_one_has_no_pupil() -> None:
    found = measured()
    assert [eye.pupil is None for eye in found.eyes.values()] == [False, True]
    od = found.eyes["OD"].lengths
    assert od["pfh"].px < od["mrd1"].px + od["mrd2"].px - 0.2
    check_differences(found)


def test_pfh_goes_through_the_pupils_if_both_are_known() -> None:
    for eye in measured().eyes.values():
        heights = eye.lengths["mrd1"].px + eye.lengths["mrd2"].px
        assert eye.lengths["pfh"].px == pytest.approx(heights, abs=0.02)


# Sides, scale, pupils


@pytest.mark.parametrize("mirrored", [False, True])
def test_sides_are_the_patients(mirrored: bool) -> None:
    found = measured(mirrored=mirrored)
    drooping, other = ("OS", "OD") if mirrored else ("OD", "OS")
    assert found.eyes[drooping].lengths["pfh"].px < found.eyes[other].lengths["pfh"].px
    assert drooping in found.flag.sides


def test_a_mirrored_picture_gives_the_same_sides_and_lengths() -> None:
    width = PICTURE.image.shape[1]
    points = FACE.points[list(FLIP)].copy()
    points[:, 0] = width - 1 - points[:, 0]
    image = np.ascontiguousarray(PICTURE.image[:, ::-1])
    here, there = measured(), measure_face(image, Face(box_of(points), points), mirrored=True)
    assert lengths(there) == pytest.approx(lengths(here), abs=0.1)
    assert there.roll == pytest.approx(-here.roll)
    assert there.yaw == pytest.approx(-here.yaw)
    assert there.flag.sides == here.flag.sides


@examples(15)
@given(st.floats(0.01, 2.0), st.floats(1.01, 5.0))
def test_millimetres_are_linear_in_the_scale(scale: float, times: float) -> None:
    once, more = measured(mm_per_px=scale), measured(mm_per_px=scale * times)
    assert once.scale.method == more.scale.method == "given"
    for side in SIDES:
        for name, value in once.eyes[side].lengths.items():
            other = more.eyes[side].lengths[name]
            assert value.mm == pytest.approx(value.px * scale, abs=0.005 + 0.005 * scale)
            assert other.mm == pytest.approx(value.mm * times, abs=0.005 + 0.005 * times)
            assert other.mm_error == pytest.approx(value.mm_error * times, abs=0.005 + 0.005 * times)
            assert value.mm_error > 0
    check_differences(more)


def test_a_given_pupil_is_used_as_it_is() -> None:
    x, y = TRUTH.pupils["left"]
    found = measured(pupils={"OD": (x, y + 3)})
    assert found.eyes["OD"].pupil.method == "given"
    assert (found.eyes["OD"].pupil.x, found.eyes["OD"].pupil.y) == (x, y + 3)
    assert found.eyes["OD"].lengths["mrd1"].px == pytest.approx(
        TRUTH.eyes["left"].mrd1 + 3, abs=0.02 * CANTHAL
    )
    assert found.eyes["OS"].pupil.method == "fitted"
    elsewhere = measured(pupils={"OD": (5.0, 5.0)})
    assert elsewhere.eyes["OD"].pupil.method == "fitted"


def test_a_given_pupil_serves_where_none_can_be_fitted() -> None:
    flat = np.full_like(PICTURE.image, 128)
    flat[::3] = 90  # something sharp, but no eye
    without = measure_face(flat, FACE)
    assert {eye.lid_method for eye in without.eyes.values()} == {"landmarks"}
    assert all("mrd1" in eye.withheld for eye in without.eyes.values())
    assert without.flag.level in ("undetermined", "suspicious")


# Moved, rotated and scaled pictures


@examples(12)
@given(st.integers(-30, 40), st.integers(-30, 40))
def test_lengths_do_not_depend_on_where_the_face_is(dx: int, dy: int) -> None:
    image = cv2.warpAffine(
        PICTURE.image, np.array([[1.0, 0, dx], [0, 1, dy]]), (400, 400), borderMode=cv2.BORDER_REPLICATE
    )
    found = measure_face(image, moved(FACE.points, np.eye(2), np.array([dx, dy])))
    assert lengths(found) == pytest.approx(lengths(measured()), abs=0.02 * CANTHAL / 10)


@examples(8)
@given(st.floats(0.8, 3.0))
def test_lengths_grow_with_the_picture(times: float) -> None:
    """Tolerance for resampling: half a per cent of the outer-canthal distance."""
    size = round(400 * times)
    gain = size / 400
    image = cv2.resize(
        PICTURE.image, (size, size), interpolation=cv2.INTER_AREA if gain < 1 else cv2.INTER_CUBIC
    )
    found = measure_face(image, moved(FACE.points, gain * np.eye(2), (gain - 1) / 2))
    wanted = {name: value * gain for name, value in lengths(measured()).items()}
    assert lengths(found) == pytest.approx(wanted, abs=0.005 * CANTHAL * gain)


def test_the_eight_exif_orientations_give_the_same_measurements() -> None:
    upright = Image.fromarray(PICTURE.image)
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    found = []
    for orientation, turn in undo.items():
        stored = upright if turn is None else upright.transpose(turn)
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = io.BytesIO()
        stored.save(file, "PNG", exif=exif)
        found.append(lengths(measure_face(decode_rgb(file.getvalue(), where="test"), FACE)))
    assert all(other == found[0] for other in found)
    assert found[0]


# Withholding


@pytest.mark.parametrize(
    ("how", "code", "withheld", "kept"),
    [
        ({"canthal_px": 50}, "too-small", LENGTHS, ()),
        ({"yaw": 32}, "turned", LENGTHS, ()),
        ({"roll": 36}, "tilted", LENGTHS, ()),
        ({"opening": 0.0}, "eyes-closed", ("pfh", "mrd1", "mrd2"), ("width",)),
        ({"blur": 9.0}, "blurred", ("pfh", "mrd1", "mrd2"), ("width", "brow_lid")),
    ],
)
def test_a_picture_problem_is_reported_and_affected_lengths_are_withheld(how, code, withheld, kept) -> None:
    found = measured(draw_face(**{"seed": 8, "canthal_px": 200, **how}))
    assert code in [reason.code for reason in found.problems]
    for eye in found.eyes.values():
        assert set(withheld) <= set(eye.withheld)
        assert set(kept) <= set(eye.lengths)
    assert found.flag.level == "undetermined"


def test_one_closed_eye_is_measured() -> None:
    found = measured(draw_face(seed=8, canthal_px=200, ptosis=(1.0, 0.0)))
    assert found.problems == ()
    assert "pfh" in found.eyes["OD"].lengths
    assert "OD" in found.flag.sides


def test_a_hidden_eye_is_not_measured_and_the_other_one_is() -> None:
    image = PICTURE.image.copy()
    x, y = FACE.points[[19, 22], :2].mean(axis=0)
    cv2.rectangle(image, (int(x - 60), int(y - 45)), (int(x + 60), int(y + 45)), (24, 22, 20), -1)
    found = measure_face(image, FACE)
    assert {reason.code for reason in found.eyes["OD"].withheld.values()} == {"eye-hidden"}
    assert found.eyes["OD"].withheld.keys() == set(LENGTHS)
    assert found.eyes["OS"].withheld == {}
    assert found.differences == {}


@pytest.mark.parametrize("missing", ["outside", "visibility"])
def test_points_outside_the_picture_withhold_the_lengths_of_their_eye(missing: str) -> None:
    points = FACE.points.copy()
    image = PICTURE.image
    if missing == "outside":
        cut = int(points[19, 0]) + 2
        points[:, 0] -= cut
        image = np.ascontiguousarray(image[:, cut:])
    else:
        points[19, 2] = 0
    found = measure_face(image, Face(box_of(points), points))
    assert "cut-off" in [reason.code for reason in found.problems]
    assert {reason.code for reason in found.eyes["OD"].withheld.values()} == {"cut-off"}
    assert "pfh" in found.eyes["OS"].lengths
    assert found.differences == {}


def test_a_hidden_brow_withholds_only_the_brow_distance() -> None:
    points = FACE.points.copy()
    points[2, 2] = 0
    found = measure_face(PICTURE.image, Face(box_of(points), points))
    assert found.eyes["OD"].withheld.keys() == {"brow_lid"}
    assert "brow_lid" not in found.differences


# Invalid and arbitrary input


@examples(60)
@given(seed=st.integers(0, 2**31), spread=st.floats(0, 900), visible=st.booleans(), given_pupil=st.booleans())
def test_arbitrary_landmarks_give_finite_figures(
    seed: int, spread: float, visible: bool, given_pupil: bool
) -> None:
    rng = np.random.default_rng(seed)
    points = np.concatenate(
        [rng.normal(200, spread, (N_POINTS, 2)), rng.integers(0 if not visible else 2, 3, (N_POINTS, 1))],
        axis=1,
    )
    pupils = {"OD": (float(points[20, 0]), float(points[20, 1]))} if given_pupil else {}
    found = measure_face(PICTURE.image, Face(box_of(points), points), pupils=pupils)
    screening = Screening(
        400, 400, False, (replace(found, face=replace(found.face, box=np.zeros(4))),), MODEL, {}
    )
    json.dumps(to_json(screening), allow_nan=False)
    check_differences(found)
    assert judged_again(found) == found.flag
    for eye in found.eyes.values():
        assert set(eye.lengths) | set(eye.withheld) == set(LENGTHS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.full((N_POINTS, 3), np.nan)}, "finite"),
        ({"points": np.zeros((68, 3))}, r"\(51, 3\)"),
        ({"mm_per_px": 0.0}, "mm_per_px"),
        ({"mm_per_px": -1.0}, "mm_per_px"),
        ({"mm_per_px": float("nan")}, "mm_per_px"),
    ],
)
def test_invalid_landmarks_and_scales_are_rejected(change: dict, message: str) -> None:
    face = Face(np.zeros(4), change.get("points", FACE.points))
    with pytest.raises(LidloopError, match=message):
        measure_face(PICTURE.image, face, mm_per_px=change.get("mm_per_px"))

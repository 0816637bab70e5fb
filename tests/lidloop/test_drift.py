from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lidloop.drift import (
    DEFINITIONS,
    PER_IMAGE,
    bins,
    decile_edges,
    features,
    histogram,
    psi,
    reference_profile,
)
from lidloop.errors import LidloopError
from lidloop.labels import Face, LabelSet, box_of
from lidloop.landmarks import FLIP, GROUPS, LEFT_EYE, N_POINTS, RIGHT_EYE

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


def test_a_known_face() -> None:
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


def test_every_feature_is_defined_in_words() -> None:
    assert list(features(one(frontal()), {"a": SIZE})) == list(DEFINITIONS)


@pytest.mark.parametrize("degrees", [-150, -30, 10, 45, 120])
def test_roll_is_the_angle_and_touches_no_proportion(degrees: float) -> None:
    straight, turned = measured(frontal()), measured(rotated(frontal(), degrees))
    assert turned["roll"] == pytest.approx(degrees)
    for name in ("yaw", "pfh_ratio_left", "pfh_asymmetry", "brow_lid_right"):
        assert turned[name] == pytest.approx(straight[name], abs=1e-9), name


@pytest.mark.parametrize(("x", "expected"), [(100, -1.0), (125, -0.5), (200, 1.0)])
def test_yaw_follows_the_nose_tip(x: float, expected: float) -> None:
    points = frontal()
    points[GROUPS["nose_bridge"][-1], 0] = x
    assert measured(points)["yaw"] == pytest.approx(expected)


@settings(max_examples=50)
@given(hnp.arrays(np.float64, (N_POINTS, 2), elements=st.floats(0, 300)))
def test_a_mirrored_face_swaps_sides_and_signs(xy: np.ndarray) -> None:
    points = np.concatenate([xy, np.full((N_POINTS, 1), 2.0)], axis=1)
    there, back = measured(points), measured(mirrored(points))
    close = {"rel": 1e-6, "abs": 1e-6, "nan_ok": True}
    canthal = np.linalg.norm(xy[LEFT_EYE.outer] - xy[RIGHT_EYE.outer])
    if canthal < 1e-3:  # what is divided by next to nothing proves nothing
        return
    turn = there["roll"] + back["roll"]
    assert turn == pytest.approx(0, abs=1e-6) or abs(turn) == pytest.approx(360)
    assert back["yaw"] == pytest.approx(-there["yaw"], **close)
    assert back["pfh_asymmetry"] == pytest.approx(-there["pfh_asymmetry"], **close)
    assert back["pfh_ratio_left"] == pytest.approx(there["pfh_ratio_right"], **close)
    assert back["brow_lid_right"] == pytest.approx(there["brow_lid_left"], **close)
    assert back["position_x"] == pytest.approx(1 - there["position_x"], **close)
    assert back["box_size"] == pytest.approx(there["box_size"], **close)


@settings(max_examples=50)
@given(st.floats(0.2, 5))
def test_only_size_and_place_change_with_scale(scale: float) -> None:
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
def test_a_hidden_point_undefines_what_needs_it(index: int, undefined: set[str]) -> None:
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
def test_a_picture_without_a_size_is_named(sizes: dict[str, tuple[int, int]]) -> None:
    with pytest.raises(LidloopError, match="'a'"):
        features(one(frontal()), sizes)


class TestHistogram:
    @pytest.mark.parametrize(
        ("values", "counts"),
        [
            pytest.param(np.arange(100.0), [10] * 10, id="a hundred different values: tenths"),
            pytest.param(np.ones(30), [0, 30, 0], id="one value: a bin of its own between two empty ones"),
            pytest.param(np.r_[np.ones(15), np.full(5, 2.0)], [0, 15, 0, 5, 0], id="two values: a bin each"),
        ],
    )
    def test_of_the_reference_itself(self, values: np.ndarray, counts: list[int]) -> None:
        assert histogram(values, decile_edges(values)) == counts

    def test_later_values_fall_beyond_the_reference(self) -> None:
        assert histogram(np.array([0.0, 1.0, 3.0, np.nan]), decile_edges(np.ones(5))) == [1, 1, 1]

    @given(hnp.arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e6, 1e6)))
    def test_every_value_falls_into_one_bin_and_no_bin_of_several_values_is_large(
        self, values: np.ndarray
    ) -> None:
        edges = decile_edges(values)
        counts = histogram(values, edges)
        assert sum(counts) == len(values)
        assert edges == sorted(set(edges))
        assert histogram(values, json.loads(json.dumps(edges))) == counts
        bins = np.searchsorted(edges, values, side="right")
        for number, count in enumerate(counts):
            # A tenth and copies of its first value, which reach back less than a tenth; or one value alone.
            assert count <= len(values) / 5 + 2 or len(set(values[bins == number])) == 1

    @pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf]])
    def test_what_has_no_deciles(self, values: list[float]) -> None:
        with pytest.raises(LidloopError, match="deciles"):
            decile_edges(np.array(values))


class TestProfile:
    def test_is_json_and_counts_everything(self) -> None:
        rng = np.random.default_rng(0)
        faces = {}
        for k in range(40):
            points = rotated(frontal(), float(rng.normal(0, 10)))
            if k < 3:
                points[GROUPS["nose_bridge"][-1]] = 0
            faces[f"p{k}"] = [Face(box_of(points), points, origin=0, score=float(rng.uniform(0.3, 1)))]
        labels = LabelSet.from_faces(faces)
        profile = reference_profile(labels, dict.fromkeys(faces, SIZE))
        assert json.loads(json.dumps(profile, allow_nan=False)) == profile
        assert (profile["images"], profile["faces"]) == (40, 40)
        assert set(profile["features"]) == set(DEFINITIONS)
        for name, one_feature in profile["features"].items():
            assert sum(one_feature["counts"]) == one_feature["n"], name
            assert len(one_feature["counts"]) == len(one_feature["edges"]) + 1, name
        assert profile["features"]["yaw"]["undefined"] == 3
        assert profile["features"]["yaw"]["n"] == 37
        rolls = features(labels, dict.fromkeys(faces, SIZE))["roll"]
        assert profile["features"]["roll"]["edges"] == np.sort(rolls)[4:37:4].tolist()

    def test_a_feature_defined_nowhere(self) -> None:
        points = frontal()
        points[GROUPS["nose_bridge"][-1]] = 0
        yaw = reference_profile(one(points), {"a": SIZE})["features"]["yaw"]
        assert (yaw["edges"], yaw["counts"], yaw["n"], yaw["undefined"]) == ([], [0], 0, 1)

    def test_without_a_face(self) -> None:
        with pytest.raises(LidloopError, match="at least one face"):
            reference_profile(LabelSet.from_faces({}, images=["a"]), {"a": SIZE})


COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(sum)


def test_psi_of_a_hand_worked_case() -> None:
    # Shares 0.5, 0.5 and 0.25, 0.75: -0.25 ln 0.5 + 0.25 ln 1.5.
    assert psi([10, 10], [5, 15]) == pytest.approx(0.25 * (np.log(2) + np.log(1.5)))
    # An empty bin counts as the least share: (0.0001 - 0.5) ln(0.0001 / 0.5) + (1 - 0.5) ln 2.
    assert psi([1, 1], [0, 1]) == pytest.approx(-0.4999 * np.log(0.0002) + 0.5 * np.log(2))
    assert np.isnan(psi([0, 0], [1, 2]))
    assert np.isnan(psi([1, 2], [0, 0]))


@given(COUNTS, st.integers(1, 50), st.randoms(use_true_random=False))
def test_psi_is_zero_only_for_equal_shares_and_does_not_care_for_sides(counts, times, random) -> None:
    assert psi(counts, [times * c for c in counts]) == pytest.approx(0, abs=1e-12)
    other = random.sample(counts, len(counts))
    assert psi(counts, other) >= 0
    assert psi(counts, other) == pytest.approx(psi(other, counts))


@pytest.mark.parametrize(
    ("reference", "current", "reason"),
    [([1, 2], [1, 2, 3], "different bins"), ([1, -2], [1, 2], "negative"), ([[1]], [[1]], "different bins")],
)
def test_psi_refuses(reference: list, current: list, reason: str) -> None:
    with pytest.raises(LidloopError, match=reason):
        psi(reference, current)


@given(hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(-5, 5) | st.just(np.nan)))
def test_bins_count_up_to_the_histogram(values: np.ndarray) -> None:
    edges = [-1.0, 0.0, 2.5]
    assert np.bincount(bins(values, edges), minlength=4).tolist() == histogram(values, edges)

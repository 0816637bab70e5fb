from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lidloop.drift import (
    DEFINITIONS,
    Shape,
    bins,
    decile_edges,
    features,
    histogram,
    reference_profile,
)
from lidloop.errors import LidloopError
from lidloop.labels import Face, LabelSet, box_of
from lidloop.landmarks import GROUPS
from tests.lidloop.drift.synthetic_faces import sizes_of, synthetic_faces
from tests.lidloop.drift.test_features import SIZE, frontal, one, rotated


class TestHistogram:
    @pytest.mark.parametrize(
        ("values", "counts"),
        [
            pytest.param(np.arange(100.0), [10] * 10, id="a hundred different values: tenths"),
            pytest.param(np.ones(30), [0, 30, 0], id="one value: a bin of its own between two empty ones"),
            pytest.param(np.r_[np.ones(15), np.full(5, 2.0)], [0, 15, 0, 5, 0], id="two values: a bin each"),
        ],
    )
    def test_counts_of_the_reference_itself(self, values: np.ndarray, counts: list[int]) -> None:
        assert histogram(values, decile_edges(values)) == counts

    def test_values_outside_the_reference_are_in_the_outer_bins(self) -> None:
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
            # A tenth and copies of its first value, fewer than another tenth; or a single value.
            assert count <= len(values) / 5 + 2 or len(set(values[bins == number])) == 1

    @pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf]])
    def test_empty_and_not_finite_values_have_no_deciles(self, values: list[float]) -> None:
        with pytest.raises(LidloopError, match="deciles"):
            decile_edges(np.array(values))


@given(hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(-5, 5) | st.just(np.nan)))
def test_bins_agree_with_the_histogram(values: np.ndarray) -> None:
    edges = [-1.0, 0.0, 2.5]
    assert np.bincount(bins(values, edges), minlength=4).tolist() == histogram(values, edges)


class TestProfile:
    def test_profile_is_json_and_counts_all_values(self) -> None:
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

    def test_a_feature_without_values_has_no_edges(self) -> None:
        points = frontal()
        points[GROUPS["nose_bridge"][-1]] = 0
        yaw = reference_profile(one(points), {"a": SIZE})["features"]["yaw"]
        assert (yaw["edges"], yaw["counts"], yaw["n"], yaw["undefined"]) == ([], [0], 0, 1)

    def test_labels_without_a_face_are_rejected(self) -> None:
        with pytest.raises(LidloopError, match="at least one face"):
            reference_profile(LabelSet.from_faces({}, images=["a"]), {"a": SIZE})

    def test_profile_of_many_faces_has_a_shape(self) -> None:
        labels = synthetic_faces(120, seed=1)
        profile = json.loads(json.dumps(reference_profile(labels, sizes_of(labels)), allow_nan=False))
        shape = Shape.from_json(profile["shape"])
        assert shape is not None
        assert set(profile["features"]) == set(DEFINITIONS) | set(shape.definitions)
        for name, values in shape.features(labels.points).items():
            entry = profile["features"][name]
            assert histogram(values, entry["edges"]) == entry["counts"], name

    def test_profile_of_few_faces_has_no_shape(self) -> None:
        labels = synthetic_faces(20, seed=1)
        profile = reference_profile(labels, sizes_of(labels))
        assert profile["shape"] is None
        assert set(profile["features"]) == set(DEFINITIONS)
        assert Shape.from_json({}.get("shape")) is None

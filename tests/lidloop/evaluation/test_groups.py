"""Groups of faces compared, and those that fall behind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lidloop.evaluation.groups import MIN_FACES, UNKNOWN, compare, pose_of, size_of
from lidloop.evaluation.intervals import mean_of, share_of


def test_wilson_intervals_are_those_of_the_literature() -> None:
    found = share_of(81, 263)
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert share_of(0, 10)[:2] == (0, 0)
    assert share_of(10, 10).high == 1
    assert share_of(0, 0).value is None


def test_the_interval_of_a_mean_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for k in range(60):
        found = mean_of(rng.exponential(2.0, 80), repeats=200, seed=k)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 2.0 <= found.high
    assert covered >= 52


def test_a_mean_of_nothing_has_no_value() -> None:
    assert mean_of(np.array([np.nan])).value is None


def test_a_group_that_is_missed_more_often_falls_behind() -> None:
    tone = ["light"] * 300 + ["dark"] * 60
    found = np.r_[np.ones(300), np.ones(48), np.zeros(12)]
    result = compare({"skin tone": tone}, {"recall": found})
    (gap,) = result.failures
    assert (gap.group, gap.metric) == ("dark", "recall")
    assert gap.worse == pytest.approx(0.2)
    assert 0 < gap.low < 0.2 < gap.high
    assert "dark: Recall 80.0 % against 100.0 %" in gap.text


def test_a_difference_that_chance_explains_is_no_gap() -> None:
    tone = ["light"] * 300 + ["dark"] * 40
    found = np.r_[np.ones(295), np.zeros(5), np.ones(38), np.zeros(2)]
    assert compare({"skin tone": tone}, {"recall": found}).gaps == ()


def test_a_difference_too_small_to_matter_is_no_gap() -> None:
    tone = ["light"] * 50_000 + ["dark"] * 50_000
    rng = np.random.default_rng(1)
    errors = np.r_[rng.normal(0.050, 0.01, 50_000), rng.normal(0.052, 0.01, 50_000)]
    assert compare({"skin tone": tone}, {"nme": errors}).gaps == ()


def test_a_small_group_is_named_and_not_compared() -> None:
    few = MIN_FACES - 1
    tone = ["light"] * 300 + ["dark"] * few
    result = compare({"skin tone": tone}, {"recall": np.r_[np.ones(300), np.zeros(few)]})
    assert result.gaps == ()
    assert result.too_small == (f"skin tone dark ({few} faces)",)
    assert {line.group: line.faces for line in result.lines} == {"light": 300, "dark": few}


def test_faces_of_unknown_group_are_shown_but_compared_with_nobody() -> None:
    tone = ["light"] * 100 + ["dark"] * 100 + [UNKNOWN] * 100
    found = np.r_[np.ones(200), np.zeros(100)]
    result = compare({"skin tone": tone}, {"recall": found})
    assert result.gaps == ()
    assert result.lines[-1].group == UNKNOWN


def test_small_and_turned_faces_are_a_note_and_no_failure() -> None:
    rng = np.random.default_rng(2)
    errors = np.r_[rng.normal(0.04, 0.01, 200), rng.normal(0.09, 0.01, 200)]
    result = compare({"size": [size_of(120.0)] * 200 + [size_of(40.0)] * 200}, {"nme": errors})
    assert [gap.group for gap in result.gaps] == ["under 60 px"]
    assert result.failures == ()


def test_many_equal_groups_rarely_fail() -> None:
    rng = np.random.default_rng(3)
    failed = 0
    for _ in range(40):
        names = {f"fact {k}": rng.choice(["a", "b", "c"], 400).tolist() for k in range(6)}
        found = (rng.random(400) < 0.9).astype(float)
        failed += bool(compare(names, {"recall": found, "nme": rng.exponential(0.04, 400)}).failures)
    assert failed <= 5


def test_values_that_are_not_defined_are_left_out() -> None:
    errors = np.r_[np.full(50, 0.04), np.full(50, np.nan), np.full(60, 0.04)]
    result = compare({"skin tone": ["light"] * 100 + ["tan"] * 60}, {"nme": errors})
    assert [line.figures["nme"].n for line in result.lines] == [50, 60]
    assert [line.faces for line in result.lines] == [100, 60]


def test_the_result_is_json() -> None:
    result = compare(
        {"pose": ["frontal"] * 40 + ["turned"] * 40}, {"flagged": np.r_[np.zeros(40), np.ones(40)]}
    )
    stored = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert stored["failures"] == 0
    assert stored["gaps"][0]["group"] == "turned"
    assert stored["gaps"][0]["text"].startswith("pose turned")


def test_sizes_and_poses_have_groups() -> None:
    assert [size_of(v) for v in (10, 60, 100, 500, float("nan"))] == [
        "under 60 px", "60–100 px", "100–150 px", "150 px and more", UNKNOWN,
    ]  # fmt: skip
    assert [pose_of(v) for v in (-0.1, 0.2, -0.5)] == ["frontal", "turned a little", "turned"]

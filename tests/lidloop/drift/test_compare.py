from __future__ import annotations

import json

import numpy as np
import pytest

from lidloop.drift.compare import MIN_VALUES, Thresholds, compare


def normal(n: int, *, seed: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, n)


@pytest.mark.parametrize(
    ("n", "mean", "level"),
    [
        pytest.param(2000, 0.0, "stable", id="the same distribution"),
        pytest.param(2000, 0.42, "moderate", id="two fifths of a standard deviation"),
        pytest.param(2000, 1.0, "shifted", id="a whole one"),
        pytest.param(MIN_VALUES, 0.3, "stable", id="of a hundred values chance would do as much"),
        pytest.param(MIN_VALUES, 2.0, "shifted", id="but not this"),
        pytest.param(MIN_VALUES - 1, 2.0, None, id="too few to say anything"),
    ],
)
def test_level(n: int, mean: float, level: str | None) -> None:
    found = compare({"x": normal(2000, seed=1)}, {"x": normal(n, seed=2, mean=mean)})["x"]
    assert found["level"] == level
    assert found["n"] == [2000, n]


def test_thresholds_can_be_set() -> None:
    a, b = {"x": normal(2000, seed=1)}, {"x": normal(2000, seed=2, mean=0.42)}
    index = compare(a, b)["x"]["psi"]
    assert compare(a, b, thresholds=Thresholds(moderate=index * 0.5, shifted=index * 0.9))["x"]["level"] == (
        "shifted"
    )
    assert compare(a, b, thresholds=Thresholds(moderate=index * 1.1, shifted=1))["x"]["level"] == "stable"


def test_undefined_values_are_null_and_not_counted() -> None:
    a = {"x": np.r_[normal(300, seed=1), np.nan], "y": np.full(301, np.nan), "only here": np.ones(3)}
    b = {"x": np.r_[normal(200, seed=2), np.nan, np.nan], "y": np.full(202, np.nan)}
    found = compare(a, b)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == {"x", "y"}
    assert found["x"]["n"] == [300, 200]
    assert found["x"]["p_corrected"] == found["x"]["p"], "the only test there is"
    assert found["y"] == {"n": [0, 0], "psi": None, "psi_limit": None, "js": None, "ks": None, "p": None,
                          "p_corrected": None, "level": None}  # fmt: skip


def test_without_a_shift_false_alarms_are_rare() -> None:
    """Sixty pairs of ten features at alpha 1 % per pair; the chance of eight or more is one in a million."""
    rng = np.random.default_rng(5)
    alarms = corrected = 0
    for _ in range(60):
        a, b = ({str(k): rng.normal(0, 1, n) for k in range(10)} for n in (400, 150))
        found = compare(a, b, thresholds=Thresholds(moderate=0.0)).values()
        alarms += any(entry["level"] != "stable" for entry in found)
        corrected += any(entry["p_corrected"] < 0.01 for entry in found)
    assert alarms < 8
    assert corrected < 8

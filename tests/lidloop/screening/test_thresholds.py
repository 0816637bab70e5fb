"""Tests of the declaration of thresholds."""

from __future__ import annotations

import math

import pytest

from lidloop.errors import LidloopError
from lidloop.screening.thresholds import THRESHOLDS, Thresholds


@pytest.mark.parametrize("name", THRESHOLDS)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 100.1])
def test_a_threshold_outside_its_range_is_rejected_by_name(name: str, value: float) -> None:
    with pytest.raises(LidloopError, match=f"^{name} must be"):
        Thresholds(**{name: value})


def test_every_threshold_is_declared_with_its_default_and_meaning() -> None:
    assert {name: getattr(Thresholds(), name) for name in THRESHOLDS} == {
        name: threshold.default for name, threshold in THRESHOLDS.items()
    }
    assert all(threshold.text for threshold in THRESHOLDS.values())


def test_the_names_of_version_0_1_0_are_accepted_with_any_value_that_was() -> None:
    old = Thresholds(mrd1_suspicious=4.0, mrd1_functional=2.0, asymmetry=2.0)
    assert (old.mrd1_suspicious, old.asymmetry) == (4.0, 2.0)
    Thresholds(mrd1_functional=2.5)
    Thresholds(asymmetry=5.0)

from __future__ import annotations

from typing import Any

import pytest

from lidloop.autolabel.stopping import judge
from lidloop.errors import LidloopError

GOOD = {"recall": 0.9, "nme_mean": 0.05}


@pytest.mark.parametrize(
    ("before", "after", "gold", "gold_before", "proceed", "reason"),
    [
        (1000, 1100, GOOD, None, True, "grew by 100 (10.00%)"),
        (1000, 1001, GOOD, None, False, "grew by 1 (0.10%), less than 0.20%"),
        (1000, 1002, GOOD, None, True, "grew by 2"),
        (1000, 990, GOOD, None, False, "grew by -10"),
        (1000, 1100, {**GOOD, "recall": 0.8}, GOOD, False, "recall fell from 90.00% to 80.00%"),
        (1000, 1100, {**GOOD, "recall": 0.82}, GOOD, True, "held"),
        (1000, 1100, {**GOOD, "nme_mean": 0.056}, GOOD, False, "NME rose from 5.00% to 5.60%"),
        (1000, 1100, {**GOOD, "nme_mean": 0.054}, GOOD, True, "held"),
        (1000, 1100, {"recall": None, "nme_mean": None}, GOOD, False, "recall fell"),
        (1000, 1100, {"recall": 0.9, "nme_mean": None}, GOOD, False, "NME rose"),
        (1000, 1100, GOOD, {"recall": None, "nme_mean": None}, True, "held"),
        (1000, 1100, {"recall": 0.0, "nme_mean": None}, {"recall": 0.0, "nme_mean": None}, True, "held"),
    ],
    ids=[
        "growth in iteration 0",
        "growth below the threshold",
        "growth exactly at it",
        "fewer labels, as after relabelling",
        "recall lost",
        "recall lost within the tolerance",
        "NME worse",
        "NME worse within the tolerance",
        "no recall",
        "no NME",
        "no metrics before",
        "no faces found in either iteration",
    ],
)
def test_judge(
    before: int,
    after: int,
    gold: dict[str, Any],
    gold_before: dict[str, Any] | None,
    proceed: bool,
    reason: str,
) -> None:
    verdict = judge(before, after, gold, gold_before, min_growth=0.002, max_loss=0.1)
    assert verdict.proceed is proceed
    assert reason in verdict.reason


def test_min_growth_0_accepts_no_growth() -> None:
    assert judge(10, 10, GOOD, None, min_growth=0.0).proceed
    assert judge(10, 8, GOOD, None, min_growth=0.0).proceed, "relabelling can reduce labels"


@pytest.mark.parametrize("bad", [{"min_growth": -0.1}, {"max_loss": -1.0}], ids=str)
def test_negative_thresholds_are_rejected(bad: dict[str, float]) -> None:
    with pytest.raises(LidloopError, match="0 or more"):
        judge(10, 12, GOOD, None, **bad)


def test_growth_without_labels_is_rejected() -> None:
    with pytest.raises(LidloopError, match="labels to begin with"):
        judge(0, 12, GOOD, None)

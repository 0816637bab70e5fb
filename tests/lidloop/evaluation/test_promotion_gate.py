"""Tests of the promotion gate: single cases with their reasons, and properties of any two models."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lidloop.evaluation.promotion_gate import Tolerances, decide


def metrics(**changes: Any) -> dict[str, Any]:
    base = {"faces": 400, "matched": 392, "recall": 0.98, "lid_error_mean": 0.02, "nme_mean": 0.04}
    return base | {"precision": 0.9} | changes


@pytest.mark.parametrize(
    ("changes", "champion", "promote", "reason"),
    [
        pytest.param({}, None, True, "no champion yet", id="first model"),
        pytest.param({"matched": 0, "recall": 0.0}, None, False, "no gold face", id="first, found nothing"),
        pytest.param({"nme_mean": None}, None, False, "nme_mean", id="first, null NME"),
        pytest.param({"nme_mean": math.nan}, {}, False, "nme_mean", id="NaN NME"),
        pytest.param({"lid_error_mean": math.inf}, {}, False, "lid_error_mean", id="infinite lid error"),
        pytest.param({"recall": "0.99"}, {}, False, "recall", id="recall is a string"),
        pytest.param({"recall": True}, {}, False, "recall", id="recall is a boolean"),
        pytest.param({}, {}, False, "errors together", id="equal: the champion stays"),
        pytest.param({"nme_mean": 0.035}, {}, True, "NME", id="better NME"),
        pytest.param({"lid_error_mean": 0.018}, {}, True, "lid-opening", id="better lid error"),
        pytest.param({"nme_mean": 0.03996}, {}, False, "errors together", id="gain within noise"),
        pytest.param({"nme_mean": 0.036, "lid_error_mean": 0.0203}, {}, True, "NME", id="lid 1.5 % worse"),
        pytest.param({"nme_mean": 0.030, "lid_error_mean": 0.021}, {}, False, "lid-opening", id="5 % worse"),
        pytest.param({"nme_mean": 0.0396, "lid_error_mean": 0.0203}, {}, False, "together", id="no net gain"),
        pytest.param({"nme_mean": 0.03, "recall": 0.977}, {}, True, "recall", id="recall within tolerance"),
        pytest.param({"nme_mean": 0.01, "recall": 0.97}, {}, False, "recall", id="better NME, worse recall"),
        pytest.param({"recall": 1.0}, {}, False, "together", id="better recall alone"),
        pytest.param({"nme_mean": 0.03, "precision": 0.1}, {}, True, "NME", id="precision is ignored"),
        pytest.param({"precision": 1.0}, {}, False, "together", id="better precision alone"),
        pytest.param({"nme_mean": 0.03, "faces": 399}, {}, False, "comparable", id="other gold faces"),
        pytest.param(
            {"faces": 40, "recall": 0.975, "nme_mean": 0.03}, {"faces": 40, "recall": 1.0}, True, "recall",
            id="one of 40 faces is tolerated",
        ),
        pytest.param(
            {"faces": 40, "recall": 0.95, "nme_mean": 0.03}, {"faces": 40, "recall": 1.0}, False, "recall",
            id="two of 40 faces are not tolerated",
        ),
        pytest.param({}, {"nme_mean": None}, True, "champion has no usable", id="broken champion"),
        pytest.param({}, {"nme_mean": 0.0, "lid_error_mean": 0.0}, False, "worse", id="perfect champion"),
    ],
)  # fmt: skip
def test_decide(changes: dict[str, Any], champion: dict[str, Any] | None, promote: bool, reason: str) -> None:
    decision = decide(metrics(**changes), None if champion is None else metrics(**champion))
    assert decision.promote is promote
    assert any(reason in line for line in decision.reasons), decision.reasons


def test_tolerances_can_be_set() -> None:
    better = metrics(nme_mean=0.03, recall=0.94)
    assert not decide(better, metrics()).promote
    assert decide(better, metrics(), tolerances=Tolerances(recall=0.05)).promote


@pytest.mark.parametrize(
    ("earlier", "promote", "reason"),
    [
        pytest.param([], True, "", id="half a point below the champion is allowed"),
        pytest.param([{"recall": 0.98}], True, "", id="the earlier champion was as good"),
        pytest.param(
            [{"recall": 0.984}, {"recall": 0.98}],
            False,
            "98.4 %",
            id="total loss over promotions is too large",
        ),
        pytest.param([{"recall": 0.99, "faces": 300}], True, "", id="measured on other gold faces"),
        pytest.param([{"recall": 0.99, "nme_mean": None}], True, "", id="has no usable metrics"),
    ],
)
def test_recall_is_compared_with_the_best_champion_so_far(
    earlier: list[dict[str, Any]], promote: bool, reason: str
) -> None:
    candidate, champion = metrics(nme_mean=0.03, recall=0.976), metrics()
    decision = decide(candidate, champion, earlier=[metrics(**changes) for changes in earlier])
    assert decision.promote is promote
    assert any(reason in line for line in decision.reasons), decision.reasons


@given(st.lists(st.tuples(st.floats(0.8, 1.0), st.floats(0.9, 1.0)), min_size=1, max_size=20))
def test_recall_losses_do_not_add_up_over_promotions(steps: list[tuple[float, float]]) -> None:
    champions = [metrics()]
    for recall, factor in steps:
        candidate = metrics(recall=recall, nme_mean=champions[-1]["nme_mean"] * factor)
        if decide(candidate, champions[-1], earlier=champions).promote:
            champions.append(candidate)
    assert champions[-1]["recall"] >= max(m["recall"] for m in champions) - 0.005 - 1e-6


ERROR = st.floats(0.01, 0.05)
USABLE = st.fixed_dictionaries(
    {
        "faces": st.just(400),
        "matched": st.just(390),
        "recall": st.sampled_from([0.97, 0.975, 0.978, 0.98]),
        "lid_error_mean": ERROR,
        "nme_mean": ERROR,
    }
)
UNDEFINED = st.sampled_from([None, math.nan, math.inf, -math.inf, -0.1, "0.1"])


@given(USABLE, st.floats(0.9, 1.1), st.floats(0.9, 1.1), st.sampled_from([0.97, 0.98]))
def test_two_models_never_replace_each_other_in_both_directions(
    a: dict[str, Any], lid: float, nme: float, recall: float
) -> None:
    b = a | {"lid_error_mean": a["lid_error_mean"] * lid, "nme_mean": a["nme_mean"] * nme, "recall": recall}
    assert not (decide(a, b).promote and decide(b, a).promote)


@given(USABLE, USABLE, st.integers(1, 1000), st.floats(0, 1))
def test_lost_recall_is_never_promoted(
    a: dict[str, Any], b: dict[str, Any], faces: int, share: float
) -> None:
    allowed = max(0.005, 1 / faces)
    low = share * max(0.0, b["recall"] - allowed - 1e-6)
    assume(low < b["recall"] - allowed)
    assert not decide(a | {"faces": faces, "recall": low}, b | {"faces": faces}).promote


@given(
    USABLE, USABLE, st.sampled_from(["recall", "lid_error_mean", "nme_mean", "faces", "matched"]), UNDEFINED
)
def test_models_with_undefined_metrics_are_never_promoted(
    a: dict[str, Any], b: dict[str, Any], key: str, value: Any
) -> None:
    assert not decide(a | {key: value}, b).promote
    assert not decide(a | {key: value}, None).promote


@given(USABLE, USABLE)
def test_a_promoted_model_is_better_in_one_error_and_within_tolerance_in_the_other(
    a: dict[str, Any], b: dict[str, Any]
) -> None:
    if decide(a, b).promote:
        ratios = [a[key] / b[key] for key in ("lid_error_mean", "nme_mean")]
        assert min(ratios) < 1
        assert max(ratios) <= 1.02

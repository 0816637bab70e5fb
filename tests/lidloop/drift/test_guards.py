from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.drift import guards
from lidloop.drift.agreement import Agreement
from lidloop.drift.guards import Limits
from lidloop.errors import LidloopError


@pytest.mark.parametrize(
    ("human", "grown", "value", "tripped"),
    [
        (100, 0, 0.0, False),
        (100, 100, 0.5, False),
        (100, 101, 101 / 201, True),
        (0, 0, None, False),
    ],
)
def test_grown_share(human: int, grown: int, value: float | None, tripped: bool) -> None:
    guard = guards.grown_share({"train": {"human": human, "grown": grown}, "val": {"human": 1, "grown": 9}})
    assert (guard.value, guard.tripped) == (value if value is None else pytest.approx(value), tripped)
    assert guard.to_json().keys() == {"value", "threshold", "tripped", "why"}


def of(origin: str, faces: int, offset: float | None) -> Agreement:
    return Agreement(origin, faces, 0.04, offset)


@pytest.mark.parametrize(
    ("found", "value", "tripped"),
    [
        pytest.param([of("human", 500, 0.09)], None, False, id="human labels are ignored"),
        pytest.param([of("0", 29, 0.09)], None, False, id="too few faces"),
        pytest.param([of("0", 30, 0.01), of("1", 30, 0.015)], 0.015, False, id="the largest counts"),
        pytest.param([of("0", 30, 0.021), of("1", 30, 0.015)], 0.021, True, id="one is enough"),
        pytest.param([of("0", 30, None)], None, False, id="no offset"),
        pytest.param([], None, False, id="no labels"),
    ],
)
def test_disagreement(found: list[Agreement], value: float | None, tripped: bool) -> None:
    guard = guards.disagreement(found)
    assert (guard.value, guard.tripped) == (value, tripped)


def entry(iteration: int, gold: float, grown: float | None, *, faces: int = 400, own: int = 100) -> dict:
    """An evaluation with an NME on gold, and one on the grown labels among the validation labels."""
    n = 0 if grown is None else own
    both = (gold * faces + (grown or 0) * n) / (faces + n)
    return {
        "iteration": iteration,
        "gold": {"overall": {"nme_mean": gold, "nme_faces": faces}},
        "paper": {"overall": {"nme_mean": both, "nme_faces": faces + n}},
    }


@pytest.mark.parametrize(
    ("history", "value", "tripped"),
    [
        pytest.param([entry(0, 0.05, None)], None, False, id="iteration 0 has no grown labels"),
        pytest.param([entry(0, 0.05, None), entry(1, 0.06, 0.03)], None, False, id="nothing to compare with"),
        pytest.param([entry(1, 0.05, 0.03), entry(2, 0.045, 0.02)], -0.1, False, id="both get better"),
        pytest.param([entry(1, 0.05, 0.03), entry(2, 0.06, 0.04)], -1 / 3, False, id="both get worse"),
        pytest.param([entry(1, 0.05, 0.03), entry(2, 0.055, 0.027)], 0.1, True, id="worse on gold only"),
        pytest.param(
            [entry(1, 0.050, 0.030), entry(2, 0.0506, 0.0296), entry(3, 0.0512, 0.0292)], 0.024, True,
            id="several small steps add up",
        ),
        pytest.param(
            [entry(1, 0.05, 0.03), entry(2, 0.06, 0.02, own=29)], None, False, id="too few grown faces"
        ),
        pytest.param([], None, False, id="no history"),
    ],
)  # fmt: skip
def test_confirmation_bias(history: list[dict], value: float | None, tripped: bool) -> None:
    guard = guards.confirmation_bias(history)
    assert guard.value == (value if value is None else pytest.approx(value))
    assert guard.tripped == tripped


@pytest.mark.parametrize(
    ("grown", "expected", "value"),
    [
        pytest.param({"a": 30, "b": 70}, {"a": 0.3, "b": 0.7}, 0.0, id="as the pictures"),
        pytest.param({"a": 100}, {"a": 0.3, "b": 0.7}, 1.0, id="all from one"),
        pytest.param({"a": 65, "b": 35}, {"a": 0.3, "b": 0.7}, 0.5, id="half"),
        pytest.param({"a": 100}, {"a": 1.0}, None, id="there is only one"),
        pytest.param({}, {"a": 0.5, "b": 0.5}, None, id="no growth"),
    ],
)
def test_concentration(grown: dict[str, int], expected: dict[str, float], value: float | None) -> None:
    found = guards.concentration(grown, expected)
    assert (None if found is None else found[0]) == (value if value is None else pytest.approx(value))


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50), min_size=2))
def test_concentration_lies_from_0_to_1(grown: dict[str, int]) -> None:
    found = guards.concentration(grown, {name: 1 / len(grown) for name in grown})
    assert found is None or 0 <= found[0] <= 1


EVEN = np.linspace(0, 1, 300)


@pytest.mark.parametrize(
    ("by_source", "sizes", "tripped", "word"),
    [
        pytest.param({"a": 50, "b": 50}, EVEN[::3], False, "", id="from everywhere"),
        pytest.param({"a": 98, "b": 2}, EVEN[::3], True, "source a", id="from one source"),
        pytest.param(
            {"a": 50, "b": 50}, EVEN[:100] / 4, True, "lowest third of the faces by box_size", id="small ones"
        ),
        pytest.param({"a": 49}, EVEN[:49] / 4, False, "50 are needed", id="too few to say"),
        pytest.param({"a": 50, "b": 50}, np.full(100, np.nan), False, "source", id="no sizes are known"),
    ],
)
def test_source_concentration(by_source: dict, sizes: np.ndarray, tripped: bool, word: str) -> None:
    guard = guards.source_concentration(
        by_source, {"a": 100, "b": 100}, {"box_size": EVEN}, {"box_size": sizes}
    )
    assert guard.tripped == tripped
    assert word in guard.why


def test_limits_can_be_set_and_a_dataset_without_pictures_is_rejected() -> None:
    counts = {"train": {"human": 80, "grown": 20}}
    assert guards.grown_share(counts, limits=Limits(grown_share=0.1)).tripped
    with pytest.raises(LidloopError, match="no pictures"):
        guards.source_concentration({}, {}, {}, {})


def test_a_group_that_falls_behind_trips_the_guard() -> None:
    gap = {"text": "skin tone dark: Recall 80.0 % against 99.0 %", "is_failure": True}
    note = {"text": "size under 60 px: NME 9 % against 4 %", "is_failure": False}
    guard = guards.group_gap([{"groups": {"comparisons": 20, "gaps": [gap, note]}}])
    assert (guard.value, guard.tripped, guard.why) == (1, True, gap["text"])
    fine = guards.group_gap([{"groups": {"comparisons": 20, "gaps": [note]}}])
    assert (fine.value, fine.tripped) == (0, False)


@pytest.mark.parametrize("history", [[], [{}], [{"groups": {"comparisons": 0, "gaps": []}}]])
def test_without_groups_to_compare_the_guard_has_no_value(history: list[dict[str, object]]) -> None:
    assert guards.group_gap(history).value is None

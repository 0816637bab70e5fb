"""Comparing very many boxes at once, held against the plain definition."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop import overlap
from lidloop.labels import box_iou

numbers = st.one_of(
    st.integers(-50, 700).map(float),
    st.floats(-1e4, 1e4),
    st.sampled_from([0.0, -0.0, 1e-310, 5e-324, 1e9, -1e9]),
)
boxes = st.tuples(numbers, numbers, st.integers(-5, 200).map(float), st.integers(-5, 200).map(float)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def as_array(rows: list[tuple[float, ...]]) -> np.ndarray:
    return np.array(rows, dtype=float).reshape(-1, 4)


def compared(a: np.ndarray, b: np.ndarray, image: np.ndarray, other_image: np.ndarray) -> np.ndarray:
    """IoU of every box of ``a`` with every box of ``b``, 0 where they were not compared; each pair once."""
    first = np.searchsorted(other_image, image)
    count = np.searchsorted(other_image, image, side="right") - first
    parts = overlap.compare(a, b, first, count, lambda rows, others, iou: (rows, others, iou.copy()))
    value = np.zeros((len(a), len(b)))
    seen = np.zeros((len(a), len(b)), dtype=int)
    for rows, others, iou in parts:
        np.add.at(seen, (rows, others), 1)
        value[rows, others] = iou
    assert seen.max(initial=0) <= 1
    assert not seen[image[:, None] != other_image].any()
    return value


def expected(a: np.ndarray, b: np.ndarray, image: np.ndarray, other_image: np.ndarray) -> np.ndarray:
    return np.where(image[:, None] == other_image, box_iou(a, b), 0)


@given(
    st.lists(st.tuples(st.integers(0, 5), boxes), max_size=20),
    st.lists(st.tuples(st.integers(0, 5), boxes), max_size=20),
    st.sampled_from([1, 3, 10, 1 << 15]),
)
def test_every_pair_that_shares_area_is_found_and_its_iou_is_that_of_the_definition(first, second, work):
    first, second = sorted(first), sorted(second)
    a, b = as_array([box for _, box in first]), as_array([box for _, box in second])
    image, other_image = np.array([k for k, _ in first], int), np.array([k for k, _ in second], int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "_WORK", work)
        np.testing.assert_array_equal(compared(a, b, image, other_image), expected(a, b, image, other_image))


@pytest.mark.parametrize(
    ("scale", "offset", "reason"),
    [
        (1.0, 0.0, "pixels"),
        (1 / 640, 0.0, "shares of a picture's width"),
        (1.0, -1e6, "far away from zero, so that all of them fall into one cell"),
        (1e-310, 0.0, "too small for a scale"),
        (1e150, 0.0, "huge"),
    ],
)  # fmt: skip
def test_no_pair_is_missed_at_any_scale(scale: float, offset: float, reason: str) -> None:
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 300, (400, 2))
    drawn = (np.concatenate([corner, corner + rng.uniform(1, 60, (400, 2))], axis=1) + offset) * scale
    image, other_image = np.sort(rng.integers(0, 30, 150)), np.sort(rng.integers(0, 30, 250))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(
            compared(drawn[:150], drawn[150:], image, other_image),
            expected(drawn[:150], drawn[150:], image, other_image), err_msg=reason,
        )  # fmt: skip


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("work", [1, 50, 100_000])
def test_the_outcome_does_not_depend_on_parts_and_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, work: int
) -> None:
    rng = np.random.default_rng(6)
    image, other_image = np.sort(rng.integers(0, 40, 200)), np.sort(rng.integers(0, 40, 150))
    drawn = rng.uniform(0, 60, (350, 2))
    drawn = np.concatenate([drawn, drawn + rng.uniform(10, 40, (350, 2))], axis=1)
    monkeypatch.setattr(overlap, "_WORK", work)
    monkeypatch.setattr(overlap, "cpus", lambda: cores)
    first = np.searchsorted(other_image, image)
    count = np.searchsorted(other_image, image, side="right") - first
    threads = set()

    def use(rows: np.ndarray, others: np.ndarray, iou: np.ndarray) -> list[tuple[int, int, float]]:
        threads.add(threading.get_ident())
        return list(zip(rows.tolist(), others.tolist(), iou.tolist(), strict=True))

    found = [pair for part in overlap.compare(drawn[:200], drawn[200:], first, count, use) for pair in part]
    assert [pair[:2] for pair in found] == sorted(pair[:2] for pair in found)
    plain = expected(drawn[:200], drawn[200:], image, other_image)
    assert {pair for pair in found if pair[2]} == {
        (i, j, plain[i, j]) for i, j in zip(*np.nonzero(plain), strict=True)
    }
    assert len(threads) <= cores
    if cores == 1:
        assert threads == {threading.get_ident()}


def test_boxes_may_lie_in_memory_in_any_way() -> None:
    columns = np.array([[0, 5], [0, 5], [10, 15], [10, 15]])
    (iou,) = overlap.compare(
        columns.T, columns.T[::-1], np.array([0, 0]), np.array([2, 2]), lambda _, __, iou: iou.tolist()
    )
    assert sorted(iou) == [25 / 175, 25 / 175, 1, 1]


def test_a_few_rows_far_apart_need_no_room_for_all_that_lies_between(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    room = overlap._Room

    def watched(size: int) -> overlap._Room:
        sizes.append(size)
        return room(size)

    monkeypatch.setattr(overlap, "_WORK", 10)
    monkeypatch.setattr(overlap, "_Room", watched)
    many = np.tile([0.0, 0, 10, 10], (1000, 1))
    first = np.array([0, 400, 990])
    found = overlap.compare(
        many[:3], many, first, np.array([2, 1, 3]), lambda rows, others, iou: others.tolist()
    )
    assert [other for part in found for other in part] == [0, 1, 400, 990, 991, 992]
    assert max(sizes) < 20

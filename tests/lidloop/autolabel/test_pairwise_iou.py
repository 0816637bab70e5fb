"""IoU of very many pairs of boxes, compared with a direct computation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.autolabel import pairwise_iou
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


def runs(first: Sequence[int], count: Sequence[int]) -> pairwise_iou.Runs:
    begins, lengths = np.array(first, dtype=int), np.array(count, dtype=int)
    return lambda part: (begins[part], lengths[part])


def compared(a: np.ndarray, b: np.ndarray, image: np.ndarray, other_image: np.ndarray) -> np.ndarray:
    """IoU of every box of ``a`` with every box of ``b``, 0 where they were not compared; each pair once."""
    first = np.searchsorted(other_image, image)
    count = np.searchsorted(other_image, image, side="right") - first
    value = np.zeros((len(a), len(b)))
    seen = np.zeros((len(a), len(b)), dtype=int)
    for rows, others, iou in pairwise_iou.compare(a, b, runs(first, count)):
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
def test_all_intersecting_pairs_are_found_with_the_iou_of_the_definition(first, second, work):
    first, second = sorted(first), sorted(second)
    a, b = as_array([box for _, box in first]), as_array([box for _, box in second])
    image, other_image = np.array([k for k, _ in first], int), np.array([k for k, _ in second], int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairwise_iou, "_WORK", work)
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


@pytest.mark.parametrize("work", [1, 50, 100_000])
def test_chunks_are_in_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch, work: int) -> None:
    rng = np.random.default_rng(6)
    image, other_image = np.sort(rng.integers(0, 40, 200)), np.sort(rng.integers(0, 40, 150))
    drawn = rng.uniform(0, 60, (350, 2))
    drawn = np.concatenate([drawn, drawn + rng.uniform(10, 40, (350, 2))], axis=1)
    monkeypatch.setattr(pairwise_iou, "_WORK", work)
    first = np.searchsorted(other_image, image)
    count = np.searchsorted(other_image, image, side="right") - first
    parts = list(pairwise_iou.compare(drawn[:200], drawn[200:], runs(first, count)))
    assert (len(parts) > 1) == (work < 100_000)
    pairs = [pair for rows, others, _ in parts for pair in zip(rows.tolist(), others.tolist(), strict=True)]
    assert pairs == sorted(pairs)


def test_any_memory_layout_of_boxes_is_accepted() -> None:
    columns = np.array([[0, 5], [0, 5], [10, 15], [10, 15]])
    ((rows, others, iou),) = pairwise_iou.compare(
        columns.T, columns.T[::-1], runs([0, 0], [2, 2])
    )  # fmt: skip
    assert list(zip(rows.tolist(), others.tolist(), iou.tolist(), strict=True)) == [
        (0, 0, 25 / 175), (0, 1, 1), (1, 0, 1), (1, 1, 25 / 175)
    ]  # fmt: skip


def test_distant_pairs_are_skipped() -> None:
    """Speed depends on this: no pair of distant boxes is returned."""
    near = np.arange(50.0)[:, None] * 100 + [0, 0, 60, 60]
    found = list(pairwise_iou.compare(near, near, runs([0] * 50, [50] * 50)))
    assert [pair for rows, others, _ in found for pair in zip(rows, others, strict=True)] == [
        (k, k) for k in range(50)
    ]


@pytest.mark.parametrize(
    ("first", "count", "reason"),
    [
        ([0, 400, 990], [2, 1, 3], "distant rows: boxes in between are skipped"),
        ([0, 0, 5], [5, 1000, 995], "a row with more than a part"),
    ],
)
def test_chunks_have_limited_size(
    monkeypatch: pytest.MonkeyPatch, first: list[int], count: list[int], reason: str
) -> None:
    monkeypatch.setattr(pairwise_iou, "_WORK", 12)
    monkeypatch.setattr(pairwise_iou, "_NUMBERS", np.arange(12))
    many = np.tile([0.0, 0, 10, 10], (1000, 1))
    found = [(rows, others) for rows, others, _ in pairwise_iou.compare(many[:3], many, runs(first, count))]
    assert [(rows[0], others.tolist()) for rows, others in found] == [
        (k, list(range(begin, begin + n))) for k, (begin, n) in enumerate(zip(first, count, strict=True))
    ], reason

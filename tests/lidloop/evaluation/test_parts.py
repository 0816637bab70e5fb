"""Parts of the pictures, compared apart and joined: the same figures as of all pictures at once."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.evaluation import parts
from lidloop.evaluation.evaluate import DEFAULT_SCORE, evaluate, judge
from lidloop.labels import HUMAN, LabelSet
from tests.properties import examples

SIGMA = 0.05
NAMES = [f"p{k}" for k in range(12)]


def made(rng: np.random.Generator, n: int, *, like: LabelSet | None = None) -> LabelSet:
    """Faces in random pictures; with ``like``, most are those faces with an error."""
    image = np.sort(rng.integers(0, len(NAMES), n))
    points = np.concatenate(
        [rng.uniform(0, 60, (n, 51, 2)) + rng.uniform(0, 400, (n, 1, 2)), np.full((n, 51, 1), 2.0)], axis=2
    )
    if like is not None and len(like):
        of = rng.integers(0, len(like), n)
        close = rng.random(n) < 0.7
        image[close] = like.image[of[close]]
        points[close] = like.points[of[close]]
        points[close, :, :2] += rng.normal(0, 2, (int(close.sum()), 51, 2))
    points[rng.random((n, 51)) < 0.1, 2] = 0
    boxes = np.concatenate([points[..., :2].min(axis=1), points[..., :2].max(axis=1)], axis=1)
    score = np.round(rng.random(n), 1)  # equal scores occur
    rows = np.argsort(image, kind="stable")
    labels = LabelSet(tuple(NAMES), image, boxes, points, np.full(n, HUMAN), score)
    return labels.select(rows)


@examples(40)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_any_partition_and_order_of_merging_gives_the_same_figures(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    truth = made(rng, 20)
    found = made(rng, 40, like=truth)
    sources = {name: "afw" if k % 3 else "helen" for k, name in enumerate(NAMES)}
    groups = [[name for name, cut in zip(NAMES, cuts, strict=True) if cut == k] for k in range(4)]
    counted = [
        parts.compare_part(found.reindex(g), truth.reindex(g), sigma=SIGMA, score=DEFAULT_SCORE).counted
        for g in groups
    ]
    joined = parts.join([counted[k] for k in rng.permutation(4)])
    whole = evaluate(found, truth, sources=sources, sigma=SIGMA)
    assert judge(joined, sources=sources, score=DEFAULT_SCORE) == (whole.overall, whole.by_source)
    once = parts.compare_part(found, truth, sigma=SIGMA, score=DEFAULT_SCORE).counted
    for field in fields(parts.Counted):
        one, other = getattr(joined, field.name), getattr(once, field.name)
        if field.name == "images":
            assert one == other
            continue
        if field.name == "values":
            one, other = (np.concatenate([*v, np.zeros(0)]) for v in (one, other))
        floats = one.dtype.kind == "f"
        assert np.array_equal(one, other, equal_nan=floats), field.name


def test_a_picture_in_two_parts_is_refused() -> None:
    one = parts.compare_part(made(np.random.default_rng(0), 3), made(np.random.default_rng(1), 3),
                             sigma=SIGMA, score=0.25).counted  # fmt: skip
    with pytest.raises(ValueError, match="in two parts"):
        parts.join([one, one])
    with pytest.raises(ValueError, match="no part"):
        parts.join([])


@pytest.mark.parametrize("n", [1, 7, 129, 70_001, 400_000])
def test_the_mean_of_parts_is_that_of_one_array(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.exponential(1, n) * rng.exponential(10, n)
    chunks = np.split(values, np.sort(rng.integers(0, n, 6)))
    assert parts.mean_of(chunks) == values.mean()
    assert parts.mean_of([values[:0]]) is None

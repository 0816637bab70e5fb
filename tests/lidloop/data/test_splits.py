"""Choice of the pictures for training."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lidloop.data.splits import choose_train

_sources = st.dictionaries(
    st.text("0123456789abcdef", min_size=1, max_size=6), st.sampled_from("xyz"), max_size=60
)


@given(_sources, st.floats(0, 1), st.integers(0, 5))
@example({"0": "x", "1": "x"}, 0.9999999999999999, 0)
def test_each_source_and_the_total_are_within_one_picture_of_the_share(
    sources: dict[str, str], share: float, seed: int
) -> None:
    chosen = choose_train(sources, share, seed)
    train, total = Counter(sources[p] for p in chosen), Counter(sources.values())
    for name, n in total.items():
        assert abs(train[name] - share * n) <= 1 + 1e-6
    assert abs(len(chosen) - share * len(sources)) <= 1 + 1e-6
    if len(sources) > 1 and 0 < share < 1:
        assert 0 < len(chosen) < len(sources)


@given(_sources, st.integers(0, 5))
def test_order_does_not_matter(sources: dict[str, str], seed: int) -> None:
    assert choose_train(sources, 0.8, seed) == choose_train(dict(reversed(sources.items())), 0.8, seed)


@pytest.mark.parametrize(
    ("counts", "share", "train", "reason"),
    [
        ({"a": 10}, 0.8, {"a": 8}, "exact"),
        ({"a": 10, "b": 5, "c": 100}, 0.8, {"a": 8, "b": 4, "c": 80}, "exact in every source"),
        ({"a": 1}, 0.8, {"a": 1}, "a single picture"),
        ({"a": 1, "b": 1}, 0.8, {"a": 1}, "val is not empty"),
        ({"a": 3}, 0.1, {"a": 1}, "train is not empty"),
        ({"a": 3, "b": 3}, 1.0, {"a": 3, "b": 3}, "all of it"),
        ({"a": 3, "b": 3}, 0.0, {}, "none of it"),
        ({"a": 7, "b": 7}, 0.8, {"a": 6, "b": 5}, "11.2 is 11: the remainder goes to one of them"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_counts(counts: dict[str, int], share: float, train: dict[str, int], reason: str) -> None:
    sources = {f"{name}{k}": name for name, n in counts.items() for k in range(n)}
    assert Counter(sources[p] for p in choose_train(sources, share, 0)) == Counter(train), reason


def test_another_seed_gives_another_choice() -> None:
    sources = {f"{k}": "a" for k in range(50)}
    assert choose_train(sources, 0.5, 0) != choose_train(sources, 0.5, 1)

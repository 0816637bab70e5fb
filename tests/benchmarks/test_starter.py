from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.starter.measure import spread, unlabelled_finds
from benchmarks.starter.page import targets
from lidloop.labels import Face, LabelSet


def face(x: float, score: float = 1.0) -> Face:
    points = np.zeros((51, 3))
    points[:, 0], points[:, 1], points[:, 2] = x + np.linspace(0, 10, 51), np.linspace(0, 10, 51), 2
    return Face(np.array([x, 0.0, x + 10, 10.0]), points, 0, score)


def test_finds_without_a_label_are_those_that_match_no_labelled_face() -> None:
    found = LabelSet.from_faces({"a": [face(0, 0.9), face(50, 0.8), face(80, 0.1)], "b": [face(0, 0.7)]})
    truth = LabelSet.from_faces({"a": [face(1)]}, ["a", "b"])
    other = unlabelled_finds(found, truth, score=0.25)
    assert [(other.images[k], s) for k, s in zip(other.image, other.score, strict=True)] == [
        ("a", 0.8), ("b", 0.7),
    ]  # fmt: skip


def test_a_sample_is_spread_evenly() -> None:
    assert spread([0, 1, 2, 3, 4, 5, 6], 3) == [0, 3, 6]  # type: ignore[list-item, comparison-overlap]
    assert spread([0, 1], 3) == [0, 1]  # type: ignore[list-item, comparison-overlap]


def entry(**changes: Any) -> dict[str, Any]:
    figures = {"recall": 0.99, "nme_mean": 0.045, "nme_failure8": 0.05}
    real = {"overall": {**figures, **changes}, "by_source": {"afw": figures, "helen": figures}}
    wanted = {"recall": 0.985, "nme_mean": 0.05, "nme_failure8": 0.08, "false_finds": 2}
    return {"report": {"real": real, "targets": wanted, "chosen_on": ["afw"]}, "false_finds": 1}


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, [True, True, True, True]),
        ({"recall": 0.98}, [False, True, True, True]),
        ({"nme_mean": 0.06, "nme_failure8": 0.09}, [True, False, False, True]),
    ],
)
def test_targets_that_are_missed_are_said_to_be(changes: dict[str, float], met: list[bool]) -> None:
    assert [row.met for row in targets(entry(**changes))] == met


def test_uncounted_finds_are_neither_met_nor_missed() -> None:
    assert [*targets(entry() | {"false_finds": None})][-1].met is None

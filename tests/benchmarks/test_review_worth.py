"""Decisions by the truth, counts of wrong grown labels, and the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.review import worth
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.labels import LabelSet
from lidloop.review.faces import Faces


def faces_of(labels: LabelSet) -> Faces:
    """The labels of a version as faces to review, all grown."""
    n = len(labels)
    zeros = np.zeros(n, dtype=np.int64)
    ids = tuple(f"f{k}" for k in range(n))
    return Faces(ids, labels, np.arange(n), np.zeros(n), ("grown",) * n, zeros, zeros)


def moved(labels: LabelSet, row: int, by: float) -> LabelSet:
    """The labels with one face moved by a share of its box."""
    points, boxes = labels.points.copy(), labels.boxes.copy()
    step = by * np.sqrt((boxes[row, 2:] - boxes[row, :2]).prod())
    points[row, :, 0] += step * (points[row, :, 2] > 0)
    boxes[row, [0, 2]] += step
    return replace(labels, points=points, boxes=boxes)


def test_decisions_follow_the_truth(drawn: tuple[Dataset, LabelVersion]) -> None:
    dataset, given = drawn
    truth = given.labels(dataset)
    grown = replace(moved(truth, 1, 0.15), origin=np.zeros(len(truth), dtype=np.int64))
    nowhere = moved(grown, 2, 5.0)
    verdicts = {
        complete: [
            d.verdict for d in worth.decide(dataset, faces_of(nowhere), [0, 1, 2], truth, complete=complete)
        ]
        for complete in (True, False)
    }
    assert verdicts == {
        True: ["confirmed", "corrected", "declined"],
        False: ["confirmed", "corrected", "unsure"],
    }
    assert worth.judge_grown(nowhere, truth, complete=True) == {
        "grown": len(truth), "wrong": 2, "unknown": 0,
    }  # fmt: skip
    assert worth.judge_grown(nowhere, truth, complete=False)["unknown"] == 1


def test_the_page_says_where_the_effect_has_no_sign(tmp_path: Path) -> None:
    def run(nme: float) -> dict:
        def arm(nme: float) -> dict:
            return {"gold": {"nme": nme, "recall": 0.9, "faces": 10}, "grown": 10, "wrong": 1, "unknown": 0}

        return {
            "queue": 100, "looks": 5, "minutes": 0.25, "verdicts": {"confirmed": 4, "declined": 1},
            "arms": {"alone": arm(0.05), "reviewed": arm(nme)}, "before": arm(0.06),
        }  # fmt: skip

    stored = tmp_path / worth.STORED
    stored.parent.mkdir(parents=True)
    report = {"measured": "2026-01-01", "machine": {"cores": 2}, "drawn": {"runs": [run(0.04), run(0.06)]}}
    stored.write_text(json.dumps(report))
    page = worth.worth_page(tmp_path)
    assert page is not None
    assert "| drawn, 2 seeds |" in page.read_text()
    assert "-1.00, +1.00 points: the sign differs" in page.read_text()


def test_nothing_is_written_without_figures(tmp_path: Path) -> None:
    assert worth.worth_page(tmp_path) is None

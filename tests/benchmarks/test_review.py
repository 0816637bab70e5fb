"""Known errors, the figures of an order and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import Skipped
from benchmarks.drift.faces import people
from benchmarks.review import measure, page
from benchmarks.review.corrupt import CORRECT, KINDS, corrupted
from lidloop.landmarks import FLIP


def test_a_share_of_the_labels_is_wrong_and_the_others_are_as_they_were() -> None:
    labels = people(80, seed=1)
    wrong, kinds = corrupted(labels, dict.fromkeys(labels.images, (480, 360)), share=0.1, seed=3)
    assert sorted(kinds[kinds != CORRECT].tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    same = kinds == CORRECT
    assert np.array_equal(wrong.points[same], labels.points[same])
    assert (np.abs(wrong.points[~same] - labels.points[~same]).max(axis=(1, 2)) > 5).all()
    swapped = np.flatnonzero(kinds == KINDS.index("sides swapped"))
    assert np.abs(wrong.points[swapped] - labels.points[swapped][:, list(FLIP)]).max() < 0.01


def test_figures_count_the_wrong_faces_at_the_front() -> None:
    wrong = np.zeros(100, dtype=bool)
    wrong[[0, 5, 15, 50]] = True
    kind = np.where(wrong, "shifted", "").astype(object)
    found = measure.figures(measure.Judged(wrong, wrong[::-1], kind))
    assert (found["queue"], found["half"], found["confidence"]) == (0.75, 0.5, 0.0)
    assert found["kinds"] == {"shifted": {"wrong": 4, "found": 3}}
    assert found["curve"]["queue"][0] == 0
    assert found["curve"]["queue"][-1] == 1


def test_the_page_says_where_the_target_is_missed(tmp_path: Path) -> None:
    def one(share: float) -> dict:
        curve = [min(1.0, share * k / 10) for k in range(51)]
        return {
            "faces": 100, "wrong": 5, "queue": share, "confidence": 0.4, "random": 0.2, "half": share / 2,
            "kinds": {"shifted": {"wrong": 5, "found": round(5 * share)}},
            "curve": {"queue": curve, "confidence": curve},
        }  # fmt: skip

    runs = [{"kept": one(0.9), "chosen_on": one(0.6)}, {"kept": one(1.0), "chosen_on": one(0.9)}]
    real = {"share": 0.05, "epochs": 3, "imgsz": 256, "labels": 200, "arms": {"demo": runs}}
    file = tmp_path / page.STORED
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"measured": "2026-01-01", "machine": {"cores": 2}, "real": real}))
    text = (page.review_page(tmp_path) or tmp_path).read_text()
    assert "| HELEN, the demo model | 5 of 100 | 95 % (mean of 2 seeds, worst 90 %) |" in text
    assert text.count("**missed**") == 1
    runs[0]["chosen_on"] = one(0.75)
    file.write_text(json.dumps({"measured": "2026-01-01", "machine": {"cores": 2}, "real": real}))
    text = (page.review_page(tmp_path) or tmp_path).read_text()
    assert "met on average, by 1 of 2 seeds" in text
    assert "Drawn faces" not in text
    assert (tmp_path / page.FIGURES / page.CURVE).stat().st_size > 1000


def test_nothing_is_written_without_figures(tmp_path: Path) -> None:
    assert page.review_page(tmp_path) is None


def test_photographs_are_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIDLOOP_300W", raising=False)
    with pytest.raises(Skipped, match="LIDLOOP_300W"):
        measure.real(tmp_path)

"""The comparison of what training does with faces that nobody labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import unlabelled as bench
from benchmarks.common import Skipped
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.demo import demo_weights
from lidloop.training.fine_tune import TrainSettings


def test_arm_counts_what_the_filter_grew(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    settings = TrainSettings(epochs=1, imgsz=128, batch=8, device="cpu", lr=1e-4)
    record = drawn[0].records[0].id
    hidden = {record: np.array([[0.0, 0, 1, 1]])}
    figures = bench.arm(*drawn, demo_weights(), tmp_path, settings, hidden)
    grown = LabelVersion.open(tmp_path / "labels-v1")
    assert sum(figures["grown"].values()) == grown.info["total"] - drawn[1].info["total"]
    assert figures["truth"] == {
        "hidden": 1, "recovered": 0, "grown": sum(figures["grown"].values()), "grown_correct": 0
    }  # fmt: skip
    assert figures["faces"] == drawn[1].info["counts"]["val"]["human"]


@pytest.mark.parametrize(
    ("truth", "ours"),
    [
        (None, "20 (gold NME 12.3 %, lid error 3.2 %, recall –)"),
        (
            {"hidden": 30, "recovered": 19, "grown": 20, "grown_correct": 19},
            "20, 19 right, of 30 hidden (gold NME 12.3 %, lid error 3.2 %, recall –)",
        ),
    ],
    ids=["real faces: nobody knows", "drawn faces"],
)
def test_rows_hold_both_arms_against_each_other(truth: dict | None, ours: str) -> None:
    def result(unlabelled: str, grown: int) -> dict:
        return {"epochs": 5, "unlabelled": unlabelled, "grown": {"train": grown, "val": 2}, "nme": 0.1234,
                "lid_error": 0.0321, "recall": None, "truth": truth}  # fmt: skip

    report = {"kind": "drawn", "results": [result("ignored", 18), result("punished", 8)]}
    (row,) = bench.rows(report)
    assert row.ours == ours
    assert row.theirs.startswith("10")
    assert row.ratio == "2.00×"


def test_without_real_pictures_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIDLOOP_300W", raising=False)
    with pytest.raises(Skipped, match="LIDLOOP_300W"):
        bench.run_real()

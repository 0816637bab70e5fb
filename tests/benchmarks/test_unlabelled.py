from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import unlabelled as bench
from benchmarks.common import Skipped
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.demo import demo_weights
from lidloop.training.fine_tune import TrainSettings


def test_grown_labels_are_counted(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
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
    ("truth", "shown"),
    [
        (None, "20 (gold NME 12.3 %, lid error 3.2 %, recall –)"),
        (
            {"hidden": 30, "recovered": 19, "grown": 20, "grown_correct": 19},
            "20, 19 right, of 30 hidden (gold NME 12.3 %, lid error 3.2 %, recall –)",
        ),
    ],
    ids=["real faces: unknown", "drawn faces"],
)
def test_rows_compare_both_sides(truth: dict | None, shown: str) -> None:
    def result(unlabelled: str, grown: int) -> dict:
        return {"epochs": 5, "unlabelled": unlabelled, "grown": {"train": grown, "val": 2}, "nme": 0.1234,
                "lid_error": 0.0321, "recall": None, "truth": truth}  # fmt: skip

    report = {"kind": "drawn", "results": [result("ignored", 18), result("punished", 8)]}
    (row,) = bench.rows(report)
    assert row.lidloop == shown
    assert row.baseline.startswith("10")
    assert row.ratio == "2.00×"


def test_missing_real_pictures_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIDLOOP_300W", raising=False)
    with pytest.raises(Skipped, match="LIDLOOP_300W"):
        bench.run_real()

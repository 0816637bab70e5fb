"""The comparison of what training does with faces that nobody labelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import unlabelled as bench
from benchmarks.common import Skipped
from lidloop.dataset import Dataset, LabelVersion
from lidloop.demo import demo_weights
from lidloop.training import TrainSettings


def test_arm_counts_what_the_filter_grew(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    settings = TrainSettings(epochs=1, imgsz=128, batch=8, device="cpu", lr=1e-4)
    figures = bench.arm(*drawn, demo_weights(), tmp_path, settings)
    grown = LabelVersion.open(tmp_path / "labels-v1")
    assert sum(figures["grown"].values()) == grown.info["total"] - drawn[1].info["total"]
    assert figures["faces"] == drawn[1].info["counts"]["val"]["human"]


def test_rows_hold_both_arms_against_each_other() -> None:
    def result(unlabelled: str, grown: int) -> dict:
        return {"epochs": 5, "unlabelled": unlabelled, "grown": {"train": grown, "val": 2}, "nme": 0.1234,
                "recall": None}  # fmt: skip

    (row,) = bench.rows({"results": [result("ignored", 18), result("punished", 8)]})
    assert row.ours.startswith("20 (gold NME 12.3 %")
    assert row.theirs.startswith("10 (")
    assert row.ratio == "2.00×"


def test_without_real_pictures_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIDLOOP_300W", raising=False)
    with pytest.raises(Skipped, match="LIDLOOP_300W"):
        bench.run()

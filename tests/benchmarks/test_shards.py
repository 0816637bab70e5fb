"""The benchmark of work by blocks, on a few made-up pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import shards as bench
from lidloop.data.dataset import LabelVersion


def test_its_rows_go_through_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("benchmarks.shards", "lidloop.data.dataset"):
        monkeypatch.setattr(f"{module}.BLOCK", 20)
    bench.make(tmp_path / "rows", 50)
    for run in bench.STEPS.values():
        run(tmp_path / "rows")
    versions = [LabelVersion.open(tmp_path / "rows" / f"labels-v{k}") for k in range(3)]
    assert versions[0].info["total"] < versions[1].info["total"] < versions[2].info["total"]
    size = bench.stored(tmp_path / "rows")
    assert size["objects"] == 5
    assert size["bytes"] < size["bytes_as_text_files"]


def test_limits_that_were_missed_are_named() -> None:
    rows = [
        {"pictures": 100_000, "filter": {"cpu_seconds": 10.0, "bytes": 1e8}},
        {"pictures": 1_000_000, "filter": {"cpu_seconds": 120.0, "bytes": 6e8}},
    ]
    assert bench.missed(rows) == [
        "filter: 1,000,000 pictures take 600 MB",
        "filter: ten times the pictures take 12.0 times as long",
    ]

"""The measurements of the exporter and of drift tracking run, and their rows compare with the targets."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import exporter, tracking

SCRAPED = {
    "iterations": 100, "labels": 100_000, "scrapes": 60,
    "seconds": {"median": 0.05, "p95": 0.2, "slowest": 1.2},
    "plain_seconds": 4.0, "ready_seconds": 3.0, "first_read_seconds": {"registry": 2.5, "runs": 0.1},
    "read_seconds": {"registry": 0.2, "runs": 0.0}, "series": 5000, "bytes": 600_000, "rss_mb": 290,
    "target": 1.0,
}  # fmt: skip
TRACKED = {
    "imgsz": 640, "pairs": 400, "window": 100, "ms": {"with": 100.4, "without": 100.0}, "ratio": 1.004,
    "interval": [1.001, 1.007], "own_ms": 0.4, "target": 1.02,
}  # fmt: skip


@pytest.mark.slow
def test_the_exporter_is_scraped() -> None:
    pytest.importorskip("mlflow")
    report = exporter.run(iterations=2, labels=600, scrapes=3)
    assert report["seconds"]["slowest"] >= report["seconds"]["p95"] >= report["seconds"]["median"] > 0
    assert set(report["first_read_seconds"]) == {"registry", "runs"}
    full = 3 * 18 * 6 + 2 * 8 + 2 * 24 + 3 * 4  # drift, sources, evaluations, labels
    assert full < report["series"] < 2 * full


@pytest.mark.slow
def test_tracking_is_measured() -> None:
    pytest.importorskip("ultralytics")
    report = tracking.run(imgsz=256, pairs=3, warm=1)
    assert report["interval"][0] <= report["ratio"] <= report["interval"][1]
    assert report["own_ms"] > 0, "with the window there is something to do"


@pytest.mark.parametrize(
    ("report", "rows", "change", "met"),
    [
        (SCRAPED, exporter.rows, {}, True),
        (SCRAPED, exporter.rows, {"seconds": {"median": 0.1, "p95": 1.1, "slowest": 1.2}}, False),
        (TRACKED, tracking.rows, {}, True),
        (TRACKED, tracking.rows, {"ratio": 1.021}, False),
    ],
    ids=["scrape", "slow scrapes", "tracking", "too much tracking"],
)
def test_targets(report: dict[str, Any], rows: Any, change: dict[str, Any], met: bool) -> None:
    assert [row.met for row in rows(report | change)] == [met]

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import DATA, Skipped
from benchmarks.pages.markdown import render
from benchmarks.scale import measure as scale_measure
from benchmarks.scale import report as scale

GIVEN = scale.Figures(
    picture_bytes=30_000, version_bytes=800, predictions_bytes=500, files=0.7, decode=0.002, convert=0.004,
    filter=0.001, filter_bytes=14_000, evaluate=0.002, fixed=10, model_bytes=5e7,
)  # fmt: skip
STORED = json.loads((Path(__file__).parents[3] / "docs" / DATA / "benchmarks.json").read_text())["benchmarks"]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return scale.run(stored=STORED, sizes=(200, 600))


def test_measured_counts_and_bytes() -> None:
    made = scale_measure.measure(300)
    assert made["pictures"] == 300
    assert 0.6 < made["labels"] / 300 < 0.8
    assert made["predictions"] == 360
    assert made["ledger_rows"] == made["labels"] + made["predictions"]
    assert made["grown"] > 0.9 * 360, "predictions rarely overlap anything"
    points = 51 * (2 * 8 + 2)
    assert 0.8 * points < made["text_bytes"] / made["labels"] < 1.5 * points, (
        "a line has 51 points in decimals"
    )
    assert made["predictions_bytes"] / 360 < 51 * 3 * 8, "no more than doubles would take"


def test_slopes_leave_out_the_constant_part() -> None:
    small, large = {"pictures": 10.0, "bytes": 105.0}, {"pictures": 30.0, "bytes": 305.0}
    assert scale_measure.slopes(small, large) == {"bytes": 10.0}


def test_cost_is_linear_except_for_constant_parts() -> None:
    small, large = (scale.computed(n, 8, GIVEN) for n in (10**6, 10**7))
    for step in ("filter", "train", "auto-label", "evaluate"):
        start = scale.ITERATIONS * scale.ASSUMED["pod_seconds"].value
        assert large["seconds"][step] - start == pytest.approx(10 * (small["seconds"][step] - start))
    assert large["seconds"]["register, promote, report"] == small["seconds"]["register, promote, report"]
    assert large["gpu_hours"] == pytest.approx(10 * small["gpu_hours"])


@pytest.mark.parametrize(
    ("change", "name", "why"),
    [
        ({"filter_bytes": 1e6}, "memory of the filter", "10^5 pictures of 1 MB exceed 64 GiB"),
        ({}, None, "10^5 pictures exceed nothing"),
    ],
)
def test_limits(change: dict[str, float], name: str | None, why: str) -> None:
    over = scale.computed(10**5, 1, replace(GIVEN, **change))["over"]
    assert list(over) == ([name] if name else []), why


def test_slow_decoding_limits_the_rate() -> None:
    slow = scale.computed(10**6, 1, replace(GIVEN, decode=1.0))
    assert slow["label_per_second"] == scale.CORES


def test_simulation_without_losses_agrees_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = {"spread": 1e-9, "lost_every_hours": 1e12, "pod_seconds": 0.0}
    for name, value in steady.items():
        monkeypatch.setitem(scale.ASSUMED, name, scale.ASSUMED[name]._replace(value=value))
    made = scale.simulate(80_000, 8, 16, 100.0)
    assert made["seconds"] == pytest.approx(100.0)
    assert made["gpu_hours"] == pytest.approx(800 / 3600)
    assert (made["lost"], made["share"]) == (0, pytest.approx(1))


def test_lost_gpus_cost_time(monkeypatch: pytest.MonkeyPatch) -> None:
    steady = scale.simulate(10**6, 8, 64, 100.0)
    monkeypatch.setitem(
        scale.ASSUMED, "lost_every_hours", scale.ASSUMED["lost_every_hours"]._replace(value=0.2)
    )
    lossy = scale.simulate(10**6, 8, 64, 100.0)
    assert lossy["lost"] > 10
    assert lossy["gpu_hours"] > steady["gpu_hours"]
    assert lossy["share"] < steady["share"] < 1
    assert lossy == scale.simulate(10**6, 8, 64, 100.0), "the seed is fixed"


def test_missing_measurements_are_named() -> None:
    with pytest.raises(Skipped, match="auto_label and overhead"):
        scale.run(stored={})


def test_the_page_renders_for_any_limit(report: dict[str, Any]) -> None:
    entry = {"measured": "2026-01-02", "machine": {"cpu": "c", "cores": 2}, "report": report}
    text = render("scale/page.md.j2", **entry)
    assert [f"**{row['pictures']:,} pictures.**" in text for row in report["rows"]] == [True] * 3
    assert len(scale.rows(report)) == len(scale.PICTURES)

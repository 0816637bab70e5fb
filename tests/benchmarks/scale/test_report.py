from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import DATA, Skipped
from benchmarks.pages import __main__ as docs
from benchmarks.scale import measure as scale_measure
from benchmarks.scale import page as scale_page
from benchmarks.scale import report as scale
from lidloop.files import write_atomic

GIVEN = scale.Figures(
    picture_bytes=30_000, version_bytes=800, predictions_bytes=500, files=0.7, decode=0.002, convert=0.004,
    filter=0.001, filter_bytes=14_000, evaluate=0.002, fixed=10, model_bytes=5e7,
)  # fmt: skip
STORED = json.loads((Path(__file__).parents[3] / "docs" / DATA / "benchmarks.json").read_text())["benchmarks"]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return scale.run(stored=STORED, sizes=(200, 600))


def test_what_is_measured() -> None:
    """Bytes of the parts that are there in numbers known beforehand."""
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


def test_slopes_leave_out_what_does_not_grow() -> None:
    small, large = {"pictures": 10.0, "bytes": 105.0}, {"pictures": 30.0, "bytes": 305.0}
    assert scale_measure.slopes(small, large) == {"bytes": 10.0}


def test_paper_is_linear_but_for_what_is_fixed() -> None:
    small, large = (scale.on_paper(n, 8, GIVEN) for n in (10**6, 10**7))
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
    over = scale.on_paper(10**5, 1, replace(GIVEN, **change))["over"]
    assert list(over) == ([name] if name else []), why


def test_decoding_that_is_slower_than_a_gpu_sets_the_pace() -> None:
    slow = scale.on_paper(10**6, 1, replace(GIVEN, decode=1.0))
    assert slow["label_per_second"] == scale.CORES


def test_simulation_agrees_with_paper_where_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    calm = {"spread": 1e-9, "lost_every_hours": 1e12, "pod_seconds": 0.0}
    for name, value in calm.items():
        monkeypatch.setitem(scale.ASSUMED, name, scale.ASSUMED[name]._replace(value=value))
    made = scale.simulate(80_000, 8, 16, 100.0)
    assert made["seconds"] == pytest.approx(100.0)
    assert made["gpu_hours"] == pytest.approx(800 / 3600)
    assert (made["lost"], made["share"]) == (0, pytest.approx(1))


def test_simulation_pays_for_lost_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    calm = scale.simulate(10**6, 8, 64, 100.0)
    monkeypatch.setitem(
        scale.ASSUMED, "lost_every_hours", scale.ASSUMED["lost_every_hours"]._replace(value=0.2)
    )
    stormy = scale.simulate(10**6, 8, 64, 100.0)
    assert stormy["lost"] > 10
    assert stormy["gpu_hours"] > calm["gpu_hours"]
    assert stormy["share"] < calm["share"] < 1
    assert stormy == scale.simulate(10**6, 8, 64, 100.0), "the seed is fixed"


def test_it_says_what_it_needs() -> None:
    with pytest.raises(Skipped, match="auto_label and overhead"):
        scale.run(stored={})


def test_page(report: dict[str, Any], tmp_path: Path) -> None:
    machine = {"cpu": "a processor", "cores": 2, "system": "linux", "versions": {}}
    entry = {"measured": "2026-01-02", "machine": machine, "report": report}
    write_atomic(
        tmp_path / DATA / "benchmarks.json", json.dumps({"format": 1, "benchmarks": {"scale": entry}})
    )
    page = docs.scale_page(tmp_path)
    assert page is not None
    text = page.read_text()
    for row in report["rows"]:
        assert f"**{row['pictures']:,} pictures.**" in text
    for assumed in scale.ASSUMED.values():
        assert assumed.source in text
    assert len(scale_page.rows(report)) == len(scale.PICTURES)
    for table in text.split("\n\n"):
        assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) <= 1
    assert docs.scale_page(tmp_path / "elsewhere") is None

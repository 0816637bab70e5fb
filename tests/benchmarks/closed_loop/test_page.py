"""The page of the closed loop, from a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.closed_loop.page import FIGURE, STORED, closed_loop_page, text
from benchmarks.common import DATA, FIGURES
from lidloop.files import write_atomic

GOLD = {"nme_mean": 0.05, "lid_error_mean": 0.012, "recall": 0.97}


@pytest.fixture
def entry() -> dict[str, Any]:
    events = [
        {"at": 10.0, "name": "traffic", "text": "pictures arrive"},
        {"at": 60.0, "name": "alert", "text": "the alert fires"},
    ]
    drift = [
        {"at": 20.0, "version": "1", "psi": {"box_size": 0.05, "yaw": 0.04}},
        {"at": 50.0, "version": "1", "psi": {"box_size": 2.5, "yaw": 0.06}},
        {"at": 90.0, "version": "3", "psi": {"box_size": 0.1}},
    ]
    champion = {"gold": GOLD, "grown": 40, "iteration": 1, "gate": {"reasons": ["NME 9 % → 5 %"]}}
    report = {
        "events": events, "drift": drift, "first": champion | {"version": "1"},
        "second": champion | {"version": "3"}, "statuses": {"200": 900}, "labelled": 300, "traffic": 200,
        "hide": 0.4, "imgsz": 256, "epochs": 2, "iterations": 2, "per_second": 4.0, "window": 300,
        "threshold": 0.25, "hold": "5s", "runs": 1,
    }  # fmt: skip
    machine = {"cpu": "a processor", "cores": 2}
    return {"measured": "2026-01-01", "machine": machine, "report": report}


def test_it_says_what_happened_and_why_the_champion_changed(entry: dict[str, Any]) -> None:
    page = text(entry)
    for said in (
        "| 60 s | the alert fires |",
        "- NME 9 % → 5 %",
        "Version 3 is the run's iteration 1",
        "NME 5.0 %;",
    ):
        assert said in page
    assert "$" not in page


def test_page_and_figure_come_from_the_stored_report(entry: dict[str, Any], tmp_path: Path) -> None:
    assert closed_loop_page(tmp_path) is None
    write_atomic(tmp_path / DATA / STORED, json.dumps(entry))
    page = closed_loop_page(tmp_path)
    assert page is not None
    assert f"(images/{FIGURE})" in page.read_text()
    assert (tmp_path / FIGURES / FIGURE).read_bytes().startswith(b"\x89PNG")

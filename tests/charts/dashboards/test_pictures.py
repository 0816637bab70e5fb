"""benchmarks/dashboards/pictures.py: every panel's answers can be drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from benchmarks.dashboards import pictures, prometheus
from benchmarks.dashboards.pictures import COLOURS, colour, shown
from tests.charts.dashboards.conftest import Boards
from tests.manifests.render import ROOT


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.1234, "percentunit", 2, "12.34 %"),
        (0.1234, "percentunit", None, "12.3 %"),
        (0.25, "s", None, "0.25 s"),
        (90, "s", 0, "1.5 min"),
        (4800, "s", 0, "1.3 hours"),
        (200000, "s", 0, "2.3 days"),
        (2427, "none", 0, "2427"),
        (0.5, "reqps", None, "0.5"),
    ],
)
def test_values(value: float, unit: str, decimals: int | None, text: str) -> None:
    assert shown(value, unit, decimals) == text


@pytest.mark.parametrize(("value", "name"), [(0, "green"), (0.1, "yellow"), (0.2, "yellow"), (0.25, "red")])
def test_colours(value: float, name: str) -> None:
    steps = [
        {"value": None, "color": "green"},
        {"value": 0.1, "color": "yellow"},
        {"value": 0.25, "color": "red"},
    ]
    assert colour(value, {"steps": steps}) == COLOURS[name]


@pytest.mark.prometheus("prometheus", "promtool")
def test_a_dashboard_is_drawn(server: prometheus.Server, boards: Boards, tmp_path: Path) -> None:
    """The one with all kinds of panels, as large as the one in the docs."""
    assert {panel["type"] for panel in boards["labels"]["panels"]} == set(pictures.KINDS)
    pictures.draw(server, boards["labels"], tmp_path / "labels.png")
    drawn, kept = (
        cv2.imread(str(f))
        for f in (tmp_path / "labels.png", ROOT / "docs" / "images" / "dashboards-labels.png")
    )
    assert drawn.shape == kept.shape
    assert drawn.std() > 10

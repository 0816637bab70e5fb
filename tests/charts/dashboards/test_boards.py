"""charts/dashboards: the JSON of the dashboards, without a data source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from charts.dashboards.panels import COLUMNS
from charts.dashboards.write import FOLDER, dashboards
from tests.charts.dashboards.conftest import Boards
from tests.manifests.render import ROOT

NAMES = ("labels", "models", "serving")
ROWS = 24
"""Rows of Grafana's grid that a screen of 1080 lines shows."""

every = pytest.mark.parametrize("name", NAMES)


def test_dashboards_are_up_to_date() -> None:
    for name, text in dashboards().items():
        assert (FOLDER / f"{name}.json").read_text() == text, "run: python -m charts.dashboards"


def test_all_dashboards_exist(boards: Boards) -> None:
    assert tuple(boards) == NAMES
    assert len({board["uid"] for board in boards.values()}) == len(NAMES)


@every
def test_title_is_a_question(boards: Boards, name: str) -> None:
    assert boards[name]["title"].endswith("?")
    assert boards[name]["description"]


@every
def test_panels_fill_one_screen_without_gaps(boards: Boards, name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in boards[name]["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert height <= ROWS
    assert len(taken) == COLUMNS * height


@every
def test_every_panel_has_description_unit_and_data_source(boards: Boards, name: str) -> None:
    panels = boards[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["instant"] != target["range"]
            if panel["type"] == "timeseries":
                assert target["legendFormat"], panel["title"]


@every
def test_variables_are_defined_and_used(boards: Boards, name: str) -> None:
    """Every query filters by the selected namespace."""
    board = boards[name]
    known = {variable["name"] for variable in board["templating"]["list"]}
    assert {"datasource", "namespace", "model", "registry", "runs", "runbooks"} == known
    text = str(board)
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__range", "__field", "__all"}
    assert used <= known
    for panel in board["panels"]:
        for target in panel["targets"]:
            assert 'namespace=~"$namespace"' in target["expr"], panel["title"]


@every
def test_links_lead_to_existing_targets(boards: Boards, name: str) -> None:
    """Registry, runbooks, other dashboards; from a champion to its version and run."""
    urls = list(_urls(boards[name]))
    for url in urls:
        if url.startswith("${runbooks}/"):
            assert (ROOT / "docs" / "runbooks" / url.rpartition("/")[2]).is_file(), url
        else:
            assert url.startswith(("${registry}/", "${runs}/")), url
    assert any(url.startswith("${registry}/#/models/${model}") for url in urls)
    assert any("/Lidloop" in url for url in urls)
    assert any(link["type"] == "dashboards" for link in boards[name]["links"])
    if name == "models":
        assert "${registry}/#/models/${__field.labels.model}/versions/${__field.labels.version}" in urls
        assert "${runs}/${__field.labels.run}/report.html" in urls


def _urls(item: Any) -> Iterator[str]:
    """All URLs in a dashboard."""
    if isinstance(item, dict):
        for key, value in item.items():
            if key == "url" and value:
                yield value
            else:
                yield from _urls(value)
    elif isinstance(item, list):
        for value in item:
            yield from _urls(value)


@every
def test_thresholds_are_sorted(boards: Boards, name: str) -> None:
    for panel in boards[name]["panels"]:
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {"steps": []})["steps"]
        values = [step["value"] for step in steps]
        assert values[:1] in ([], [None])
        assert values[1:] == sorted(values[1:])

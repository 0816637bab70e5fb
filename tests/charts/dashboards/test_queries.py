"""Queries of panels, rules and runbooks against a real Prometheus with recorded data: none is empty or wrong.

``benchmarks.dashboards.series`` tells what the data holds; what panels must show is worked out from that.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.dashboards import prometheus, series
from benchmarks.dashboards.loop_series import REVIEWS, SUMMARY
from lidloop.drift import psi
from lidloop.exporter.families import BY_NAME
from lidloop.exporter.figures import BOUNDS
from tests.charts.dashboards.conftest import Boards
from tests.charts.dashboards.test_boards import NAMES
from tests.manifests.render import ROOT

LAST = json.loads(SUMMARY.read_text())["iterations"][-1]
GOLD = LAST["metrics"]["gold"]
RATIOS = {"percentunit": (0.0, 1.0)}


def answered(server: prometheus.Server, board: dict[str, Any], title: str) -> list[list[dict[str, Any]]]:
    [panel] = [panel for panel in board["panels"] if panel["title"] == title]
    chosen = prometheus.choice(server, board, end=series.END, seconds=series.SECONDS)
    return prometheus.answers(server, panel, chosen, end=series.END, seconds=series.SECONDS)


def numbers(found: list[dict[str, Any]]) -> np.ndarray:
    """All values of an answer."""
    values = [v for item in found for _, v in (item.get("values") or [item["value"]])]
    return np.array(values, dtype=float)


@pytest.mark.prometheus("prometheus", "promtool")
@pytest.mark.parametrize("name", NAMES)
def test_no_panel_is_empty(server: prometheus.Server, boards: Boards, name: str) -> None:
    """Each query answers with finite numbers, up to the end, in the range that its unit allows."""
    board = boards[name]
    for panel in board["panels"]:
        for target, found in zip(panel["targets"], answered(server, board, panel["title"]), strict=True):
            where = (panel["title"], target["expr"])
            assert found, where
            values = numbers(found)
            assert np.isfinite(values[~np.isnan(values)]).all(), where
            assert np.isfinite(values).mean() > 0.95, where
            low, high = RATIOS.get(panel["fieldConfig"]["defaults"]["unit"], (-math.inf, math.inf))
            assert values[np.isfinite(values)].min() >= low, where
            assert values[np.isfinite(values)].max() <= high, where
            if target["range"]:
                assert max(item["values"][-1][0] for item in found) == series.END, where


@pytest.mark.prometheus("prometheus", "promtool")
@pytest.mark.parametrize("name", NAMES)
def test_series_have_distinct_names(server: prometheus.Server, boards: Boards, name: str) -> None:
    """By legend, by the labels of a bar chart, by the key of a table; a number is a single series."""
    board = boards[name]
    for panel in board["panels"]:
        found = answered(server, board, panel["title"])
        if panel["type"] == "timeseries":
            legends = [
                prometheus.legend(target["legendFormat"], item["metric"])
                for target, answer in zip(panel["targets"], found, strict=True)
                for item in answer
            ]
            assert all(legends), panel["title"]
            assert max(Counter(legends).values()) == 1, panel["title"]
        elif panel["type"] == "stat":
            assert len(found[0]) == 1, panel["title"]
        else:
            options = {step["id"]: step["options"] for step in panel["transformations"]}
            if panel["type"] == "barchart":
                keys = {options["groupingToMatrix"]["rowField"], options["groupingToMatrix"]["columnField"]}
            else:
                keys = {options["joinByField"]["byField"]}
            rows = [frozenset(item["metric"].items()) for item in found[0]]
            assert {name for row in rows for name, _ in row} == keys, panel["title"]
            assert len(set(rows)) == len(rows)
            assert all({frozenset(i["metric"].items()) for i in other} == set(rows) for other in found[1:])


@pytest.mark.parametrize(
    ("name", "title", "expected", "why"),
    [
        ("labels", "Labels", 2427, "what the newest iteration made"),
        ("labels", "Grown labels", 416 / 2427, "of them those that a model gave"),
        ("labels", "Guards tripped", 0, "all are under their thresholds"),
        ("labels", "Rise of wrong labels", 0, "chance explains the difference"),
        ("labels", "Age of the data", 20, "read 20 s before each scrape"),
        ("models", "Lid error of the champion", GOLD["lid_error"], "the last iteration's"),
        ("models", "Recall of the champion", GOLD["recall"], "the last iteration's"),
        ("models", "Lid error, candidate against champion", 0, "the newest version is the champion"),
        ("models", "Time since the last run", 4800, "80 minutes before the end"),
        ("models", "Outcome of the last run", 0, "it succeeded"),
        ("serving", "Instances ready", 2, "both"),
        ("serving", "Pictures", 2 * 2 * series.PICTURES, "two instances, twice as many as usual"),
        ("serving", "Answers without server errors", 1, "none was internal, late, audit or not-ready"),
    ],
)
def test_panel_shows_the_number(
    server: prometheus.Server, boards: Boards, name: str, title: str, expected: float, why: str
) -> None:
    [[found]] = answered(server, boards[name], title)
    assert float(found["value"][1]) == pytest.approx(expected, rel=1e-6), why


@pytest.mark.parametrize(
    ("name", "title", "shown"),
    [
        ("models", "Champion", "version 8, iteration 3"),
        ("serving", "Model in service", "version 8, iteration 3"),
    ],
)
@pytest.mark.prometheus("prometheus", "promtool")
def test_panel_shows_the_name(
    server: prometheus.Server, boards: Boards, name: str, title: str, shown: str
) -> None:
    [panel] = [panel for panel in boards[name]["panels"] if panel["title"] == title]
    [[found]] = answered(server, boards[name], title)
    assert prometheus.legend(panel["targets"][0]["legendFormat"], found["metric"]) == shown


@pytest.mark.prometheus("prometheus", "promtool")
def test_bars_show_the_metrics_of_the_run(server: prometheus.Server, boards: Boards) -> None:
    [found] = answered(server, boards["models"], "Errors on gold (by iteration)")
    shown = {(i["metric"]["metric"], i["metric"]["iteration"]): float(i["value"][1]) for i in found}
    entries = json.loads(SUMMARY.read_text())["iterations"]
    assert shown == {
        (metric, str(entry["iteration"])): pytest.approx(entry["metrics"]["gold"][metric])
        for entry in entries
        for metric in ("lid_error", "nme")
    }


@pytest.mark.prometheus("prometheus", "promtool")
def test_bars_show_the_share_of_wrong_labels_with_its_interval(
    server: prometheus.Server, boards: Boards
) -> None:
    [found] = answered(server, boards["labels"], "Wrong labels among reviewed ones (by iteration)")
    shown = {(i["metric"]["iteration"], i["metric"]["bound"]): float(i["value"][1]) for i in found}
    assert shown == {
        (str(one.iteration), bound): pytest.approx(getattr(one.verdicts.wrong, bound))
        for one in REVIEWS
        if one.kind == "grown"
        for bound in BOUNDS
    }


@pytest.mark.prometheus("prometheus", "promtool")
def test_drift_is_computed_over_the_windows_of_all_instances(server: prometheus.Server) -> None:
    """Equal to lidloop.drift.psi, and above 0.25 only after the pictures have changed."""
    recorded = 'version_feature:lidloop_serving_drift:psi{version="8"}'
    evaluated = float(server.at(f"min(timestamp({recorded}))", series.END)[0]["value"][1])
    counts: dict[str, dict[str, dict[int, int]]] = {}
    for metric in ("window", "reference"):
        expr = f"lidloop_serving_{metric}_values"
        expr = f"sum by (feature, bin) ({expr})" if metric == "window" else f"max by (feature, bin) ({expr})"
        for item in server.at(expr, evaluated):
            of = counts.setdefault(item["metric"]["feature"], {}).setdefault(metric, {})
            of[int(item["metric"]["bin"])] = int(float(item["value"][1]))
    shown = server.at(recorded, series.END)
    assert len(shown) > 10
    for item in shown:
        of = counts[item["metric"]["feature"]]
        bins = sorted(of["reference"])
        expected = psi([of["reference"][k] for k in bins], [of["window"][k] for k in bins])
        assert float(item["value"][1]) == pytest.approx(expected, rel=1e-6)
    worst = "max(version_feature:lidloop_serving_drift:psi)"
    before, after = (float(server.at(worst, at)[0]["value"][1]) for at in (series.SHIFT - 60, series.END))
    assert before < 0.1
    assert after > 0.25


@pytest.mark.prometheus("prometheus", "promtool")
def test_only_alerts_of_recorded_events_fire(server: prometheus.Server) -> None:
    """Every rule can be evaluated."""
    true = set()
    for path in sorted(prometheus.RULES.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                found = server.at(rule["expr"], series.END)
                if "record" in rule:
                    assert found, rule["record"]
                elif found:
                    true.add(rule["alert"])
    assert true == {"LidloopTrafficDrift", "LidloopLatencyBudgetBurn"}


@pytest.mark.prometheus("prometheus", "promtool")
def test_queries_of_runbooks_read_existing_metrics(server: prometheus.Server) -> None:
    asked = 0
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for block in re.findall(r"```promql\n(.*?)```", path.read_text(), re.DOTALL):
            for line in block.splitlines():
                expr = line.partition("#")[0].strip()
                server.at(expr, series.END)
                for name in re.findall(r"\b(?:\w+:)?lidloop_\w+(?::\w+)?", expr):
                    assert server.at(f"count(last_over_time({name}[2h]))", series.END), (path.name, name)
                asked += 1
    assert asked > 25


def test_recorded_data_has_the_families_of_the_exporter(recorded: list[series.Sample]) -> None:
    """With exactly their labels."""
    told = {family.full_name: set(family.labels) for family in BY_NAME.values()}
    seen = set()
    for name in {name for name, _, _ in recorded}:
        if 'job="exporter"' in name and not name.startswith("up{"):
            metric, _, labels = name.partition("{")
            found = set(re.findall(r'(\w+)="', labels)) - {"namespace", "job", "instance"}
            assert found == told[metric], name
            seen.add(metric)
    assert set(told) == seen

"""charts/lidloop/files/rules: when alerts fire, that their metrics exist, and that each has a runbook."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.manifests.render import CHART, ROOT

RULES: Final = sorted((CHART / "files" / "rules").glob("*.yaml"))
TESTS: Final = sorted(Path(__file__).parent.glob("*.test.yaml"))
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
ALERTS: Final = {
    "LidloopLabelDrift", "LidloopTrafficDrift", "LidloopGoldFalling", "LidloopGrowthStalled",
    "LidloopRunFailed", "LidloopRunOverdue", "LidloopGuardTripped", "LidloopServingErrors",
    "LidloopLatencyBudgetBurn", "LidloopServingNotReady", "LidloopServingSaturated", "LidloopRegistryDown",
    "LidloopExporterStale", "LidloopCertificateExpiring", "LidloopStorageFull",
    "LidloopWrongLabelsRising",
}  # fmt: skip
FOREIGN: Final = {"up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"}
"""Metrics of Prometheus itself and of the kubelet."""

promtool = pytest.mark.prometheus("promtool")


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def key(name: str, labels: dict[str, str]) -> tuple[str, str, str | None]:
    """Identity of a rule among those of the same alert."""
    return name, labels["severity"], labels.get("subject")


@promtool
def test_promtool_and_its_linter_accept_the_rules() -> None:
    made = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", *RULES], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr


@promtool
def test_alerts_fire_when_they_should_and_only_then() -> None:
    with ThreadPoolExecutor() as pool:
        made = pool.map(
            lambda path: subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True),
            TESTS,
        )
        failed = [run.stdout + run.stderr for run in made if run.returncode]
    assert len(TESTS) == 4
    assert failed == []


def test_every_rule_has_a_firing_and_a_silent_case() -> None:
    fires, silent = set(), set()
    every = {key(rule["alert"], rule["labels"]) for rule in alerts()}
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for asked in test["alert_rule_test"]:
                found = {key(asked["alertname"], alert["exp_labels"]) for alert in asked["exp_alerts"]}
                fires |= found
                silent |= {rule for rule in every if rule[0] == asked["alertname"]} - found
    assert fires == every
    assert silent == every


def test_all_alerts_are_defined() -> None:
    assert {rule["alert"] for rule in alerts()} == ALERTS


def test_alerts_have_severity_and_annotations() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule
        assert "for" in rule, rule
    starting = {rule["alert"] for rule in alerts() if rule["labels"].get("lidloop_action") == "iterate"}
    assert starting == {"LidloopTrafficDrift"}


def test_alerts_and_runbooks_match() -> None:
    linked = {rule["alert"]: rule["annotations"]["runbook_url"].rpartition("/")[2] for rule in alerts()}
    assert linked == {name: f"{name}.md" for name in ALERTS}
    assert {path.name for path in RUNBOOKS.glob("Lidloop*.md")} == set(linked.values())


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_runbook_has_the_three_sections(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["What it means", "How to look", "What to do"]


def test_recorded_series_are_named_by_convention_and_used() -> None:
    """level:metric:operations; used by a rule or a dashboard."""
    records = [rule["record"] for rule in rules() if "record" in rule]
    assert len(set(records)) == len(records)
    readers = [rule["expr"] for rule in rules()]
    readers += [path.read_text() for path in (CHART / "files" / "dashboards").glob("*.json")]
    for name in records:
        assert re.fullmatch(r"[a-z_]+:lidloop_[a-z_]+:[a-z0-9_]+", name), name
        assert any(re.search(rf"{name}\b", text) for text in readers), f"{name} is not used"


def test_rules_read_existing_metrics() -> None:
    """docs/METRICS.md, which is generated from the code, lists them."""
    known = set(re.findall(r"^\| `(lidloop_\w+)`", (ROOT / "docs" / "METRICS.md").read_text(), re.MULTILINE))
    assert len(known) > 30
    own = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        asked = metrics(rule["expr"])
        assert asked, rule
        assert asked - own - known - FOREIGN == set(), rule


def metrics(expr: str) -> set[str]:
    """Names of the series that an expression reads, without the suffixes of histograms."""
    bare = re.sub(r'\{[^}]*\}|"[^"]*"|\b(by|on|ignoring|group_left|without) \([^)]*\)', "", expr)
    found = re.findall(r"\b(?:\w+:)?(?:lidloop_\w+(?::\w+)?|kubelet_\w+|up)\b", bare)
    return {re.sub(r"(_seconds)_(bucket|count|sum)$", r"\1", name) for name in found}


def test_metrics_of_an_expression_are_found() -> None:
    expr = (
        'sum by (up) (rate(lidloop_a_seconds_bucket{le="1"}[5m])) and on (lidloop_x) job:lidloop_b:sum > up'
    )
    assert metrics(expr) == {"lidloop_a_seconds", "job:lidloop_b:sum", "up"}

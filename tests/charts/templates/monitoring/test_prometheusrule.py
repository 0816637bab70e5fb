"""templates/monitoring/prometheusrule.yaml: contains all rules of files/rules unchanged."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.render import CHART, Object, one, template

FILES = sorted((CHART / "files" / "rules").glob("*.yaml"))


def groups(monitoring: dict[str, Any] | None = None) -> list[Object]:
    """Groups of the rendered PrometheusRule."""
    made = template("production", {"monitoring": monitoring or {}})
    found: list[Object] = one(made, "PrometheusRule", "lidloop-rules")["spec"]["groups"]
    return found


def alerts(found: list[Object]) -> list[Object]:
    """All alerting rules."""
    return [rule for group in found for rule in group["rules"] if "alert" in rule]


def test_rules_are_unchanged_except_runbook_links() -> None:
    """Also Prometheus' own templates in double braces."""
    given = [group for path in FILES for group in yaml.safe_load(path.read_text())["groups"]]
    found = groups()
    for one_alert in (*alerts(given), *alerts(found)):
        del one_alert["annotations"]["runbook_url"]
    assert given
    assert found == given
    assert "{{ $labels." in yaml.safe_dump(found)


def test_runbook_links_are_replaced() -> None:
    found = alerts(groups({"links": {"runbooks": "https://wiki.example.org/eyes/"}}))
    for alert in found:
        link = alert["annotations"]["runbook_url"]
        place, _, page = link.rpartition("/")
        assert place == "https://wiki.example.org/eyes"
        assert page.partition("#")[0].endswith(".md")
    assert not any(
        "runbook_url" in alert["annotations"] for alert in alerts(groups({"links": {"runbooks": ""}}))
    )


def test_additional_labels_do_not_override_labels_of_alerts() -> None:
    plain = alerts(groups())
    more = alerts(groups({"rules": {"alertLabels": {"team": "eyes", "severity": "none"}}}))
    for before, after in zip(plain, more, strict=True):
        assert after["labels"] == {"team": "eyes", **before["labels"]}


@pytest.mark.prometheus("promtool")
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups({"rules": {"alertLabels": {"team": "eyes"}}})}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_operator_selects_it_by_label() -> None:
    rule = one(template("production"), "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "monitoring"
    assert not [o for o in template("kserve-less") if o["kind"] == "PrometheusRule"]

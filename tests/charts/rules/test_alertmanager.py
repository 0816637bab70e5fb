"""charts/lidloop/files/alertmanager.yaml: valid for amtool, and every alert gets the right receivers."""

from __future__ import annotations

import subprocess
from typing import Any, Final

import pytest
import yaml

from tests.charts.rules.test_rules import ALERTS, alerts
from tests.manifests.render import CHART

CONFIG: Final = CHART / "files" / "alertmanager.yaml"

amtool = pytest.mark.prometheus("amtool")


def run_amtool(*arguments: object) -> str:
    made = subprocess.run(["amtool", *map(str, arguments)], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


@amtool
def test_amtool_accepts_the_configuration() -> None:
    assert "3 receivers" in run_amtool("check-config", CONFIG)


@amtool
@pytest.mark.parametrize(
    ("labels", "receivers", "why"),
    [
        (
            {"severity": "ticket", "lidloop_action": "iterate"},
            "trigger,ticket",
            "starts a run and is a ticket",
        ),
        ({"severity": "page"}, "page", "page"),
        ({"severity": "ticket"}, "ticket", "ticket"),
        ({}, "ticket", "alerts without a severity are tickets"),
        ({"severity": "page", "lidloop_action": "iterate"}, "trigger,page", "both"),
        ({"severity": "ticket", "lidloop_action": "other"}, "ticket", "only iterate starts a run"),
    ],
)
def test_alert_is_routed_to(labels: dict[str, str], receivers: str, why: str) -> None:
    asked = [f"{name}={value}" for name, value in {"alertname": "LidloopX", **labels}.items()]
    assert run_amtool("config", "routes", "test", f"--config.file={CONFIG}", *asked).strip() == receivers, why


@amtool
def test_every_alert_of_the_rules_is_routed_by_its_severity() -> None:
    every = {tuple(sorted(rule["labels"].items())) for rule in alerts()}
    for labels in every:
        asked = [f"{name}={value}" for name, value in labels]
        told = run_amtool("config", "routes", "test", f"--config.file={CONFIG}", *asked).strip()
        assert dict(labels)["severity"] == told.rpartition(",")[2]
        assert ("trigger" in told) == (dict(labels).get("lidloop_action") == "iterate")


def config() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return content


def test_secrets_are_read_from_files() -> None:
    for receiver in config()["receivers"]:
        for hook in receiver["webhook_configs"]:
            assert set(hook["http_config"]["authorization"]) == {"type", "credentials_file"}


def test_inhibitions_name_existing_alerts() -> None:
    for rule in config()["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _, values = matcher.replace("=~", "=").partition("=")
            if name == "alertname":
                assert set(values.strip('"').split("|")) <= ALERTS


def test_alerts_that_start_runs_are_not_inhibited() -> None:
    """Except by a page of the same alert."""
    starting = {rule["alert"] for rule in alerts() if "lidloop_action" in rule["labels"]}
    for rule in config()["inhibit_rules"]:
        named = " ".join(rule["target_matchers"])
        assert not any(name in named for name in starting)

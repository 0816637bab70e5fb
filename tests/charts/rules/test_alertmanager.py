"""charts/lidloop/files/alertmanager.yaml: amtool takes it, and every alert goes where it should."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any, Final

import pytest
import yaml

from tests.charts.rules.test_rules import ALERTS, alerts
from tests.manifests.render import CHART

CONFIG: Final = CHART / "files" / "alertmanager.yaml"

amtool = pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")


def amtool_says(*arguments: object) -> str:
    made = subprocess.run(["amtool", *map(str, arguments)], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


@amtool
def test_amtool_takes_it() -> None:
    assert "3 receivers" in amtool_says("check-config", CONFIG)


@amtool
@pytest.mark.parametrize(
    ("labels", "receivers", "why"),
    [
        (
            {"severity": "ticket", "lidloop_action": "iterate"},
            "trigger,ticket",
            "a run, and somebody reads it",
        ),
        ({"severity": "page"}, "page", "wakes somebody"),
        ({"severity": "ticket"}, "ticket", "waits"),
        ({}, "ticket", "an alert of others is not lost"),
        ({"severity": "page", "lidloop_action": "iterate"}, "trigger,page", "both"),
        ({"severity": "ticket", "lidloop_action": "other"}, "ticket", "only iterate starts a run"),
    ],
)
def test_routes(labels: dict[str, str], receivers: str, why: str) -> None:
    asked = [f"{name}={value}" for name, value in {"alertname": "LidloopX", **labels}.items()]
    assert amtool_says("config", "routes", "test", f"--config.file={CONFIG}", *asked).strip() == receivers, (
        why
    )


@amtool
def test_routes_of_our_alerts() -> None:
    """Each with the labels that its rule gives it."""
    every = {tuple(sorted(rule["labels"].items())) for rule in alerts()}
    for labels in every:
        asked = [f"{name}={value}" for name, value in labels]
        told = amtool_says("config", "routes", "test", f"--config.file={CONFIG}", *asked).strip()
        assert dict(labels)["severity"] == told.rpartition(",")[2]
        assert ("trigger" in told) == (dict(labels).get("lidloop_action") == "iterate")


def config() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return content


def test_secrets_are_files() -> None:
    for receiver in config()["receivers"]:
        for hook in receiver["webhook_configs"]:
            assert set(hook["http_config"]["authorization"]) == {"type", "credentials_file"}


def test_inhibitions_speak_of_alerts_that_exist() -> None:
    for rule in config()["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name, _, values = matcher.replace("=~", "=").partition("=")
            if name == "alertname":
                assert set(values.strip('"').split("|")) <= ALERTS


def test_a_drift_is_never_held_back() -> None:
    """No inhibition keeps an alert that starts a run from the trigger, but a page of the same alert."""
    starting = {rule["alert"] for rule in alerts() if "lidloop_action" in rule["labels"]}
    for rule in config()["inhibit_rules"]:
        named = " ".join(rule["target_matchers"])
        assert not any(name in named for name in starting)

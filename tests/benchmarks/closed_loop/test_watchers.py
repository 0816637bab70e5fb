"""Prometheus and Alertmanager as the closed loop starts them."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from benchmarks.closed_loop.watchers import HOLD, RULES, alertmanager_command, prometheus_command, shortened


def test_only_times_are_shortened() -> None:
    for file in sorted(RULES.glob("*.yaml")):
        before = [r for group in yaml.safe_load(file.read_text())["groups"] for r in group["rules"]]
        after = [r for group in shortened(yaml.safe_load(file.read_text()))["groups"] for r in group["rules"]]
        untimed = [{k: v for k, v in r.items() if k not in ("for", "keep_firing_for")} for r in before]
        assert [{k: v for k, v in r.items() if k != "for"} for r in after] == untimed
        assert {r["for"] for r in after if "alert" in r} <= {HOLD}


@pytest.mark.prometheus("promtool")
def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    prometheus_command(tmp_path / "p", targets={"lidloop-serving": 1}, alertmanager=2)
    command = ["promtool", "check", "config", tmp_path / "p" / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(list(RULES.glob('*.yaml')))} rule files found" in done.stdout


@pytest.mark.prometheus("amtool")
def test_only_alerts_that_ask_for_a_run_reach_the_trigger(tmp_path: Path) -> None:
    alertmanager_command(tmp_path / "a", trigger=8090, token="secret")
    config = tmp_path / "a" / "alertmanager.yml"
    assert "secret" not in config.read_text()
    assert stat.S_IMODE((tmp_path / "a" / "key").stat().st_mode) == 0o600
    drifted = ["lidloop_action=iterate", "severity=ticket"]
    for labels, receivers in ((drifted, "trigger,ticket"), (["severity=page"], "page")):
        command = ["amtool", "config", "routes", "test", f"--config.file={config}", *labels]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.stdout.strip() == receivers, done.stderr

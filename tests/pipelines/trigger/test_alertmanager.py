"""A real Alertmanager, configured as docs/TRIGGER.md says, sends an alert on, and one run is started."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytest.importorskip("starlette")
from tests.pipelines.trigger.conftest import Service, free_port, until

DOCUMENT = Path(__file__).parents[3] / "docs" / "TRIGGER.md"


def configuration(service: Service) -> str:
    """The document's own, for this address and this key, and without a wait."""
    text = DOCUMENT.read_text().partition("```yaml\nroute:")[2].partition("```")[0]
    config = yaml.safe_load("route:" + text)
    (route,) = config["route"]["routes"]
    route["group_wait"] = "0s"
    (hook,) = config["receivers"][1]["webhook_configs"]
    hook["url"] = hook["url"].replace("https://lidloop-trigger:8090", service.url)
    key = service.place / "key"
    key.write_text(service.keys["alertmanager"])
    hook["http_config"]["authorization"]["credentials_file"] = str(key)
    return yaml.safe_dump(config)


@pytest.mark.prometheus("prometheus-alertmanager")
def test_alertmanager_starts_a_run(make: Callable[..., Service], tmp_path: Path) -> None:
    service = make("--cooldown", "1h").start()
    config, port = tmp_path / "alertmanager.yml", free_port()
    config.write_text(configuration(service))
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "alertmanager.log").open("w") as log:
        manager = subprocess.Popen(
            [
                *("prometheus-alertmanager", f"--config.file={config}", f"--storage.path={tmp_path / 'am'}"),
                *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: _ready(url))
        _send(url, "LidloopLabelDrift", "iterate")
        (run,) = service.ended()
        assert (run["reason"], run["state"]) == ("alert", "succeeded")
        assert run["started_by"] == service.keys["alertmanager"].split("_")[1]
        _send(url, "LidloopTrafficDrift", "iterate")
        _send(url, "LidloopLatencyBudgetBurn", "none")
        until(lambda: len(_heard(service)) == 2)
        time.sleep(0.5)
        assert _heard(service) == [
            ("LidloopTrafficDrift", "cooling-down", run["id"]),
            ("LidloopLabelDrift", "started", run["id"]),
        ], "and the third was for people only"
        assert service.starts == [run["id"]]
    finally:
        manager.terminate()
        manager.wait(20)


def _ready(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _send(url: str, name: str, action: str) -> None:
    import httpx

    labels = {"alertname": name, "model": "lidloop", "lidloop_action": action}
    httpx.post(f"{url}/api/v2/alerts", json=[{"labels": labels}], timeout=20).raise_for_status()


def _heard(service: Service) -> list[tuple[str, str, str]]:
    alerts = service.ask("GET", "/v1/alerts").json()["alerts"]
    assert json.dumps(alerts)
    return [(entry["name"], entry["outcome"], entry["run"]) for entry in alerts]

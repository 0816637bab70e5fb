"""Prometheus with the chart's rules and Alertmanager with the chart's routes, with short intervals."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.common import Skipped

RULES: Final = Path("charts/lidloop/files/rules")
ROUTES: Final = Path("charts/lidloop/files/alertmanager.yaml")
HOLD: Final = "5s"
"""Time that an alert must hold, instead of the minutes and hours of the chart's rules."""

PROGRAMS: Final = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
"""Debian packages by program."""


def require_programs() -> None:
    """Check that Prometheus and Alertmanager are installed.

    Raises:
        Skipped: if one is not; names the packages to install.
    """
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if missing:
        raise Skipped(f"needs {' and '.join(sorted(missing))}: apt-get install {' '.join(sorted(missing))}")


def shortened(rules: dict[str, Any]) -> dict[str, Any]:
    """The same rules, evaluated every second, with alerts that must hold for ``HOLD``."""
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = HOLD
                rule.pop("keep_firing_for", None)
    return rules


def prometheus_command(place: Path, *, targets: dict[str, int], alertmanager: int) -> list[str]:
    """Write Prometheus' configuration, and return the command that starts it on ``{port}``."""
    place.mkdir(parents=True)
    for file in sorted(RULES.glob("*.yaml")):
        (place / file.name).write_text(yaml.safe_dump(shortened(yaml.safe_load(file.read_text()))))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
        "scrape_configs": [
            {
                "job_name": job,
                "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "lidloop"}}],
            }
            for job, port in targets.items()
        ],
    }
    (place / "prometheus.yml").write_text(yaml.safe_dump(config))
    return [
        "prometheus", f"--config.file={place / 'prometheus.yml'}", f"--storage.tsdb.path={place / 'data'}",
        "--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip


def get_json(port: int, path: str, *, token: str = "", **query: str) -> Any:
    """Send a GET request to a server on this machine, and return the JSON answer."""
    address = f"http://127.0.0.1:{port}{path}"
    if query:
        address += "?" + urllib.parse.urlencode(query)
    request = urllib.request.Request(address)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def ask(port: int, expression: str) -> list[dict[str, Any]]:
    """Evaluate an expression now; each result is ``{"metric": labels, "value": [time, text]}``."""
    answer: list[dict[str, Any]] = get_json(port, "/api/v1/query", query=expression)["data"]["result"]
    return answer


def _shorten(route: dict[str, Any]) -> None:
    route |= {"group_wait": "1s", "group_interval": "5s", "repeat_interval": "10s"}
    for inner in route.get("routes", ()):
        _shorten(inner)


def alertmanager_command(place: Path, *, trigger: int, token: str) -> list[str]:
    """Write Alertmanager's configuration, and return the command that starts it on ``{port}``.

    Args:
        trigger: port of the trigger service.
        token: API key that may send it alerts.
    """
    place.mkdir(parents=True)
    key = place / "key"
    key.touch(mode=0o600)
    key.write_text(token)
    config = yaml.safe_load(ROUTES.read_text())
    _shorten(config["route"])
    for receiver in config["receivers"]:
        hooks = receiver.pop("webhook_configs", [])
        if receiver["name"] == "trigger":  # no pages and no tickets from here
            hooks[0]["url"] = f"http://127.0.0.1:{trigger}/v1/alerts"
            hooks[0]["http_config"]["authorization"]["credentials_file"] = str(key)
            receiver["webhook_configs"] = hooks
    (place / "alertmanager.yml").write_text(yaml.safe_dump(config))
    return [
        "prometheus-alertmanager", f"--config.file={place / 'alertmanager.yml'}",
        f"--storage.path={place / 'data'}", "--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=", "--log.level=warn",
    ]  # fmt: skip

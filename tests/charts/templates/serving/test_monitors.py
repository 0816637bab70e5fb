"""templates/serving/servicemonitor.yaml and podmonitor.yaml."""

from __future__ import annotations

import pytest

from serving.app import create_app
from serving.settings import Settings
from tests.manifests.render import one, template

MONITORED = {"monitoring": {"enabled": True, "labels": {"release": "x"}, "interval": "15s"}}


@pytest.mark.parametrize(
    ("values", "kind", "ends", "source"),
    [
        ("kserve-less", "ServiceMonitor", "endpoints", "Service"),
        ("production", "PodMonitor", "podMetricsEndpoints", "ServingRuntime"),
    ],
)
def test_monitor_selects_the_metrics_port(values: str, kind: str, ends: str, source: str) -> None:
    objects = template(values, MONITORED)
    monitor = one(objects, kind, "lidloop-serving")
    [end] = monitor["spec"][ends]
    assert end == {"port": "metrics", "path": "/metrics", "interval": "15s"}
    assert monitor["metadata"]["labels"]["release"] == "x"
    assert end["path"] in {route.path for route in create_app(Settings()).routes}  # type: ignore[attr-defined]
    found = one(objects, source, "lidloop-serving")
    if source == "Service":
        assert [p["name"] for p in found["spec"]["ports"]] == ["http", end["port"]]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= found["metadata"]["labels"].items()
    else:
        assert [p["name"] for p in found["spec"]["containers"][0]["ports"]] == ["http", end["port"]]


def test_monitors_are_off_by_default() -> None:
    assert not {o["kind"] for o in template("kserve-less")} & {"ServiceMonitor", "PodMonitor"}

"""templates/trigger/servicemonitor.yaml."""

from __future__ import annotations

from tests.manifests.render import one, template


def test_monitor_selects_the_service() -> None:
    objects = template("production", {"monitoring": {"interval": "1m"}})
    monitor, service = (one(objects, kind, "lidloop-trigger") for kind in ("ServiceMonitor", "Service"))
    [end] = monitor["spec"]["endpoints"]
    assert end == {"port": service["spec"]["ports"][0]["name"], "path": "/metrics", "interval": "1m"}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "monitoring"


def test_monitor_is_off_by_default() -> None:
    assert not [o for o in template("kserve-less") if o["kind"] == "ServiceMonitor"]

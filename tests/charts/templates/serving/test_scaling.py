"""templates/serving/horizontalpodautoscaler.yaml, scaledobject.yaml and poddisruptionbudget.yaml."""

from __future__ import annotations

from typing import Any

from tests.manifests.render import Object, one, template


def scaled(kind: str, **more: Any) -> list[Object]:
    """Objects of the values without KServe, with an autoscaler."""
    return template("kserve-less", {"serving": {"autoscaling": {"kind": kind, **more}}})


def test_no_autoscaler_by_default() -> None:
    for values in ("kserve-less", "production", "minimal"):
        kinds = {o["kind"] for o in template(values)}
        assert not kinds & {"HorizontalPodAutoscaler", "ScaledObject"}, values


def test_hpa_scales_by_cpu() -> None:
    spec = one(scaled("hpa", min=3, max=7, cpuPercent=60), "HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "lidloop-serving",
    }
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 7)
    [cpu] = spec["metrics"]
    assert cpu["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}


def test_hpa_scales_by_requests_in_progress() -> None:
    spec = one(scaled("hpa", metricsAdapter=True, requestsInside=2.5), "HorizontalPodAutoscaler")["spec"]
    assert [m["type"] for m in spec["metrics"]] == ["Resource", "Pods"]
    assert spec["metrics"][1]["pods"] == {
        "metric": {"name": "lidloop_serving_requests_inside"},
        "target": {"type": "AverageValue", "averageValue": "2.5"},
    }


def test_scaled_object_queries_prometheus() -> None:
    item = one(scaled("keda", prometheus="http://p:9090", min=2, max=9), "ScaledObject")
    assert item["apiVersion"] == "keda.sh/v1alpha1"
    spec = item["spec"]
    assert spec["scaleTargetRef"] == {"name": "lidloop-serving"}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 9)
    assert spec["fallback"]["replicas"] == 2
    [trigger] = spec["triggers"]
    assert trigger["type"] == "prometheus"
    assert trigger["metadata"]["serverAddress"] == "http://p:9090"
    assert trigger["metadata"]["threshold"] == "2"
    assert "lidloop_serving_requests_inside" in trigger["metadata"]["query"]


def test_disruption_budget_selects_the_pods() -> None:
    objects = template("kserve-less", {"serving": {"disruptionBudget": {"maxUnavailable": "25%"}}})
    spec = one(objects, "PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == "25%"
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert spec["selector"] == one(objects, "Deployment", "lidloop-serving")["spec"]["selector"]
    off = template("kserve-less", {"serving": {"disruptionBudget": {"enabled": False}}})
    assert "PodDisruptionBudget" not in {o["kind"] for o in off}

"""templates/serving/inferenceservice.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from tests.manifests.render import Object, one, template


def service(changes: dict[str, Any] | None = None) -> Object:
    """The InferenceService of the production values."""
    return one(template("production", changes), "InferenceService")


def annotation(item: Object, name: str) -> str:
    """One of KServe's annotations."""
    return str(item["metadata"]["annotations"]["serving.kserve.io/" + name])


def test_model_and_runtime() -> None:
    model = service()["spec"]["predictor"]["model"]
    assert model == {
        "modelFormat": {"name": "lidloop", "version": "1"},
        "protocolVersion": "v2",
        "runtime": one(template("production"), "ServingRuntime")["metadata"]["name"],
        "storageUri": "s3://lidloop/models/lidloop/7",
        "env": [{"name": "LIDLOOP_MODEL_VERSION", "value": "7"}],
    }


def test_deployment_mode_is_explicit() -> None:
    assert annotation(service(), "deploymentMode") == "Standard"


def test_policies_and_budgets_select_the_pods() -> None:
    objects = template("production")
    labels = service()["spec"]["predictor"]["labels"]
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        assert one(objects, kind)["spec"]["selector"]["matchLabels"] == labels
    assert one(objects, "NetworkPolicy", "lidloop-serving")["spec"]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("", {"minReplicas": 3, "maxReplicas": 3}),
        (
            "hpa",
            {"minReplicas": 3, "maxReplicas": 12, "scaleMetric": "cpu", "scaleMetricType": "Utilization",
             "scaleTarget": 75},
        ),
    ],
)  # fmt: skip
def test_scaling_fields(kind: str, fields: Object) -> None:
    item = service({"serving": {"autoscaling": {"kind": kind}}})
    predictor = item["spec"]["predictor"]
    keys = ("minReplicas", "maxReplicas", "scaleMetric", "scaleMetricType", "scaleTarget", "autoScaling")
    assert {k: predictor[k] for k in keys if k in predictor} == fields
    assert annotation(item, "autoscalerClass") == (kind or "none")


def test_keda_scales_by_requests_in_progress() -> None:
    item = service()
    [metric] = item["spec"]["predictor"]["autoScaling"]["metrics"]
    assert annotation(item, "autoscalerClass") == "keda"
    assert metric["type"] == "External"
    assert metric["external"]["target"] == {"type": "Value", "value": "2"}
    assert metric["external"]["metric"] == {
        "backend": "prometheus",
        "serverAddress": "http://prometheus-operated.monitoring:9090",
        "query": 'sum(lidloop_serving_requests_inside{namespace="lidloop",pod=~"lidloop-serving-.+"})',
    }


def test_cluster_local_visibility() -> None:
    label = "networking.kserve.io/visibility"
    minimal = one(template("minimal"), "InferenceService")
    assert minimal["metadata"]["labels"][label] == "cluster-local"
    assert label not in service()["metadata"]["labels"]


def test_service_account_has_the_credentials() -> None:
    account = one(template("production"), "ServiceAccount", "lidloop-serving")
    predictor = service()["spec"]["predictor"]
    assert predictor["serviceAccountName"] == account["metadata"]["name"]
    assert predictor["automountServiceAccountToken"] is False
    assert account["secrets"] == [{"name": "lidloop-s3"}]

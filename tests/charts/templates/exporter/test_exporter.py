"""templates/exporter: deployment.yaml, service.yaml, serviceaccount.yaml."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from pipelines.kubeflow.access import TOKEN
from pipelines.kubeflow.watch import SETTINGS
from tests.manifests.cli import parse
from tests.manifests.pods import env
from tests.manifests.render import Object, one, template

RUNS = {"exporter": {"runs": ["s3://lidloop/pipelines", "s3://lidloop/runs"]}}


def pod(changes: dict[str, Any] | None = None) -> Object:
    """Spec of the exporter's pod."""
    found: Object = one(template("production", changes), "Deployment", "lidloop-exporter")
    spec: Object = found["spec"]["template"]["spec"]
    return spec


def arguments(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Parsed arguments of its command line."""
    [container] = pod(changes)["containers"]
    program, *words = [*container["command"], *container["args"]]
    assert program == "lidloop"
    return parse(words)


def test_arguments_are_accepted_by_lidloop_exporter() -> None:
    found = arguments()
    [port] = pod()["containers"][0]["ports"]
    assert (found["host"], found["port"]) == ("0.0.0.0", port["containerPort"])
    assert found["runs"] == ["kubeflow:http://ml-pipeline.kubeflow:8888"]
    assert not arguments({"exporter": {"pipelines": False}})["runs"]


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({}, "http://lidloop-registry.lidloop.svc", "this release's"),
        ({"registry": {"service": {"port": 5000}}}, "http://lidloop-registry.lidloop.svc:5000", "its port"),
        (
            {
                "exporter": {"registry": {"uri": "https://mlflow.example.org/x"}},
                "networkPolicy": {"registry": {"to": [{"ipBlock": {"cidr": "192.0.2.40/32"}}]}},
            },
            "https://mlflow.example.org/x",
            "another",
        ),
    ],
)
def test_registry_url(changes: dict[str, Any], expected: str, reason: str) -> None:
    assert arguments(changes)["registry"] == expected, reason


def test_exporter_has_its_own_registry_user() -> None:
    variables = env(pod()["containers"][0])
    for name, key in (("MLFLOW_TRACKING_USERNAME", "username"), ("MLFLOW_TRACKING_PASSWORD", "password")):
        assert variables[name] == {"secretKeyRef": {"name": "lidloop-registry-reader", "key": key}}
    assert "admin" not in str(variables)


def test_object_store_keys_are_set_only_for_runs() -> None:
    assert not [name for name in env(pod()["containers"][0]) if name.startswith("AWS_")]
    spec = pod(RUNS)
    assert arguments(RUNS)["runs"][1:] == RUNS["exporter"]["runs"]
    variables = env(spec["containers"][0])
    assert variables["AWS_ENDPOINT_URL"] == "https://s3.example.org"
    assert variables["AWS_ACCESS_KEY_ID"]["secretKeyRef"]["name"] == "lidloop-s3"
    assert variables["AWS_CA_BUNDLE"] == "/etc/lidloop/ca/ca.crt"
    assert "/etc/lidloop/ca" in {m["mountPath"] for m in spec["containers"][0]["volumeMounts"]}


@pytest.mark.parametrize(
    ("changes", "token", "reason"),
    [
        ({"tokenSecret": "kfp", "tokenKey": "t"}, "/etc/lidloop/pipelines-token/t", "from a Secret"),
        ({"serviceAccountToken": True}, None, "the ServiceAccount's, found by the client itself"),
    ],
)
def test_credentials_for_kubeflow_pipelines(changes: dict[str, Any], token: str | None, reason: str) -> None:
    """The variables are those that the client reads, and their files are mounted."""
    given = {"host": "https://kfp.example.org", "namespace": "eyes", "caConfigMap": "ca", **changes}
    spec = pod({"pipelines": given})
    [container] = spec["containers"]
    variables = env(container)
    assert variables.get("LIDLOOP_KFP_TOKEN_FILE") == token, reason
    assert variables["LIDLOOP_KFP_NAMESPACE"] == "eyes"
    assert {"LIDLOOP_KFP_" + name.upper() for name in SETTINGS} >= {
        name for name in variables if name.startswith("LIDLOOP_KFP_")
    }
    places = {m["mountPath"] for m in container["volumeMounts"]}
    assert {
        str(PurePath(path).parent) for path in (token or TOKEN, variables["LIDLOOP_KFP_CA_FILE"])
    } <= places
    assert "pipelines" not in str(pod({"pipelines": given, "exporter": {"pipelines": False}})["volumes"])


def test_exporter_runs_once() -> None:
    spec = one(template("production"), "Deployment", "lidloop-exporter")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_service_selects_the_pod() -> None:
    objects = template("production", {"exporter": {"service": {"port": 80}}})
    service = one(objects, "Service", "lidloop-exporter")["spec"]
    template_ = one(objects, "Deployment", "lidloop-exporter")["spec"]["template"]
    assert service["selector"].items() <= template_["metadata"]["labels"].items()
    [port] = service["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")


def test_exporter_is_off_by_default() -> None:
    assert not [o for o in template("minimal") if "exporter" in o["metadata"]["name"]]

"""templates/serving/servingruntime.yaml, and the container of both modes (_container.tpl)."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from lidloop import __version__
from serving.metrics import Metrics
from serving.settings import LOOPBACK, MOUNTED, PREFIX, Settings
from tests.manifests.pods import env
from tests.manifests.render import CHART, Object, one, template

DIGEST = "sha256:" + "a" * 64


def container(changes: dict[str, Any] | None = None, values: str = "production") -> Object:
    """The runtime's container."""
    [found] = one(template(values, changes), "ServingRuntime")["spec"]["containers"]
    return found


def settings(changes: dict[str, Any] | None = None, values: str = "production") -> Settings:
    """Settings that the server reads from the container's environment."""
    return Settings.read({k: v for k, v in env(container(changes, values)).items() if isinstance(v, str)})


def test_runtime_meets_the_conventions_of_kserve() -> None:
    runtime = one(template("production"), "ServingRuntime")["spec"]
    assert runtime["protocolVersions"] == ["v2"]
    assert runtime["supportedModelFormats"] == [{"name": "lidloop", "version": "1", "autoSelect": False}]
    assert [c["name"] for c in runtime["containers"]] == ["kserve-container"]
    assert [p["containerPort"] for p in container()["ports"]] == [8080, 9109]


def test_no_kserve_objects_without_kserve() -> None:
    kinds = {o["kind"] for o in template("kserve-less")}
    assert not kinds & {"ServingRuntime", "InferenceService", "PodMonitor"}


def test_probe_paths() -> None:
    probes = {k: container()[f"{k}Probe"]["httpGet"] for k in ("startup", "readiness", "liveness")}
    assert {k: p["path"] for k, p in probes.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert {p["port"] for p in probes.values()} == {"http"}


def test_server_listens_on_the_container_port() -> None:
    found = settings()
    assert found.model == str(MOUNTED)
    assert found.port == container()["ports"][0]["containerPort"]
    assert found.host not in LOOPBACK


def test_termination_waits_for_running_requests() -> None:
    changes = {"serving": {"drainSeconds": 7, "graceSeconds": 40}}
    predictor = one(template("production", changes), "InferenceService")["spec"]["predictor"]
    assert settings(changes).grace == 40
    assert container(changes)["lifecycle"]["preStop"] == {"sleep": {"seconds": 7}}
    assert predictor["terminationGracePeriodSeconds"] > 7 + 40


@pytest.mark.parametrize(
    ("model", "version", "reason"),
    [
        ({"uri": "s3://bucket/models/lidloop/12"}, "12", "the number at the end of the URI"),
        ({"uri": "s3://bucket/models/lidloop/12/"}, "12", "with a slash at its end"),
        ({"uri": "s3://bucket/models/best"}, "", "no number"),
        ({"uri": "s3://bucket/models/lidloop/12", "version": "3"}, "3", "explicit"),
    ],
)
def test_reported_version(model: dict[str, str], version: str, reason: str) -> None:
    assert settings({"serving": {"model": model}}).model_version == version, reason


def test_access_by_keys() -> None:
    changes = {"serving": {"access": {"keysSecret": "k", "keysKey": "file.json"}}}
    runtime = one(template("minimal", changes), "ServingRuntime")["spec"]
    found = settings(changes, "minimal")
    assert found.protected
    assert found.keys == "/etc/lidloop/keys/file.json"
    assert {"name": "keys", "mountPath": "/etc/lidloop/keys", "readOnly": True} in runtime["containers"][0][
        "volumeMounts"
    ]
    assert {"name": "keys", "secret": {"secretName": "k", "defaultMode": 0o440}} in runtime["volumes"]


@pytest.mark.parametrize(
    ("jwt", "jwks"),
    [
        ({"jwksUrl": "https://i.example.org/keys"}, "https://i.example.org/keys"),
        ({"jwksUrl": "", "jwksConfigMap": "jwks"}, "/etc/lidloop/jwks/jwks.json"),
    ],
)
def test_access_by_tokens(jwt: dict[str, str], jwks: str) -> None:
    changes = {"serving": {"access": {"jwt": {"issuer": "i", "audience": "a", **jwt}}}}
    found = settings(changes)
    assert found.protected
    assert (found.jwt_issuer, found.jwt_audience, found.jwks) == ("i", "a", jwks)
    mounts = [m["mountPath"] for m in container(changes)["volumeMounts"]]
    assert ("/etc/lidloop/jwks" in mounts) == jwks.startswith("/")


GIVEN: dict[str, Any] = {
    "backend": "openvino", "threads": 2, "body_bytes": 20_000_000, "pixels": 50_000_000, "body_seconds": 7.5,
    "concurrency": 4, "readers": 16, "queue": 5, "steady": 2, "conf": 0.25, "mrd1_suspicious": 3.5,
    "mrd1_functional": 1.5, "asymmetry": 1.75, "asymmetry_margin": 0.5, "window": 500,
    "trusted_proxies": "10.0.0.0/8,fd00::1", "proxy_header": "Forwarded",
    "reduced_pixels": 80_000_000, "secondary_capture": True,
}  # fmt: skip
FIXED = {
    "model", "model_name", "model_version", "registry", "watch", "device", "host", "port", "metrics_host",
    "metrics_port", "work_seconds", "workers", "grace", "keys", "jwt_issuer", "jwt_audience", "jwks", "audit",
    "audit_failure",
}  # fmt: skip
"""Settings that the chart sets itself or leaves at their default."""


def test_all_settings_reach_the_server() -> None:
    """All that the schema accepts, also numbers that Helm would render as 2e+07."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(GIVEN) == set(schema["properties"]["serving"]["properties"]["settings"]["properties"])
    found = settings({"serving": {"settings": GIVEN}})
    assert {name: getattr(found, name) for name in GIVEN} == GIVEN


def test_every_setting_is_a_value_or_fixed_by_the_chart() -> None:
    assert {field.name for field in fields(Settings)} - FIXED == set(GIVEN)


def test_every_environment_variable_is_a_setting() -> None:
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    given = env(container({"serving": {"settings": GIVEN}}))
    assert {name for name in given if name.startswith(PREFIX)} <= known
    assert set(given) - known == {"HOME"}


def test_temporary_files_are_in_memory() -> None:
    runtime = one(template("production"), "ServingRuntime")["spec"]
    [tmp] = [v for v in runtime["volumes"] if v["name"] == "tmp"]
    assert tmp["emptyDir"]["medium"] == "Memory"
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True


def test_scaling_metric_exists() -> None:
    changes = {"serving": {"autoscaling": {"kind": "hpa", "metricsAdapter": True}}}
    scaler = one(template("kserve-less", changes), "HorizontalPodAutoscaler")
    [name] = [m["pods"]["metric"]["name"] for m in scaler["spec"]["metrics"] if m["type"] == "Pods"]
    assert f"\n{name} " in Metrics(window=1, limit=1).exposition().decode()


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({"registry": "r.example.org", "tag": "1.2"}, "r.example.org/lidloop/serving:1.2"),
        ({"registry": ""}, f"lidloop/serving:{__version__}"),
        ({"registry": "", "digest": DIGEST}, f"lidloop/serving:{__version__}@{DIGEST}"),
    ],
)
def test_image_reference(image: dict[str, str], reference: str) -> None:
    assert container({"serving": {"image": image}})["image"] == reference

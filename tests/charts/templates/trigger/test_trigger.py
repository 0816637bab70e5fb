"""templates/trigger: configmap.yaml, deployment.yaml, persistentvolumeclaim.yaml, service.yaml."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.cli.trigger import duration
from pipelines.kubeflow.access import TOKEN
from tests.manifests.cli import parse
from tests.manifests.render import Object, one, template

PROFILE: dict[str, Any] = {"pipelines": {"serviceAccountToken": True, "namespace": "eyes"}}


def deployment(changes: dict[str, Any] | None = None) -> Object:
    """The trigger's Deployment."""
    return one(template("production", changes), "Deployment", "lidloop-trigger")


def pod(changes: dict[str, Any] | None = None) -> Object:
    """Spec of its pod."""
    spec: Object = deployment(changes)["spec"]["template"]["spec"]
    return spec


def mounts(spec: Object) -> dict[str, Object]:
    """Mounts of the container by path."""
    return {m["mountPath"]: m for m in spec["containers"][0]["volumeMounts"]}


def volume(spec: Object, name: str) -> Object:
    """A volume by name."""
    [found] = [v for v in spec["volumes"] if v["name"] == name]
    return found


EVERYTHING: dict[str, Any] = {
    "trigger": {
        "data": ["s3://lidloop/raw", "s3://clinic"],
        "cooldown": "2d",
        "pipeline": "eyes",
        "experiment": "e",
        "runServiceAccount": "runner",
    },
    "pipelines": {
        "host": "https://kfp.example.org/pipeline",
        "namespace": "team",
        "ui": "https://kfp.example.org",
        "tokenSecret": "kfp",
        "caConfigMap": "ca",
    },
}


def arguments(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Parsed arguments of its command line."""
    [container] = pod(changes)["containers"]
    program, *words = [*container["command"], *container["args"]]
    assert program == "lidloop"
    return parse(words)


def test_arguments_are_accepted_by_lidloop_trigger() -> None:
    found = arguments()
    [port] = pod()["containers"][0]["ports"]
    assert (found["host"], found["port"]) == ("0.0.0.0", port["containerPort"])
    assert (found["launcher"], found["no_keys"]) == ("kubeflow", False)
    assert found["kfp_host"] == "http://ml-pipeline.kubeflow:8888"
    assert duration(found["cooldown"]) == 6 * 3600
    assert found["kfp_token_file"] is None
    places = mounts(pod())
    for name, place in (("state", "/var/lib/lidloop"), ("keys", "keys"), ("run_defaults", "parameters")):
        folder = str(found[name]) if name == "state" else str(found[name].parent)
        assert folder in places
        assert folder.endswith(place)


def test_all_values_reach_the_arguments() -> None:
    found, spec = arguments(EVERYTHING), pod(EVERYTHING)
    assert list(found["data"]) == ["s3://lidloop/raw", "s3://clinic"]
    assert found["cooldown"] == "2d"
    said = {name.removeprefix("kfp_"): value for name, value in found.items() if name.startswith("kfp_")}
    for name in ("host", "namespace", "ui"):
        assert said[name] == EVERYTHING["pipelines"][name]
    for name in ("pipeline", "experiment"):
        assert said[name] == EVERYTHING["trigger"][name]
    assert found["kfp_service_account"] == "runner"
    for file, kind, name in (
        (found["kfp_token_file"], "secret", "kfp"),
        (found["kfp_ca_file"], "configMap", "ca"),
    ):
        mount = mounts(spec)[str(file.parent)]
        source = volume(spec, mount["name"])[kind]
        assert name in (source.get("secretName"), source.get("name"))


def test_trigger_runs_once() -> None:
    """Two would not share their state."""
    spec = deployment()["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_claim_survives_the_release() -> None:
    claim = one(template("production"), "PersistentVolumeClaim", "lidloop-trigger")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    state = volume(pod(), "state")
    assert state["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}


def test_existing_claim_is_used() -> None:
    objects = template("production", {"trigger": {"persistence": {"existingClaim": "mine"}}})
    assert not [o for o in objects if o["kind"] == "PersistentVolumeClaim"]
    spec = one(objects, "Deployment", "lidloop-trigger")["spec"]["template"]["spec"]
    assert volume(spec, "state")["persistentVolumeClaim"] == {"claimName": "mine"}


def test_only_state_and_tmp_are_writable() -> None:
    found = mounts(pod(PROFILE))
    assert {path for path, mount in found.items() if not mount.get("readOnly")} == {
        "/var/lib/lidloop",
        "/tmp",
    }


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({}, {"registry": "http://lidloop-registry.lidloop.svc"}, "this release's registry"),
        (
            {"trigger": {"parameters": {"sources": ["ibug:s3://b/afw"], "epochs": 30, "conf": 0.7}}},
            {
                "registry": "http://lidloop-registry.lidloop.svc",
                "sources": ["ibug:s3://b/afw"],
                "epochs": 30,
                "conf": 0.7,
            },
            "as given, numbers as numbers",
        ),
        (
            {"trigger": {"parameters": {"registry": "https://m.example.org"}}},
            {"registry": "https://m.example.org"},
            "another registry",
        ),
    ],
)
def test_default_parameters(changes: dict[str, Any], expected: dict[str, Any], reason: str) -> None:
    objects = template("production", changes)
    data = one(objects, "ConfigMap", "lidloop-trigger")["data"]
    found = json.loads(data["parameters.json"])
    assert found == expected, reason
    assert [type(v) for v in found.values()] == [type(expected[k]) for k in found], reason


def test_changed_parameters_restart_the_pod() -> None:
    """The trigger reads them only when it starts."""
    stamps = {
        deployment({"trigger": {"parameters": {"epochs": n}}})["spec"]["template"]["metadata"]["annotations"][
            "checksum/parameters"
        ]
        for n in (1, 2)
    }
    assert len(stamps) == 2


def test_projected_token_for_kubeflow_with_profiles() -> None:
    spec = pod(PROFILE)
    assert spec["automountServiceAccountToken"] is False
    [source] = volume(spec, "pipelines-token")["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
    assert mounts(spec)[str(TOKEN.parent)]["readOnly"]
    assert source["serviceAccountToken"]["path"] == TOKEN.name, "the default path of the client"
    assert arguments(PROFILE)["kfp_token_file"] is None
    assert "pipelines-token" not in str(pod())


def test_service_selects_the_pod() -> None:
    objects = template("production", {"trigger": {"service": {"port": 80}}})
    service = one(objects, "Service", "lidloop-trigger")["spec"]
    labels = one(objects, "Deployment", "lidloop-trigger")["spec"]["template"]["metadata"]["labels"]
    assert service["type"] == "ClusterIP"
    assert service["selector"].items() <= labels.items()
    [port] = service["ports"]
    assert (port["port"], port["targetPort"]) == (80, "http")


def test_trigger_is_off_by_default() -> None:
    assert not [o for o in template("minimal") if "trigger" in o["metadata"]["name"]]

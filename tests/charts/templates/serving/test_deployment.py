"""templates/serving/deployment.yaml."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from click import Context
from typer.main import get_command

from lidloop.cli.store import store_app
from lidloop.storage.address import S3Address, parse_address
from tests.manifests.pods import env
from tests.manifests.render import Object, one, template

CLAIM = {"serving": {"model": {"uri": "pvc://models/lidloop/3"}}}


def deployment(changes: dict[str, Any] | None = None) -> Object:
    """The serving Deployment."""
    return one(template("kserve-less", changes), "Deployment", "lidloop-serving")


def pod(changes: dict[str, Any] | None = None) -> Object:
    """Spec of its pods."""
    spec: Object = deployment(changes)["spec"]["template"]["spec"]
    return spec


def test_no_deployment_on_kserve() -> None:
    names = {o["metadata"]["name"] for o in template("production") if o["kind"] == "Deployment"}
    assert "lidloop-registry" in names
    assert "lidloop-serving" not in names


def test_same_container_in_both_modes() -> None:
    """Except for the name, the mount of the model, and differences of the two values files."""
    [runtime] = one(template("minimal"), "ServingRuntime")["spec"]["containers"]
    [plain] = pod()["containers"]
    apart = ("name", "volumeMounts", "resources")
    assert {k: v for k, v in plain.items() if k not in apart} == {
        k: v for k, v in runtime.items() if k not in apart
    }
    assert [m for m in plain["volumeMounts"] if m["name"] != "model"] == runtime["volumeMounts"]


def test_bundle_is_downloaded_into_the_parent_volume() -> None:
    """`store pull` renames the complete folder into place, so the volume must be its parent."""
    [fetch] = pod()["initContainers"]
    program, group, *arguments = fetch["command"]
    assert (program, group) == ("lidloop", "store")
    command = get_command(store_app)
    assert isinstance(command, typer.core.TyperGroup)
    name, pull, rest = command.resolve_command(Context(command), arguments)
    assert name == "pull"
    assert pull is not None
    parsed = pull.make_context("pull", list(rest)).params
    assert parsed["address"] == "s3://lidloop/models/lidloop/1"
    assert str(parsed["folder"]) == "/mnt/models"
    [into] = [m for m in fetch["volumeMounts"] if m["name"] == "model"]
    [from_] = [m for m in pod()["containers"][0]["volumeMounts"] if m["name"] == "model"]
    assert into == {"name": "model", "mountPath": "/mnt"}
    assert from_ == {"name": "model", "mountPath": "/mnt", "readOnly": True}
    assert env(pod()["containers"][0])["LIDLOOP_MODEL"] == str(parsed["folder"])


def test_download_uses_the_object_store_settings() -> None:
    changes = {"objectStore": {"region": "eu-1", "caConfigMap": "ca"}}
    [fetch] = pod(changes)["initContainers"]
    variables = env(fetch)
    plain = {k: v for k, v in variables.items() if isinstance(v, str)}
    address = parse_address(fetch["command"][3], plain)
    assert isinstance(address, S3Address)
    assert (address.endpoint, address.region) == ("https://s3.example.org", "eu-1")
    assert address.ca_bundle == "/etc/lidloop/ca/ca.crt"
    assert {m["mountPath"] for m in fetch["volumeMounts"]} >= {"/etc/lidloop/ca"}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert variables[name] == {"secretKeyRef": {"name": "lidloop-s3", "key": name}}
    assert variables["AWS_SESSION_TOKEN"]["secretKeyRef"]["optional"] is True


def test_server_has_no_object_store_keys() -> None:
    assert not [name for name in env(pod()["containers"][0]) if name.startswith("AWS_")]


@pytest.mark.parametrize(
    ("uri", "claim", "path"),
    [("pvc://models/lidloop/3", "models", "lidloop/3"), ("pvc://models", "models", None)],
)
def test_bundle_on_a_claim_is_mounted(uri: str, claim: str, path: str | None) -> None:
    spec = pod({"serving": {"model": {"uri": uri}}})
    assert "initContainers" not in spec
    [mount] = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "model"]
    assert (mount["mountPath"], mount["readOnly"], mount.get("subPath")) == ("/mnt/models", True, path)
    [volume] = [v for v in spec["volumes"] if v["name"] == "model"]
    assert volume["persistentVolumeClaim"] == {"claimName": claim, "readOnly": True}


def test_rollout_keeps_all_ready_pods() -> None:
    assert deployment()["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_autoscaler_controls_replicas() -> None:
    assert deployment()["spec"]["replicas"] == 2
    assert "replicas" not in deployment({"serving": {"autoscaling": {"kind": "hpa"}}})["spec"]


def test_pods_are_spread() -> None:
    keys = [c["topologyKey"] for c in pod()["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for constraint in pod()["topologySpreadConstraints"]:
        assert constraint["labelSelector"] == deployment()["spec"]["selector"]
    assert "topologySpreadConstraints" not in pod({"serving": {"spreadOver": []}})


def test_placement_values_reach_the_pod() -> None:
    given: dict[str, Any] = {
        "nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}], "affinity": {"podAffinity": {}},
        "priorityClassName": "p",
    }  # fmt: skip
    spec = pod({"serving": given})
    assert {k: spec[k] for k in given} == given

"""The house rules find what breaks them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.manifests.hygiene import breaches
from tests.manifests.render import Object

PROBE = {"httpGet": {"path": "/", "port": 1}}
AMOUNTS = {"cpu": "1", "memory": "1Gi"}
CONTAINER: Object = {
    "name": "a",
    "image": "registry.example.org/a/b:1.2",
    "resources": {"requests": AMOUNTS, "limits": AMOUNTS},
    "securityContext": {"readOnlyRootFilesystem": True},
    "env": [
        {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "LIDLOOP_KEYS", "value": "/etc/keys"},
    ],
    "startupProbe": PROBE,
    "readinessProbe": PROBE,
    "livenessProbe": PROBE,
}
DIGEST = "@sha256:" + "0" * 64


def deployment(container: Object, **spec: Any) -> Object:
    """A Deployment of one container."""
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        **spec,
    }
    return {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": pod}}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": "a"}, "no tag is latest"),
        ({"image": "a:latest"}, "latest"),
        ({"image": "host:5000/a"}, "a port is no tag"),
        ({"image": "A:1"}, "not an image's name"),
        ({"resources": {"requests": AMOUNTS}}, "no limits"),
        ({"resources": {"limits": AMOUNTS}}, "no requests"),
        ({"resources": {"requests": AMOUNTS, "limits": {"cpu": "1"}}}, "no limit of memory"),
        ({"securityContext": {}}, "a root file system that can be written to"),
        ({"env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "abc"}]}, "a secret in clear"),
        (
            {"env": [{"name": "MLFLOW_BACKEND_STORE_URI", "value": "postgresql:x"}]},
            "a database's URI in clear",
        ),
        ({"args": ["--db", "postgresql://u:p@h/d"]}, "a password in an argument"),
        ({"startupProbe": None}, "no start-up probe"),
        ({"readinessProbe": None}, "no readiness probe"),
        ({"livenessProbe": None}, "no liveness probe"),
    ],
)
def test_what_breaks_the_rules(changes: Object, reason: str) -> None:
    container = {k: v for k, v in {**copy.deepcopy(CONTAINER), **changes}.items() if v is not None}
    assert breaches([deployment(container)]), reason


@pytest.mark.parametrize(
    "image", ["a:1", "a/b:v1.2-full", "h.example:5000/a/b:1", f"a{DIGEST}", f"a:latest{DIGEST}"]
)
def test_what_keeps_them(image: str) -> None:
    assert breaches([deployment({**CONTAINER, "image": image})]) == []


def test_pods_keep_to_themselves() -> None:
    assert len(breaches([deployment(CONTAINER, automountServiceAccountToken=True)])) == 1
    assert len(breaches([deployment(CONTAINER, enableServiceLinks=True)])) == 1


def test_a_secret_is_not_rendered() -> None:
    assert len(breaches([{"kind": "Secret", "metadata": {"name": "s"}, "data": {}}])) == 1

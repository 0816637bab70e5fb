"""Schemas refuse what Kubernetes would refuse."""

from __future__ import annotations

import os
from typing import Any

import pytest
import yaml

from tests.manifests.render import Object, load_all
from tests.manifests.schemas import CRDS, KUBERNETES, custom, errors, strict


def service(**spec: Any) -> Object:
    """A Service."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_own(version: str) -> None:
    assert errors(service(ports=[{"port": 80}]), version) == []
    assert errors(service(ports=[{"port": "80"}]), version), "a port is a number"
    assert errors(service(potrs=[]), version), "an unknown field"


def test_a_kind_without_schema_is_not_called_right() -> None:
    assert (
        errors({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "t"}}, "1.36") is None
    )


def test_custom_schemas_are_made_strict() -> None:
    schema = strict(
        {
            "type": "object",
            "properties": {
                "spec": {"properties": {"a": {"type": "string"}}},
                "open": {"properties": {}, "x-kubernetes-preserve-unknown-fields": True},
                "map": {"additionalProperties": {"type": "string"}},
                "metadata": {"type": "object"},
            },
        }
    )
    assert schema["additionalProperties"] is False
    assert schema["properties"]["spec"]["additionalProperties"] is False
    assert "additionalProperties" not in schema["properties"]["open"]
    assert schema["properties"]["map"]["additionalProperties"] == {"type": "string"}
    assert "additionalProperties" not in schema["properties"]["metadata"]


@pytest.mark.skipif(not os.environ.get(CRDS), reason=f"{CRDS} names no folder of CustomResourceDefinitions")
@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("serving.kserve.io/v1beta1", "InferenceService"),
        ("serving.kserve.io/v1alpha1", "ServingRuntime"),
        ("monitoring.coreos.com/v1", "ServiceMonitor"),
        ("monitoring.coreos.com/v1", "PodMonitor"),
    ],
)
def test_custom_ones_are_there(api: str, kind: str) -> None:
    assert custom(api, kind) is not None
    assert errors({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "sepc": {}}, "1.36")


def test_a_key_twice_is_an_error() -> None:
    with pytest.raises(yaml.YAMLError, match="twice"):
        load_all("a: 1\nb: {c: 1, c: 2}\n")
    assert load_all("---\na: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]

"""Schemas that rendered objects are held to: Kubernetes' own, and those of custom resources from a folder."""

from __future__ import annotations

import copy
import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.manifests.render import Object

KUBERNETES: Final = ("1.34", "1.35", "1.36")
CRDS: Final = "LIDLOOP_CRDS"
"""Environment variable: folder of CustomResourceDefinitions."""


def errors(item: Object, version: str) -> list[str] | None:
    """Return the errors of an object by the schema of its kind; None if there is no schema.

    Unknown fields are wrong, as they are to ``kubectl apply``.

    Args:
        item: the object.
        version: of Kubernetes, for its own kinds.
    """
    validator = _own(item["apiVersion"], item["kind"], version) or custom(item["apiVersion"], item["kind"])
    if validator is None:
        return None
    where = f"{item['kind']}/{item['metadata']['name']}"
    return [f"{where}: {e.json_path}: {e.message[:300]}" for e in validator.iter_errors(item)]


@cache
def _own(api: str, kind: str, version: str) -> Draft202012Validator | None:
    group, _, number = api.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.split(".")[0], number) if part)
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    schema = json.loads(path.read_text())
    registry = Resource.from_contents(schema) @ _definitions(version)
    return Draft202012Validator(schema, registry=registry)


@cache
def _definitions(version: str) -> Registry[Any]:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    definitions = Resource.from_contents(json.loads((folder / "_definitions.json").read_text()))
    empty: Registry[Any] = Registry()
    return definitions @ empty


@cache
def custom(api: str, kind: str) -> Draft202012Validator | None:
    """Validator of a custom resource, from the folder that ``LIDLOOP_CRDS`` names."""
    schema = _custom().get((api, kind))
    return None if schema is None else Draft202012Validator(schema)


@cache
def _custom() -> dict[tuple[str, str], Any]:
    found = {}
    folder = os.environ.get(CRDS)
    for path in sorted(Path(folder).glob("*.yaml")) if folder else []:
        spec = yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            found[key] = strict(version["schema"]["openAPIV3Schema"])
    return found


def strict(schema: Any) -> Any:
    """An OpenAPI v3 schema in which unknown fields are wrong. Kubernetes drops or refuses them."""
    schema = copy.deepcopy(schema)
    _close(schema)
    schema["properties"]["metadata"] = {"type": "object"}  # Kubernetes' own; CRDs leave it open
    return schema


def _close(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for part in properties.values():
            _close(part)
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        _close(schema.get(key))

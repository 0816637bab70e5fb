"""Comparison of two OpenAPI documents: operations, parameters, answers, properties."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LIMITS = {
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern"),
    *("minItems", "maxItems", "uniqueItems", "format", "contentEncoding", "contentMediaType"),
}


class Shape:
    """A JSON schema as sets: its references resolved, its alternatives united."""

    def __init__(self, schema: dict[str, Any], document: dict[str, Any]) -> None:
        self.types: set[str] = set()
        self.values: set[Any] = set()
        self.properties: dict[str, dict[str, Any]] = {}
        self.required: set[str] = set()
        self.items: dict[str, Any] | None = None
        self.limits: dict[str, Any] = {}
        self._add(schema, document)

    def _add(self, schema: dict[str, Any], document: dict[str, Any]) -> None:
        schema = resolve(schema, document)
        for key in ("anyOf", "oneOf", "allOf"):
            for part in schema.get(key, ()):
                self._add(part, document)
        kind = schema.get("type", ())
        self.types |= {kind} if isinstance(kind, str) else set(kind)
        self.values |= set(schema.get("enum", ())) | ({schema["const"]} if "const" in schema else set())
        if self.values and not self.types:
            self.types |= {"string" if isinstance(value, str) else "null" for value in self.values}
        self.properties |= schema.get("properties", {})
        self.required |= set(schema.get("required", ()))
        self.items = schema.get("items", self.items)
        self.limits |= {key: schema[key] for key in LIMITS & set(schema)}


def resolve(node: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Follow ``$ref`` to a component of the same document."""
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def lost(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """List what an OpenAPI document offers that a later one does not offer, or offers in another form."""
    found: list[str] = []
    for path, operations in old["paths"].items():
        shared = new["paths"].get(path, {}).get("parameters", [])
        for method, operation in operations.items():
            if method == "parameters":
                continue
            later = new["paths"].get(path, {}).get(method)
            operation = {**operation, "parameters": _with(operations.get("parameters", []), operation)}
            later = later and {**later, "parameters": _with(shared, later)}
            name = f"{method.upper()} {path}"
            found += [f"{name}: gone"] if later is None else _operation(name, operation, later, old, new)
    return found


def _with(shared: list[dict[str, Any]], operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Parameters of a path and of one of its operations together."""
    return [*shared, *operation.get("parameters", [])]


def _operation(
    name: str, was: dict[str, Any], now: dict[str, Any], old: dict[str, Any], new: dict[str, Any]
) -> Iterator[str]:
    later = {
        (item["in"], item["name"]): item for item in (resolve(p, new) for p in now.get("parameters", ()))
    }
    for parameter in (resolve(p, old) for p in was.get("parameters", ())):
        key = parameter["in"], parameter["name"]
        if key not in later:
            yield f"{name}: parameter {key} is gone"
        else:
            yield from _schema(
                f"{name} {key}", parameter.get("schema", {}), later[key].get("schema", {}), old, new
            )
    if "requestBody" in was:
        yield from _content(f"{name} request", was["requestBody"], now.get("requestBody", {}), old, new)
    for status, answer in was["responses"].items():
        if status not in now["responses"]:
            yield f"{name}: answer {status} is gone"
        else:
            yield from _content(f"{name} {status}", answer, now["responses"][status], old, new)


def _content(
    name: str, was: dict[str, Any], now: dict[str, Any], old: dict[str, Any], new: dict[str, Any]
) -> Iterator[str]:
    was, now = resolve(was, old), resolve(now, new)
    for kind, content in was.get("content", {}).items():
        if kind not in now.get("content", {}):
            yield f"{name}: {kind} is gone"
        elif "schema" in content:
            later = now["content"][kind].get("schema", {})
            yield from _schema(f"{name} {kind}", content["schema"], later, old, new)


def _schema(
    name: str,
    was: dict[str, Any],
    now: dict[str, Any],
    old: dict[str, Any],
    new: dict[str, Any],
    depth: int = 0,
) -> Iterator[str]:
    before, after = Shape(was, old), Shape(now, new)
    if depth > 20:
        return
    if not before.types <= after.types | ({"number"} if "integer" in after.types else set()):
        yield f"{name}: type {sorted(before.types)} -> {sorted(after.types)}"
    if after.values and not before.values <= after.values:
        yield f"{name}: values {sorted(map(str, before.values - after.values))} are gone"
    for key in LIMITS & set(before.limits):
        if after.limits.get(key) != before.limits[key]:
            yield f"{name}: {key} {before.limits[key]!r} -> {after.limits.get(key)!r}"
    for prop, schema in before.properties.items():
        if prop not in after.properties:
            yield f"{name}: property {prop} is gone"
        else:
            yield from _schema(f"{name}.{prop}", schema, after.properties[prop], old, new, depth + 1)
    if missing := before.required - after.required:
        yield f"{name}: no longer required {sorted(missing)}"
    if isinstance(before.items, dict):
        if isinstance(after.items, dict):
            yield from _schema(f"{name}[]", before.items, after.items, old, new, depth + 1)
        else:
            yield f"{name}: items have no schema"

"""Narrative of a FHIR resource: a short summary in XHTML, for programs that do not know its codes."""

from __future__ import annotations

from html import escape
from typing import Any, Final

_XHTML: Final = "http://www.w3.org/1999/xhtml"


def narrative(resource: dict[str, Any]) -> dict[str, str]:
    """Summarise an Observation, a DiagnosticReport or a Device."""
    lines = "".join(f"<p>{escape(line, quote=False)}</p>" for line in _lines(resource))
    return {"status": "generated", "div": f'<div xmlns="{_XHTML}">{lines}</div>'}


def _lines(resource: dict[str, Any]) -> list[str]:
    if resource["resourceType"] == "Device":
        versions = [f"{entry['type']['text']} {entry['value']}" for entry in resource["version"]]
        return [resource["type"]["text"], ", ".join([resource["deviceName"][0]["name"], *versions])]
    if resource["resourceType"] == "DiagnosticReport":
        return [resource["code"]["text"], resource["conclusion"]]
    site = resource.get("bodySite")
    name = resource["code"]["text"] + ("" if site is None else f", {site['coding'][0]['display']}")
    parts = [f"{part['code']['text']}: {_value(part)}" for part in resource.get("component") or []]
    notes = [note["text"] for note in resource.get("note") or []]
    return [f"{name}: {_value(resource)}", *parts, *notes]


def _value(part: dict[str, Any]) -> str:
    if "valueQuantity" in part:
        quantity = part["valueQuantity"]
        return f"{quantity['value']} {quantity['unit']}"
    if "valueCodeableConcept" in part:
        return str(part["valueCodeableConcept"]["text"])
    return str(part["dataAbsentReason"]["text"])

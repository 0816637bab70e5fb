"""The service described for programs: OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from lidloop import __version__
from lidloop.web.api_keys import ALERTS, READ, START
from lidloop.web.problems import MEDIA_TYPE, PREFIX
from pipelines.trigger.cooldown import Outcome
from pipelines.trigger.parameters import OPERATORS, Rules, schema
from pipelines.trigger.problems import PROBLEM_TYPES

_TEXT: dict[str, Any] = {"type": "string"}
_TIME: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
_MAYBE: dict[str, Any] = {"type": ["string", "null"]}
_PAGING = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 500}},
    {"name": "before", "in": "query", "schema": {"type": "integer", "minimum": 1}},
]
_RUN = {
    "id": _TEXT,
    "state": {"enum": ["starting", "running", "succeeded", "failed"]},
    "model": _TEXT,
    "reason": {"enum": ["request", "alert"]},
    "started_by": {**_TEXT, "description": "Id of the key that asked or sent the alert, or local."},
    "created": _TIME,
    "ended": _TIME,
    "detail": {**_TEXT, "description": "Why it failed, or why it is not started yet."},
    "registered_as": {**_MAYBE, "description": "Its name in the registry, once it is known."},
    "link": {**_MAYBE, "description": "Its report here, or its page on the host."},
    "parameters": {"$ref": "#/components/schemas/Parameters"},
}
_ALERT = {
    "received": _TIME,
    "name": _TEXT,
    "fingerprint": _TEXT,
    "status": {"enum": ["firing", "resolved"]},
    "starts_at": _TEXT,
    "group": _TEXT,
    "outcome": {"$ref": "#/components/schemas/Outcome"},
    "run": _MAYBE,
}
_MESSAGE = {
    "type": "object",
    "required": ["version", "alerts"],
    "properties": {
        "version": {"const": "4"},
        "groupKey": _TEXT,
        "alerts": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["status", "labels"],
                "properties": {
                    "status": {"enum": ["firing", "resolved"]},
                    "labels": {"type": "object", "additionalProperties": _TEXT},
                    "startsAt": _TEXT,
                    "fingerprint": _TEXT,
                },
            },
        },
    },
}


def document(rules: Rules) -> dict[str, Any]:
    """The OpenAPI document of a service with these rules."""
    parameters = schema()
    for name in (*OPERATORS, *rules.fixed):
        parameters["properties"].pop(name, None)
    key = {"name": "Idempotency-Key", "in": "header", "schema": {**_TEXT, "maxLength": 255}}
    id_ = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
    refused = {"Refused": {"description": "Refused.", "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lidloop trigger",
            "version": __version__,
            "description": "Starts runs, and shows them. Refusals are problem details (RFC 9457).",
        },
        "security": [{"bearer": []}, {"basic": []}],
        "paths": {
            "/v1/runs": {
                "get": _operation("Runs, the newest first", READ, "200", "Runs", parameters=_PAGING),
                "post": _operation("Start a run", START, "202", "Run", body=_ref("Given"), parameters=[key]),
            },
            "/v1/runs/{id}": {"get": _operation("One run", READ, "200", "Run", parameters=[id_])},
            "/v1/alerts": {
                "get": _operation("What came of alerts", READ, "200", "Alerts", parameters=_PAGING),
                "post": _operation("Alertmanager's webhook", ALERTS, "200", "Heard", body=_MESSAGE),
            },
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The key is the password."},
            },
            "responses": refused,
            "schemas": {
                "Given": parameters,
                "Parameters": {"type": "object", "description": "Given ones and the operator's defaults."},
                "Run": _object(_RUN),
                "Runs": _list("runs", "Run"),
                "Alert": _object(_ALERT),
                "Alerts": _list("alerts", "Alert"),
                "Heard": _object(
                    {
                        "alerts": {
                            "type": "array",
                            "items": _object(
                                {name: _ALERT[name] for name in ("fingerprint", "name", "outcome", "run")}
                            ),
                        }
                    }
                ),
                "Outcome": {"enum": [outcome.value for outcome in Outcome]},
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "instance"],
                    "properties": {
                        "type": {"enum": [PREFIX + kind for kind in PROBLEM_TYPES]},
                        "title": _TEXT,
                        "status": {"type": "integer"},
                        "detail": _TEXT,
                        "instance": _TEXT,
                    },
                },
            },
        },
    }


def _operation(
    summary: str,
    scope: str,
    status: str,
    answer: str,
    *,
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "summary": summary,
        "description": f"Needs a key with the scope `{scope}`.",
        "parameters": parameters or [],
        "responses": {
            status: {"description": summary, "content": {"application/json": {"schema": _ref(answer)}}},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }
    if body is not None:
        made["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return made


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(name: str, of: str) -> dict[str, Any]:
    return _object({name: {"type": "array", "items": _ref(of)}, "next": _MAYBE})

"""OpenAPI document of the trigger service."""

from __future__ import annotations

from typing import Any

from lidloop import __version__
from lidloop.web.api_keys import ALERTS, READ, START
from lidloop.web.problems import MEDIA_TYPE
from lidloop.web.wire import ref
from pipelines.trigger.parameters import OPERATORS, Rules, schema
from pipelines.trigger.wire import SCHEMAS

_TEXT: dict[str, Any] = {"type": "string"}
_PAGING = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 500}},
    {"name": "before", "in": "query", "schema": {"type": "integer", "minimum": 1}},
]


def document(rules: Rules) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a service with these rules."""
    parameters = schema()
    for name in (*OPERATORS, *rules.fixed):
        parameters["properties"].pop(name, None)
    key = {"name": "Idempotency-Key", "in": "header", "schema": {**_TEXT, "maxLength": 255}}
    id_ = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
    refused = {"Refused": {"description": "Refused.", "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}}
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
                "post": _operation("Start a run", START, "202", "Run", body=ref("Given"), parameters=[key]),
            },
            "/v1/runs/{id}": {"get": _operation("One run", READ, "200", "Run", parameters=[id_])},
            "/v1/alerts": {
                "get": _operation("What came of alerts", READ, "200", "Alerts", parameters=_PAGING),
                "post": _operation("Alertmanager's webhook", ALERTS, "200", "Heard", body=ref("Message")),
            },
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The key is the password."},
            },
            "responses": refused,
            "schemas": {**SCHEMAS, "Given": parameters},
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
            status: {"description": summary, "content": {"application/json": {"schema": ref(answer)}}},
            "default": {"$ref": "#/components/responses/Refused"},
        },
    }
    if body is not None:
        made["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return made

"""OpenAPI document of this server; a test checks the server against it with schemathesis."""

from __future__ import annotations

from typing import Any, Final

from lidloop import __version__
from lidloop.screening.measurements import NOTICE
from lidloop.screening.screen import MAX_FACES
from lidloop.screening.thresholds import LARGEST, THRESHOLDS
from lidloop.web.problems import MEDIA_TYPE as PROBLEM
from lidloop.web.wire import Schema, ref
from serving import intake
from serving.problems import PROBLEM_TYPES
from serving.schemas import SCHEMAS
from serving.settings import Settings

_BYTES: Final[Schema] = {"type": "string", "format": "binary"}
_TITLES: Final = {400: "A wrong parameter or body", 503: "Busy, or not ready"}


def document(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server with these settings."""
    protected = settings.protected
    secured: dict[str, Any] = {"security": [{"bearer": []}]} if protected else {}
    schemes = {"bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a JWT."}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lidloop",
            "version": __version__,
            "description": f"Faces, eyelids and a screening flag for ptosis from a photograph. {NOTICE}",
            "license": {"name": "AGPL-3.0-only", "identifier": "AGPL-3.0-only"},
        },
        "paths": {
            "/v1/screen": {"post": _screen(settings) | secured},
            "/v2": {
                "get": _get("server", "Server metadata (Open Inference Protocol v2)", {"type": "object"})
            },
            "/v2/models/{name}": {
                "parameters": [_NAME],
                "get": _get("model", "Model metadata", ref("ModelMetadata"), 404, 503),
            },
            "/v2/models/{name}/ready": {
                "parameters": [_NAME],
                "get": _get("modelReady", "Whether the model answers", {"type": "object"}, 404, 503),
            },
            "/v2/models/{name}/infer": {"parameters": [_NAME], "post": _infer() | secured},
            "/v2/health/live": {"get": _get("v2Live", "Whether the server lives", _flag("live"))},
            "/v2/health/ready": {"get": _get("v2Ready", "Whether it answers", _flag("ready"), 503)},
            "/livez": {"get": _get("live", "Whether the server lives", _flag("live"))},
            "/readyz": {"get": _get("ready", "Whether it answers", _flag("ready"), 503)},
            **_metrics(settings, secured),
            "/openapi.json": {"get": _get("openapi", "This document", {"type": "object"})},
            "/fhir/CodeSystem/lidloop": {
                "get": _get(
                    "codeSystem",
                    "What the local codes of FHIR and DICOM answers mean (FHIR R4B CodeSystem)",
                    {"type": "object", "properties": {"resourceType": {"const": "CodeSystem"}}},
                    media_type="application/fhir+json",
                )
            },
            "/problems/{kind}": {
                "parameters": [
                    {"name": "kind", "in": "path", "required": True, "schema": {"enum": list(PROBLEM_TYPES)}}
                ],
                "get": _get("problem", "What a type of problem means", {"type": "object"}, 404),
            },
        },
        "components": {"schemas": SCHEMAS} | ({"securitySchemes": schemes} if protected else {}),
    }


def _metrics(settings: Settings, secured: dict[str, Any]) -> dict[str, Any]:
    if settings.metrics_port:  # metrics are on another port
        return {}
    statuses = (401, 503) if secured else ()
    get = _get("metrics", "Metrics for Prometheus", {"type": "string"}, *statuses, media_type="text/plain")
    return {"/metrics": {"get": get | secured}}


_NAME: Final = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def _flag(name: str) -> Schema:
    return {"type": "object", "properties": {name: {"const": True}}, "required": [name]}


def _problems(*statuses: int) -> dict[str, Any]:
    """Return the error answers of an operation, and those of the middleware."""
    answers: dict[str, Any] = {}
    for status in sorted({*statuses, 403, 500}):
        title = _TITLES.get(status) or next(
            kind.title for kind in PROBLEM_TYPES.values() if kind.status == status
        )
        answers[str(status)] = {"description": title, "content": {PROBLEM: {"schema": ref("Problem")}}}
        if status == 503:
            answers["503"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "required": False}}
    return answers


def _get(
    identity: str, summary: str, schema: Schema, *statuses: int, media_type: str = "application/json"
) -> dict[str, Any]:
    return {
        "operationId": identity,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {media_type: {"schema": schema}}},
            **_problems(*statuses),
        },
    }


def _screen(settings: Settings) -> dict[str, Any]:
    options: dict[str, Schema] = {
        "mirrored": {
            "type": "boolean",
            "description": "The picture was mirrored, as by a selfie camera: the sides are swapped.",
        },
        "mm_per_px": {
            "type": "number",
            "minimum": intake.MM_PER_PX[0],
            "maximum": intake.MM_PER_PX[1],
            "description": "Millimetres per pixel of the upright picture at the face.",
        },
        "max_faces": {"type": "integer", "minimum": 1, "maximum": MAX_FACES, "default": 10},
        "bundle": {
            "type": "string",
            "enum": list(intake.BUNDLES),
            "default": "collection",
            "description": "Type of the Bundle of a FHIR answer; a server stores a transaction as it is.",
        },
        **{
            name: {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": LARGEST,
                "default": getattr(settings, name),
                "description": f"Threshold of the flag in millimetres: {threshold.text}.",
            }
            for name, threshold in THRESHOLDS.items()
        },
    }
    query: list[dict[str, Any]] = [
        {"name": name, "in": "query", "schema": schema} for name, schema in options.items()
    ]
    pupils = {"application/json": {"schema": ref("Pupils")}}
    query.append({"name": "pupils", "in": "query", "content": pupils})
    form = {
        "type": "object",
        "properties": {
            "image": _BYTES,
            **options,
            "pupils": ref("Pupils"),
            "subject": {
                "type": "string",
                "description": "Whom a FHIR answer is about: Patient/ID, a Patient's URL, urn:uuid:… or "
                "SYSTEM|VALUE.",
            },
        },
        "required": ["image"],
        "additionalProperties": False,
    }
    answers = {
        "application/json": {"schema": ref("ScreeningAnswer")},
        "application/fhir+json": {
            "schema": {"type": "object", "properties": {"resourceType": {"const": "Bundle"}}}
        },
        "application/dicom": {"schema": _BYTES},
    }
    return {
        "operationId": "screen",
        "summary": "Screen a photograph",
        "description": "Answers in JSON, as a FHIR R4B Bundle or as a DICOM Comprehensive SR, as Accept "
        f"asks. At most {settings.body_bytes:,} bytes and {settings.pixels:,} pixels; a JPEG up to "
        f"{settings.reduced_pixels:,} pixels, which is decoded at a reduced scale.",
        "parameters": query,
        "requestBody": {
            "required": True,
            "content": {
                **{kind: {"schema": _BYTES} for kind in (*intake.IMAGES, intake.DICOM)},
                intake.FORM: {
                    "schema": form,
                    "encoding": {"pupils": {"contentType": "application/json"}},
                },
            },
        },
        "responses": {
            "200": {"description": "What was found; without a face, why.", "content": answers},
            **_problems(400, 401, 406, 408, 413, 415, 422, 503),
        },
    }


def _infer() -> dict[str, Any]:
    return {
        "operationId": "infer",
        "summary": "Detect faces (Open Inference Protocol v2)",
        "description": "One picture in the input `image`: a file as BYTES (base64), or pixels as UINT8 of "
        "shape [height, width, 3]. With `Inference-Header-Content-Length`, the binary tensor data extension. "
        "The body may be encoded by gzip or deflate. There is no gRPC.",
        "parameters": [
            {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "schema": {"type": "integer", "minimum": 0},
                "description": "Length of the JSON part of a binary request.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ref("InferRequest")},
                "application/octet-stream": {"schema": _BYTES},
            },
        },
        "responses": {
            "200": {
                "description": "boxes, scores and landmarks",
                "content": {
                    "application/json": {"schema": ref("InferResponse")},
                    "application/octet-stream": {"schema": _BYTES},
                },
            },
            **_problems(400, 401, 404, 406, 408, 413, 415, 422, 503),
        },
    }

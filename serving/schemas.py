"""Schemas of what the server takes and answers (JSON Schema 2020-12), for its OpenAPI document."""

from __future__ import annotations

from typing import Final

from lidloop.screening.measurements import SIDES
from lidloop.web.problems import PREFIX
from serving.problems import PROBLEM_TYPES
from serving.screening_answer import ScreeningAnswer
from serving.wire import Schema, schemas


def ref(name: str) -> Schema:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _numbers(size: int) -> Schema:
    return {"type": "array", "items": {"type": "number"}, "minItems": size, "maxItems": size}


_TEXT: Final[Schema] = {"type": "string"}
_SIZE: Final[Schema] = {"type": "integer", "minimum": 1}


def _input(datatype: str, shape: Schema, value: Schema, items: int | None) -> Schema:
    """The tensor ``image``. In binary its data stands behind the JSON; ``parameters`` say how long it is."""
    data: Schema = {"type": "array", "items": value, "minItems": 1}
    return {
        "type": "object",
        "properties": {
            "name": {"const": "image"},
            "datatype": {"const": datatype},
            "shape": shape,
            "parameters": {"type": "object"},
            "data": data | ({"maxItems": items} if items else {}),
        },
        "required": ["name", "datatype", "shape"],
    }


SCHEMAS: Final[dict[str, Schema]] = {
    **schemas([ScreeningAnswer]),
    "Problem": {
        "type": "object",
        "description": "Problem details (RFC 9457). Other members depend on the type.",
        "properties": {
            "type": {"type": "string", "enum": [PREFIX + kind for kind in PROBLEM_TYPES]},
            "title": _TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": _TEXT,
            "instance": {"type": "string", "description": "urn:uuid: and the request's id"},
            "parameter": {"type": "string", "description": "name of the wrong parameter"},
            "limit": {"type": "integer"},
            "unit": {"type": "string", "enum": ["bytes", "pixels"]},
            "offered": {"type": "array", "items": _TEXT},
            "error": {
                "type": "string",
                "description": "detail again, where the Open Inference Protocol has it",
            },
        },
        "required": ["type", "title", "status", "detail", "instance"],
        "additionalProperties": False,
    },
    "Pupils": {
        "type": "object",
        "properties": {side: _numbers(2) for side in SIDES},
        "additionalProperties": False,
        "minProperties": 1,
        "description": "Pupil centres (x, y) by the patient's side, in pixels of the upright picture.",
    },
    "Tensor": {
        "type": "object",
        "properties": {
            "name": _TEXT,
            "datatype": _TEXT,
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
            "parameters": {"type": "object"},
            "data": {"type": "array"},
        },
        "required": ["name", "datatype", "shape"],
    },
    "InferRequest": {
        "type": "object",
        "properties": {
            "id": _TEXT,
            "parameters": {
                "type": "object",
                "properties": {
                    "max_faces": {"type": "integer", "minimum": 1, "maximum": 50},
                    "binary_data_output": {"type": "boolean"},
                },
            },
            "inputs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": {
                    "oneOf": [
                        _input("BYTES", {"const": [1]}, {"type": "string", "contentEncoding": "base64"}, 1),
                        _input("UINT8", {"type": "array", "items": _SIZE}, {"type": "integer"}, None),
                    ]
                },
            },
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "enum": ["boxes", "scores", "landmarks"]},
                        "parameters": {
                            "type": "object",
                            "properties": {"binary_data": {"type": "boolean"}},
                        },
                    },
                    "required": ["name"],
                },
            },
        },
        "required": ["inputs"],
        "examples": [
            {
                "inputs": [
                    {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "data": [0, 9, 8, 7, 6, 5]}
                ]
            }
        ],
    },
    "InferResponse": {
        "type": "object",
        "properties": {
            "id": _TEXT,
            "model_name": _TEXT,
            "model_version": _TEXT,
            "outputs": {"type": "array", "items": ref("Tensor")},
        },
        "required": ["model_name", "outputs"],
    },
    "ModelMetadata": _object(
        {
            "name": _TEXT,
            "versions": {"type": "array", "items": _TEXT},
            "platform": _TEXT,
            "inputs": {"type": "array", "items": ref("Tensor")},
            "outputs": {"type": "array", "items": ref("Tensor")},
        }
    ),
}

"""Schemas of what the server takes and answers (JSON Schema 2020-12), for its OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from lidloop.landmarks import NAMES
from lidloop.screening.measurements import DIFFERENCES, LENGTHS, SIDES
from lidloop.web.problems import PREFIX
from serving.problems import PROBLEM_TYPES

Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Schema], *, optional: tuple[str, ...] = (), text: str = "") -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
    return schema | ({"description": text} if text else {})


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _numbers(size: int) -> Schema:
    return {"type": "array", "items": {"type": "number"}, "minItems": size, "maxItems": size}


_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "number"}
_LINE: Final[Schema] = {"type": "array", "items": _numbers(2)}
_SHARE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 1}
_SIDE: Final[Schema] = {"type": "string", "enum": list(SIDES)}
_METHOD: Final[Schema] = {"type": "string", "enum": ["pixels", "landmarks"]}

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
    "Reason": _object({"code": _TEXT, "text": _TEXT}, text="A stable code, and a sentence for people."),
    "Length": _object(
        {"px": _NUMBER, "mm": _or_null(_NUMBER), "mm_error": _or_null(_NUMBER), "method": _METHOD},
        text="Pixels of the upright picture; millimetres and half their error band where a scale is known.",
    ),
    "Pupil": _object(
        {
            "x": _NUMBER,
            "y": _NUMBER,
            "method": {"type": "string", "enum": ["given", "fitted"]},
            "quality": _SHARE,
            "iris_radius": _or_null(_NUMBER),
        }
    ),
    "Eye": _object(
        {
            **{name: ref("Length") for name in LENGTHS},
            "height_to_width": _or_null(_NUMBER),
            "pupil": _or_null(ref("Pupil")),
            "lids": _object({"method": _METHOD, "quality": _SHARE, "upper": _LINE, "lower": _LINE}),
            "withheld": {
                "type": "object",
                "propertyNames": {"enum": list(LENGTHS)},
                "additionalProperties": ref("Reason"),
            },
        },
        optional=LENGTHS,
        text="A length that is missing stands in `withheld` with its reason.",
    ),
    "Face": _object(
        {
            "box": _numbers(4),
            "score": _SHARE,
            "landmarks": _object({name: _numbers(2) for name in NAMES}),
            "eyes": _object({side: ref("Eye") for side in SIDES}, text="By the patient's side."),
            "differences": _object(
                {name: ref("Length") for name in DIFFERENCES}, optional=DIFFERENCES, text="OD minus OS."
            ),
            "pose": _object({"roll_deg": _NUMBER, "yaw": _NUMBER}),
            "scale": _or_null(
                _object(
                    {
                        "mm_per_px": _NUMBER,
                        "method": {"type": "string", "enum": ["given", "iris", "outer-canthal"]},
                        "relative_error": _NUMBER,
                    }
                )
            ),
            "quality": _object(
                {"usable": {"type": "boolean"}, "problems": {"type": "array", "items": ref("Reason")}}
            ),
            "flag": _object(
                {
                    "level": {
                        "type": "string",
                        "enum": ["none", "suspicious", "functional", "undetermined"],
                    },
                    "sides": {"type": "array", "items": _SIDE},
                    "reasons": {"type": "array", "items": ref("Reason")},
                },
                text="A screening flag is not a diagnosis.",
            ),
        }
    ),
    "Screening": _object(
        {
            "request_id": {"type": "string", "format": "uuid"},
            "model": _object(
                {
                    "name": _TEXT,
                    "version": _or_null(_TEXT),
                    "iteration": {"type": "integer", "minimum": 0},
                    "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                }
            ),
            "image": _object(
                {
                    "width": {"type": "integer", "minimum": 1},
                    "height": {"type": "integer", "minimum": 1},
                    "mirrored": {"type": "boolean"},
                },
                text="The upright picture.",
            ),
            "faces": {"type": "array", "items": ref("Face"), "description": "By falling score."},
            "omitted": {
                "type": "integer",
                "minimum": 0,
                "description": "Faces found beyond `max_faces`, which are left out.",
            },
            "empty": _or_null({"type": "string", "description": "Why there is no face."}),
            "warnings": {
                "type": "array",
                "items": ref("Reason"),
                "description": "What was said with the picture and not followed.",
            },
            "notice": _TEXT,
        }
    ),
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

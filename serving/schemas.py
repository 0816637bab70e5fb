"""Schemas of what the server takes and answers (JSON Schema 2020-12), for its OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from lidloop.screening.measurements import SIDES
from lidloop.web.problems import PREFIX, ProblemDetails
from lidloop.web.wire import Schema, schemas
from serving.inference_types import InferRequest, InferResponse, ModelMetadata
from serving.problems import PROBLEM_TYPES
from serving.screening_answer import ScreeningAnswer


class Problem(ProblemDetails):
    """A problem document of this server with the members that its types may have."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "description": "Problem details (RFC 9457). Other members depend on the type.",
        },
    )

    type: Annotated[str, Field(json_schema_extra={"enum": [PREFIX + name for name in PROBLEM_TYPES]})]
    parameter: Annotated[str | SkipJsonSchema[None], Field(description="name of the wrong parameter")] = None
    limit: int | SkipJsonSchema[None] = None
    unit: Literal["bytes", "pixels"] | SkipJsonSchema[None] = None
    offered: list[str] | SkipJsonSchema[None] = None
    error: Annotated[
        str | SkipJsonSchema[None],
        Field(description="detail again, where the Open Inference Protocol has it"),
    ] = None


_POINT: Final[Schema] = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}

_MODELS: Final = schemas([ScreeningAnswer, InferRequest, InferResponse, ModelMetadata, Problem])
SCHEMAS: Final[dict[str, Schema]] = {
    **_MODELS,
    # A parameter of the address, which is JSON in one string.
    "Pupils": {
        "type": "object",
        "properties": dict.fromkeys(SIDES, _POINT),
        "additionalProperties": False,
        "minProperties": 1,
        "description": "Pupil centres (x, y) by the patient's side, in pixels of the upright picture.",
    },
}
"""All schemas of the document by name."""

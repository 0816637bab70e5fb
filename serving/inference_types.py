"""Wire types of the Open Inference Protocol, version 2, as far as this server speaks it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from lidloop.landmarks import N_POINTS
from lidloop.screening.screen import MAX_FACES
from lidloop.web.wire import OpenWire, Schema

INPUT = "image"
OUTPUTS: dict[str, list[int]] = {"boxes": [-1, 4], "scores": [-1], "landmarks": [-1, N_POINTS, 3]}
"""Shape of each output; -1 is the number of faces."""
OutputName = Literal["boxes", "scores", "landmarks"]
MAX_RANK = 4

# A rank is checked before any arithmetic: a product of a million dimensions takes minutes.
_Shape = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=MAX_RANK)]
_SIZE: Schema = {"type": "integer", "minimum": 1}
_OBJECT: Schema = {"type": "object"}
_ARRAY: Schema = {"type": "array"}


def _data(items: Schema, **more: Any) -> WithJsonSchema:
    """Data is checked by ``serving.open_inference``, value by value: it may be nested, and very long."""
    return WithJsonSchema({"type": "array", "items": items, "minItems": 1, **more})


class InputParameters(OpenWire):
    """In the binary extension: the length of the data behind the JSON part."""

    binary_data_size: int | SkipJsonSchema[None] = None


class _Input(OpenWire):
    name: Literal["image"]
    parameters: Annotated[InputParameters | None, WithJsonSchema(_OBJECT)] = None


class BytesInput(_Input):
    """A JPEG, PNG or HEIC file."""

    datatype: Literal["BYTES"]
    shape: Annotated[_Shape, WithJsonSchema({"const": [1]})]
    data: Annotated[Any, _data({"type": "string", "contentEncoding": "base64"}, maxItems=1)] = None


class PixelsInput(_Input):
    """Pixels of shape [height, width, 3], upright RGB."""

    datatype: Literal["UINT8"]
    shape: Annotated[_Shape, WithJsonSchema({"type": "array", "items": _SIZE})]
    data: Annotated[Any, _data({"type": "integer"})] = None


Input = Annotated[BytesInput | PixelsInput, Field(discriminator="datatype")]


class OutputParameters(OpenWire):
    """Parameters of a requested output."""

    binary_data: bool | SkipJsonSchema[None] = None


class Output(OpenWire):
    """An output that is wanted."""

    name: OutputName
    parameters: OutputParameters | SkipJsonSchema[None] = None


class Parameters(OpenWire):
    """Parameters of a request."""

    max_faces: Annotated[int, Field(ge=1, le=MAX_FACES)] | SkipJsonSchema[None] = None
    binary_data_output: bool | SkipJsonSchema[None] = None


class Inputs(OpenWire):
    """The part of a request that holds the picture."""

    inputs: Annotated[list[Input], Field(min_length=1, max_length=1)]


_EXAMPLE = {
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "data": [0, 9, 8, 7, 6, 5]}]
}


def _request_schema(schema: Schema) -> None:
    schema.pop("description", None)
    schema["examples"] = [_EXAMPLE]
    schema["properties"]["inputs"]["items"].pop("discriminator")


class InferRequest(Inputs):
    """A request."""

    model_config = ConfigDict(json_schema_extra=_request_schema)

    id: str | SkipJsonSchema[None] = None
    parameters: Parameters | SkipJsonSchema[None] = None
    outputs: list[Output] | SkipJsonSchema[None] = None


class Tensor(OpenWire):
    """A tensor of an answer, or its description in the metadata of the model."""

    name: str
    datatype: str
    shape: list[Annotated[int, Field(ge=-1)]]
    parameters: Annotated[dict[str, int] | None, WithJsonSchema(_OBJECT)] = None
    data: Annotated[list[float] | None, WithJsonSchema(_ARRAY)] = None


class InferResponse(OpenWire):
    """An answer."""

    model_config = ConfigDict(protected_namespaces=())

    id: str | SkipJsonSchema[None] = None
    model_name: str
    model_version: str | SkipJsonSchema[None] = None
    outputs: list[Tensor]


class ModelMetadata(OpenWire):
    """Metadata of the model."""

    model_config = ConfigDict(extra="forbid")

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]

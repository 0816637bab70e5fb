"""Wire types: pydantic models of JSON documents, from which their OpenAPI schemas are generated."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

Schema = dict[str, Any]
REFERENCE: Final = "#/components/schemas/{model}"

_STRICT: Final = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, populate_by_name=True)
_TAGS: Final = ("union_tag_invalid", "union_tag_not_found")


class Wire(BaseModel):
    """Base of wire types: no unknown members, no NaN, no conversions between types."""

    model_config = ConfigDict(**_STRICT, extra="forbid")

    def document(self) -> dict[str, Any]:
        """Return the JSON document; members that were not set are left out, those set to None are null."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class OpenWire(Wire):
    """Base of wire types of protocols that others define: unknown members are ignored, and the schema is not
    described again."""

    model_config = ConfigDict(
        extra="ignore", json_schema_extra=lambda schema: schema.pop("description", None) and None
    )


Model = TypeVar("Model", bound=Wire)


class WireError(ValueError):
    """A document that is not of its wire type: the place of the first error and a reason, never content."""


def read(model: type[Model], document: Any) -> Model:
    """Validate a parsed JSON document.

    Raises:
        WireError: for the first thing that is wrong.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        # Names of a union's members are no part of the document.
        place = ".".join(str(part) for part in first["loc"] if not (isinstance(part, str) and part.isupper()))
        text = first["msg"]
        if first["type"] in _TAGS:  # its message repeats what was sent
            place = f"{place}.{first['ctx']['discriminator'].strip(chr(39))}".lstrip(".")
            text = f"must be one of {first['ctx'].get('expected_tags', 'the known values')}"
        raise WireError(f"{place}: {text}" if place else text) from None


def dump(document: dict[str, Any]) -> bytes:
    """Return JSON without spaces and without NaN."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


class _Generator(GenerateJsonSchema):
    """Leaves out titles, which repeat names, and defaults of None, which mean that a member is absent."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if "default" in made and made["default"] is None:
            made = {name: value for name, value in made.items() if name != "default"}
        return made

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        made = super().literal_schema(schema)
        return {"const": made["const"]} if "const" in made else made

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made.pop("title", None)
        return made


def schemas(models: Iterable[type[BaseModel]]) -> dict[str, Schema]:
    """Return schemas (JSON Schema 2020-12) of models and of all that they use, by name."""
    _, made = models_json_schema(
        [(model, "serialization") for model in models],
        ref_template=REFERENCE,
        schema_generator=_Generator,
    )
    found: dict[str, Schema] = made["$defs"]
    return found


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": REFERENCE.format(model=name)}

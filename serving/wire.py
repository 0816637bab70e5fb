"""Wire types: pydantic models of JSON documents, from which their OpenAPI schemas are generated."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

Schema = dict[str, Any]
REFERENCE: Final = "#/components/schemas/{model}"


class Wire(BaseModel):
    """Base of all wire types: no unknown members, no NaN, no conversions between types."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, populate_by_name=True
    )

    def document(self) -> dict[str, Any]:
        """The JSON document; members that were not set are left out, those set to None are null."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def dump(document: dict[str, Any]) -> bytes:
    """JSON without spaces and without NaN."""
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

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made.pop("title", None)
        return made


def schemas(models: Iterable[type[BaseModel]]) -> dict[str, Schema]:
    """Schemas (JSON Schema 2020-12) of models and of all that they use, by name."""
    _, made = models_json_schema(
        [(model, "serialization") for model in models],
        ref_template=REFERENCE,
        schema_generator=_Generator,
    )
    found: dict[str, Schema] = made["$defs"]
    return found

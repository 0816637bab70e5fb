"""Reading of compiled pipelines, and checks of parameters against their definitions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from lidloop.errors import one_line
from pipelines.kubeflow.errors import HostError

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a quarter of a MB: 0.05 s, or a second

_TYPES: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "STRING": ((str,), "a string"),
    "NUMBER_INTEGER": ((int,), "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list, tuple), "a list"),
    "STRUCT": ((dict,), "a mapping"),
}


def read_pipeline(path: Path) -> dict[str, Any]:
    """Read a compiled pipeline as the host's API takes it.

    Raises:
        HostError: if the file is not a compiled pipeline.
    """
    try:
        documents = list(yaml.load_all(path.read_text(), _LOADER))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HostError(f"{path} cannot be read as a compiled pipeline: {one_line(str(error))}") from error
    if not documents or not isinstance(documents[0], dict) or "pipelineInfo" not in documents[0]:
        raise HostError(f"{path} is not a compiled pipeline; `lidloop compile` writes one")
    if len(documents) == 1:
        return dict(documents[0])
    return {"pipeline_spec": documents[0], "platform_spec": documents[1]}


def definitions(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a pipeline's parameters by name: type, default, description; empty if the host sends none."""
    own = spec.get("pipeline_spec", spec)
    known: dict[str, dict[str, Any]] = own.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    return known


def check(given: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> None:
    """Check parameters against a pipeline's definitions; without definitions the host checks them itself.

    Raises:
        HostError: for an unknown or missing parameter, or one of a wrong type.
    """
    if not known:
        return
    strange = sorted(set(given) - set(known))
    if strange:
        raise HostError(
            f"the pipeline has no parameter {', '.join(strange)}; it has {', '.join(sorted(known))}"
        )
    missing = sorted(
        name
        for name, entry in known.items()
        if name not in given and "defaultValue" not in entry and not entry.get("isOptional")
    )
    if missing:
        raise HostError(f"the pipeline needs the parameter {', '.join(missing)}; give it with --parameter")
    for name, value in given.items():
        types, words = _TYPES.get(known[name].get("parameterType", ""), ((object,), ""))
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types and words):
            raise HostError(f"the parameter {name} must be {words}, not {value!r}")


def parse_value(text: str, definition: Mapping[str, Any]) -> Any:
    """Parse a parameter's value from the command line: a string as it is, other types as YAML.

    Raises:
        HostError: if it is not valid YAML.
    """
    if definition.get("parameterType") == "STRING":
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise HostError(f"{text!r} is not a valid value: {one_line(str(error))}") from None

"""A compiled pipeline as a Kubeflow Pipelines host takes it, and whether parameters fit it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pipelines.kubeflow.errors import HostError

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a quarter of a MB: 0.05 s, or a second

_TYPES: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "STRING": ((str,), "a text"),
    "NUMBER_INTEGER": ((int,), "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list, tuple), "a list"),
    "STRUCT": ((dict,), "names with values"),
}


def read_pipeline(path: Path) -> dict[str, Any]:
    """A compiled pipeline as a host takes it.

    Raises:
        HostError: where it is none.
    """
    try:
        documents = list(yaml.load_all(path.read_text(), _LOADER))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HostError(f"{path} cannot be read as a compiled pipeline: {error}") from error
    if not documents or not isinstance(documents[0], dict) or "pipelineInfo" not in documents[0]:
        raise HostError(f"{path} is no compiled pipeline; `lidloop compile` writes one")
    if len(documents) == 1:
        return dict(documents[0])
    return {"pipeline_spec": documents[0], "platform_spec": documents[1]}


def definitions(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters of a pipeline by name: type, default, description; empty where a host tells none."""
    own = spec.get("pipeline_spec", spec)
    known: dict[str, dict[str, Any]] = own.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    return known


def check(given: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> None:
    """Look whether parameters are those of a pipeline; a host that tells no details checks them itself.

    Raises:
        HostError: for parameters that it does not have, misses, or of another type.
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
        raise HostError(f"the pipeline needs {', '.join(missing)}, which was not given")
    for name, value in given.items():
        types, words = _TYPES.get(known[name].get("parameterType", ""), ((object,), ""))
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types and words):
            raise HostError(f"the parameter {name} must be {words}, not {value!r}")


def parse_value(text: str, definition: Mapping[str, Any]) -> Any:
    """A parameter's value from the command line: a text as it is, anything else as YAML has it.

    Raises:
        HostError: where it is no YAML.
    """
    if definition.get("parameterType") == "STRING":
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise HostError(f"{text!r} is no value: {error}") from None

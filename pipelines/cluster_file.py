"""Settings of a cluster as a YAML file: reading, and the example with all defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from lidloop.errors import SYSTEM_ERRORS, cause, one_line
from pipelines.cluster import ClusterError, ClusterSettings, Resources
from pipelines.parameters import declared


def read_cluster(path: Path) -> ClusterSettings:
    """Read settings from a YAML file; omitted ones keep their defaults.

    Raises:
        ClusterError: if the file cannot be read, names an unknown setting, or has an invalid value.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except SYSTEM_ERRORS as error:
        raise ClusterError(f"cannot read the cluster's settings {path}: {cause(error)}") from error
    except yaml.YAMLError as error:
        raise ClusterError(f"{path} cannot be read as YAML: {one_line(str(error))}") from error
    try:
        made: ClusterSettings = _build(ClusterSettings, {} if content is None else content, "")
    except ClusterError as error:
        raise ClusterError(f"{path}: {error}") from None
    return made


def describe() -> Iterator[tuple[str, Any, str]]:
    """Yield every setting with its default and description; parts of a setting as ``train.cpu``."""
    for name, known in declared(ClusterSettings).items():
        if isinstance(known.default, Resources):
            for part, inner in declared(Resources).items():
                text = f"{inner.declaration.help} {known.declaration.help}"
                yield f"{name}.{part}", getattr(known.default, part), text
        else:
            yield name, known.default, known.declaration.help


def example() -> str:
    """Return a YAML file of all settings with their defaults, each below its description."""
    lines = [
        "# Settings of a cluster for `lidloop compile --cluster FILE`. Omitted ones keep their defaults."
    ]
    for name, known in declared(ClusterSettings).items():
        text = known.declaration.help
        lines += ["", f"# {'resources ' if isinstance(known.default, Resources) else ''}{text}"]
        lines.append(yaml.safe_dump({name: _plain(known.default)}, sort_keys=False, width=100).rstrip())
    return "\n".join(lines) + "\n"


def _build(kind: type, content: Any, where: str) -> Any:
    """Build a settings dataclass from YAML values, with checks of every name and type."""
    if not isinstance(content, Mapping):
        raise ClusterError(f"{where.rstrip('.') or 'the file'} must be a mapping of names to values")
    hints = get_type_hints(kind)
    unknown = sorted(set(map(str, content)) - set(hints))
    if unknown:
        raise ClusterError(f"there is no setting {where}{unknown[0]}; there are {', '.join(hints)}")
    values = {}
    for name, value in content.items():
        if hints[name] is Resources and isinstance(value, Mapping):
            # Omitted parts keep the defaults of this step.
            value = {**_plain(declared(ClusterSettings)[name].default), **value}
        values[name] = _typed(hints[name], value, f"{where}{name}")
    return kind(**values)


def _typed(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, value, f"{where}.")
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ClusterError(f"{where} must be a list")
        return tuple(_typed(get_args(hint)[0], entry, where) for entry in value)
    if get_origin(hint) is dict:
        if not isinstance(value, Mapping) or not all(
            isinstance(part, str) for item in value.items() for part in item
        ):
            raise ClusterError(
                f"{where} must be a mapping of names to strings; put true and numbers in quotation marks"
            )
        return dict(value)
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # cpu: 4
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        kind = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}[hint]
        raise ClusterError(f"{where} must be {kind}, not {one_line(repr(value))}")
    return value


def _plain(value: Any) -> Any:
    """A value as YAML represents it."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    return value

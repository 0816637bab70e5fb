"""Declaration of parameters as metadata of a dataclass's fields: help text, type, range, default, choices.

A parameter is declared once, by ``parameter`` as the default of a field. What else needs to know it reads the
declaration: the command line (``pipelines.cli.options``), JSON schemas, checks and documentation.

Example:
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Settings:
    ...     epochs: int = parameter(10, help="Passes over the data.", minimum=1, maximum=100)
    >>> declared(Settings)["epochs"].problem(0)
    'must be 1 or more, not 0'
    >>> declared(Settings)["epochs"].schema()["maximum"]
    100
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Any, Final, get_args, get_origin, get_type_hints

_METADATA: Final = "parameter"
_KINDS: Final[dict[type, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a string",
}
_SCHEMA_TYPES: Final[dict[type, str]] = {int: "integer", float: "number", bool: "boolean", str: "string"}
_LARGEST_FLOAT: Final = 1e300
_SHOWN: Final = 80  # characters of a wrong value in a message


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Metadata of one parameter.

    Attributes:
        help: one or two sentences for users.
        minimum, maximum: smallest and largest value.
        exclusive_minimum, exclusive_maximum: bounds that are not allowed values themselves.
        multiple_of: the value is a multiple of this.
        choices: the allowed strings; empty for any.
        pattern, pattern_text: regular expression that a string matches as a whole, and its meaning in words.
        most_entries: largest number of entries of a list.
        group: heading under which the command line's help shows it.
        flags: option names of the command line; empty for ``--name-with-hyphens``.
        metavar, shown_default: text of the help in place of the type and of the default.
        variable: environment variable that gives the value where the command line does not.
        is_path: the value is a local path unless it is an address; the command line expands ``~`` in it.
    """

    help: str
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    multiple_of: int | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    pattern_text: str = ""
    most_entries: int | None = None
    group: str = ""
    flags: tuple[str, ...] = ()
    metavar: str = ""
    shown_default: str = ""
    variable: str = ""
    is_path: bool = False


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: its name, type and default (``MISSING`` if required), and its declaration."""

    name: str
    kind: Any
    default: Any
    declaration: Declaration

    @property
    def is_required(self) -> bool:
        """True if it has no default."""
        return self.default is MISSING

    @property
    def is_list(self) -> bool:
        """True for a list of strings, a ``tuple[str, ...]`` in the dataclass."""
        return get_origin(self.kind) is tuple

    @property
    def flag(self) -> str:
        """Main option name on the command line, for example ``--min-growth``."""
        first = self.declaration.flags[0] if self.declaration.flags else f"--{self.name.replace('_', '-')}"
        return first.split("/")[0]

    @property
    def negative_flag(self) -> str:
        """Option name that sets a boolean to false; empty if there is none."""
        first = self.declaration.flags[0] if self.declaration.flags else ""
        return first.partition("/")[2]

    def type_problem(self, value: object) -> str | None:
        """Return the reason why a JSON value has the wrong type, or None if it has the right one."""
        if self.is_list:
            entries = value if isinstance(value, list | tuple) else None
            if entries is None or not all(isinstance(entry, str) for entry in entries):
                return "must be a list of strings"
            return None
        if type(value) is not self.kind and not (self.kind is float and type(value) is int):
            return f"must be {_KINDS[self.kind]}"
        if self.kind is float and type(value) is int and abs(value) > _LARGEST_FLOAT:
            return "is too large"
        return None

    def problem(self, value: Any) -> str | None:
        """Return the reason why a value of the right type is out of range, or None if it is allowed."""
        rule = self.declaration
        if rule.choices and value not in rule.choices:
            return f"must be {' or '.join(rule.choices)}, not {_short(repr(value))}"
        if rule.pattern and not re.fullmatch(rule.pattern, value):
            return f"must be {rule.pattern_text}, not {_short(repr(value))}"
        if self.is_list:
            if rule.most_entries is not None and len(value) > rule.most_entries:
                return f"may have {rule.most_entries} entries at most, not {len(value)}"
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            broken = self._broken_bound(value)
            return f"must be {broken}, not {_short(str(value))}" if broken else None
        return None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of its values, with description and default."""
        rule = self.declaration
        made: dict[str, Any]
        if self.is_list:
            made = {"type": "array", "items": {"type": "string"}}
        else:
            made = {"type": _SCHEMA_TYPES[self.kind]}
        bounds = {
            "enum": list(rule.choices) or None,
            "pattern": f"^({rule.pattern})$" if rule.pattern else None,
            "minimum": rule.minimum,
            "maximum": rule.maximum,
            "exclusiveMinimum": rule.exclusive_minimum,
            "exclusiveMaximum": rule.exclusive_maximum,
            "multipleOf": rule.multiple_of,
            "maxItems": rule.most_entries,
        }
        made |= {name: bound for name, bound in bounds.items() if bound is not None}
        if not self.is_required:
            made["default"] = list(self.default) if self.is_list else self.default
        return {**made, "description": rule.help}

    def _broken_bound(self, value: float) -> str:
        """Words for the range where a number is outside it; empty if the number is allowed."""
        rule = self.declaration
        finite = isinstance(value, int) or math.isfinite(value)
        above = finite and not (
            (rule.minimum is not None and value < rule.minimum)
            or (rule.exclusive_minimum is not None and value <= rule.exclusive_minimum)
        )
        below = finite and not (
            (rule.maximum is not None and value > rule.maximum)
            or (rule.exclusive_maximum is not None and value >= rule.exclusive_maximum)
        )
        if above and below and not (rule.multiple_of and value % rule.multiple_of):
            return ""
        low = _text(rule.minimum if rule.minimum is not None else rule.exclusive_minimum)
        high = _text(rule.maximum if rule.maximum is not None else rule.exclusive_maximum)
        if rule.multiple_of:
            ends = [f"at least {low}"] if low else []
            ends += [f"at most {high}"] if high and not below else []
            return ", ".join([f"a multiple of {rule.multiple_of}", *ends])
        if self.kind is float and low and high:
            excluded = [low] if rule.minimum is None else []
            excluded += [high] if rule.maximum is None else []
            note = f" ({' and '.join(excluded)} excluded)" if excluded else ""
            return f"between {low} and {high}{note}"
        if not above and low:
            return f"{low} or more"
        return f"{high} or less" if high else "a finite number"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _text(bound: float | None) -> str:
    """A bound for a message: 0.25, 1, 2147483647; empty for none."""
    return "" if bound is None else f"{bound:g}" if isinstance(bound, float) else str(bound)


def parameter(default: Any = MISSING, /, **declaration: Any) -> Any:
    """Declare a field of a dataclass as a parameter.

    Args:
        default: the default value; a required parameter has none.
        declaration: attributes of ``Declaration``.
    """
    metadata = {_METADATA: Declaration(**declaration)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _default_of(entry: dataclasses.Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


@cache
def declared(settings: type) -> Mapping[str, Parameter]:
    """Return the declared parameters of a dataclass by name, in the order of its fields."""
    hints = get_type_hints(settings)
    return {
        entry.name: Parameter(entry.name, hints[entry.name], _default_of(entry), entry.metadata[_METADATA])
        for entry in dataclasses.fields(settings)
        if _METADATA in entry.metadata
    }


def type_problems(settings: type, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield ``(name, reason)`` for every unknown name and every value of a wrong type."""
    known = declared(settings)
    for name, value in given.items():
        if name not in known:
            shown = name[:100] if name.isprintable() else "?"
            yield shown, f"there is no such parameter; there are {', '.join(known)}"
        elif reason := known[name].type_problem(value):
            yield name, reason


def from_json(settings: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON values without ``type_problems`` as the dataclass takes them: tuples, and floats for 1."""
    known = declared(settings)
    return {
        name: tuple(value) if known[name].is_list else float(value) if known[name].kind is float else value
        for name, value in given.items()
    }


def json_schema(settings: type) -> dict[str, Any]:
    """Return the JSON Schema of an object with the declared parameters of a dataclass and no others."""
    properties = {name: known.schema() for name, known in declared(settings).items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def choices_of(literal: Any) -> tuple[str, ...]:
    """Return the strings of a ``Literal``."""
    return tuple(get_args(literal))

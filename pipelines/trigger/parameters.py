"""The parameters of a run that is started over HTTP: those of ``RunSettings``, and nothing that lets a caller
out of the folders that the operator set aside.

The operator's file of defaults may name anything. A caller may name sources in the operator's folders or
stores only; never weights by their path, for a ``.pt`` is a pickle, and with it a program; and never where
models are registered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final, get_type_hints

import yaml

from lidloop.errors import LidloopError
from pipelines.settings import RunSettings, SettingsError

OPERATORS: Final = {
    "registry": "where models are registered",
    "truth": "what was hidden of generated faces",
}
"""Parameters that only the operator's file gives, and what they say."""

MOST: Final = {
    "iterations": 100,
    "epochs": 10_000,
    "imgsz": 4096,
    "batch": 65_536,
    "shards": 10_000,
    "gpus": 1024,
    "workers": 1024,
    "patience": 10_000,
    "seed": 2**31 - 1,
}
"""Largest values that a caller may give."""

_SOURCES: Final = 100
_TEXT: Final = 1000
_FORMS: Final = (
    (
        "base_weights",
        re.compile(r"yolo[a-z0-9-]{1,40}\.(pt|yaml)"),
        "weights are a program: a caller may give a published name such as yolov8n-pose.pt, but no path",
    ),
    ("device", re.compile(r"(cpu|mps|\d{1,4}(,\d{1,4})*)?"), "must be cpu, or numbers of GPUs such as 0,1"),
)
_KINDS: Final = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_TYPES: Final = get_type_hints(RunSettings)


class Rules:
    """What runs may be started here.

    Args:
        defaults: parameters of every run where none are given, which the operator wrote.
        places: folders, and ``s3://BUCKET[/PREFIX]``, in which callers may name sources.
        settings: ``RunSettings``, or ``RemoteSettings`` for runs elsewhere.
        fixed: parameters that cannot be given at all, with the reason.

    Raises:
        SettingsError: where the defaults are wrong. They may lack sources, which callers can give.
    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        *,
        places: Sequence[str] = (),
        settings: type[RunSettings] = RunSettings,
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        self.defaults, self._places, self._settings = dict(defaults), tuple(places), settings
        self.fixed = dict(fixed or {})
        problems = [*_types(self.defaults), *self._fixed(self.defaults)]
        if problems:
            raise SettingsError(problems)
        if self.complete:
            settings(**_typed(self.defaults))

    @property
    def complete(self) -> bool:
        """Whether a run can be started with the defaults alone, as an alert does."""
        return bool(self.defaults.get("sources"))

    def merge(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a run that a caller asks for: what was given, and the defaults. JSON values.

        Raises:
            SettingsError: for every parameter that is unknown, of a wrong type or value, or not a caller's.
        """
        problems = [*_types(given), *self._fixed(given)]
        wrong = dict(problems)
        problems += self._theirs({name: value for name, value in given.items() if name not in wrong})
        if problems:
            raise SettingsError(problems)
        merged = {"sources": [], **self.defaults, **given}
        self._settings(**_typed(merged))
        return merged

    def _fixed(self, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(name, reason) for name, reason in self.fixed.items() if name in given]

    def _theirs(self, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What callers may not give, of what has the right type."""
        problems = [
            (name, f"{what} is the operator's to say")
            for name, what in OPERATORS.items()
            if name in given and given[name] != self.defaults.get(name)
        ]
        for name, value in given.items():
            if name in MOST and isinstance(value, int) and abs(value) > MOST[name]:
                problems.append((name, f"at most {MOST[name]} is taken"))
            if isinstance(value, str) and (len(value) > _TEXT or not value.isprintable()):
                problems.append((name, f"at most {_TEXT} printable characters are taken"))
        for name, form, said in _FORMS:
            value = given.get(name)
            if isinstance(value, str) and value != self.defaults.get(name) and not form.fullmatch(value):
                problems.append((name, said))
        sources = given.get("sources", [])
        if len(sources) > _SOURCES:
            problems.append(("sources", f"at most {_SOURCES} are taken"))
        problems += [
            ("sources", f"{source[:_TEXT]!r} is in no place that the operator set aside for sources")
            for source in sources[:_SOURCES]
            if source not in self.defaults.get("sources", ()) and not self._is_inside(source)
        ]
        return problems

    def _is_inside(self, source: str) -> bool:
        if len(source) > _TEXT or not source.isprintable():
            return False
        _, _, place = source.partition(":")
        return any(is_inside(place, allowed) for allowed in self._places)


def is_inside(place: str, allowed: str) -> bool:
    """Whether a path or ``s3://`` address lies in another, whatever links and dots it has."""
    if "://" in place or "://" in allowed:
        parts = place.split("://", 1)[-1].split("/")
        strange = any(part in ("", ".", "..") for part in parts[:-1]) or parts[-1] in (".", "..")
        return not strange and f"{place}/".startswith(allowed.rstrip("/") + "/")
    if not place.startswith("/"):
        return False  # from where would it be told?
    try:
        return Path(place).resolve().is_relative_to(Path(allowed).resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name with a null byte
        return False


def read_defaults(path: Path) -> dict[str, Any]:
    """Parameters of a file of run defaults, YAML or JSON; paths in it may be relative to its folder.

    Raises:
        LidloopError: where it cannot be read or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LidloopError(f"the run defaults {path} cannot be read: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise LidloopError(f"{path} must map names of parameters to values, such as `epochs: 20`")
    return content


def absolute(defaults: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same with local paths made absolute; relative ones are relative to ``folder``."""
    made = dict(defaults)

    def path(text: str) -> str:
        return text if not text or "://" in text else str((folder / Path(text).expanduser()).resolve())

    if isinstance(made.get("sources"), list):
        made["sources"] = [
            f"{kind}:{path(place)}" if isinstance(source, str) and place else source
            for source in made["sources"]
            for kind, _, place in [str(source).partition(":")]
        ]
    for name in ("truth", "registry"):
        if isinstance(made.get(name), str):
            made[name] = path(made[name])
    weights = made.get("base_weights")
    if isinstance(weights, str) and (len(Path(weights).parts) > 1 or (folder / weights).exists()):
        made["base_weights"] = path(weights)
    return made


def arguments(parameters: Mapping[str, Any]) -> list[str]:
    """Options of ``lidloop run`` that say the same. Every value is bound to its option by ``=``, so that none
    can pass for another option."""
    options: list[str] = []
    for name, value in parameters.items():
        option = "--" + name.replace("_", "-")
        if name == "sources":
            options += [f"--source={source}" for source in value]
        elif name == "ignore_unlabelled":
            options.append("--ignore-unlabelled" if value else "--punish-unlabelled")
        elif isinstance(value, bool):
            options += [option] if value else []
        else:
            options.append(f"{option}={value}")
    return options


def schema() -> dict[str, Any]:
    """The parameters as a JSON Schema, with the help of the command line's options."""
    from pipelines.cli.run import run

    helps = {
        "sources" if name == "source" else name: getattr(hint, "__metadata__", (None,))[0]
        for name, hint in get_type_hints(run, include_extras=True).items()
    }
    kinds = {int: "integer", float: "number", bool: "boolean", str: "string"}
    properties: dict[str, Any] = {}
    for field in fields(RunSettings):
        kind = kinds.get(_TYPES[field.name])
        entry: dict[str, Any] = (
            {"type": kind} if kind else {"type": "array", "items": {"type": "string"}, "maxItems": _SOURCES}
        )
        if field.name in MOST:
            entry["maximum"] = MOST[field.name]
        if field.default is not MISSING:
            entry["default"] = field.default
        text = getattr(helps.get(field.name), "help", None)
        properties[field.name] = {**entry, **({"description": text} if text else {})}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _types(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is unknown or of a wrong type."""
    problems = []
    for name, value in given.items():
        kind = _TYPES.get(name)
        if kind is None:
            shown = name[:100] if name.isprintable() else "?"
            problems.append((shown, f"there is no such parameter; there are {', '.join(_TYPES)}"))
        elif kind in _KINDS:
            right = type(value) is kind or (kind is float and type(value) is int)
            if not right:
                problems.append((name, f"must be {_KINDS[kind]}"))
            elif kind is float and abs(value) > 1e300:
                problems.append((name, "is too large"))
        elif not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            problems.append((name, "must be a list of texts"))
    return problems


def _typed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values as ``RunSettings`` takes them."""
    return {
        name: tuple(value) if isinstance(value, list) else float(value) if _TYPES[name] is float else value
        for name, value in parameters.items()
    }

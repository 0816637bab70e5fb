"""Rules for the parameters of runs that are started over HTTP.

The operator's file of defaults may set any parameter of ``RunSettings``. A caller may name sources in the
operator's folders and stores only, no weights by their path (a ``.pt`` is a pickle, which can run code), and
no registry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from lidloop.errors import LidloopError
from lidloop.files import expand_user
from lidloop.starter.choose import STARTER
from pipelines.parameters import declared, from_json, json_schema, type_problems
from pipelines.settings import RunSettings, SettingsError

OPERATORS: Final = {
    "registry": "where models are registered",
    "truth": "what was hidden of generated faces",
    "continue_from": "which run a run goes on from",
    "label_version": "which reviewed labels a run starts from",
    "extend_gold": "what gold is",
}
"""Parameters that only the operator's file may set, and their meaning."""

_TEXT: Final = 1000
_FORMS: Final = (
    (
        "base_weights",
        re.compile(r"yolo[a-z0-9-]{1,40}\.(pt|yaml)"),
        "weights can run code: a caller may name published ones such as yolov8n-pose.pt, but no path",
    ),
    ("device", re.compile(r"(cpu|mps|\d{1,4}(,\d{1,4})*)?"), "must be cpu, or numbers of GPUs such as 0,1"),
)
_RUN: Final = declared(RunSettings)
_SOURCES: Final = _RUN["sources"].declaration.most_entries


class Rules:
    """Checks of the parameters of runs.

    Args:
        defaults: parameters of every run that the caller does not set, from the operator's file.
        places: folders, and ``s3://BUCKET[/PREFIX]``, in which callers may name sources.
        settings: ``RunSettings``, or ``RemoteSettings`` for runs elsewhere.
        fixed: parameters that cannot be set at all, with the reason.

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
        problems = [*type_problems(RunSettings, self.defaults), *self._fixed(self.defaults)]
        if problems:
            raise SettingsError(problems)
        if self.complete:
            settings(**from_json(RunSettings, self.defaults))

    @property
    def complete(self) -> bool:
        """True if a run can be started with the defaults alone, as an alert does."""
        return bool(self.defaults.get("sources") or self.defaults.get("continue_from"))

    def merge(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a run as JSON values: those given, and the defaults.

        Raises:
            SettingsError: for every parameter that is unknown, of a wrong type or value, or not a caller's.
        """
        problems = [*type_problems(RunSettings, given), *self._fixed(given)]
        wrong = dict(problems)
        problems += self._not_for_callers({name: value for name, value in given.items() if name not in wrong})
        if problems:
            raise SettingsError(problems)
        merged = {"sources": [], **self.defaults, **given}
        self._settings(**from_json(RunSettings, merged))
        return merged

    def _fixed(self, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(name, reason) for name, reason in self.fixed.items() if name in given]

    def _not_for_callers(self, given: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return problems of parameters that have the right type but are not for callers."""
        problems = [
            (name, f"{what} can be set by the operator only")
            for name, what in OPERATORS.items()
            if name in given and given[name] != self.defaults.get(name)
        ]
        for name, value in given.items():
            if isinstance(value, str) and (len(value) > _TEXT or not value.isprintable()):
                problems.append((name, f"at most {_TEXT} printable characters are accepted"))
        for name, form, said in _FORMS:
            value = given.get(name)
            if isinstance(value, str) and value != self.defaults.get(name) and not form.fullmatch(value):
                problems.append((name, said))
        sources = given.get("sources", [])
        problems += [
            ("sources", f"{source[:_TEXT]!r} is not inside a folder or store that the operator allows")
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
    """True if a path or ``s3://`` address lies inside another, after links and dots are resolved."""
    if "://" in place or "://" in allowed:
        parts = place.split("://", 1)[-1].split("/")
        strange = any(part in ("", ".", "..") for part in parts[:-1]) or parts[-1] in (".", "..")
        return not strange and f"{place}/".startswith(allowed.rstrip("/") + "/")
    if not place.startswith("/"):
        return False  # relative to an unknown folder
    try:
        return Path(place).resolve().is_relative_to(Path(allowed).resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name with a null byte
        return False


def read_defaults(path: Path) -> dict[str, Any]:
    """Read a file of run defaults, YAML or JSON; paths in it may be relative to its folder.

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
    """Return the defaults with absolute local paths; relative ones are relative to ``folder``."""
    made = dict(defaults)

    def path(text: str) -> str:
        return text if not text or "://" in text else str((folder / expand_user(text)).resolve())

    if isinstance(made.get("sources"), list):
        made["sources"] = [
            f"{kind}:{path(place)}" if isinstance(source, str) and place else source
            for source in made["sources"]
            for kind, _, place in [str(source).partition(":")]
        ]
    for name in ("truth", "registry", "continue_from", "label_version"):
        if isinstance(made.get(name), str) and not made[name].isdigit():
            made[name] = path(made[name])
    weights = made.get("base_weights")
    if (
        isinstance(weights, str)
        and weights != STARTER
        and (len(Path(weights).parts) > 1 or (folder / weights).exists())
    ):
        made["base_weights"] = path(weights)
    return made


def arguments(parameters: Mapping[str, Any]) -> list[str]:
    """Return the options of ``lidloop run`` for the parameters.

    Every value is bound to its option by ``=``, so that none can act as another option.
    """
    options: list[str] = []
    for name, value in parameters.items():
        known = _RUN[name]
        if known.is_list:
            options += [f"{known.flag}={entry}" for entry in value]
        elif isinstance(value, bool):
            options += [flag] if (flag := known.flag if value else known.negative_flag) else []
        else:
            options.append(f"{known.flag}={value}")
    return options


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the parameters."""
    return json_schema(RunSettings)

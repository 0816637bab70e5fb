"""Options of the command line made from the declared parameters of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final

import typer

from lidloop.cli.paths import optional_place, place
from lidloop.storage.files import is_stored
from pipelines.parameters import Parameter, declared
from pipelines.settings import RunSettings

RUN: Final = declared(RunSettings)
"""Parameters of a run by name."""


def option(name: str, *, before: str = "", after: str = "", group: bool = False, bounds: bool = True) -> Any:
    """Return the typer option of a run's parameter, for use in ``Annotated``.

    Args:
        name: of the parameter.
        before, after: put around its help text.
        group: show it under its heading in the help, instead of among the command's other options.
        bounds: let typer check the bounds of whole numbers. ``RunSettings`` checks them too, and names all
            problems at once.
    """
    known = RUN[name]
    rule = known.declaration
    flags = rule.flags or ((known.flag,) if known.kind is bool else ())
    checked = bounds and known.kind is int
    parser = source if known.is_list else optional_place if rule.is_path else None
    return typer.Option(
        *flags,
        help=before + (rule.help[0].lower() + rule.help[1:] if before else rule.help) + after,
        metavar=rule.metavar or "|".join(rule.choices) or None,
        parser=parser,
        show_default=rule.shown_default or True,
        envvar=rule.variable or None,
        rich_help_panel=rule.group if group else None,
        min=rule.minimum if checked else None,
        max=rule.maximum if checked else None,
    )


def source(value: str) -> str:
    """Expand ``~`` in the path of a source such as ``ibug:~/300w/afw``."""
    kind, colon, path = value.partition(":")
    return f"{kind}:{place(path)}" if colon and path and not is_stored(path) else value


def takes_run_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Make a typer command of a function whose first parameter takes the ``RunSettings``.

    The command has an option for every parameter of a run, and one for every other parameter of the function:
    required options first.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    ours = [_signature_entry(known) for known in RUN.values()]
    required = [entry for entry in (*ours, *own) if entry.default is inspect.Parameter.empty]
    others = [entry for entry in (*ours, *own) if entry.default is not inspect.Parameter.empty]
    entries = [entry.replace(kind=inspect.Parameter.KEYWORD_ONLY) for entry in (*required, *others)]

    @wraps(function)
    def command(**given: Any) -> None:
        settings = {name: given.pop(name) for name in RUN}
        settings = {name: tuple(v) if RUN[name].is_list else v for name, v in settings.items()}
        function(RunSettings(**settings), **given)

    command.__signature__ = inspect.Signature(entries, return_annotation=None)  # type: ignore[attr-defined]
    command.__annotations__ = {entry.name: entry.annotation for entry in entries}
    return command


def _signature_entry(known: Parameter) -> inspect.Parameter:
    kind = list[str] if known.is_list else known.kind
    default = inspect.Parameter.empty if known.is_required else known.default
    if known.is_list and not known.is_required:
        default = list(known.default)
    return inspect.Parameter(
        known.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option(known.name, group=True, bounds=False)],
    )

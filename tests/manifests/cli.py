"""The whole command line of lidloop, to hold commands in charts and docs to it."""

from __future__ import annotations

from functools import cache
from typing import Any

import typer
from click import Context
from typer.main import get_command

from lidloop.cli.main import app
from pipelines.cli import run as pipeline_commands
from serving.cli import serve as serving_commands


@cache
def root() -> typer.core.TyperGroup:
    """`lidloop` with the commands of all packages, as it is where all are installed."""
    whole = typer.Typer()
    for group in app.registered_groups:
        whole.add_typer(group.typer_instance, name=group.name)  # type: ignore[arg-type]
    for command in app.registered_commands:
        whole.registered_commands.append(command)
    pipeline_commands.register(whole)
    serving_commands.register(whole)
    found = get_command(whole)
    assert isinstance(found, typer.core.TyperGroup)
    return found


def parse(words: list[str]) -> dict[str, Any]:
    """Parse a command line of lidloop, without the program's name: parameters of its command by name.

    Raises:
        click.UsageError: for a command, an option or a value that is none. (Typer's vendored click: its own.)
    """
    group, rest = root(), words
    while True:
        name, command, rest = group.resolve_command(Context(group), rest)
        assert command is not None
        if not isinstance(command, typer.core.TyperGroup):
            return dict(command.make_context(name, list(rest)).params)
        group = command

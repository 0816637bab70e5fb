"""The command line that charts and docs are held to: all of it explains itself, and refuses what is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer

from tests.manifests.cli import parse, root


def names(group: typer.core.TyperGroup, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, as words."""
    for name, command in group.commands.items():
        yield (*before, name)
        if isinstance(command, typer.core.TyperGroup):
            yield from names(command, (*before, name))


@pytest.mark.parametrize("words", list(names(root())), ids=" ".join)
def test_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets in a help text may be taken for markup that is wrong, which nothing else shows."""
    root().main([*words, "--help"], standalone_mode=False)
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["no-such-command"], "a command"),
        (["store", "no-such-command"], "a command of a group"),
        (["exporter", "--no-such-option"], "an option"),
        (["exporter", "--port=x"], "a value"),
    ],
)
def test_what_is_none(words: list[str], reason: str) -> None:
    with pytest.raises(Exception, match=r"No such|valid"):
        parse(words)

from __future__ import annotations

import re

import pytest

from benchmarks.pages.pipeline import PAGE, with_tables
from pipelines.cli.run import register


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text()
    assert with_tables(page) == page, "run `python -m benchmarks.pages.pipeline`"
    assert page.count("\n| `") > 50


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="settings"):
        with_tables("nothing")


def test_the_commands_on_the_page_exist() -> None:
    import typer

    app = typer.Typer()
    register(app)
    group = typer.main.get_command(app)
    lines = re.findall(r"^lidloop (\w+)(?: (\w+))?(.*?)(?:#.*)?$", PAGE.read_text(), re.MULTILINE)
    assert len(lines) > 5
    for name, below, rest in lines:
        command = group.commands[name]  # type: ignore[attr-defined]
        if name == "recurring":
            command = command.commands[below]
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", f" {below}{rest}")) <= known, name

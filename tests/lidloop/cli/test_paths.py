"""Path options expand ``~`` in every spelling, and refuse what is no path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from lidloop.cli.paths import optional_place, path, place

app = typer.Typer()


@app.command()
def show(
    file: Annotated[list[Path], typer.Argument(parser=path)],
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, envvar="TEST_OUT")] = Path("runs/demo"),
    registry: Annotated[str, typer.Option(parser=place, envvar="TEST_REGISTRY")] = "runs/registry",
    other: Annotated[str, typer.Option(parser=optional_place)] = "",
) -> None:
    for value in (out, registry, other, *file):
        typer.echo(f"{type(value).__name__} {value}")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")


def call(*arguments: str, **env: str) -> list[str]:
    result = CliRunner().invoke(app, list(arguments), env=env)
    assert result.exit_code == 0, result.output
    return [line.partition(" ")[2] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("--out=~/set", "--registry=~/set"), {}),
        (("--out", "~/set", "--registry", "~/set"), {}),
        (("-o~/set", "--registry=~/set"), {}),
        ((), {"TEST_OUT": "~/set", "TEST_REGISTRY": "~/set"}),
    ],
)
def test_home_is_expanded_in_every_spelling(arguments: tuple[str, ...], env: dict[str, str]) -> None:
    assert call(*arguments, "~/a", **env)[:2] == ["/home/somebody/set"] * 2


def test_defaults_names_and_addresses_stay_as_they_are() -> None:
    assert call("a") == ["runs/demo", "runs/registry", "", "a"]
    for address in (
        "s3://b/~x?endpoint=http://h:1",
        "sqlite:////a%20b/m.db",
        "http://[::1]:5000",
        "-x",
        "a/",
    ):
        assert call(f"--registry={address}", "a")[1] == address
    assert call("--", "-dash.jpg", "~nobody-at-all/x")[3:] == ["-dash.jpg", "~nobody-at-all/x"]


@pytest.mark.parametrize(
    "option", ["--out=", "--out= ", "--registry=", "--out=C:\\data", "--registry=c:/data"]
)
def test_empty_and_windows_paths_are_refused(option: str) -> None:
    result = CliRunner().invoke(app, [option, "a"])
    assert result.exit_code == 2
    assert "empty" in result.output or "Windows" in result.output

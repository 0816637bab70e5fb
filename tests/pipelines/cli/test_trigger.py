"""Help and checks of the options of ``lidloop trigger``."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lidloop.errors import LidloopError
from lidloop.web.api_keys import add_key
from pipelines.cli.run import register
from pipelines.cli.trigger import duration


def run(*arguments: object) -> object:
    app = typer.Typer(rich_markup_mode="rich")
    register(app)
    environment = {"COLUMNS": "300", "TERM": "dumb", "LIDLOOP_REGISTRY": None, "KF_PIPELINES_ENDPOINT": None}
    return CliRunner().invoke(app, ["trigger", *map(str, arguments)], env=environment)


def test_help_has_examples() -> None:
    text = run("--help").output
    assert "lidloop trigger --state trigger" in text
    assert "lidloop_action" in text
    for option in (
        "--run-defaults",
        "--data",
        "--cooldown",
        "--launcher",
        "--keys",
        "--no-keys",
        "--kfp-host",
    ):
        assert option in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "need API keys"),
        (["--no-keys", "--host", "0.0.0.0"], "127.0.0.1 only"),
        (["--no-keys", "--keys", "{keys}"], "not both"),
        (["--keys", "{here}/none.json"], "cannot be read"),
        (["--keys", "{defaults}"], "not a key file"),
        (["--no-keys", "--tls-cert", "{keys}"], "belong together"),
        (["--no-keys", "--cooldown", "6"], "not a duration"),
        (["--no-keys", "--launcher", "cron"], "local or kubeflow"),
        (["--no-keys", "--launcher", "kubeflow"], "no host is given"),
        (["--no-keys", "--run-defaults", "{here}/none.yaml"], "cannot be read"),
        (["--no-keys", "--run-defaults", "{defaults}"], "no such parameter"),
    ],
)
def test_invalid_access_settings_are_rejected(tmp_path: Path, arguments: list[str], words: str) -> None:
    add_key(tmp_path / "keys.json", "me")
    (tmp_path / "defaults.yaml").write_text("epoch: 3")
    places = {"here": tmp_path, "keys": tmp_path / "keys.json", "defaults": tmp_path / "defaults.yaml"}
    result = run("--state", tmp_path / "state", *(a.format(**places) for a in arguments))
    assert isinstance(result.exception, LidloopError), result.output
    assert words in str(result.exception)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("6h", 21600), ("1h30m", 5400), ("0.5d", 43200)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds

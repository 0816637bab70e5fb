"""Paths with ``~``, unusable output paths, and output of user text in pipes and in any encoding."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lidloop.errors import LidloopError
from pipelines.cli.host_options import print_run, print_runs
from pipelines.cli.run import register
from pipelines.kubeflow.runs import Run, Task
from pipelines.local.run import run_local
from pipelines.parameters import declared
from pipelines.settings import RunSettings, SettingsError, absolute_registry

AWKWARD = "a [v1] :smile: \x1b[31mrun"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    (folder / "faces").mkdir(parents=True)
    (folder / "weights.pt").touch()
    (folder / "truth.json").touch()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_every_path_of_a_run_expands_the_home_folder(
    home: Path, app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[RunSettings, Path]] = []
    monkeypatch.setattr("pipelines.cli.run.follow", lambda settings, out, **_: given.append((settings, out)))
    arguments = [
        "--source=ibug:~/faces",
        "--out=~/out",
        "--truth=~/truth.json",
        "--base-weights=~/weights.pt",
    ]
    result = CliRunner().invoke(app, ["run", *arguments], env={"LIDLOOP_REGISTRY": "~/models"})
    assert result.exception is None, result.exception
    ((settings, out),) = given
    assert out == home / "out"
    assert settings.sources == (f"ibug:{home}/faces",)
    assert (settings.truth, settings.base_weights) == (f"{home}/truth.json", f"{home}/weights.pt")
    assert settings.registry == f"{home}/models"
    assert {n for n, known in declared(RunSettings).items() if known.declaration.is_path} == {
        "truth", "base_weights", "registry", "continue_from", "label_version",
    }  # fmt: skip


def test_compile_expands_the_home_folder(home: Path, app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["compile", "~/loop.yaml", "--iterations", "1"])
    assert result.exit_code == 0, result.exception
    assert (home / "loop.yaml").is_file()


def test_addresses_and_published_names_are_not_changed(home: Path) -> None:
    assert absolute_registry("https://mlflow.example.org") == "https://mlflow.example.org"
    assert absolute_registry("~/models") == f"{home}/models"
    assert absolute_registry(f"file:{home}/models") == f"{home}/models"
    assert absolute_registry(f"sqlite:///{home}/m.db") == f"sqlite:///{home}/m.db"


@pytest.mark.parametrize("kind", ["file", "below a file", "name too long"])
def test_an_output_folder_that_cannot_be_made_is_one_line(home: Path, kind: str) -> None:
    out = {
        "file": home / "weights.pt",
        "below a file": home / "weights.pt" / "run",
        "name too long": home / ("x" * 300),
    }[kind]
    settings = RunSettings(sources=(f"ibug:{home}/faces",))
    with pytest.raises(LidloopError) as caught:
        run_local(settings, out=out)
    assert "weights.pt" in str(caught.value) or "longer" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_a_pipeline_file_that_cannot_be_written_is_one_line(home: Path, app: typer.Typer, kind: str) -> None:
    out = home / "weights.pt" / "loop.yaml" if kind == "below a file" else home / "faces"
    result = CliRunner().invoke(app, ["compile", str(out), "--iterations", "1"])
    assert isinstance(result.exception, LidloopError)
    assert str(home) in str(result.exception)


def test_a_pipe_in_place_of_an_output_is_not_replaced(home: Path, app: typer.Typer) -> None:
    """A rename would replace a device such as /dev/null by a file."""
    pipe = home / "pipe"
    os.mkfifo(pipe)
    for arguments in (["compile", str(pipe)], ["demo", "--out", str(pipe), "--images", "20"]):
        result = CliRunner().invoke(app, [*arguments, "--iterations", "1"])
        assert isinstance(result.exception, LidloopError), arguments
        assert str(pipe) in str(result.exception)
    assert pipe.is_fifo()
    assert not (home / "pipe-faces").exists(), "nothing is drawn for a run that cannot start"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("registry", "weights.pt"), ("base_weights", "weights.pt/x"), ("truth", "x" * 5000)],
)
def test_unusable_paths_of_a_run_are_found_before_it_starts(
    home: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(SettingsError) as caught:
        RunSettings(sources=(f"ibug:{home}/faces",), **{setting: value})
    assert [name for name, _ in caught.value.problems] == [setting]


def test_user_text_is_printed_whole_and_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    error = "a long error of a step " * 20 + "ends here"
    task = Task("train [0]", "FAILED", now, now, "pod", error)
    run = Run("id-" + "x" * 60, AWKWARD, "FAILED", now, now, "[red] failed", "http://h/#/runs/1", (task,))
    print_run(run)
    print_runs([run])
    shown = capsys.readouterr().out
    assert shown.count("a [v1] :smile: ") == 2
    assert "\x1b" not in shown
    for text in ("train [0]", "[red] failed", "ends here", "id-" + "x" * 60, "http://h/#/runs/1"):
        assert any(text in line for line in shown.splitlines()), text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_commands_print_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "患者 Łucja"
    folder.mkdir()
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "lidloop.cli", "compile", str(folder / "loop.yaml"), "--iterations", "1"],
        env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"loop.yaml" in done.stdout
    assert (folder / "loop.yaml").is_file()

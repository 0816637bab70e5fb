from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from lidloop.errors import LidloopError
from pipelines.cli.run import register
from pipelines.parameters import declared
from pipelines.settings import RunSettings


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(rich_markup_mode="rich")
    register(app)
    return app


CONTINUING = ("continue_from", "label_version", "extend_gold")
"""Parameters of a run that goes on from another one; tests/pipelines/test_continue.py has them."""


def test_help_lists_every_parameter_with_its_default(app: typer.Typer) -> None:
    text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "400", "TERM": "dumb"}).output
    lines = {found[1]: line for line in text.splitlines() if (found := re.search(r"(--[a-z][a-z-]+)", line))}
    for name, known in declared(RunSettings).items():
        line = lines[known.flag]
        assert known.declaration.help in line
        if known.is_required:
            assert "[required]" in line
        elif known.default is not False and name not in ("truth", "sources", *CONTINUING):
            assert "[default: " in line, name
    assert "lidloop run -s ibug:300w/afw" in text


def test_every_option_reaches_the_settings(
    monkeypatch: pytest.MonkeyPatch, app: typer.Typer, tmp_path: Path
) -> None:
    given: list[RunSettings] = []
    monkeypatch.setattr("pipelines.cli.run.follow", lambda settings, **_: given.append(settings))
    (tmp_path / "faces").mkdir()
    (tmp_path / "truth.json").write_text("{}")
    values: dict[str, object] = {
        "split": 0.5, "keep_splits": True, "truth": str(tmp_path / "truth.json"), "iterations": 2,
        "min_growth": 0.5, "max_loss": 0.5, "seed": 3, "registry": "elsewhere", "base_weights": "other.pt",
        "epochs": 3, "patience": 4, "imgsz": 128, "batch": 5, "ignore_unlabelled": False, "conf": 0.5,
        "iou": 0.5, "retention": "relabel", "paper_exact": True, "device": "cpu", "workers": 1, "shards": 3,
    }  # fmt: skip
    options = []
    for name, value in values.items():
        known = declared(RunSettings)[name]
        flag = known.flag if value else known.negative_flag
        options += [flag] if isinstance(value, bool) else [flag, str(value)]
    source = f"ibug:{tmp_path / 'faces'}"
    done = CliRunner().invoke(app, ["run", "-s", source, "-o", str(tmp_path / "out"), *options])
    assert done.exception is None, done.output
    assert given == [RunSettings(sources=(source,), **values)]  # type: ignore[arg-type]
    assert set(values) == set(declared(RunSettings)) - {"sources", "gpus", *CONTINUING}


def test_bad_arguments_start_nothing(app: typer.Typer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["run", "-s", "ibug:/nowhere", "-o", str(out), "--imgsz", "100"])
    assert isinstance(result.exception, LidloopError)
    assert "/nowhere does not exist" in str(result.exception)
    assert "--imgsz" in str(result.exception)
    assert not out.exists()


def test_compile(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    result = CliRunner().invoke(app, ["compile", str(path), "--iterations", "2", "--image", "mine:1"])
    assert result.exit_code == 0, result.output
    content = yaml.safe_load(path.read_text())
    assert {e["container"]["image"] for e in content["deploymentSpec"]["executors"].values()} == {"mine:1"}
    assert sum(name.startswith("comp-train") for name in content["components"]) == 2


def test_kfp_is_imported_without_its_cluster_client_and_only_when_needed() -> None:
    code = (
        "import sys; import pipelines.cli.run; assert 'kfp' not in sys.modules\n"
        "from pipelines.kfp_import import import_kfp; import_kfp()\n"
        "import pipelines.refinement; assert 'kubernetes' not in sys.modules\n"
        "from kfp.client import Client\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

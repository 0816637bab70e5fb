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

OPTIONS = (
    *(
        "--source",
        "--out",
        "--iterations",
        "--epochs",
        "--imgsz",
        "--base-weights",
        "--conf",
        "--iou",
        "--seed",
    ),
    *("--batch", "--device", "--gpus", "--patience", "--shards", "--retention", "--paper-exact", "--split"),
    *("--keep-splits", "--min-growth", "--registry", "--fresh", "--truth"),
)


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(rich_markup_mode="rich")
    register(app)
    return app


def test_help_teaches(app: typer.Typer) -> None:
    text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "400", "TERM": "dumb"}).output
    for option in OPTIONS:
        assert option in text
    assert "lidloop run -s ibug:300w/afw" in text
    assert "goes on where it was" in text
    undefaulted = {
        "--source",
        "--out",
        "--keep-splits",
        "--paper-exact",
        "--fresh",
        "--json",
        "--help",
        "--truth",
    }
    for line in text.splitlines():
        option = re.search(r"(--[a-z][a-z-]+)", line)
        if line.startswith("│") and option and option[1] not in undefaulted:
            assert "[default: " in line, option[1]


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

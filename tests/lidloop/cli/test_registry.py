"""``lidloop registry``, through the command line, on one registry with three versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lidloop.cli.main import app as main_app
from lidloop.cli.registry import registry_app
from lidloop.errors import RegistryError
from lidloop.models.bundle import Bundle, seal
from lidloop.registry.registry import Registry

pytest.importorskip("mlflow")

LABELS = {"train": {"human": 1600, "grown": 12}, "val": {"human": 400, "grown": 3}}


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 3 with gold NME 4, 3 and 5 %; none is the champion."""
    work = tmp_path_factory.mktemp("filled")
    registry = Registry(work / "registry")
    for iteration, nme in enumerate((0.04, 0.03, 0.05)):
        model = work / f"model-{iteration}"
        model.mkdir()
        (model / "model.onnx").write_bytes(b"%d" % iteration)
        (model / "weights.pt").write_bytes(b"")
        (model / "training.json").write_text(json.dumps({"iteration": iteration, "imgsz": 320}))
        gold = {"faces": 400, "matched": 392, "recall": 0.98, "nme_mean": nme, "lid_error_mean": nme / 2}
        bundle = seal(
            model,
            work / f"bundle-{iteration}",
            evaluation={"iteration": iteration, "gold": {"overall": gold}},
            profile={},
            run="r",
            iteration=iteration,
            parent=str(iteration) if iteration else None,
            dataset="d" * 64,
            label_version=iteration,
            labels=LABELS,
            created="2025-01-02T03:04:05+00:00",
        )
        registry.register(bundle, run="r", iteration=iteration)
    return work / "registry"


@pytest.fixture
def place(tmp_path: Path, filled: Path) -> Path:
    shutil.copytree(filled, tmp_path / "registry")
    return tmp_path / "registry"


def call(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        registry_app, [*arguments], env={"LIDLOOP_REGISTRY": str(place), "COLUMNS": "140"}
    )


def read(place: Path, *arguments: str) -> Any:
    result = call(place, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def champions(place: Path) -> list[str]:
    return [v["version"] for v in read(place, "list") if v["champion"]]


def test_list(place: Path) -> None:
    call(place, "promote", "2", "--force")
    versions = read(place, "list")
    assert [(v["version"], v["iteration"], v["parent"]) for v in versions] == [
        ("1", 0, None), ("2", 1, "1"), ("3", 2, "2"),
    ]  # fmt: skip
    table = call(place, "list").stdout
    row = next(line for line in table.splitlines() if "★" in line)
    for cell in ("2", "r", "1", "2000 + 15", "3.00 %", "1.50 %", "98.00 %", "2025-01-02 03:04"):
        assert cell in [part.strip(" ★") for part in row.split("│")]


def test_show(place: Path) -> None:
    call(place, "promote", "1")
    shown = read(place, "show", "champion")
    assert shown["version"] == "1"
    assert shown["gold"]["nme_mean"] == 0.04
    text = call(place, "show", "1").stdout
    for words in ("1 (champion)", "d" * 64, "gold nme_mean", "0.04", "there is no champion yet"):
        assert words in text


def test_the_gate_decides_and_force_overrules(place: Path) -> None:
    assert call(place, "promote", "2").exit_code == 0
    refused = call(place, "promote", "3")
    assert refused.exit_code == 1
    assert "NME 3 % → 5 %: more than 2 % worse" in refused.stderr
    assert "--force" in refused.stderr
    assert champions(place) == ["2"]
    assert call(place, "promote", "3", "--force", "--reason", "trial").exit_code == 0
    assert champions(place) == ["3"]
    assert [c.reason for c in Registry(place).history()][-1] == "trial"


def test_promoting_the_champion_changes_nothing(place: Path) -> None:
    call(place, "promote", "2")
    again = call(place, "promote", "2")
    assert (again.exit_code, again.stdout) == (0, "version 2 is the champion already\n")
    assert len(Registry(place).history()) == 1


def test_rollback_and_the_gate_afterwards(place: Path) -> None:
    for version in ("1", "2"):
        call(place, "promote", version)
    assert call(place, "rollback", "--reason", "eyes on ears").exit_code == 0
    assert champions(place) == ["1"]
    refused = call(place, "promote", "2")
    assert refused.exit_code == 1
    assert "eyes on ears" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["show", "1"], ["promote", "1"], ["rollback"]],
    ids=lambda arguments: arguments[0],
)
def test_no_registry_is_an_error_and_none_is_made(tmp_path: Path, arguments: list[str]) -> None:
    result = call(tmp_path / "none", *arguments)
    assert isinstance(result.exception, RegistryError)
    assert "there is no registry in" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_unknown_version(place: Path) -> None:
    result = call(place, "show", "9")
    assert isinstance(result.exception, RegistryError)
    assert "it has: 1, 2, 3" in str(result.exception)


def test_help_names_the_default_and_the_variable() -> None:
    text = CliRunner().invoke(registry_app, ["list", "--help"], env={"COLUMNS": "140"}).stdout
    assert "LIDLOOP_REGISTRY" in text
    assert "runs/registry" in text


def test_a_version_is_pushed_to_a_store_by_name(place: Path) -> None:
    call(place, "promote", "2", "--force")
    target = place.parent / "models" / "2"
    command = ["store", "push", "champion", str(target), "--registry", str(place)]
    result = CliRunner().invoke(main_app, command)
    assert result.exit_code == 0, result.output
    assert Bundle.open(target).info["iteration"] == 1

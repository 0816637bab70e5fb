"""Compatibility with version 0.1.0: bundles, registries, runs, options, OpenAPI.

``v0_1_0/`` was written by version 0.1.0: ``registry-and-run.tar.xz`` is a run of one iteration on 16 drawn
pictures with a small untrained network, its version promoted by hand; ``grown-run.tar.xz`` is a run of
``lidloop demo`` with grown labels, without its weights; the JSON files describe its command line and its HTTP
interfaces.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from lidloop.cli import main as cli
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.registry.registry import Registry
from tests.compatibility.openapi import lost

STORED = Path(__file__).with_name("v0_1_0")
BOUNDED = {"iterations", "epochs", "imgsz", "seed"}
"""Options that have got the bounds which the trigger always had: a run's parameters are declared once."""


def unpack(name: str, folder: Path, top: str) -> Path:
    """Unpack a stored archive into a folder; return the path of the run in it."""
    with tarfile.open(STORED / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / top


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("registry-and-run", tmp_path_factory.mktemp("stored"), "run")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("grown-run", tmp_path_factory.mktemp("stored"), "grown")


def step(run: Path, path: str) -> Path:
    """Path of a step's output in a run folder."""
    (found,) = run.glob(f"steps/*/{path}")
    return found


def test_a_registry_is_read_with_its_champion_and_history(run: Path) -> None:
    registry = Registry(str(run / "registry"), create=False)
    (version,) = registry.versions()
    assert (version.version, version.iteration, version.champion) == ("1", 0, True)
    assert version.labels == {"train": {"human": 30, "grown": 0}, "val": {"human": 5, "grown": 0}}
    assert [(change.version, change.reason) for change in registry.history()] == [("1", "stored for tests")]


def test_a_bundle_is_verified_and_answers(run: Path, tmp_path: Path) -> None:
    from lidloop.detection.detector import load_detector

    bundle = Registry(str(run / "registry"), create=False).download("1", tmp_path / "bundle")
    assert bundle.info["label_version"] == 0
    (faces,) = load_detector(bundle.root).detect([np.full((64, 64, 3), 127, np.uint8)])
    assert faces, "the stored network gives every anchor a score of 0.5"
    assert all(face.points.shape == (51, 3) for face in faces)


def test_a_bundle_is_served_through_the_command_line(run: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 127, np.uint8))
    cli.add_other_commands()
    arguments = ["screen", str(tmp_path / "grey.png"), "--registry", str(run / "registry"), "--json"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["faces"] == []


def test_label_versions_are_read_and_keep_human_labels(grown: Path) -> None:
    dataset = Dataset.open(step(grown, "convert/dataset"))
    given = LabelVersion.open(step(grown, "convert/labels"))
    after = LabelVersion.open(step(grown, "nms-filter/grown"))
    assert (given.version, after.version) == (0, 1)
    before_texts = {record.id: given.text(record.id) for record in dataset.records}
    assert all(after.text(image).startswith(text) for image, text in before_texts.items())
    added = len(after.labels(dataset)) - len(given.labels(dataset))
    summary = json.loads((grown / "summary.json").read_text())
    assert added == summary["iterations"][0]["labels"]["added"] == 16
    assert after.ledger(1).num_rows >= added


def test_label_files_of_a_stored_run_are_exported(grown: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["labels", "export", str(grown), "-o", str(tmp_path / "yolo")])
    assert result.exit_code == 0, result.output
    stored = {path.name: path.read_bytes() for path in step(grown, "nms-filter/grown/text").iterdir()}
    exported = {path.name: path.read_bytes() for path in (tmp_path / "yolo/labels").rglob("*.txt")}
    assert exported == {name: text for name, text in stored.items() if text}


def test_a_report_is_written_again_with_the_same_figures(grown: Path) -> None:
    before = json.loads((grown / "summary.json").read_text())
    result = CliRunner().invoke(cli.app, ["report", str(grown)])
    assert result.exit_code == 0, result.output
    after = json.loads((grown / "summary.json").read_text())
    assert after["iterations"] == before["iterations"]


def commands(command: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every command with its parameters, as ``cli.json`` holds them."""
    for sub, child in sorted(getattr(command, "commands", {}).items()):
        yield from commands(child, f"{name} {sub}".strip())
    if not hasattr(command, "commands"):
        yield name, {parameter.name: parameter for parameter in command.params}


UNNAMED = {("detect", "--model"), ("detect", "--registry")}
"""Options whose default is the champion as before where there is a registry, else the starter."""

OPTIONAL = ("default", "required")
"""Properties of ``--source`` that may differ: a run that goes on from another one has none."""


def test_every_option_is_still_there_with_its_default() -> None:
    cli.add_other_commands()
    now = dict(commands(get_command(cli.app)))
    stored = json.loads((STORED / "cli.json").read_text())
    changed = []
    for name, parameters in stored.items():
        for was in parameters.values():
            found = [
                parameter
                for parameter in now[name].values()
                if set(was["names"]) & {*parameter.opts, *parameter.secondary_opts}
            ]
            if len(found) != 1:
                changed.append(f"{name} {was['names']}: gone")
                continue
            (parameter,) = found
            default = parameter.default
            default = default if isinstance(default, str | int | float | bool | None) else str(default)
            default = None if callable(parameter.default) else default
            if UNNAMED & {(name, option) for option in was["names"]}:
                assert default is None
                default = was["default"]
            if not set(was["names"]) <= {*parameter.opts, *parameter.secondary_opts}:
                changed.append(f"{name} {was['names']}: lost a name")
            for key, value in (
                ("default", default),
                ("required", parameter.required),
                ("least", getattr(parameter, "min", None)),
                ("most", getattr(parameter, "max", None)),
                ("environment", parameter.envvar),
            ):
                bounded = was[key] is None and key in ("least", "most") and parameter.name in BOUNDED
                optional = key in OPTIONAL and "--source" in was["names"] and not parameter.required
                if was[key] != value and not bounded and not optional:
                    changed.append(f"{name} {was['names']}: {key} {was[key]!r} -> {value!r}")
    assert changed == []


def test_the_serving_interface_keeps_what_it_offered() -> None:
    from serving.openapi import document
    from serving.settings import Settings

    assert lost(json.loads((STORED / "openapi-serving.json").read_text()), document(Settings())) == []


def test_the_trigger_interface_keeps_what_it_offered() -> None:
    from pipelines.trigger.openapi import document
    from pipelines.trigger.parameters import Rules

    assert lost(json.loads((STORED / "openapi-trigger.json").read_text()), document(Rules({}))) == []


def test_the_comparison_sees_what_is_lost() -> None:
    old = json.loads((STORED / "openapi-trigger.json").read_text())
    new = json.loads((STORED / "openapi-trigger.json").read_text())
    assert lost(old, new) == []
    operation = new["paths"]["/v1/runs"]["post"]
    del operation["responses"]["202" if "202" in operation["responses"] else "201"]
    assert len(lost(old, new)) == 1

"""The command line from its entry point."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from lidloop import __version__
from lidloop.cli.main import app
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.landmarks import NAMES
from tests.command_line import lidloop

COMMANDS = ("convert", "evaluate", "detect", "report", "synthesize", "registry")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.output.strip() == __version__


def test_base_install_starts_without_heavy_packages() -> None:
    """Serving's image has neither torch nor kfp nor mlflow nor matplotlib, nor pyarrow."""
    heavy = ("torch", "ultralytics", "kfp", "mlflow", "matplotlib", "openvino", "pyarrow")
    code = f"""
import sys
for name in {heavy!r}:
    sys.modules[name] = None
from lidloop.cli import main as cli
from typer.testing import CliRunner
cli.add_other_commands()
result = CliRunner().invoke(cli.app, ["detect", "--help"])
assert result.exit_code == 0, result.output
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_command_on_datasets_says_what_an_image_for_serving_lacks(tmp_path: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from lidloop.cli.main import main; main()"
    command = [sys.executable, "-c", code, "convert", "-s", f"yolo:{tmp_path}", "-o", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pyarrow" in result.stderr
    assert "Traceback" not in result.stderr


def test_convert_then_look(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
    faces = drawn[0].root.parent / "faces"
    result = lidloop("convert", "-s", f"yolo:{faces}", "-o", tmp_path, "--keep-splits", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["labels"]["total"] == drawn[1].info["total"]
    assert (
        LabelVersion.open(tmp_path / "labels-v0").dataset_digest == Dataset.open(tmp_path / "dataset").digest
    )


def test_an_error_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    result = lidloop("convert", "-s", f"ibug:{tmp_path / 'gone'}", "-o", tmp_path / "out")
    assert result.returncode == 1
    assert "gone" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_detect_says_draws_and_answers_in_json(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    dataset, labels = drawn
    record = max(dataset.records, key=lambda r: len(labels.text(r.id)))
    picture = dataset.path(record.id)
    result = lidloop("detect", picture, "--model", model_folder, "--draw", tmp_path / "drawn", "--json")
    assert result.returncode == 0, result.stderr
    (answer,) = json.loads(result.stdout)
    assert len(answer["faces"]) >= 1
    assert tuple(answer["faces"][0]["landmarks"]) == NAMES
    drawn_picture = cv2.imread(str(tmp_path / "drawn" / f"{picture.stem}.png"))
    assert drawn_picture.shape == (record.height, record.width, 3)
    assert (drawn_picture != cv2.imread(str(picture))).any()


def test_detect_goes_on_after_a_broken_picture(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff broken")
    dataset, _ = drawn
    good = dataset.path(dataset.records[0].id)
    result = lidloop("detect", broken, good, "--model", model_folder)
    assert result.returncode == 1
    assert "broken.jpg" in result.stderr
    assert str(good) in result.stdout


def test_evaluate_counts_every_labelled_face(drawn: tuple[Dataset, LabelVersion], model_folder: Path) -> None:
    faces = drawn[0].root.parent / "faces"
    result = lidloop("evaluate", "--model", model_folder, "--source", f"yolo:{faces}", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["overall"]["faces"] == drawn[1].info["total"]
    assert 0 < answer["overall"]["nme_mean"] < 0.2
    assert {line["dimension"] for line in answer["groups"]["lines"]} == {"skin tone", "size", "pose"}
    table = lidloop("evaluate", "--model", model_folder, "--source", f"yolo:{faces}")
    assert "nme_mean" in table.stdout
    assert "skin tone: " in table.stdout


def test_evaluate_fails_if_a_group_of_faces_falls_behind(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gap = {"text": "skin tone dark: Recall 80.0 % against 99.0 %", "is_failure": True}
    found = {"lines": [], "gaps": [gap], "too_small": ["skin tone tan (3 faces)"]}
    monkeypatch.setattr("lidloop.evaluation.faces_by_group.compare_groups", lambda *_, **__: found)
    source = f"yolo:{drawn[0].root.parent / 'faces'}"
    result = CliRunner().invoke(app, ["evaluate", "--model", str(model_folder), "--source", source])
    assert result.exit_code == 1
    assert "falls behind: skin tone dark: Recall 80.0 %" in result.output
    assert "too few faces to say anything: skin tone tan" in result.output
    alone = CliRunner().invoke(
        app, ["evaluate", "--model", str(model_folder), "--source", source, "--no-groups"]
    )
    assert alone.exit_code == 0, alone.output


def test_champion_without_a_registry_says_so(tmp_path: Path) -> None:
    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((64, 64, 3), 128, np.uint8))
    result = lidloop("detect", picture, "--registry", tmp_path / "none")
    assert result.returncode == 1
    assert "registry" in result.stderr
    assert not (tmp_path / "none").exists()


def test_synthesize_makes_a_source(tmp_path: Path) -> None:
    result = lidloop("synthesize", tmp_path / "faces", "--images", "6", "--hide", "0.5", "--seed", "3")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "faces" / "truth.json").exists()
    assert lidloop("convert", "-s", f"yolo:{tmp_path / 'faces'}", "-o", tmp_path / "d").returncode == 0

"""Commands ``lidloop screen`` and ``lidloop serve-key``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from click.testing import Result
from fhir.resources.R4B.bundle import Bundle as FhirBundle
from starlette.testclient import TestClient
from typer.testing import CliRunner

from lidloop.errors import LidloopError
from lidloop.screening.measurements import NOTICE
from lidloop.web.api_keys import read_keys
from serving.cli.serve import register
from tests.command_line import lidloop
from tests.serving.conftest import Photo

PROGRAM = Path(sys.executable).with_name("lidloop")
PNG = {"Content-Type": "image/png"}


def invoke(*arguments: Any) -> Result:
    """Run a command in this process."""
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def files(tmp_path: Path, photo: Photo, blank: bytes) -> Path:
    (tmp_path / "photo.png").write_bytes(photo.png)
    (tmp_path / "blank.png").write_bytes(blank)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return tmp_path


def test_json_is_the_same_as_over_http(
    client: TestClient, sealed_model: Path, files: Path, photo: Photo
) -> None:
    pupils = '{"OD": [400, 275], "OS": [240, 275]}'
    params = {"mirrored": "true", "mm_per_px": "0.4", "pupils": pupils, "asymmetry_margin": "0.7"}
    served = client.post("/v1/screen", content=photo.png, headers=PNG, params=params).json()
    given = ("--mirrored", "--mm-per-px", "0.4", "--pupil", "OD=400,275", "--pupil", "os=240,275",
             "--threshold", "asymmetry-margin=0.7")  # fmt: skip
    done = lidloop("screen", files / "photo.png", "--model", sealed_model, "--json", *given)
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    assert answer.pop("file") == str(files / "photo.png")
    assert answer == {key: value for key, value in served.items() if key != "request_id"}


def test_table_and_drawings(sealed_model: Path, files: Path) -> None:
    out = files / "drawn"
    done = lidloop("screen", files / "photo.png", files / "blank.png", "--model", sealed_model, "--draw", out)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    for words in ("OD (right eye)", "OS (left eye)", "face 1 of 1", "PFH", "±", "flag:", "scale:", NOTICE,
                  "No face was found"):  # fmt: skip
        assert words in text, words
    drawn, plain = (cv2.imread(str(path)) for path in (out / "photo.png", files / "photo.png"))
    assert drawn.shape == plain.shape
    assert (drawn != plain).any(axis=2).sum() > 500
    blank = cv2.imread(str(out / "blank.png"))
    np.testing.assert_array_equal(blank, cv2.imread(str(files / "blank.png")))


def test_fhir_prints_one_bundle_per_line(sealed_model: Path, files: Path) -> None:
    done = lidloop("screen", files / "photo.png", files / "blank.png", "--model", sealed_model, "--fhir")
    assert done.returncode == 0, done.stderr
    bundles = [FhirBundle.model_validate_json(line) for line in done.stdout.splitlines()]
    assert [b.type for b in bundles] == ["collection"] * 2


def test_a_broken_picture_does_not_stop_the_others(sealed_model: Path, files: Path) -> None:
    done = lidloop(
        "screen",
        files / "broken.jpg",
        files / "gone.png",
        files / "blank.png",
        "--model",
        sealed_model,
        "--json",
    )
    assert done.returncode == 1
    assert "broken.jpg: the picture" in done.stderr
    assert "gone.png" in done.stderr
    (answer,) = json.loads(done.stdout)
    assert answer["faces"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mm-per-px", "0"), "mm_per_px"),
        (("--max-faces", "99"), "max_faces"),
        (("--pupil", "left=1,2"), "pupils"),
        (("--pupil", "OD=1"), "pupils"),
        (("--threshold", "mrd2=1"), "no such threshold"),
        (("--threshold", "asymmetry=0"), "asymmetry"),
        (("--model", "/nowhere/model"), "not a bundle"),
        (("--registry", "nowhere"), "no registry"),
    ],
)
def test_invalid_options_are_errors_of_the_command_line(
    sealed_model: Path, files: Path, arguments: tuple[str, str], words: str
) -> None:
    model = () if arguments[0] in ("--model", "--registry") else ("--model", sealed_model)
    result = invoke("screen", files / "blank.png", *model, *arguments)
    assert isinstance(result.exception, LidloopError)  # printed as one line
    assert words in str(result.exception)


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = invoke("serve-key", "ward 3", "--file", file, "--days", 30).stdout.strip()
    assert key.startswith("lidloop_")
    listed = invoke("serve-key", "--list", "--file", file).stdout
    identity = key.split("_")[1]
    assert identity in listed
    assert "ward 3" in listed
    assert key not in listed
    assert invoke("serve-key", "--revoke", identity, "--file", file).exit_code == 0
    assert identity not in invoke("serve-key", "--list", "--file", file).stdout
    invoke("serve-key", "alertmanager", "--scope", "alerts", "--scope", "runs:read", "--file", file)
    assert [entry["scopes"] for entry in read_keys(file)] == [["alerts", "runs:read"]]
    for wrong in (
        (),
        ("--revoke", "nothing"),
        ("--list", "--file", tmp_path / "none"),
        ("me", "--scope", "root"),
    ):
        assert isinstance(invoke("serve-key", "--file", file, *wrong).exception, LidloopError), wrong

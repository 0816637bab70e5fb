"""The starter weights: committed, verified, and chosen where nothing else is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest

from lidloop import starter
from lidloop.detection.detector import load_detector
from lidloop.errors import ModelError
from lidloop.files import sha256
from lidloop.starter import choose
from lidloop.synthetic import draw_face
from tests.command_line import lidloop


def test_the_committed_model_finds_a_drawn_face_and_is_small() -> None:
    model = choose.verified_model()
    assert model.stat().st_size <= 10_000_000
    picture = draw_face(seed=3, size=(640, 560), canthal_px=220.0)
    faces = load_detector(model).detect([picture.image], conf=starter.starter_card()["score"])[0]
    assert len(faces) == 1
    assert choose.model_digest() == sha256(model)


@pytest.mark.parametrize("name", ["model.onnx", "weights.pt"])
def test_a_changed_file_is_neither_served_nor_trained_from(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("model.onnx", "weights.pt", "weights.json"):
        shutil.copyfile(starter.starter_model().parent / file, tmp_path / file)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setattr(starter, "_FOLDER", tmp_path)
    open_it = choose.verified_model if name == "model.onnx" else lambda: choose.base_weights("starter")
    with pytest.raises(ModelError, match="does not match the digest"):
        open_it()


def test_base_weights_other_than_starter_stay_as_they_are() -> None:
    assert choose.base_weights("starter") == str(starter.starter_weights())
    for name in ("yolov8n-pose.pt", "s3://bucket/weights.pt", "./starter"):
        assert choose.base_weights(name) == name


def test_the_starter_is_the_default_only_where_nothing_else_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert choose.is_default("", "")
    assert not choose.is_default("3", "")
    assert not choose.is_default("", "elsewhere")
    (tmp_path / "runs" / "registry").mkdir(parents=True)
    assert not choose.is_default("", "")


@pytest.mark.parametrize("command", ["detect", "screen"])
def test_a_command_without_a_model_uses_the_starter_and_says_so(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIDLOOP_REGISTRY", raising=False)
    picture = draw_face(seed=3, size=(640, 560), canthal_px=220.0)
    cv2.imwrite(str(tmp_path / "photo.jpg"), picture.image[..., ::-1])
    result = lidloop(command, "photo.jpg", "--json")
    assert result.returncode == 0, result.stderr
    assert "using the starter weights" in result.stderr
    assert '"score"' in result.stdout
    assert (command == "detect") or '"name": "starter"' in result.stdout
    assert not (tmp_path / "runs").exists()

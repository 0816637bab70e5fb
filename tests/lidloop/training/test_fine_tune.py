from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.demo import demo_weights
from lidloop.errors import ModelError, TrainingError
from lidloop.files import sha256
from lidloop.training.export import compare
from lidloop.training.fine_tune import (
    CONTINUED_LR,
    SIGMA_CONTINUED,
    SIGMA_RECIPE,
    TrainSettings,
    _knows_points,
    _open,
    completed,
    has_bf16,
    resolve_weights,
    train,
)

pytest.importorskip("ultralytics")

TINY = Path(__file__).parents[2] / "tiny-pose.yaml"


def test_model_folder_is_complete_and_onnx_equals_torch(model_folder: Path) -> None:
    info = json.loads((model_folder / "training.json").read_text())
    assert {"model.onnx", "weights.pt", "training.json", "epochs.csv"} <= {
        p.name for p in model_folder.iterdir()
    }
    assert info["onnx_check"]["max_px"] <= 0.5
    assert info["onnx_check"]["pictures"] > 0
    assert info["base_weights"]["sha256"] == sha256(demo_weights())
    assert info["epochs_run"] == 1
    assert not list(model_folder.parent.glob(".*")), "checkpoints are gone once the model is there"


def test_a_different_export_is_noticed(
    model_folder: Path, drawn: tuple[Dataset, LabelVersion], tmp_path: Path
) -> None:
    """The check that guards the step must be able to fail."""
    import shutil

    import torch

    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    checkpoint = torch.load(folder / "weights.pt", weights_only=False)
    with torch.no_grad():
        for name, parameter in checkpoint["model"].named_parameters():
            if "cv4" in name and name.endswith("2.bias"):
                parameter += 0.5
    torch.save(checkpoint, folder / "weights.pt")
    dataset = drawn[0]
    with pytest.raises(TrainingError, match="differs from the trained one"):
        compare(folder, [dataset.path(dataset.records[0].id)])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epochs": 0}, "epochs"),
        ({"imgsz": 100}, "multiple of 32"),
        ({"batch": 0}, "batch"),
        ({"patience": -1}, "patience"),
        ({"lr": 0.0}, "lr"),
    ],
)
def test_settings_out_of_range(change: dict[str, float], says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        TrainSettings(**change)  # type: ignore[arg-type]


def test_a_model_of_ours_goes_on_gently(model_folder: Path) -> None:
    fresh = completed(TrainSettings(), knows_points=_knows_points(_open("yolov8n-pose.yaml")))
    later = completed(TrainSettings(), knows_points=_knows_points(_open(str(model_folder / "weights.pt"))))
    assert (fresh.sigma, later.sigma) == (SIGMA_RECIPE, SIGMA_CONTINUED)
    assert later.lr == pytest.approx(fresh.lr * CONTINUED_LR)


@pytest.mark.parametrize(
    ("weights", "says", "reason"),
    [
        ("somewhere/else.pt", "no weights at", "a path that is not there"),
        ("model.bin", "no weights at", "neither a path nor a name of weights"),
    ],
)
def test_weights_that_are_not_there(weights: str, says: str, reason: str) -> None:
    with pytest.raises(ModelError, match=says):
        resolve_weights(weights)


def test_weights_that_cannot_be_downloaded_say_how_to_give_a_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ultralytics.utils import downloads

    def refuse(*_: object, **__: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        downloads, "attempt_download_asset", refuse
    )  # a network is not to be had in every test
    with pytest.raises(ModelError, match=r"--base-weights /path/to/yolov8n-pose\.pt"):
        resolve_weights("yolov8n-pose.pt")


def test_weights_of_another_kind(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
    (tmp_path / "junk.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="cannot be opened"):
        train(*drawn, tmp_path / "model", iteration=0, weights=tmp_path / "junk.pt")
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_killed_training_goes_on(
    drawn: tuple[Dataset, LabelVersion], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGKILL after the first checkpoint; the second start says where it goes on and runs the rest."""
    dataset, labels = drawn
    program = f"""
from pathlib import Path
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.training.fine_tune import TrainSettings, train
dataset = Dataset.open(Path({str(dataset.root)!r}))
labels = LabelVersion.open(Path({str(labels.root)!r}))
train(dataset, labels, Path({str(tmp_path / "model")!r}), iteration=0, weights={str(TINY)!r},
      settings=TrainSettings(epochs=3, imgsz=64, batch=4, device="cpu"),
      checkpoints=Path({str(tmp_path / "checkpoints")!r}))
"""
    first = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    last = tmp_path / "checkpoints" / "safe" / "last.pt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        assert first.poll() is None, "training ended before it could be killed"
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert not (tmp_path / "model").exists()
    # The worst moment for the kill: Ultralytics was writing its own checkpoints.
    for name in ("last.pt", "best.pt"):
        (tmp_path / "checkpoints" / "run" / "weights" / name).write_bytes(b"half a file")

    caplog.set_level(logging.INFO)
    exec(program, {})
    assert "going on from the end of epoch" in caplog.text
    info = json.loads((tmp_path / "model" / "training.json").read_text())
    assert info["resumed"] is True
    assert info["epochs_run"] == 3
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_other_settings_do_not_resume(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "safe").mkdir(parents=True)
    (checkpoints / "safe" / "last.pt").write_bytes(b"of another training")
    earlier = {"settings": {"epochs": 7}, "labels": "", "weights": ""}
    (checkpoints / "settings.json").write_text(json.dumps(earlier))
    settings = TrainSettings(epochs=1, imgsz=64, batch=8, device="cpu")
    train(
        *drawn,
        tmp_path / "m",
        iteration=0,
        weights=TINY,
        settings=settings,
        checkpoints=checkpoints,
    )
    assert json.loads((tmp_path / "m" / "training.json").read_text())["resumed"] is False


@pytest.mark.parametrize(
    ("cpuinfo", "expected", "reason"),
    [
        ("flags\t\t: avx2 amx_bf16 amx_tile", True, "matrix units"),
        ("flags\t\t: avx2 avx512_bf16", True, "vector units: 1.6 times the pictures per second here"),
        ("flags\t\t: avx2 avx512f", False, "neither: bf16 would be emulated, and slower"),
        (None, False, "no Linux: not known, so not used"),
    ],
)
def test_bf16_where_the_processor_has_it(
    tmp_path: Path, cpuinfo: str | None, expected: bool, reason: str
) -> None:
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo + "\n")
    assert has_bf16(file) is expected, reason


def test_no_labelled_face_is_an_error(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
    from lidloop.data.dataset import write_initial
    from lidloop.labels import LabelSet

    dataset, _ = drawn
    empty = LabelSet.from_faces({r.id: [] for r in dataset.records})
    labels = write_initial(tmp_path / "labels", dataset, empty)
    with pytest.raises(TrainingError, match="no labelled face"):
        train(dataset, labels, tmp_path / "model", iteration=0, weights=demo_weights())


def test_points_keep_their_meaning_under_training(
    model_folder: Path, drawn: tuple[Dataset, LabelVersion]
) -> None:
    """One gentle epoch must not swap eyes: the flip map reached the augmentation."""
    from lidloop.detection.detector import load_detector
    from lidloop.images import read_rgb
    from lidloop.landmarks import LEFT_EYE, RIGHT_EYE

    dataset, _ = drawn
    detector = load_detector(model_folder)
    seen = [f for r in dataset.records for f in detector.detect([read_rgb(dataset.path(r.id))], conf=0.5)[0]]
    assert len(seen) >= 5
    gaps = np.array([f.points[RIGHT_EYE.outer, 0] - f.points[LEFT_EYE.outer, 0] for f in seen])
    assert (gaps > 0).mean() > 0.9

"""Trainings in folders, and from weights, whose names Ultralytics would change."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.demo import demo_weights
from lidloop.errors import TrainingError
from lidloop.files import sha256
from lidloop.training.fine_tune import TrainSettings, train
from lidloop.training.plain_paths import is_plain, plain_file, plain_folder

UNUSUAL = ["it's", "what?", "50%20", "a*b", "[v1]", "a:b", "a\nb", "{x}", 'a"b', "x "]


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_folder_gets_the_same_stand_in_each_time(tmp_path: Path, name: str) -> None:
    with plain_folder(tmp_path / name) as first:
        assert is_plain(first)
        (first / "run").mkdir()
    assert not first.exists()
    with plain_folder(tmp_path / name) as second, plain_folder(tmp_path / "it's another") as other:
        assert second == first != other
    weights = tmp_path / name / f"{name}.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    copy = plain_file(str(weights), tmp_path / "copy")
    assert is_plain(copy)
    assert Path(copy).read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["a", "a b", "Łucja-1.pt", "a=b,c+d@e"])
def test_a_usual_folder_is_used_itself(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with plain_folder(tmp_path / name) as folder:
        assert folder == tmp_path / name
    assert plain_file(str(tmp_path / name), tmp_path / "copy") == str(tmp_path / name)
    assert (tmp_path / name).exists()


def test_a_training_in_unusual_folders(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> None:
    pytest.importorskip("ultralytics")
    place = tmp_path / "it's 50%20 of [v1]?"
    place.mkdir()
    weights = place / "it's 50%20?.pt"
    shutil.copyfile(demo_weights(), weights)
    shutil.copytree(drawn[0].root, place / "dataset")
    shutil.copytree(drawn[1].root, place / "labels")
    before = sha256(weights)
    model = train(
        Dataset.open(place / "dataset"),
        LabelVersion.open(place / "labels"),
        place / "model",
        iteration=0,
        weights=weights,
        settings=TrainSettings(epochs=1, imgsz=64, batch=8, device="cpu", workers=0),
        checkpoints=place / "checkpoints",
    )
    info = json.loads((model / "training.json").read_text())
    assert info["base_weights"] == {"name": weights.name, "sha256": before}
    assert info["epochs_run"] == 1
    assert {"model.onnx", "weights.pt", "scores.onnx"} <= {path.name for path in model.iterdir()}
    assert sorted(path.name for path in place.iterdir()) == sorted(
        ["dataset", "labels", "model", weights.name]
    )
    assert not list(Path(tempfile.gettempdir()).glob("lidloop-training-*"))


def test_a_folder_of_checkpoints_with_other_files_is_refused(
    drawn: tuple[Dataset, LabelVersion], tmp_path: Path
) -> None:
    pytest.importorskip("ultralytics")
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TrainingError, match="other files"):
        train(*drawn, tmp_path / "model", iteration=0, weights=demo_weights(), checkpoints=tmp_path)
    (tmp_path / "thesis.txt").unlink()
    (tmp_path / "settings.json").write_text('{"of": "another program"}')
    with pytest.raises(TrainingError, match=r"settings\.json"):
        train(*drawn, tmp_path / "model", iteration=0, weights=demo_weights(), checkpoints=tmp_path)
    assert (tmp_path / "settings.json").read_text() == '{"of": "another program"}'

"""Sealing, opening and verifying bundles."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lidloop.errors import ModelError
from lidloop.files import sha256
from lidloop.models.bundle import PARTS, Bundle, model_files, seal

GOLD = {"faces": 400, "matched": 392, "recall": 0.98, "precision": 0.91, "nme_mean": 0.0432,
        "lid_error_mean": 0.021, "nme_auc8": None}  # fmt: skip
LABELS = {"train": {"human": 1600, "grown": 120}, "val": {"human": 400, "grown": 26}}


def train(folder: Path, *, iteration: int = 1, onnx: bytes = b"onnx") -> Path:
    """A model folder as training leaves it; the content of the model is arbitrary."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(onnx)
    (folder / "weights.pt").write_bytes(b"weights")
    training = {"format": 1, "iteration": iteration, "imgsz": 320, "settings": {"epochs": 5, "seed": 7}}
    (folder / "training.json").write_text(json.dumps(training))
    return folder


def sealed(tmp_path: Path, **changes: Any) -> Bundle:
    arguments: dict[str, Any] = {
        "evaluation": {"iteration": 1, "model": "x", "sigma": 0.05, "gold": {"overall": GOLD},
                       "paper": {"overall": GOLD | {"recall": 0.55}}},
        "profile": {"format": 1},
        "run": "r", "iteration": 1, "parent": "3", "dataset": "d" * 64, "label_version": 1, "labels": LABELS,
    }  # fmt: skip
    return seal(train(tmp_path / "model"), tmp_path / "bundle", **(arguments | changes))


def reseal(tmp_path: Path) -> Bundle:
    return seal(tmp_path / "model", tmp_path / "bundle", evaluation={"iteration": 1}, profile={}, run="r",
                iteration=1, parent=None, dataset="d", label_version=0, labels={})  # fmt: skip


def test_a_sealed_bundle_can_be_opened(tmp_path: Path) -> None:
    made = sealed(tmp_path, created="2025-01-02T03:04:05+00:00")
    bundle = Bundle.open(tmp_path / "bundle")
    assert bundle.info == made.info
    assert bundle.onnx.read_bytes() == b"onnx"
    assert (bundle.root / "weights.pt").read_bytes() == b"weights"
    assert bundle.gold == GOLD
    assert bundle.imgsz == 320
    assert bundle.info["parent"] == "3"
    assert bundle.info["created"] == "2025-01-02T03:04:05+00:00"
    assert set(bundle.info["files"]) == {p.name for p in bundle.root.iterdir()} - {"bundle.json"}


def test_model_card_holds_metrics_label_counts_and_licence(tmp_path: Path) -> None:
    sealed(tmp_path)
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    for words in ("sigma\n0.05", "4.32 %", "55.00 %", "| train | 1600 | 120 |", "not a diagnosis", "AGPL-3.0",
                  "iteration 1", "| NME AUC to 8 % | – | – |"):  # fmt: skip
        assert words in card


def test_epochs_csv_is_sealed_if_training_wrote_it(tmp_path: Path) -> None:
    (train(tmp_path / "a" / "model") / "epochs.csv").write_text("1,2")
    bundle = seal(tmp_path / "a" / "model", tmp_path / "b", evaluation={"iteration": 1}, profile={}, run="r",
                  iteration=1, parent=None, dataset="d", label_version=0, labels={})  # fmt: skip
    assert Bundle.open(bundle.root).info["files"].keys() >= {"epochs.csv"}


def test_watch_json_is_sealed_if_given(tmp_path: Path) -> None:
    bundle = Bundle.open(sealed(tmp_path, watch={"format": 1, "guards": {}}).root)
    assert bundle.read("watch.json") == {"format": 1, "guards": {}}
    assert bundle.info["files"]["watch.json"]["sha256"] == sha256(bundle.root / "watch.json")
    assert "watch.json" not in sealed(tmp_path / "old").info["files"]


def flip(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").write_bytes(b"onnX")


def relink(bundle: Path) -> None:
    (bundle / "model.onnx").rename(bundle.parent / "elsewhere.onnx")
    (bundle / "model.onnx").symlink_to(bundle.parent / "elsewhere.onnx")


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(bundle: Path) -> None:
        info = json.loads((bundle / "bundle.json").read_text())
        change(info)
        (bundle / "bundle.json").write_text(json.dumps(info))

    return apply


ENTRY = {"sha256": "0" * 64, "bytes": 1}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(flip, "model.onnx does not match its digest", id="same size, another byte"),
        pytest.param(lambda b: (b / "weights.pt").unlink(), "weights.pt is missing", id="file missing"),
        pytest.param(relink, "not a regular file", id="symlink to the right bytes"),
        pytest.param(lambda b: (b / "model.onnx.data").write_bytes(b""), "does not list", id="extra file"),
        pytest.param(lambda b: (b / "bundle.json").unlink(), "is not a bundle", id="no manifest"),
        pytest.param(lambda b: (b / "bundle.json").write_text("{"), "not valid JSON", id="cut manifest"),
        pytest.param(lambda b: (b / "bundle.json").write_text("[]"), "JSON object", id="manifest is a list"),
        pytest.param(edit(lambda i: i.update(format=2)), "format 2", id="format of the future"),
        pytest.param(edit(lambda i: i.update(n_points=17)), "17 points", id="another landmark scheme"),
        pytest.param(edit(lambda i: i.pop("imgsz")), "imgsz", id="field missing"),
        pytest.param(edit(lambda i: i.update(run=3)), "run", id="field of another type"),
        pytest.param(edit(lambda i: i["files"].update({"../x": ENTRY})), "not a file name", id="parent"),
        pytest.param(edit(lambda i: i["files"].update({"a/b": ENTRY})), "not a file name", id="subfolder"),
        pytest.param(edit(lambda i: i["files"].update({"/etc/x": ENTRY})), "not a file name", id="absolute"),
        pytest.param(edit(lambda i: i["files"].update({"..": ENTRY})), "not a file name", id="dots"),
        pytest.param(edit(lambda i: i["files"].update({"x\n": ENTRY})), "not a file name", id="line break"),
        pytest.param(edit(lambda i: i["files"].pop("model.onnx")), "does not list", id="model not listed"),
        pytest.param(edit(lambda i: i["files"].update(x={"bytes": 1})), "no size and SHA", id="no digest"),
    ],
)  # fmt: skip
def test_damaged_bundles_are_rejected(tmp_path: Path, damage: Callable[[Path], Any], message: str) -> None:
    root = sealed(tmp_path).root
    damage(root)
    with pytest.raises(ModelError, match=message):
        Bundle.open(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"iteration": 2}, "iteration 1, not 2", id="training of another iteration"),
        pytest.param({"evaluation": {"iteration": 0}}, "evaluation is of iteration 0", id="evaluated"),
        pytest.param({"profile": {"x": math.nan}}, "reference_profile.json", id="NaN in the profile"),
    ],
)  # fmt: skip
def test_seal_rejects_bad_input_and_leaves_no_files(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        sealed(tmp_path, **changes)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_incomplete_training_is_not_sealed(tmp_path: Path) -> None:
    (train(tmp_path / "m") / "weights.pt").unlink()
    with pytest.raises(ModelError, match=r"no weights\.pt"):
        seal(tmp_path / "m", tmp_path / "b", evaluation={"iteration": 1}, profile={}, run="r", iteration=1,
             parent=None, dataset="d", label_version=0, labels={})  # fmt: skip


def test_model_files_of_folder_bundle_and_onnx_file(tmp_path: Path) -> None:
    bundle = sealed(tmp_path)
    assert model_files(tmp_path / "model") == (tmp_path / "model" / "model.onnx", None, 320, 1)
    assert model_files(bundle.root) == (bundle.onnx, None, 320, 1)
    assert model_files(bundle.onnx) == (bundle.onnx, None, None, 0)


def with_parts(model: Path) -> Path:
    for name in PARTS:
        (model / name).write_bytes(name.encode())
    return model


def test_parts_are_sealed_and_found(tmp_path: Path) -> None:
    with_parts(train(tmp_path / "model"))
    bundle = reseal(tmp_path)
    assert set(PARTS) <= set(bundle.info["files"])
    assert model_files(bundle.root).parts == tuple(bundle.root / name for name in PARTS)
    assert model_files(bundle.onnx).parts is None, "a bare file has no parts"


def test_a_damaged_part_is_rejected(tmp_path: Path) -> None:
    with_parts(train(tmp_path / "model"))
    root = reseal(tmp_path).root
    (root / "points.onnx").unlink()
    (root / "points.onnx").write_bytes(b"points.onnX")
    with pytest.raises(ModelError, match=r"points.onnx does not match its digest"):
        model_files(root)


def test_an_incomplete_set_of_parts_is_rejected(tmp_path: Path) -> None:
    model = with_parts(train(tmp_path / "model"))
    (model / "boxes.onnx").unlink()
    with pytest.raises(ModelError, match=r"missing: boxes.onnx"):
        model_files(model)
    with pytest.raises(ModelError, match=r"missing: boxes.onnx"):
        reseal(tmp_path)


def test_model_files_verifies_a_bundle(tmp_path: Path) -> None:
    root = sealed(tmp_path).root
    flip(root)
    with pytest.raises(ModelError, match="does not match its digest"):
        model_files(root)


@pytest.mark.parametrize("name", ["nothing", "empty", "weights.pt"])
def test_model_files_rejects_paths_without_a_model(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights.pt").touch()
    with pytest.raises(ModelError):
        model_files(tmp_path / name)

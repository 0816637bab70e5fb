"""INT8: accepted where it is as good on gold, refused where it is not, and on record either way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lidloop.cli.main import app
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import load_detector
from lidloop.errors import DatasetError, ModelError
from lidloop.evaluation.promotion_gate import Tolerances
from lidloop.files import sha256
from lidloop.images import read_rgb
from lidloop.models.bundle import PARTS, SCORES, SCORES_INT8, Bundle, seal
from lidloop.training import quantise as module
from lidloop.training.quantise import quantise

pytest.importorskip("ultralytics")
LENIENT = Tolerances(recall=0.3, worse=1.0)
"""Four validation pictures and a model of one epoch: what is accepted here says nothing of INT8."""

Drawn = tuple[Dataset, LabelVersion]


@pytest.fixture(scope="module")
def bundle(model_folder: Path, drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return sealed(model_folder, drawn[0], tmp_path_factory.mktemp("sealed") / "bundle")


def sealed(model: Path, dataset: Dataset, out: Path) -> Bundle:
    evaluation = {"iteration": 0, "gold": {"overall": {}}, "paper": {"overall": {}}}
    return seal(model, out, evaluation=evaluation, profile={}, run="r", iteration=0, parent=None,
                dataset=dataset.digest, label_version=0, labels={})  # fmt: skip


@pytest.fixture(scope="module")
def accepted(bundle: Bundle, drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    dataset, gold = drawn
    out = tmp_path_factory.mktemp("int8") / "bundle"
    return quantise(bundle, dataset, gold, out, pictures=4, tolerances=LENIENT)


def test_an_accepted_variant_is_what_runs(bundle: Bundle, accepted: Bundle, drawn: Drawn) -> None:
    opened = Bundle.open(accepted.root)
    assert opened.info["variant"] == "int8"
    record = opened.info["variants"]["int8"]
    assert record["accepted"]
    assert record["calibration_pictures"] == 4
    assert record["gold"]["faces"] == record["gold_fp32"]["faces"] > 0
    assert any("NME" in reason for reason in record["reasons"])
    assert opened.info["files"].keys() - bundle.info["files"].keys() == {SCORES_INT8}
    assert "Tried and accepted" in (accepted.root / "MODEL_CARD.md").read_text()

    small, plain = load_detector(accepted.root), load_detector(accepted.root, variant="fp32")
    assert small.digest == sha256(accepted.root / SCORES_INT8)
    assert plain.digest == load_detector(bundle.root).digest == bundle.model_digest
    picture = read_rgb(drawn[0].path(drawn[0].records[0].id))
    a, b = small.detect([picture], conf=0.3)[0], plain.detect([picture], conf=0.3)[0]
    assert len(a) == len(b) > 0
    off = np.abs(a[0].points - b[0].points).max()
    assert 0 < off < 5, "close to 32 bits, and not the same"


def test_the_file_is_a_quarter(accepted: Bundle) -> None:
    files = accepted.info["files"]
    assert files[SCORES_INT8]["bytes"] < 0.25 * files["model.onnx"]["bytes"]


def test_int8_runs_by_itself_only_where_it_was_judged(accepted: Bundle) -> None:
    pytest.importorskip("openvino")
    assert load_detector(accepted.root, backend="openvino").digest == accepted.model_digest


def test_a_damaged_variant_is_refused(accepted: Bundle, tmp_path: Path) -> None:
    import shutil

    root = Path(shutil.copytree(accepted.root, tmp_path / "bundle"))
    content = bytearray((root / SCORES_INT8).read_bytes())
    content[1000] ^= 1
    (root / SCORES_INT8).write_bytes(content)
    with pytest.raises(ModelError, match=r"scores-int8\.onnx does not match its digest"):
        load_detector(root)


@pytest.fixture
def _badly_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges taken from black pictures clip everything a face makes."""
    black = np.zeros((1, 3, 96, 128), np.float32)
    monkeypatch.setattr(module, "_calibration", lambda *_: iter([black]))


@pytest.mark.usefixtures("_badly_calibrated")
def test_a_worse_variant_is_refused_and_on_record(bundle: Bundle, drawn: Drawn, tmp_path: Path) -> None:
    dataset, gold = drawn
    made = Bundle.open(quantise(bundle, dataset, gold, tmp_path / "out").root)
    record = made.info["variants"]["int8"]
    assert made.info["variant"] == "fp32"
    assert not record["accepted"]
    assert record["reasons"]
    assert record["gold"] != record["gold_fp32"]
    assert SCORES_INT8 not in made.info["files"]
    assert "Tried and rejected" in (made.root / "MODEL_CARD.md").read_text()
    assert load_detector(made.root).digest == bundle.model_digest
    with pytest.raises(ModelError, match="has no INT8 variant"):
        load_detector(made.root, variant="int8")


@pytest.mark.usefixtures("_badly_calibrated")
def test_refused_after_it_was_accepted(accepted: Bundle, drawn: Drawn, tmp_path: Path) -> None:
    """A later look replaces the earlier one, and leaves the bundle it looked at as it was."""
    dataset, gold = drawn
    made = quantise(accepted, dataset, gold, tmp_path / "out")
    assert made.info["variant"] == "fp32"
    assert SCORES_INT8 not in made.info["files"]
    Bundle.open(accepted.root)


def test_what_cannot_be_judged(bundle: Bundle, model_folder: Path, drawn: Drawn, tmp_path: Path) -> None:
    import shutil
    from dataclasses import replace

    dataset, gold = drawn
    with pytest.raises(ModelError, match="another dataset"):
        quantise(bundle, replace(dataset, digest="0" * 64), gold, tmp_path / "out")
    with pytest.raises(DatasetError, match="labels of another dataset"):
        quantise(bundle, dataset, replace(gold, dataset_digest="0" * 64), tmp_path / "out")
    only_train = tuple(record for record in dataset.records if record.split == "train")
    with pytest.raises(DatasetError, match="no pictures in its val split"):
        quantise(bundle, replace(dataset, records=only_train), gold, tmp_path / "out")
    whole = Path(shutil.copytree(model_folder, tmp_path / "model"))
    for name in PARTS:
        (whole / name).unlink()
    with pytest.raises(ModelError, match="only the whole network"):
        quantise(sealed(whole, dataset, tmp_path / "old"), dataset, gold, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(bundle: Bundle, drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, gold = drawn
    run = tmp_path / "run"
    run.mkdir()
    paths = {
        "dataset": os.path.relpath(dataset.root, run),
        "labels": os.path.relpath(gold.root, run),
        "evaluation": "evaluation",
    }
    (run / "summary.json").write_text(json.dumps({"paths": paths}))
    arguments = ["quantise", str(run), "-m", str(bundle.root)]
    made = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "a"), "--json"])
    assert made.stdout, made.exception
    record = json.loads(made.stdout)
    assert made.exit_code == (0 if record["accepted"] else 1)
    assert Bundle.open(tmp_path / "a").info["variants"]["int8"] == record
    black = np.zeros((1, 3, 96, 128), np.float32)
    monkeypatch.setattr(module, "_calibration", lambda *_: iter([black]))
    refused = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "b")])
    assert refused.exit_code == 1
    assert refused.stdout.startswith("INT8 was rejected")


def test_quantised_scores_stay_bound_to_their_model(accepted: Bundle) -> None:
    import onnx

    from lidloop.detection.sparse_head import WHOLE

    for name in (SCORES, SCORES_INT8):
        stated = onnx.load(accepted.root / name).metadata_props
        assert {entry.key: entry.value for entry in stated}[WHOLE] == accepted.model_digest

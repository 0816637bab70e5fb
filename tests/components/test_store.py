"""Steps with sources, base weights and pictures in an object store (a real S3 server)."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components.auto_label import auto_label
from components.convert import convert
from components.run_id import RUN_ID
from components.train import train
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.tables import read_faces
from lidloop.training.checkpoints import Checkpoints
from tests.servers.buckets import Bucket


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that TMPDIR names in a pod."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_steps_share_pictures_and_checkpoints_in_a_store(
    bucket: Bucket,
    drawn: tuple[Dataset, LabelVersion],
    scratch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ultralytics")
    from lidloop.demo import demo_weights

    for path in (drawn[0].root.parent / "faces").rglob("*.*"):
        if path.is_file():
            bucket.put(f"raw/{path.relative_to(drawn[0].root.parent)}", path.read_bytes())
    bucket.put("weights/base.pt", demo_weights().read_bytes())
    monkeypatch.setenv(RUN_ID, "4f1c")

    def dataset(name: str) -> dsl.Dataset:
        return dsl.Dataset(uri=str(tmp_path / name))

    places = ("dataset", "labels", "gold", "model", "found")
    converted, labels, gold, model, found = map(dataset, places)
    convert.python_func(
        sources=[f"yolo:{bucket.address('raw/faces')}"], sources_fingerprint="", split=0.8, keep_splits=True,
        seed=0, pictures=bucket.address("pictures"), continue_from="", label_version="", extend_gold=False,
        dataset=converted, labels=labels, gold=gold,
    )  # fmt: skip
    opened = Dataset.open(Path(converted.path))
    assert opened.digest == drawn[0].digest
    assert not list(Path(converted.path).rglob("*.jpg"))
    stored = bucket.keys()
    assert sum(key.startswith("pictures/") for key in stored) == len(opened.records)
    assert not list(scratch.iterdir()), "downloaded sources are removed"

    def fine_tune() -> None:
        train.python_func(
            iteration=0, dataset=converted, labels=labels, base_weights=bucket.address("weights/base.pt"),
            continue_from="", registry="",
            epochs=2, imgsz=64, batch=16, device="cpu", workers=0, patience=0, seed=0,
            ignore_unlabelled=True, checkpoints=bucket.address("checkpoints"), model=model,
        )  # fmt: skip

    keep = Checkpoints.keep

    def preempt(self: Checkpoints, trainer: Any) -> None:
        keep(self, trainer)
        raise RuntimeError("the node was preempted")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(Checkpoints, "keep", preempt)
        fine_tune()
    for folder in tmp_path.glob(".model.training*"):
        shutil.rmtree(folder)
    names = {key for key in bucket.keys() if key.startswith("checkpoints/")}  # noqa: SIM118
    assert names == {f"checkpoints/4f1c/iteration-0/{n}" for n in ("settings.json", "best.pt", "last.pt")}
    fine_tune()
    info = json.loads((Path(model.path) / "training.json").read_text())
    assert info["resumed"], "another pod resumes from the checkpoint in the store"
    assert info["base_weights"]["name"] == "base.pt"

    for copies in scratch.iterdir():
        shutil.rmtree(copies)
    auto_label.python_func(
        iteration=0, shard="1/4", dataset=converted, model=model, device="cpu", predictions=found
    )
    fetched = {path.stem for path in scratch.rglob("*.jpg")}
    assert fetched == {record.sha256 for record in opened.records[5:10]}, "a shard fetches its own pictures"
    assert read_faces(Path(found.path) / "faces.parquet")[0].images == tuple(
        record.id for record in opened.records[5:10]
    )

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lidloop.autolabel.predict import TRAIN_FLOOR, VAL_FLOOR, predict_shard
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.tables import read_faces
from lidloop.errors import DatasetError
from lidloop.labels import concat


def test_all_shards_together_equal_one_run(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    dataset, _ = drawn
    whole, metadata = read_faces(predict_shard(dataset, model_folder, tmp_path / "all") / "faces.parquet")
    parts = [
        read_faces(
            predict_shard(dataset, model_folder, tmp_path / str(k), shard=k, shards=3) / "faces.parquet"
        )[0]
        for k in range(3)
    ]
    joined = concat(parts).reindex(whole.images)
    order = np.lexsort((-joined.score, joined.image))
    reference = np.lexsort((-whole.score, whole.image))
    assert len(whole) == len(joined) > 10
    np.testing.assert_allclose(joined.points[order], whole.points[reference], atol=0.02)
    assert metadata["iteration"] == "0"
    assert len(metadata["model"]) == 64


def test_validation_pictures_keep_lower_scores_than_training_pictures(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    dataset, _ = drawn
    faces, _ = read_faces(predict_shard(dataset, model_folder, tmp_path / "p") / "faces.parquet")
    val = {r.id for r in dataset.split("val")}
    in_val = np.array([faces.images[k] in val for k in faces.image])
    assert VAL_FLOOR <= faces.score[in_val].min() < TRAIN_FLOOR
    assert faces.score[~in_val].min() >= TRAIN_FLOOR - 1e-6


def test_unreadable_pictures_are_reported(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(drawn[0].root, tmp_path / "dataset")
    dataset = Dataset.open(tmp_path / "dataset")
    damaged, gone = dataset.records[1].id, dataset.records[4].id
    dataset.path(damaged).write_bytes(dataset.path(damaged).read_bytes()[:400])
    dataset.path(gone).unlink()
    out = predict_shard(dataset, model_folder, tmp_path / "p")
    failures = json.loads((out / "failures.json").read_text())
    assert {f["image"] for f in failures} == {damaged, gone}
    assert all(f["reason"] for f in failures)
    faces, _ = read_faces(out / "faces.parquet")
    assert len(faces.images) == len(dataset.records), "unreadable pictures are listed without a face"


def test_a_dataset_without_readable_pictures_is_rejected_and_nothing_is_written(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(drawn[0].root, tmp_path / "dataset")
    dataset = Dataset.open(tmp_path / "dataset")
    shutil.rmtree(tmp_path / "dataset" / "images")
    with pytest.raises(DatasetError, match="none of"):
        predict_shard(dataset, model_folder, tmp_path / "p")
    assert [p.name for p in tmp_path.iterdir()] == ["dataset"]


def test_a_shard_number_out_of_range_is_rejected(
    drawn: tuple[Dataset, LabelVersion], model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="no shard 3 of 3"):
        predict_shard(drawn[0], model_folder, tmp_path / "p", shard=3, shards=3)

"""Pictures once in a place that datasets share."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from lidloop.autolabel.predict import predict_shard
from lidloop.data.dataset import Dataset, LabelVersion, share_pictures
from lidloop.data.image_store import key_of
from lidloop.errors import DatasetError, StoreError
from tests.servers.buckets import Bucket


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for copies of its own."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def dataset(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> Dataset:
    """A copy of the drawn dataset that a test may change."""
    shutil.copytree(drawn[0].root, tmp_path / "dataset")
    return Dataset.open(tmp_path / "dataset")


def contents(dataset: Dataset) -> dict[str, bytes]:
    return {record.id: dataset.path(record.id).read_bytes() for record in dataset.records}


def test_pictures_in_a_shared_folder(dataset: Dataset, tmp_path: Path) -> None:
    before = contents(dataset)
    shared = share_pictures(dataset, str(tmp_path / "pictures"))
    assert not (shared.root / "images").exists()
    assert shared.digest == dataset.digest
    assert contents(shared) == before
    assert contents(Dataset.open(dataset.root)) == before


def test_a_store_holds_each_picture_once_and_downloads_on_demand(
    dataset: Dataset, bucket: Bucket, scratch: Path, tmp_path: Path
) -> None:
    before = contents(dataset)
    second = tmp_path / "second"
    shutil.copytree(dataset.root, second)
    shared = share_pictures(dataset, bucket.address("pictures"))
    keys = bucket.keys()
    assert sorted(keys) == sorted(f"pictures/{key_of(record)}" for record in dataset.records)
    first = shared.records[0]
    assert shared.path(first.id).read_bytes() == before[first.id]
    assert len([path for path in scratch.rglob("*") if path.is_file()]) == 1
    shared.pictures.fetch(shared.records)
    assert len([path for path in scratch.rglob("*") if path.is_file()]) == len(shared.records)
    assert contents(shared) == before
    # The same pictures once more add nothing and change nothing.
    etags = {
        item.object_name: item.last_modified
        for item in bucket.client.list_objects(bucket.name, recursive=True)
    }
    share_pictures(Dataset.open(second), bucket.address("pictures"))
    again = {
        item.object_name: item.last_modified
        for item in bucket.client.list_objects(bucket.name, recursive=True)
    }
    assert again == etags


def test_a_model_predicts_the_same_on_shared_pictures(
    dataset: Dataset, bucket: Bucket, tmp_path: Path, model_folder: Path
) -> None:
    here = predict_shard(dataset, model_folder, tmp_path / "here", shard=1, shards=4)
    shared = share_pictures(dataset, bucket.address("pictures"))
    there = predict_shard(shared, model_folder, tmp_path / "there", shard=1, shards=4)
    assert (there / "faces.parquet").read_bytes() == (here / "faces.parquet").read_bytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [("damaged", "is damaged"), ("removed", "no longer in")],
)
def test_a_picture_of_another_digest_is_refused(
    dataset: Dataset, bucket: Bucket, change: str, says: str
) -> None:
    shared = share_pictures(dataset, bucket.address("pictures"))
    record = shared.records[0]
    key = f"pictures/{key_of(record)}"
    if change == "damaged":
        bucket.put(key, b"something else")
    else:
        bucket.client.remove_object(bucket.name, key)
    with pytest.raises(DatasetError, match=says):
        shared.path(record.id)


def test_a_place_that_cannot_be_written_leaves_the_dataset_as_it_was(
    dataset: Dataset, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(dataset)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError):
        share_pictures(dataset, bucket.address("pictures"))
    assert contents(Dataset.open(dataset.root)) == before


def test_a_folder_of_copies_that_others_can_write_to_is_not_used(
    dataset: Dataset, bucket: Bucket, scratch: Path
) -> None:
    shared = share_pictures(dataset, bucket.address("pictures"))
    shared.path(shared.records[0].id)
    next(scratch.iterdir()).chmod(0o777)
    with pytest.raises(DatasetError, match="other users"):
        Dataset.open(dataset.root).path(shared.records[1].id)

"""Sources of annotations on this disk and in an object store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidloop.data.convert import convert
from lidloop.data.sources import check_source, fetched, fingerprint, parse_source
from lidloop.errors import SourceError, StoreError
from lidloop.synthetic import write_faces_folder
from tests.servers.buckets import Bucket


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sources") / "faces"
    return write_faces_folder(place, images=6, seed=3, size=(160, 120), workers=1)


def upload(bucket: Bucket, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("faces", "must be one of ibug:DIR"),
        ("ibug:", "must be one of"),
        ("voc:faces", "must be one of"),
        ("ibug:/no/where", "does not exist"),
    ],
    ids=["no kind", "no place", "unknown kind", "not there"],
)
def test_what_is_no_source(source: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        check_source(source)


def test_a_store_is_not_asked_when_a_source_is_checked() -> None:
    check_source("coco:s3://nowhere/faces.json")
    assert parse_source("ibug:s3://raw/a?region=eu") == ("ibug", "s3://raw/a?region=eu")


def test_a_source_in_a_store_converts_as_the_same_one_on_disk(
    bucket: Bucket, faces: Path, tmp_path: Path
) -> None:
    upload(bucket, faces, "raw/faces")
    here, _ = convert([f"yolo:{faces}"], tmp_path / "a", tmp_path / "al", keep_splits=True)
    source = f"yolo:{bucket.address('raw/faces')}"
    there, labels = convert([source], tmp_path / "b", tmp_path / "bl", keep_splits=True)
    assert there.digest == here.digest
    assert there.info["sources"] == [source]
    assert labels.info["total"] > 0
    assert all(there.path(record.id).read_bytes() for record in there.records)


def test_a_source_that_is_one_file_brings_the_pictures_beside_it(bucket: Bucket) -> None:
    bucket.put("raw/set/faces.xml", b"<dataset/>")
    bucket.put("raw/set/pictures/one.jpg", b"jpeg")
    source = f"dlib:{bucket.address('raw/set/faces.xml')}"
    with fetched([source]) as places:
        path = places[source]
        assert path.read_bytes() == b"<dataset/>"
        assert (path.parent / "pictures" / "one.jpg").read_bytes() == b"jpeg"
    assert not path.exists()


def test_what_is_not_in_the_store_is_said(bucket: Bucket) -> None:
    with pytest.raises(StoreError, match="nothing lies under"), fetched([f"ibug:{bucket.address('none')}"]):
        pass


@pytest.mark.parametrize("change", ["content", "new", "removed"])
def test_the_fingerprint_follows_the_store(bucket: Bucket, change: str) -> None:
    bucket.put("raw/a.pts", b"one")
    bucket.put("raw/b.pts", b"two")
    sources = [f"ibug:{bucket.address('raw')}"]
    before = fingerprint(sources)
    assert fingerprint(sources) == before
    if change == "removed":
        bucket.client.remove_object(bucket.name, "raw/b.pts")
    else:
        bucket.put("raw/a.pts" if change == "content" else "raw/c.pts", b"ONE")
    assert fingerprint(sources) != before


def test_the_dataset_names_its_sources_as_given(faces: Path, tmp_path: Path) -> None:
    dataset, _ = convert([f"yolo:{faces}"], tmp_path / "a", tmp_path / "al")
    assert json.loads((dataset.root / "dataset.json").read_text())["sources"] == [f"yolo:{faces}"]

"""Sources of annotations on this disk and in an object store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lidloop.data import sources
from lidloop.data.convert import convert
from lidloop.data.sources import (
    KINDS,
    Source,
    check_source,
    fetched,
    fingerprint,
    parse_source,
    read_source,
    require_labels,
)
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
def test_invalid_sources_are_refused(source: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        check_source(source)


def test_a_store_is_not_asked_when_a_source_is_checked() -> None:
    check_source("coco:s3://nowhere/faces.json")


@pytest.mark.parametrize(
    ("source", "expected", "reason"),
    [
        ("dlib:a:b.xml", Source("dlib", "a:b.xml"), "a colon in the path"),
        ("ibug:s3://raw/a?region=eu", Source("ibug", "s3://raw/a?region=eu"), "the store's own parameter"),
        ("coco:x.json?fit=scale", Source("coco", "x.json", "scale"), "an option"),
        ("coco:x.json?fit=auto&class=a,b%20c", Source("coco", "x.json", "auto", ("a", "b c")), "two options"),
        ("coco:s3://b/x.json?fit=turn", Source("coco", "s3://b/x.json", "turn"), "an option in a store"),
        (
            "yolo:s3://b/x?region=eu&class=face&endpoint=h",
            Source("yolo", "s3://b/x?region=eu&endpoint=h", "", ("face",)),
            "an option between the store's parameters",
        ),
        ("ibug:what?", Source("ibug", "what?"), "a question mark in the path"),
        ("ibug:a?b=c", Source("ibug", "a?b=c"), "a path that looks like an option"),
        (
            "ibug:a?fit=scale&b=c",
            Source("ibug", "a?fit=scale&b=c"),
            "a path on this disk has no other parameters",
        ),
    ],
)
def test_sources_are_parsed_and_written_again(source: str, expected: Source, reason: str) -> None:
    parsed = parse_source(source)
    assert parsed == expected, reason
    assert parse_source(str(parsed)) == parsed


def test_labels_can_be_required() -> None:
    require_labels(["ibug:a", "coco:b.json?fit=scale"])
    with pytest.raises(SourceError, match="images:c has no labels"):
        require_labels(["ibug:a", "images:c"])


def test_an_option_of_another_value_is_refused() -> None:
    with pytest.raises(SourceError, match="scale, turn, auto"):
        parse_source("coco:x.json?fit=yes")


@pytest.mark.parametrize("source", ["coco:{}.json", "ibug:{}", "images:a\0{}", "yolo:~nobody-{}/x"])
def test_a_path_that_no_file_system_takes_is_refused_in_one_line(source: str) -> None:
    with pytest.raises(SourceError) as info:
        check_source(source.format("x" * 20_000))
    assert len(str(info.value)) < 1000
    assert "\n" not in str(info.value)


def test_the_fingerprint_takes_any_file_name(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg")).touch()
    before = fingerprint([f"images:{tmp_path}"])
    (tmp_path / "nowhere").touch()
    assert fingerprint([f"images:{tmp_path}"]) != before


@pytest.mark.parametrize(
    "error",
    [
        RecursionError(),
        OverflowError("int too large"),
        PermissionError(13, "Permission denied"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"", 0, 1, "invalid"),
        LookupError("unknown encoding"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_inside_a_reader_names_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    place = tmp_path if KINDS[kind] == "DIR" else tmp_path / "x"
    (tmp_path / "x").touch()
    monkeypatch.setitem(sources._READERS, kind, (KINDS[kind], fail))
    with pytest.raises(SourceError, match=f"{kind}:{place} cannot be read"):
        read_source(f"{kind}:{place}", place)


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


@pytest.mark.parametrize("folder", ["set/annotations", "annotations", "set"])
def test_a_file_in_a_folder_of_annotations_brings_the_pictures_beside_that(
    bucket: Bucket, faces: Path, tmp_path: Path, folder: str
) -> None:
    """CVAT's layout: ``annotations/person_keypoints_default.json`` and ``images/default/``."""
    image = next(faces.rglob("*.jpg"))
    flat = [value for k in range(51) for value in (10 + k, 10 + k, 2)]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "keypoints": flat}],
    }
    bucket.put(f"{folder}/person_keypoints_default.json", json.dumps(content).encode())
    above = folder.removesuffix("annotations")
    bucket.put(
        f"{above}{'' if above.endswith('/') or not above else '/'}images/default/a.jpg", image.read_bytes()
    )
    source = f"coco:{bucket.address(f'{folder}/person_keypoints_default.json')}"
    dataset, labels = convert([source], tmp_path / "a", tmp_path / "al")
    assert labels.info["total"] == len(dataset.records) == 1
    assert fingerprint([source])


def test_a_missing_prefix_in_a_store_is_named(bucket: Bucket) -> None:
    with pytest.raises(StoreError, match="no objects under"), fetched([f"ibug:{bucket.address('none')}"]):
        pass


@pytest.mark.parametrize("change", ["content", "new", "removed"])
def test_the_fingerprint_follows_the_store(bucket: Bucket, change: str) -> None:
    bucket.put("raw/a.pts", b"one")
    bucket.put("raw/b.pts", b"two")
    given = [f"ibug:{bucket.address('raw')}"]
    before = fingerprint(given)
    assert fingerprint(given) == before
    if change == "removed":
        bucket.client.remove_object(bucket.name, "raw/b.pts")
    else:
        bucket.put("raw/a.pts" if change == "content" else "raw/c.pts", b"ONE")
    assert fingerprint(given) != before


def test_the_dataset_names_its_sources_as_given(faces: Path, tmp_path: Path) -> None:
    dataset, _ = convert([f"yolo:{faces}"], tmp_path / "a", tmp_path / "al")
    assert json.loads((dataset.root / "dataset.json").read_text())["sources"] == [f"yolo:{faces}"]

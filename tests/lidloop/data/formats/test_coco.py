"""COCO keypoints."""

import json
from pathlib import Path
from typing import Any

import pytest

from lidloop.data.formats import coco
from lidloop.errors import SourceError


def _flat(n: int, v: float = 2) -> list[Any]:
    return [value for k in range(n) for value in (float(k), 2.0 * k, v)]


def _write(file: Path, annotations: list[dict[str, Any]], **image: Any) -> Path:
    images = [{"id": 7, "file_name": "a.jpg", **image}, {"id": 8, "file_name": "empty.jpg"}]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
    return file


def test_read(tmp_path: Path) -> None:
    file = _write(
        tmp_path / "faces/annotations/keypoints_val2017.json",
        [{"image_id": 7, "keypoints": _flat(68)}, {"image_id": 7, "keypoints": [*_flat(50), 9, 9, 0]}],
    )
    (tmp_path / "faces/val2017").mkdir()
    (tmp_path / "faces/val2017/a.jpg").touch()
    pictures = coco.read(file).pictures
    assert [(p.source, p.split, len(p.faces)) for p in pictures] == [("faces", "val", 2), ("faces", "val", 0)]
    assert pictures[0].path == tmp_path / "faces/val2017/a.jpg"
    first, second = pictures[0].faces
    assert first.points[0].tolist() == [17, 34, 2]
    assert second.points[50].tolist() == [0, 0, 0], "a point that is not labelled stands at 0 0"


@pytest.mark.parametrize(
    ("name", "image", "split"),
    [
        ("x.json", {}, None),
        ("train.json", {}, "train"),
        ("x.json", {"file_name": "test/a.jpg"}, "val"),
        ("x.json", {"split": "val"}, "val"),
        ("train.json", {"split": "val"}, "val"),
        ("train_and_val.json", {}, None),
    ],
)
def test_given_splits(tmp_path: Path, name: str, image: dict[str, str], split: str | None) -> None:
    file = _write(tmp_path / "set" / name, [{"image_id": 7, "keypoints": _flat(51)}], **image)
    assert coco.read(file).pictures[0].split == split


@pytest.mark.parametrize(
    ("annotation", "why", "reason"),
    [
        ({"keypoints": _flat(17)}, "wrong-point-count", "a body"),
        ({"keypoints": _flat(51)[:-1]}, "wrong-point-count", "no triples"),
        ({"keypoints": []}, "wrong-point-count", "none"),
        ({}, "wrong-point-count", "a box alone"),
        ({"keypoints": "text"}, "wrong-point-count", "no list"),
        ({"keypoints": [float("nan"), *_flat(51)[1:]]}, "not-a-number", "NaN"),
        ({"keypoints": [None, *_flat(51)[1:]]}, "not-a-number", "null"),
        ({"keypoints": ["x", *_flat(51)[1:]]}, "not-a-number", "text"),
        ({"keypoints": [[1, 2], *_flat(51)[1:]]}, "not-a-number", "a list"),
        ({"keypoints": _flat(51), "iscrowd": 1}, "ignored", "a crowd"),
        ({"keypoints": _flat(51), "image_id": 99}, "missing-image", "an id that is not there"),
        ({"keypoints": _flat(51), "image_id": [7]}, "missing-image", "an id of another type"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_rejects(tmp_path: Path, annotation: dict[str, Any], why: str, reason: str) -> None:
    file = _write(
        tmp_path / "x.json", [{"image_id": 7, "keypoints": _flat(51)}, {"image_id": 7, **annotation}]
    )
    reading = coco.read(file)
    assert [(r.reason, r.file) for r in reading.rejects] == [(why, "x.json#annotations[1]")], reason
    assert len(reading.pictures[0].faces) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "no object"),
        ("{}", "images"),
        ('{"images": []}', "annotations"),
        ('{"images": [1], "annotations": []}', "images"),
        ("[" * 100_000, "JSON"),
    ],
    ids=["empty", "half", "list", "no-images", "no-annotations", "numbers", "deep"],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(SourceError, match=message):
        coco.read(file)


def test_an_image_without_a_name_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"images": [{"id": 1}, {"file_name": "a.jpg"}], "annotations": []}))
    assert [r.reason for r in coco.read(file).rejects] == ["unparsable-file", "unparsable-file"]

"""Conversion where annotations contradict the pictures, or could belong to several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.lidloop.data.test_convert import H, Out, W, ibug, picture, points, pts, save, yolo_line


@pytest.fixture
def out(tmp_path: Path) -> Out:
    return Out(tmp_path)


def coco(root: Path, *images: dict[str, Any], **more: Any) -> str:
    """A COCO file of images, each with one face of the same points."""
    flat = [value for x, y in points(10, 10, 40)[-51:] for value in (x, y, 2)]
    listed = [{"id": k, **image} for k, image in enumerate(images)]
    annotations = [{"image_id": image["id"], "keypoints": flat} for image in listed]
    root.mkdir(parents=True, exist_ok=True)
    (root / "x.json").write_text(json.dumps({"images": listed, "annotations": annotations, **more}))
    return f"coco:{root / 'x.json'}"


def test_labels_of_another_size_are_rejected_and_can_be_scaled(tmp_path: Path, out: Out) -> None:
    save(tmp_path / "x/a.jpg", 1)
    save(tmp_path / "x/good.jpg", 2)
    source = coco(
        tmp_path / "x",
        {"file_name": "a.jpg", "width": 2 * W, "height": 2 * H},
        {"file_name": "good.jpg", "width": W, "height": H},
    )
    dataset, _ = out.convert(source)
    assert [r.id for r in dataset.records] == ["x-good"]
    assert out.rejects() == [("x.json#annotations[0]", "size-mismatch")]
    dataset, labels = out.convert(source + "?fit=scale")
    assert [r.id for r in dataset.records] == ["x-a", "x-good"]
    boxes = {image: labels.labels(dataset).of(image)[0].box for image in ("x-a", "x-good")}
    assert boxes["x-good"] == pytest.approx([10, 10, 50, 50], abs=1e-3)
    assert boxes["x-a"] == pytest.approx([5, 5, 25, 25], abs=1e-3)
    assert dataset.info["sources"] == [source + "?fit=scale"]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_labels_made_before_exif_turned_the_picture(tmp_path: Path, out: Out, orientation: int) -> None:
    save(tmp_path / "x/a.png", 1, orientation=orientation)
    source = coco(tmp_path / "x", {"file_name": "a.png", "width": W, "height": H})
    with pytest.raises(Exception, match=r"size-mismatch.*fit=turn"):
        out.convert(source)
    dataset, labels = out.convert(source + "?fit=turn")
    (record,) = dataset.records
    assert (record.width, record.height) == (H, W)
    x1, y1, x2, y2 = labels.labels(dataset).boxes[0]
    assert (x1, x2) == pytest.approx((10, 50) if orientation in (5, 8) else (H - 51, H - 11), abs=1e-3)
    assert (y1, y2) == pytest.approx((10, 50) if orientation in (5, 6) else (W - 51, W - 11), abs=1e-3)


def test_two_images_of_one_id_lose_their_annotations(tmp_path: Path, out: Out) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / f"x/{name}.jpg", ord(name))
    images = [
        {"id": 1, "file_name": "a.jpg"},
        {"id": 1, "file_name": "b.jpg"},
        {"id": 2, "file_name": "c.jpg"},
    ]
    dataset, _ = out.convert(coco(tmp_path / "x", *images))
    assert [r.id for r in dataset.records] == ["x-c"], "neither picture is taken for one without a face"
    assert [reason for _, reason in out.rejects()] == ["ambiguous-image"] * 2


@pytest.mark.parametrize(
    ("other", "kept", "why"),
    [
        ("same", True, "the same pixels"),
        ("jpeg", True, "the same, compressed"),
        ("different", False, "another picture"),
        ("larger", False, "another size, for points in pixels"),
    ],
)
def test_a_second_picture_of_the_same_name(
    tmp_path: Path, out: Out, other: str, kept: bool, why: str
) -> None:
    source = ibug(tmp_path / "x", 1, first=7)
    root = tmp_path / "x"
    image = Image.fromarray(picture(1))
    image.save(root / "a.png")
    second = root / ("a.jpg" if other == "jpeg" else "a.bmp")
    if other == "different":
        image = Image.fromarray(picture(2))
    if other == "larger":
        image = image.resize((2 * W, 2 * H))
    image.save(second, **({"quality": 60} if other == "jpeg" else {}))
    pts(root / "a.pts", points())
    dataset, _ = out.convert(source)
    assert ("x-a" in dataset.by_id) == kept, why
    assert out.rejects() == ([] if kept else [("a.pts", "ambiguous-image")])


def test_a_label_file_of_two_different_pictures(tmp_path: Path, out: Out) -> None:
    for name, seed in (("a.jpg", 1), ("a.png", 2), ("b.jpg", 3)):
        save(tmp_path / "x/images" / name, seed)
    (tmp_path / "x/labels").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"x/labels/{name}.txt").write_text(yolo_line(points()))
    dataset, _ = out.convert(f"yolo:{tmp_path / 'x'}")
    assert [r.id for r in dataset.records] == ["x-b"]
    assert [reason for _, reason in out.rejects()] == ["ambiguous-image"] * 2


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64, "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + b"\0" * 64, "AVIF"),
        (b"GIF89a\1\0\1\0\0\0\0;", "GIF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"", "empty"),
    ],
)
def test_a_file_that_is_no_jpeg_is_named(tmp_path: Path, out: Out, content: bytes, fragment: str) -> None:
    source = ibug(tmp_path / "x", 1)
    (tmp_path / "x/a.jpg").write_bytes(content)
    pts(tmp_path / "x/a.pts", points())
    out.convert(source)
    (reject,) = out.report["sources"][0]["rejects"]
    assert reject["reason"] == "unreadable-image"
    assert fragment in reject["detail"]


def test_a_data_uri_is_not_printed(tmp_path: Path, out: Out, caplog: pytest.LogCaptureFixture) -> None:
    data, encoded = tmp_path / "x", cv2.imencode(".png", picture(1))[1].tobytes().hex()
    save(data / "good.jpg", 2)
    source = coco(data, {"file_name": "good.jpg"}, {"file_name": f"data:image/png;base64,{encoded}"})
    out.convert(source)
    (reject,) = out.report["sources"][0]["rejects"]
    assert "data URI" in reject["detail"]
    assert len(json.dumps(out.report)) < 3000
    assert encoded[:100] not in caplog.text


def test_points_at_the_border_of_a_smaller_export(tmp_path: Path, out: Out) -> None:
    """Without a size in the file, most points outside the picture tell that it is another one."""
    source = ibug(tmp_path / "x", 1)
    save(tmp_path / "x/a.jpg", 9)
    xy = points() * 4
    xy[-51:-40] = np.linspace(5, 60, 11)[:, None]
    pts(tmp_path / "x/a.pts", xy)
    out.convert(source)
    assert out.rejects() == [("a.pts", "outside-picture")]

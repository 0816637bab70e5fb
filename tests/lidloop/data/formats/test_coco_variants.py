"""COCO files as other tools write them: ids, names of pictures, layouts of keypoints, classes."""

import json
from pathlib import Path
from typing import Any

import pytest

from lidloop.data.formats import coco
from lidloop.data.formats.records import ReadOptions
from lidloop.errors import SourceError

MISSING = "?"


def flat(n: int = 51, v: float | None = 2) -> list[Any]:
    return [value for k in range(n) for value in (float(k + 1), 2.0 * k + 1, *([] if v is None else [v]))]


def write(file: Path, images: list[Any], annotations: list[Any], **more: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, **more}))
    return file


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def annotation(image_id: Any = 1, **change: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "keypoints": flat(), **change}


@pytest.mark.parametrize(
    ("images", "ids", "faces", "reasons", "why"),
    [
        ([(7, "a"), (7, "b")], [7, 7], [0, 0], ["ambiguous-image"] * 2, "an id that two images have"),
        ([(7, "a"), (7, "b"), (8, "c")], [7, 8], [0, 0, 1], ["ambiguous-image"], "others are not touched"),
        ([(7, "a"), ("7", "b")], [7], [0, 0], ["ambiguous-image"], "7 and '7' are one id"),
        ([(7, "a"), (7, "a")], [7], [1], [], "the same image twice"),
        ([(7, "a")], ["7"], [1], [], "text for a number"),
        ([("7", "a")], [7], [1], [], "a number for text"),
        ([(9, "a")], [9.0], [1], [], "a float"),
        ([(9.0, "a")], [9], [1], [], "a float in the image"),
        ([("9.0", "a")], [9], [1], [], "a float as text"),
        ([("x1", "a")], ["x1"], [1], [], "any text"),
        ([("007", "a"), (7, "b")], ["007", 7], [1, 1], [], "text with leading zeros is itself"),
        ([(1, "a")], [True], [0], ["missing-image"], "true is no id"),
        ([(9, "a")], [9.5], [0], ["missing-image"], "half an id"),
        ([(9, "a")], [None], [0], ["missing-image"], "null"),
        ([(10**400, "a")], [10**400], [1], [], "an integer of 400 digits"),
        ([(1, "a")], [10**400], [0], ["missing-image"], "400 digits that no image has"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_ids(
    tmp_path: Path,
    images: list[tuple[Any, str]],
    ids: list[Any],
    faces: list[int],
    reasons: list[str],
    why: str,
) -> None:
    listed = [{"id": key, "file_name": f"{name}.jpg"} for key, name in images]
    touch(tmp_path, *(image["file_name"] for image in listed))
    reading = coco.read(write(tmp_path / "x.json", listed, [annotation(key) for key in ids]))
    assert [len(p.faces) for p in reading.pictures] == faces, why
    assert [r.reason for r in reading.rejects] == reasons
    lost = [p for p in reading.pictures if not p.faces]
    if "ambiguous-image" in reasons:
        assert all(p.rejected for p in lost), "a picture that lost its labels is no background"
        assert "a.jpg, b.jpg" in reading.rejects[0].detail


def test_a_missing_image_id_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [{"id": 1, "file_name": "a.jpg"}], [{"keypoints": flat()}])
    assert "no image_id" in coco.read(file).rejects[0].detail


NFD, NFC = "ame\u0301lie.jpg", "am\u00e9lie.jpg"


@pytest.mark.parametrize(
    ("json_file", "name", "disk", "found", "why"),
    [
        ("annotations/person_keypoints_default.json", "a.jpg", ["images/default/a.jpg"], 0, "CVAT"),
        (
            "annotations/person_keypoints_my_set.json",
            "a.jpg",
            ["images/my_set/a.jpg"],
            0,
            "CVAT, a named subset",
        ),
        ("annotations/instances_val2017.json", "a.jpg", ["val2017/a.jpg"], 0, "COCO"),
        ("annotations/x.json", "b/a.jpg", ["images/default/b/a.jpg"], 0, "CVAT, a sub-folder"),
        ("labels.json", "a.jpg", ["data/a.jpg"], 0, "FiftyOne"),
        ("train/_annotations.coco.json", "a_jpg.rf.0f.jpg", ["train/a_jpg.rf.0f.jpg"], 0, "Roboflow"),
        ("annotations.json", "JPEGImages/a.jpg", ["JPEGImages/a.jpg"], 0, "labelme2coco"),
        ("x.json", "images\\a.jpg", ["images/a.jpg"], 0, "backslash"),
        ("x.json", "images\\default\\a.jpg", ["images/a.jpg"], 0, "backslashes, another folder"),
        ("x.json", "../../elsewhere/images/a.jpg", ["images/a.jpg"], 0, "dots"),
        ("x.json", "..\\imgs\\a.jpg", ["images/a.jpg"], 0, "dots and backslashes"),
        ("x.json", "C:\\Users\\anna\\Desktop\\faces\\a.jpg", ["images/a.jpg"], 0, "a Windows path"),
        ("x.json", "/home/anna/faces/a.jpg", ["images/a.jpg"], 0, "a Linux path"),
        ("x.json", "/home/anna/faces/a.jpg", ["a.jpg"], 0, "a Linux path, the picture beside the file"),
        ("x.json", "/home/anna/train/a.jpg", ["train/a.jpg", "val/a.jpg"], 0, "the last two parts decide"),
        ("x.json", "https://host/bucket/a.jpg", ["images/a.jpg"], 0, "a URL"),
        ("x.json", "https://host/b/my%20face.jpg?sig=1%2F2&x=/y", ["images/my face.jpg"], 0, "a signed URL"),
        ("x.json", "s3://bucket/images/a.jpg", ["images/a.jpg"], 0, "an S3 address"),
        ("x.json", "file:///C:/faces/a.jpg", ["images/a.jpg"], 0, "a file URL"),
        ("x.json", "my%20face.jpg", ["my face.jpg"], 0, "percent-encoding"),
        ("x.json", "my%2520face.jpg", ["my face.jpg"], 0, "percent-encoding twice"),
        ("x.json", "my+face.jpg", ["my face.jpg"], 0, "plus for a space"),
        ("x.json", "100%.jpg", ["100%.jpg"], 0, "a literal per cent sign"),
        ("x.json", "a%20b.jpg", ["a%20b.jpg", "a b.jpg"], 0, "the literal name goes first"),
        ("result.json", "images/3f9a2b1c-a.jpg", ["images/3f9a2b1c-a.jpg"], 0, "Label Studio"),
        ("result.json", "/data/upload/1/3f9a2b1c-a.jpg", ["images/a.jpg"], 0, "Label Studio, own pictures"),
        ("result.json", "images/3f9a2b1c-my_face_1.jpg", ["my face (1).jpg"], 0, "Label Studio's renaming"),
        ("result.json", "..\\..\\media\\upload\\1\\3f9a2b1c-a.jpg", ["images/a.jpg"], 0, "on Windows"),
        ("result.json", "/data/local-files/?d=faces/a.jpg", ["faces/a.jpg"], 0, "its local files"),
        ("x.json", NFC, [NFD], 0, "composed for decomposed"),
        ("x.json", NFD, [NFC], 0, "decomposed for composed"),
        ("x.json", NFC.encode().decode("latin-1"), [NFC], 0, "UTF-8 read as Latin-1"),
        ("x.json", "IMG_1.JPG", ["img_1.jpg"], 0, "case"),
        ("x.json", "Images/A.jpg", ["images/a.JPG"], 0, "case of folders too"),
        ("x.json", "a.jpg", ["a.JPG", "a.jpg"], 1, "the exact case goes first"),
        ("x.json", "a.jpg", ["deep/down/below/a.jpg"], 0, "anywhere below, if only one has the name"),
        ("x.json", "a.jpg", ["one/a.jpg", "two/a.jpg"], "one/a.jpg", "two have the name"),
        ("x.json", "cam2/a.jpg", ["cam1/a.jpg"], MISSING, "another camera's picture"),
        ("x.json", "cam2/images/a.jpg", ["cam1/images/a.jpg"], MISSING, "another camera's images"),
        ("x.json", "a.png", ["a.jpg"], "a.jpg", "another ending: the hint names it"),
        ("x.json", "data:image/png;base64," + "iVBO" * 5000, ["a.jpg"], "data URI", "a data URI"),
        ("x.json", "x" * 5000 + ".jpg", ["a.jpg"], MISSING, "longer than any name"),
        ("x.json", "a\0b.jpg", ["a.jpg"], MISSING, "a zero byte"),
        ("x.json", "a\ud800.jpg", ["a.jpg"], MISSING, "half a character"),
        ("x.json", "a\n\x1b[31mred.jpg", ["a.jpg"], MISSING, "control characters"),
        ("x.json", "a.heic", ["a.heic"], "HEIC", "a format that is not read"),
        ("x.json", "images/a.avif", ["images/a.AVIF"], "AVIF", "another one"),
        ("x.json", "a.gif", ["a.gif"], "GIF", "and another"),
    ],
    ids=lambda v: v if isinstance(v, str) and 0 < len(v) < 40 and v.isascii() and v.isprintable() else "",
)
def test_pictures_are_found(
    tmp_path: Path, json_file: str, name: str, disk: list[str], found: int | str, why: str
) -> None:
    """``found`` is the number of the file on disk, or a fragment of the rejection."""
    root = tmp_path / "set"
    touch(root, *disk)
    (picture,) = coco.read(write(root / json_file, [{"id": 1, "file_name": name}], [annotation()])).pictures
    if isinstance(found, int):
        assert picture.absent is None, why
        assert picture.path.samefile(root / disk[found])
        return
    assert picture.absent is not None, why
    assert found in picture.absent.detail or found == MISSING
    for text in (picture.file, picture.absent.detail):
        assert len(text) < 500
        assert text.isprintable()
        text.encode()


def test_one_file_is_not_given_to_two_names(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.jpg", "images/2.jpg")
    names = ["cam1/1.jpg", "cam2/1.jpg", "cam1/2.jpg"]
    images = [{"id": k, "file_name": name} for k, name in enumerate(names)]
    pictures = coco.read(write(tmp_path / "x.json", images, [])).pictures
    assert [p.absent.reason if p.absent else p.path.name for p in pictures] == [
        "ambiguous-image", "ambiguous-image", "2.jpg",
    ]  # fmt: skip


def test_foreign_folders_give_neither_source_nor_split(tmp_path: Path) -> None:
    touch(tmp_path, "faces/images/a.jpg")
    file = write(tmp_path / "faces/x.json", [{"id": 1, "file_name": "/home/test/anna/a.jpg"}], [annotation()])
    (picture,) = coco.read(file).pictures
    assert (picture.source, picture.split, picture.file) == ("faces", None, "images/a.jpg")


@pytest.mark.parametrize("name", ["../secret/a.jpg", "{tmp}/secret/a.jpg", "/etc/hostname", "link/a.jpg"])
def test_annotations_of_a_store_name_no_file_of_this_machine(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "secret/a.jpg", "set/b.jpg")
    (tmp_path / "set/link").symlink_to(tmp_path / "secret")
    name = name.replace("{tmp}", str(tmp_path))
    file = write(tmp_path / "set/x.json", [{"id": 1, "file_name": name}], [annotation()])
    (picture,) = coco.read(file, ReadOptions(inside=tmp_path / "set")).pictures
    assert picture.absent is not None


WHOLE_BODY = flat(133)
HALPE = flat(136)


@pytest.mark.parametrize(
    ("change", "first", "why"),
    [
        ({"keypoints": [[k + 1.0, 2.0, 2] for k in range(51)]}, [1, 2, 2], "nested triples"),
        ({"keypoints": [[k + 1.0, 2.0, 2] for k in range(68)]}, [18, 2, 2], "nested triples of 68"),
        ({"keypoints": [[k + 1.0, 2.0] for k in range(51)]}, [1, 2, 2], "nested pairs"),
        ({"keypoints": flat(51, None)}, [1, 1, 2], "102 numbers: pairs"),
        ({"keypoints": flat(68, None)}, [18, 35, 2], "136 numbers: pairs"),
        ({"keypoints": [{"x": k + 1, "y": 5, "v": 1} for k in range(51)]}, [1, 5, 1], "objects"),
        ({"keypoints": flat(17), "face_kpts": flat(68), "face_valid": True}, [18, 35, 2], "face_kpts"),
        ({"keypoints": WHOLE_BODY}, [41, 81, 2], "133 of COCO-WholeBody: face from 23 on"),
        ({"keypoints": HALPE}, [44, 87, 2], "136 of Halpe: face from 26 on"),
        ({"keypoints": [str(value) for value in flat()]}, [1, 1, 2], "numbers as text"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_layouts_of_keypoints(tmp_path: Path, change: dict[str, Any], first: list[float], why: str) -> None:
    file = write(tmp_path / "x.json", [{"id": 1, "file_name": "a.jpg"}], [annotation(**change)])
    reading = coco.read(file)
    assert reading.rejects == [], why
    assert reading.pictures[0].faces[0].points[0].tolist() == first


@pytest.mark.parametrize(
    ("change", "reason", "fragment", "why"),
    [
        ({"keypoints": flat(34)}, "wrong-point-count", "34 points", "102 numbers that are 34 triples"),
        ({"keypoints": flat(98)}, "wrong-point-count", "WFLW", "a scheme that is known by its count"),
        ({"keypoints": flat(17)}, "wrong-point-count", "body", "a body"),
        (
            {"keypoints": flat(17), "face_kpts": flat(68), "face_valid": False},
            "ignored",
            "face_valid",
            "no face",
        ),
        ({"keypoints": [[1, 2], [1, 2, 2]] * 25}, "wrong-point-count", "[2, 3]", "pairs and triples mixed"),
        ({"keypoints": [10**400, *flat()[1:]]}, "not-a-number", "too large", "an integer of 400 digits"),
        ({"keypoints": ["9" * 400, *flat()[1:]]}, "not-a-number", "not finite", "400 digits as text"),
        ({"keypoints": ["x" * 9000, *flat()[1:]]}, "not-a-number", "x", "a long text"),
        ({"keypoints": [[[1]] * 3] * 51}, "not-a-number", "", "lists in lists"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_other_keypoints_are_rejected(
    tmp_path: Path, change: dict[str, Any], reason: str, fragment: str, why: str
) -> None:
    file = write(tmp_path / "x.json", [{"id": 1, "file_name": "a.jpg"}], [annotation(**change)])
    (reject,) = coco.read(file).rejects
    assert reject.reason == reason, why
    assert fragment in reject.detail
    assert len(reject.detail) < 500


@pytest.mark.parametrize(
    ("point", "expected", "why"),
    [
        ((0, 0, 2), (0, 0, 0), "0 0 is a point nobody placed"),
        ((-1, -1, 2), (0, 0, 0), "so is -1 -1"),
        ((0, 0, 1), (0, 0, 1), "a hidden point in the corner, as clipping leaves it"),
        ((-3, 5, 2), (-3, 5, 2), "outside the picture: clipped later"),
        ((0, 5, 2), (0, 5, 2), "on the border"),
        ((9, 9, 0), (0, 0, 0), "not labelled"),
        ((9, 9, -1), (0, 0, 0), "a negative visibility"),
        ((9, 9, 0.7), (9, 9, 2), "a confidence"),
    ],
)
def test_missing_points(
    tmp_path: Path, point: tuple[float, ...], expected: tuple[float, ...], why: str
) -> None:
    file = write(
        tmp_path / "x.json", [{"id": 1, "file_name": "a.jpg"}], [annotation(keypoints=[*point, *flat()[3:]])]
    )
    assert coco.read(file).pictures[0].faces[0].points[0].tolist() == list(expected), why


@pytest.mark.parametrize(
    ("categories", "used", "wanted", "faces", "why"),
    [
        (["face"], [1], (), [True], "one class"),
        (["ptosis"], [1], (), [True], "one class, whatever its name"),
        ([], [1], (), [True], "no categories"),
        (["dog", "face"], [1, 2], (), [False, True], "the one called face"),
        (["Human_Face", "person"], [1, 2], (), [True, False], "face goes before person"),
        (["person", "dog"], [1, 2], (), [True, False], "a person, where nothing is called face"),
        (["project", "patient"], [2], (), [True], "Roboflow's class of the project has no annotation"),
        (["dog", "cat"], [1, 2], (), [False, False], "none says face"),
        (["adult", "child", "dog"], [1, 2, 3], ("adult", "CHILD"), [True, True, False], "named by the user"),
        (["face"], [9], (), [False], "a class that the file does not name"),
    ],
)
def test_classes(
    tmp_path: Path,
    categories: list[str],
    used: list[int],
    wanted: tuple[str, ...],
    faces: list[bool],
    why: str,
) -> None:
    images = [{"id": k, "file_name": f"{k}.jpg"} for k in used]
    listed = [{"id": k + 1, "name": name} for k, name in enumerate(categories)]
    annotations = [annotation(k, category_id=k) for k in used]
    file = write(tmp_path / "x.json", images, annotations, categories=listed)
    reading = coco.read(file, ReadOptions(classes=wanted))
    assert [bool(p.faces) for p in reading.pictures] == faces, why
    assert {r.reason for r in reading.rejects} <= {"other-class"}


def test_a_wanted_class_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [], [], categories=[{"id": 1, "name": "adult"}])
    with pytest.raises(SourceError, match=r"adul\b.*adult"):
        coco.read(file, ReadOptions(classes=("adul",)))


@pytest.mark.parametrize(
    ("content", "fragment", "why"),
    [
        ('[{"data": {"image": "a.jpg"}}]', "list", "Label Studio's own JSON"),
        ('{"shapes": [], "imageData": null}', "labelme", "labelme"),
        ('{"images": [], "annotations": ' + "[" * 200_000, "nested", "deep nesting"),
        ('{"images": [{"id": ' + "9" * 5000 + "}]}", "JSON", "an integer of 5000 digits"),
        (b"\xff\xfe\x00", "decoded", "no text"),
    ],
)
def test_other_files_are_refused_by_name(
    tmp_path: Path, content: str | bytes, fragment: str, why: str
) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError) as info:
        coco.read(file)
    assert "x.json" in str(info.value), why
    assert fragment in str(info.value)
    assert len(str(info.value)) < 600


def test_utf16_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [{"id": 1, "file_name": "a.jpg"}], [annotation()])
    file.write_text(file.read_text(), encoding="utf-16")
    assert len(coco.read(file).pictures[0].faces) == 1

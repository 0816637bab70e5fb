"""YOLO folders as other tools write them: data.yaml, lists, layouts of a line, classes, names of files."""

from pathlib import Path
from typing import Any

import pytest

from lidloop.data.formats import yolo
from lidloop.data.formats.records import ReadOptions
from lidloop.errors import SourceError

HEAD = "0 0.5 0.5 0.8 0.8"


def line(n: int = 51, d: int = 3, *, head: str = HEAD, **replaced: str) -> str:
    """A label line of n points; ``p3="-1 -1"`` replaces point 3."""
    points = [f"{(k + 1) / 100:.6f} {(k + 1) / 200:.6f}" + " 2" * (d == 3) for k in range(n)]
    for key, text in replaced.items():
        points[int(key[1:])] = text
    return f"{head} {' '.join(points)}\n"


def polygon(corners: int, head: str = "0") -> str:
    return head + " " + " ".join(f"{0.1 + k / 500:.4f} {0.9 - k / 400:.4f}" for k in range(corners)) + "\n"


def folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def found(root: Path, **options: Any) -> list[tuple[str, str | None, int]]:
    return sorted((p.file, p.split, len(p.faces)) for p in yolo.read(root, ReadOptions(**options)).pictures)


@pytest.mark.parametrize(
    ("point", "seen", "why"),
    [
        ("-1 -1", 0, "negative: missing, as Ultralytics reads it"),
        ("-0.01 0.5", 0, "one negative is enough"),
        ("0.5 -0.01", 0, "the other one too"),
        ("0 0", 0, "0 0 is a point that nobody placed"),
        ("0.0 0.000000", 0, "however it is written"),
        ("0 0.5", 2, "on the border"),
        ("1 1", 2, "in the far corner"),
        ("0.5 0.5", 2, "in the picture"),
    ],
)
@pytest.mark.parametrize("n", [51, 68])
def test_missing_points_without_visibility(tmp_path: Path, point: str, seen: int, why: str, n: int) -> None:
    text = line(n, 2, **{f"p{n - 1}": point})
    root = folder(
        tmp_path,
        {"images/a.jpg": "", "labels/a.txt": text, "data.yaml": f"train: images\nkpt_shape: [{n}, 2]"},
    )
    (picture,) = yolo.read(root).pictures
    last = picture.faces[0].points[50]
    assert last[2] == seen, why
    assert (last[:2] == 0).all() if not seen else True
    assert (picture.faces[0].points[:50, 2] == 2).all()


@pytest.mark.parametrize(
    ("yaml", "text", "reason", "fragment", "why"),
    [
        ("kpt_shape: [51, 3]", line(), None, "", "fits"),
        ("kpt_shape: [68, 3]", line(68), None, "", "fits"),
        ("kpt_shape: [51, 2]", line(d=2), None, "", "fits"),
        ("kpt_shape: [68, 2]", line(68, 2), None, "", "fits"),
        (None, line(), None, "", "158 fields are nothing else"),
        (None, line(68), None, "", "209 fields with a visibility in every third"),
        (None, line(p0="0.1 0.1 0.93"), None, "", "a confidence for a visibility"),
        ("kpt_shape: [51, 3]", polygon(53), "wrong-point-count", "158", "a polygon of 53 corners"),
        (
            "kpt_shape: [51, 3]",
            line(d=2),
            "wrong-point-count",
            "158",
            "no visibility where there should be one",
        ),
        ("kpt_shape: [51, 2]", line(), "wrong-point-count", "107", "one where there should be none"),
        ("kpt_shape: [68, 3]", line(), "wrong-point-count", "209", "51 points for 68"),
        ("names: [face]", polygon(53), "wrong-point-count", "53 corners", "a polygon, and no kpt_shape"),
        (None, polygon(53), "wrong-point-count", "kpt_shape: [51, 2]", "a polygon, and no data.yaml"),
        (None, polygon(70), "wrong-point-count", "kpt_shape: [68, 2]", "of 70 corners"),
        (None, polygon(104), "wrong-point-count", "kpt_shape: [68, 3]", "of 104 corners, as many as 68 x 3"),
        (None, polygon(4), "wrong-point-count", "9 fields", "an oriented box"),
        (None, line(head="dog 0.5 0.5 0.8 0.8"), "other-class", "'dog'", "a word for the class"),
        (None, line(head="-1 0.5 0.5 0.8 0.8"), "other-class", "'-1'", "a negative class"),
        (None, line(head="\uff11 0.5 0.5 0.8 0.8"), "other-class", "number", "a digit of another script"),
        (None, line(head="0.5 0.5 0.5 0.8 0.8"), "other-class", "0.5", "half a class"),
        (None, line(head="0.0 0.5 0.5 0.8 0.8"), None, "", "a class as a float"),
        ("names: [face]", line(head="1 0.5 0.5 0.8 0.8"), "other-class", "class 1", "a class without a name"),
        ("nc: 1", line(head="1 0.5 0.5 0.8 0.8"), "other-class", "class 1", "a class beyond nc"),
        ("names: {0: dog, 1: face}", line(), "other-class", "dog", "a dog"),
        ("names: {0: dog, 1: face}", line(head="1 0.5 0.5 0.8 0.8"), None, "", "a face"),
        ("names: {'0': dog, '1': face}", line(head="1 0.5 0.5 0.8 0.8"), None, "", "numbers as text"),
        ("names: face", line(), None, "", "one name alone"),
        ("names: [dog, face]", line(head="face 0.5 0.5 0.8 0.8"), None, "", "the name instead of the number"),
        ("names: [dog, face]", line(head="dog 0.5 0.5 0.8 0.8"), "other-class", "dog", "the name of a dog"),
        ("names: [cat, dog]", line(), "other-class", "?class=cat", "none is called face"),
        (None, line(p3="1e999 0.5 2"), "not-a-number", "not finite", "infinity"),
        (None, line(p3="9" * 400 + " 0.5 2"), "not-a-number", "not finite", "an integer of 400 digits"),
        (None, line(p3="x" * 9000 + " 0.5 2"), "not-a-number", "x", "a long word"),
        (None, line(head="9" * 400 + " 0.5 0.5 0.8 0.8"), "other-class", "999", "a class of 400 digits"),
    ],
    ids=lambda v: v if isinstance(v, str) and len(v) < 50 else "",
)
def test_layout_and_class_of_a_line(
    tmp_path: Path, yaml: str | None, text: str, reason: str | None, fragment: str, why: str
) -> None:
    root = folder(tmp_path, {"images/a.jpg": "", "labels/a.txt": text})
    if yaml is not None:
        folder(tmp_path, {"data.yaml": f"train: images\n{yaml}\n"})
    reading = yolo.read(root)
    assert [r.reason for r in reading.rejects] == ([reason] if reason else []), why
    assert [(len(p.faces), p.rejected) for p in reading.pictures] == [(0, 1) if reason else (1, 0)]
    assert all(fragment in r.detail and len(r.detail) < 500 for r in reading.rejects)


def test_classes_can_be_named(tmp_path: Path) -> None:
    files = {
        "images/a.jpg": "",
        "labels/a.txt": line() + line(head="1 0.5 0.5 0.8 0.8"),
        "data.yaml": "names: [cat, dog]",
    }
    assert found(folder(tmp_path, files), classes=("dog",)) == [("images/a.jpg", None, 1)]


def test_classes_txt_names_the_classes(tmp_path: Path) -> None:
    files = {"images/a.jpg": "", "labels/a.txt": line(), "classes.txt": "dog\nface\n"}
    reading = yolo.read(folder(tmp_path, files))
    assert [r.reason for r in reading.rejects] == ["other-class"]


TRAIN, VAL = ("train/images/a.jpg", "train", 1), ("valid/images/b.jpg", "val", 1)


@pytest.mark.parametrize(
    ("yaml", "pictures", "rejects", "why"),
    [
        (
            "train: train/images\nval: valid/images\ntest: test/images",
            [TRAIN, VAL],
            1,
            "no test: it is left out",
        ),
        ("train: ../train/images\nval: ../valid/images\ntest: ../test/images", [TRAIN, VAL], 1, "Roboflow"),
        ("train: project-1/train/images\nval: project-1/valid/images", [TRAIN, VAL], 0, "Roboflow's project"),
        (
            "train: /content/project-1/train/images\nval: /content/project-1/valid/images",
            [TRAIN, VAL],
            0,
            "Colab",
        ),
        ("train: C:\\data\\train\\images\nval: C:\\data\\valid\\images", [TRAIN, VAL], 0, "a Windows path"),
        ("train: ..\\train\\images\nval: .\\valid\\images", [TRAIN, VAL], 0, "backslashes"),
        (
            "path: /home/anna/set\ntrain: train/images\nval: valid/images",
            [TRAIN, VAL],
            0,
            "another machine's path",
        ),
        (
            "path: D:\\set\ntrain: train\\images\nval: valid\\images",
            [TRAIN, VAL],
            0,
            "another machine's drive",
        ),
        ("path: ../faces\ntrain: train/images\nval: valid/images", [TRAIN, VAL], 0, "a path from above"),
        ("train: train/images\nvalid: valid/images", [TRAIN, VAL], 0, "the key valid"),
        ("train: ./train/images/\nvalidation: ./valid/images/", [TRAIN, VAL], 0, "FiftyOne's key validation"),
        ("Train: train/images\nVal: valid/images", [TRAIN, VAL], 0, "keys in capitals"),
        (
            "train: [train/images]\nval: [valid/images, gone/images]",
            [TRAIN, VAL],
            1,
            "lists; one is not there",
        ),
        ("train: train/images\nval: train/images\ntest:", [TRAIN], 0, "validation on the training pictures"),
        ("train: Train/Images\nval: VALID/images", [TRAIN, VAL], 0, "case"),
        ("train: train.txt\nval: val.txt", [TRAIN, VAL], 0, "lists of files"),
        ("train: data/train.txt\nval: data/val.txt", [TRAIN, VAL], 0, "lists of another folder"),
        ("train: windows.txt\nval: val.txt", [TRAIN, VAL], 0, "a list with backslashes"),
        ("train: cvat.txt\nval: val.txt", [TRAIN, VAL], 0, "a list with the prefix data/, as CVAT writes it"),
        ("train: foreign.txt\nval: val.txt", [TRAIN, VAL], 0, "a list of another machine"),
        ("train: bom.txt\nval: val.txt", [TRAIN, VAL], 0, "a list in UTF-16"),
    ],
    ids=lambda v: v if isinstance(v, str) and len(v) < 30 else "",
)
def test_places_in_data_yaml(
    tmp_path: Path, yaml: str, pictures: list[tuple[str, str | None, int]], rejects: int, why: str
) -> None:
    root = folder(
        tmp_path / "faces",
        {
            "data.yaml": yaml + "\nnames: [face]\nkpt_shape: [51, 3]\n",
            "train/images/a.jpg": "", "train/labels/a.txt": line(),
            "valid/images/b.jpg": "", "valid/labels/b.txt": line(),
            "train.txt": "./train/images/a.jpg\n\n", "val.txt": "valid/images/b.jpg\n",
            "windows.txt": "train\\images\\a.jpg\r\n", "cvat.txt": "data/train/images/a.jpg\n",
            "foreign.txt": "C:\\work\\train\\images\\a.jpg\n",
        },
    )  # fmt: skip
    (root / "bom.txt").write_text("train/images/a.jpg\n", encoding="utf-16")
    reading = yolo.read(root)
    assert sorted((p.file, p.split, len(p.faces)) for p in reading.pictures) == pictures, why
    assert len([r for r in reading.rejects if r.file == "data.yaml"]) == rejects


@pytest.mark.parametrize("name", ["dataset.yaml", "data.yml", "ptosis.yaml", "Data.YAML"])
def test_the_description_may_have_another_name(tmp_path: Path, name: str) -> None:
    files = {name: "val: pics\nkpt_shape: [51, 2]", "pics/a.jpg": "", "pics/a.txt": line(d=2), "b.jpg": ""}
    assert found(folder(tmp_path, files)) == [("pics/a.jpg", "val", 1)]


@pytest.mark.parametrize(
    ("yaml", "fragment", "why"),
    [
        ("train: gone/images\nval: images", "train: gone/images", "no training pictures"),
        ("train: /a/images\nval: /b/images", "both could be images", "two entries, one folder"),
        ("kpt_shape: [17, 3]", "17 points", "a body"),
        ("kpt_shape: [98, 2]", "WFLW", "another scheme"),
        ("kpt_shape: [51, 4]", "[51, 4]", "four values a point"),
        ("kpt_shape: 51", "51", "no list"),
        (f"kpt_shape: [{'9' * 400}, 3]", "kpt_shape", "an integer of 400 digits"),
        (f"nc: {'9' * 5000}", "data.yaml", "an integer of 5000 digits"),
        ("x: " + "[" * 20_000, "data.yaml", "deep nesting"),
        ("when: 2024-99-99", "data.yaml", "no date"),
        ("!!python/object:os.system {}", "data.yaml", "an object of Python"),
        ("a: *b", "data.yaml", "an alias to nothing"),
        ("train: [", "cannot read data.yaml", "half a list"),
        ("\tx", "data.yaml", "a tab"),
    ],
    ids=lambda v: v if isinstance(v, str) and len(v) < 40 else "",
)
def test_a_bad_description_is_refused(tmp_path: Path, yaml: str, fragment: str, why: str) -> None:
    root = folder(tmp_path, {"data.yaml": yaml, "images/a.jpg": "", "labels/a.txt": line()})
    with pytest.raises(SourceError) as info:
        yolo.read(root)
    assert fragment in str(info.value), why
    assert str(tmp_path) in str(info.value)
    assert len(str(info.value)) < 900


@pytest.mark.parametrize(
    ("image", "label", "faces", "why"),
    [
        ("images/a.jpg", "Labels/a.txt", 1, "a folder in capitals"),
        ("Images/a.jpg", "Labels/a.txt", 1, "both in capitals"),
        ("images/IMG_1.JPG", "labels/img_1.txt", 1, "case of the name"),
        ("images/a.jpg", "labels/a.TXT", 1, "case of the ending"),
        ("images/ame\u0301lie.jpg", "labels/am\u00e9lie.txt", 1, "decomposed for composed"),
        ("images/am\u00e9lie.jpg", "labels/ame\u0301lie.txt", 1, "composed for decomposed"),
        ("images/a.jpg", "labels/a.jpg.txt", 1, "the ending kept"),
        ("images/a.jpg", "labels/3f9a2b1c-a.txt", 1, "Label Studio's prefix"),
        ("images/my face (1).jpg", "labels/3f9a2b1c-my_face_1.txt", 1, "Label Studio's renaming"),
        ("images/3f9a2b1c-a.jpg", "labels/3f9a2b1c-a.txt", 1, "prefix on both sides"),
        ("images/train/a.jpg", "labels/train/a.txt", 1, "a split"),
        ("obj_train_data/a.jpg", "obj_train_data/a.txt", 1, "CVAT's YOLO 1.1"),
        ("images/b.jpg", "labels/a.txt", 0, "another name"),
    ],
)  # fmt: skip
def test_names_of_label_files(tmp_path: Path, image: str, label: str, faces: int, why: str) -> None:
    root = folder(tmp_path, {image: "", label: line()})
    assert [len(p.faces) for p in yolo.read(root).pictures] == [faces], why


@pytest.mark.parametrize(
    ("picture", "label", "fragment"),
    [
        ("images/a.heic", "labels/a.txt", "HEIC"),
        ("images/a.HEIF", "labels/a.txt", "HEIC"),
        ("images/a.avif", "labels/a.txt", "AVIF"),
        ("images/a.gif", "labels/a.txt", "GIF"),
        ("a.heic", "a.txt", "HEIC"),
        ("images/train/a.dng", "labels/train/a.txt", "camera raw"),
        ("images/a.mp4", "labels/a.txt", "video"),
        ("images/b.jpg", "labels/a.txt", "no picture"),
    ],
)
def test_labels_of_a_picture_that_is_not_read(
    tmp_path: Path, picture: str, label: str, fragment: str
) -> None:
    (reject,) = yolo.read(folder(tmp_path, {picture: "", label: line()})).rejects
    assert fragment in reject.detail
    assert reject.file == label


def test_a_caption_beside_the_picture_does_not_hide_its_labels(tmp_path: Path) -> None:
    files = {"images/a.jpg": "", "images/a.txt": "a portrait of a woman", "labels/a.txt": line()}
    reading = yolo.read(folder(tmp_path, files))
    assert [len(p.faces) for p in reading.pictures] == [1]
    assert reading.rejects == []


def test_texts_that_are_no_labels_are_not_listed(tmp_path: Path) -> None:
    files = {"README.roboflow.txt": "x", "classes.txt": "face", "images/a.jpg": "", "notes/b.txt": "x",
             "labels/classes.txt": "face", "labels/a.txt": line()}  # fmt: skip
    assert yolo.read(folder(tmp_path, files)).rejects == []


def test_pictures_that_share_labels_are_rivals(tmp_path: Path) -> None:
    root = folder(tmp_path, {"images/a.jpg": "", "images/a.png": "", "labels/a.txt": line()})
    pictures = yolo.read(root).pictures
    assert [[path.name for path in p.rivals] for p in pictures] == [["a.png"], ["a.jpg"]]


def test_a_description_of_a_store_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    folder(
        tmp_path, {"secret/a.jpg": "", "set/images/b.jpg": "", "set/data.yaml": f"train: {tmp_path}/secret"}
    )
    with pytest.raises(SourceError, match="is not there"):
        yolo.read(tmp_path / "set", ReadOptions(inside=tmp_path / "set"))

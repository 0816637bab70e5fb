"""YOLO pose lines and folders."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidloop.data.formats import yolo
from lidloop.errors import SourceError
from lidloop.labels import Face, box_of
from tests.properties import examples

LINE = "0 0.5 0.5 0.2 0.2 " + " ".join(f"{k / 100:.6f} {k / 200:.6f} 2" for k in range(51))


@st.composite
def _faces(draw: st.DrawFn) -> tuple[list[Face], int, int]:
    width, height = draw(st.integers(2, 8000)), draw(st.integers(2, 8000))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    faces = []
    for _ in range(draw(st.integers(0, 3))):
        points = np.column_stack(
            [rng.uniform(0, width, 51), rng.uniform(0, height, 51), rng.integers(0, 3, 51)]
        )
        points[0, 2] = 2
        points[points[:, 2] == 0] = 0
        faces.append(Face(box_of(points), points))
    return faces, width, height


@given(_faces())
def test_round_trip(case: tuple[list[Face], int, int]) -> None:
    faces, width, height = case
    text = yolo.format_lines(faces, width, height)
    back = yolo.parse(text, width, height, where="x")
    assert len(back) == len(faces) == text.count("\n")
    step = 0.5e-6 * max(width, height) + 1e-9
    for face, other in zip(faces, back, strict=True):
        assert np.abs(face.points - other.points).max() <= step
        assert np.abs(face.box - other.box).max() <= 1.5 * step
        assert (face.points[:, 2] == other.points[:, 2]).all()
    assert yolo.format_lines(back, width, height) == text


def test_a_hidden_point_is_written_as_zeros() -> None:
    points = np.full((51, 3), 10.0)
    points[:, 2] = 2
    points[3] = (70, 80, 0)
    fields = yolo.format_lines([Face(np.array([10.0, 10, 20, 20]), points)], 100, 100).split()
    assert [float(f) for f in fields[5 + 9 : 5 + 12]] == [0, 0, 0]
    assert fields[1:5] == ["0.150000", "0.150000", "0.100000", "0.100000"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2\n", "line 1: 3 fields instead of 158"),
        (LINE + "\n" + LINE + " 1\n", "line 2: 159 fields"),
        (LINE.replace("0.500000", "x", 1), "line 1: not a number"),
        (LINE.replace("0.500000", "nan", 1), "line 1: not a finite number"),
        (LINE.replace("0.500000", "inf", 1), "line 1: not a finite number"),
    ],
)
def test_parse_refuses(text: str, message: str) -> None:
    with pytest.raises(SourceError, match="here, " + message):
        yolo.parse(text, 10, 10, where="here")


def _folder(root: Path, *images: str, **files: str) -> Path:
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("--", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _found(root: Path) -> list[tuple[str, str | None, int]]:
    return sorted((p.file, p.split, len(p.faces)) for p in yolo.read(root).pictures)


@pytest.mark.parametrize(
    ("images", "files", "found", "reason"),
    [
        (
            ("images/train/a.jpg", "images/val/b.png"),
            {"labels__train__a--txt": LINE, "labels__val__b--txt": LINE + "\n" + LINE},
            [("images/train/a.jpg", "train", 1), ("images/val/b.png", "val", 2)],
            "images/train, labels/train",
        ),
        (
            ("train/images/a.jpg", "valid/images/b.jpg", "test/images/c.jpg"),
            {"train__labels__a--txt": LINE, "test__labels__c--txt": LINE},
            [
                ("test/images/c.jpg", "val", 1),
                ("train/images/a.jpg", "train", 1),
                ("valid/images/b.jpg", "val", 0),
            ],
            "train/images, train/labels; a picture without labels has no faces",
        ),
        (
            ("images/a.jpg",),
            {"labels__a--txt": "\n" + LINE + "\n\n"},
            [("images/a.jpg", None, 1)],
            "flat images and labels",
        ),
        (("a.jpg",), {"a--txt": LINE}, [("a.jpg", None, 1)], "side by side"),
        (
            ("pics/images/a.jpg", "pics/images/b.jpg", "other/c.jpg"),
            {
                "data--yaml": "path: /not/here\ntrain: pics/images\nval: [list.txt]\nkpt_shape: [51, 3]\n",
                "list--txt": "./other/c.jpg\n",
                "pics__labels__a--txt": LINE,
                "other__c--txt": LINE,
            },
            [("other/c.jpg", "val", 1), ("pics/images/a.jpg", "train", 1), ("pics/images/b.jpg", "train", 0)],
            "data.yaml decides, with a list and a path of another machine",
        ),
        (
            ("train/images/a.jpg",),
            {"data--yaml": "train: ../train/images\nval:\n", "train__labels__a--txt": LINE},
            [("train/images/a.jpg", "train", 1)],
            "a data.yaml as Roboflow writes it",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_layouts(
    tmp_path: Path,
    images: tuple[str, ...],
    files: dict[str, str],
    found: list[tuple[str, str | None, int]],
    reason: str,
) -> None:
    root = _folder(tmp_path / "faces", *images, **files)
    assert _found(root) == found, reason
    reading = yolo.read(root)
    assert reading.rejects == []
    assert {p.source for p in reading.pictures} <= {"faces", "pics", "other"}
    assert all(p.normalised for p in reading.pictures)


def test_points_and_visibility(tmp_path: Path) -> None:
    fields = LINE.split()
    fields[7], fields[10], fields[13], fields[16] = "0", "1", "0.93", "1.00"
    root = _folder(tmp_path, "images/a.jpg", **{"labels__a--txt": " ".join(fields)})
    (picture,) = yolo.read(root).pictures
    points = picture.faces[0].points
    assert points[:5, 2].tolist() == [0, 1, 2, 1, 2], "a confidence in place of the visibility is seen"
    assert points[1].tolist() == pytest.approx([0.01, 0.005, 1])


def test_68_points_without_visibility(tmp_path: Path) -> None:
    bare = "0 0.5 0.5 0.2 0.2 " + " ".join(f"{k / 100} {k / 200}" for k in range(68))
    files = {"labels__a--txt": bare, "data--yaml": "train: images\nkpt_shape: [68, 2]\n"}
    (picture,) = yolo.read(_folder(tmp_path, "images/a.jpg", **files)).pictures
    assert picture.faces[0].points[0].tolist() == pytest.approx([0.17, 0.085, 2])


@pytest.mark.parametrize(
    ("line", "why", "reason"),
    [
        ("0 0.5 0.5 0.2 0.2", "wrong-point-count", "a box alone"),
        (LINE + " 0", "wrong-point-count", "a field too many"),
        (LINE.replace("0.490000", "nan"), "not-a-number", "NaN"),
        (LINE.replace("0.490000", "abc"), "not-a-number", "text"),
    ],
    ids=lambda v: v if len(v) < 30 else "",
)
def test_rejects_are_by_line(tmp_path: Path, line: str, why: str, reason: str) -> None:
    root = _folder(tmp_path, "images/a.jpg", **{"labels__a--txt": LINE + "\n" + line})
    reading = yolo.read(root)
    assert [(r.file, r.reason) for r in reading.rejects] == [("labels/a.txt:2", why)], reason
    assert [(len(p.faces), p.rejected) for p in reading.pictures] == [(1, 1)]


def test_labels_without_a_picture_and_binary_labels(tmp_path: Path) -> None:
    root = _folder(tmp_path, "images/a.jpg", **{"labels__gone--txt": LINE, "labels__classes--txt": "face"})
    (root / "labels/a.txt").write_bytes(b"\xff\x00\xfe")
    rejects = {(r.file, r.reason) for r in yolo.read(root).rejects}
    assert rejects == {("labels/gone.txt", "missing-image"), ("labels/a.txt", "unparsable-file")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [", "cannot read"),
        ("- a\n", "no keys"),
        ("train: nowhere\n", "train: nowhere, which is not there"),
    ],
)
def test_a_bad_data_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    root = _folder(tmp_path, "images/a.jpg", **{"data--yaml": text})
    with pytest.raises(SourceError, match=message):
        yolo.read(root)


@examples(30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 6), digits=st.sampled_from([5, 6, 7, 9]))
def test_many_lines_at_once_have_the_same_bytes(seed: int, n: int, digits: int) -> None:
    """Ties between two decimals, points outside the picture and invisible ones included."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 3000, (n, 2)).astype(float)
    xy = np.round(rng.uniform(-0.01, 1.02, (n, 51, 2)), digits) * sizes[:, None]
    points = np.concatenate([xy, rng.integers(0, 3, (n, 51, 1))], axis=2)
    points[rng.random((n, 51)) < 0.1, :2] *= -0.0
    boxes = np.concatenate([points[:, 0, :2], points[:, 1, :2]], axis=1)
    lines = yolo.lines_of(boxes, points, sizes)
    for line, box, face, size in zip(lines, boxes, points, sizes.astype(int).tolist(), strict=True):
        assert line.decode() == yolo.format_lines([Face(box, face)], *size)

"""iBUG ``.pts`` files and folders of them."""

from pathlib import Path

import numpy as np
import pytest

from lidloop.data.formats import ibug
from lidloop.data.formats.records import Unusable

ROWS = [f"{k + 0.5:.3f} {2 * k + 1:.3f}" for k in range(68)]
HEAD = "version: 1\nn_points: 68\n{\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD + "\n".join(ROWS) + "\n}\n", "with header"),
        ("\n".join(ROWS), "without header, as AFW and HELEN are spread"),
        (HEAD.replace("\n", "\r\n") + "\r\n".join(ROWS) + "\r\n}", "Windows line ends"),
        ("version: 1\nn_points:  68\n{\n\n" + "\n".join(ROWS) + "\n\n}\n\n", "spaces and empty lines"),
        ("version: 1\nn_points: 51\n{\n" + "\n".join(ROWS[17:]) + "\n}", "51 points"),
        ("\n".join(row.replace(" ", ", ") for row in ROWS), "commas"),
        ("\n".join("\t" + row.replace(" ", "\t") for row in ROWS), "tabs"),
    ],
    ids=lambda v: v if len(v) < 60 else "",
)
def test_parse(text: str, reason: str) -> None:
    points = ibug.parse(text)
    assert points.shape == (51, 3), reason
    assert points[0].tolist() == [16.5, 34.0, 2.0], "jaw dropped, counted from 0"
    assert points[50].tolist() == [66.5, 134.0, 2.0]


@pytest.mark.parametrize(
    ("text", "why", "detail"),
    [
        ("", "wrong-point-count", "0 points"),
        ("\n".join(ROWS[:67]), "wrong-point-count", "67 points"),
        (HEAD + "\n".join(ROWS[:67]) + "\n}", "wrong-point-count", "n_points is 68 but 67"),
        ("n_points: 29\n{\n" + "\n".join(ROWS[:29]) + "\n}", "wrong-point-count", "29 points"),
        (HEAD + "\n".join(ROWS), "unparsable-file", "closing"),
        ("\n".join([*ROWS[:67], "1 2 3"]), "unparsable-file", "1 2 3"),
        ("<html>404</html>", "unparsable-file", "<html>"),
        ("\n".join([*ROWS[:67], "nan 3"]), "not-a-number", "point 50"),
        ("\n".join([*ROWS[:67], "3 inf"]), "not-a-number", "point 50"),
        ("\n".join([*ROWS[:67], "x y"]), "not-a-number", "x"),
    ],
)
def test_parse_refuses(text: str, why: str, detail: str) -> None:
    with pytest.raises(Unusable) as info:
        ibug.parse(text)
    assert info.value.reason == why
    assert detail in info.value.detail


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(ROWS) if path.suffix.lower() == ".pts" else "")


def test_read_names_sources_and_splits(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "300w/afw/1.pts", "300w/afw/1.jpg",
        "300w/helen/trainset/2.pts", "300w/helen/trainset/2.PNG",
        "300w/lfpw/testset/3.pts", "300w/lfpw/testset/3.jpg", "300w/lfpw/testset/lonely.jpg",
        "300w/.hidden/4.pts", "300w/afw/._1.pts",
    )  # fmt: skip
    reading = ibug.read(tmp_path / "300w")
    assert [(p.file, p.source, p.split) for p in reading.pictures] == [
        ("afw/1.jpg", "afw", None),
        ("helen/trainset/2.PNG", "helen", "train"),
        ("lfpw/testset/3.jpg", "lfpw", "val"),
    ]
    assert reading.rejects == []
    assert reading.unannotated == {"lfpw": 1}


@pytest.mark.parametrize(
    ("root", "source", "split"),
    [("helen", "helen", "train"), ("helen/trainset", "helen", "train"), ("helen/trainset/a b", "a-b", None)],
)
def test_a_split_folder_takes_its_parents_name(tmp_path: Path, root: str, source: str, split: str) -> None:
    _touch(tmp_path, "helen/trainset/2.pts", "helen/trainset/2.jpg")
    _touch(tmp_path, "helen/trainset/a b/3.pts", "helen/trainset/a b/3.jpg")
    picture = ibug.read(tmp_path / root).pictures[-1 if root.endswith("b") else 0]
    assert (picture.source, picture.split) == (source, split)


def test_read_lists_rejects(tmp_path: Path) -> None:
    _touch(tmp_path, "afw/gone.pts", "afw/ok.pts", "afw/ok.jpg", "afw/bad.jpg", "afw/binary.jpg")
    (tmp_path / "afw/bad.pts").write_text("1 2\n")
    (tmp_path / "afw/binary.pts").write_bytes(b"\xff\xfe\x00\x81")
    reading = ibug.read(tmp_path / "afw")
    assert {(r.file, r.reason) for r in reading.rejects} == {
        ("gone.pts", "missing-image"),
        ("bad.pts", "wrong-point-count"),
        ("binary.pts", "unparsable-file"),
    }
    assert {p.file: (len(p.faces), p.rejected) for p in reading.pictures} == {
        "ok.jpg": (1, 0),
        "bad.jpg": (0, 1),
        "binary.jpg": (0, 1),
    }


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    _touch(tmp_path, "real/afw/1.pts", "real/afw/1.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "afw").symlink_to(tmp_path / "real/afw")
    (tmp_path / "real/afw/loop").symlink_to(root)
    pictures = ibug.read(root).pictures
    assert [p.source for p in pictures] == ["afw"]
    assert np.isfinite(pictures[0].faces[0].points).all()

"""Folders of ``.pts`` files as other tools write them: names, places, videos, missing points."""

from pathlib import Path

import pytest

from lidloop.data.formats import ibug

TEXT = "\n".join(f"{k + 1.5:.2f} {2 * k + 1.5:.2f}" for k in range(68))


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(TEXT if name.lower().endswith(".pts") else "")
    return root


@pytest.mark.parametrize(
    ("points", "pictures", "found", "why"),
    [
        ("a.pts", ["a.jpg"], "a.jpg", "beside it"),
        ("a.jpg.pts", ["a.jpg"], "a.jpg", "the picture's ending kept"),
        ("a.JPG.pts", ["a.jpg"], "a.jpg", "in capitals"),
        ("a.jpg.pts", ["a.png", "a.jpg"], "a.jpg", "of the picture with that ending"),
        ("a.b.pts", ["a.b.png"], "a.b.png", "a dot in the name"),
        ("IMG_1.PTS", ["img_1.jpg"], "img_1.jpg", "case"),
        ("a.pts", ["A.jpg", "a.jpg"], "a.jpg", "the exact case goes first"),
        ("ame\u0301lie.pts", ["am\u00e9lie.jpg"], "am\u00e9lie.jpg", "decomposed for composed"),
        ("am\u00e9lie.pts", ["ame\u0301lie.jpg"], "ame\u0301lie.jpg", "composed for decomposed"),
        ("001/annot/000001.pts", ["001/frames/000001.jpg"], "001/frames/000001.jpg", "300-VW, frames beside"),
        ("001/annot/000001.pts", ["001/000001.jpg"], "001/000001.jpg", "300-VW, frames above"),
        ("annotations/a.pts", ["images/a.jpg"], "images/a.jpg", "two folders"),
        ("annotations/s/a.pts", ["images/s/a.jpg", "images/t/a.jpg"], "images/s/a.jpg", "the same below"),
        ("pts/train/a.pts", ["img/train/a.jpg"], "img/train/a.jpg", "a split below"),
        ("labels/a.pts", ["labels/a.jpg", "images/a.jpg"], "labels/a.jpg", "beside goes first"),
    ],
)
def test_pictures_are_found(tmp_path: Path, points: str, pictures: list[str], found: str, why: str) -> None:
    root = touch(tmp_path, points, *pictures)
    reading = ibug.read(root)
    assert [(p.file, len(p.faces)) for p in reading.pictures] == [(found, 1)], why
    assert reading.rejects == []


def test_the_folder_of_points_may_be_the_source(tmp_path: Path) -> None:
    touch(tmp_path, "set/annot/1.pts", "set/frames/1.jpg")
    (picture,) = ibug.read(tmp_path / "set/annot").pictures
    assert picture.path == tmp_path / "set/frames/1.jpg"
    assert (picture.source, picture.file) == ("set", "../frames/1.jpg")


@pytest.mark.parametrize(
    ("points", "others", "reason", "fragment", "why"),
    [
        ("001/annot/000001.pts", ["001/vid.avi"], "missing-image", "ffmpeg -i vid.avi", "a video beside"),
        ("001/000001.pts", ["001/clip.MP4"], "missing-image", "ffmpeg -i clip.MP4", "a video in the folder"),
        ("annot/1.pts", ["a/1.jpg", "b/1.jpg"], "ambiguous-image", "a, b", "two folders of frames"),
        ("a.pts", ["b/a.jpg"], "missing-image", "a.jpg", "no folder of points, so not elsewhere"),
        ("A.pts", ["a.jpg", "ａ.jpg"], None, "", "another letter is another name"),
        ("É.pts", ["é.jpg", "e\u0301.jpg"], "missing-image", "", "two spellings, and neither is exact"),
        ("a.pts", ["a.heic"], "unreadable-image", "HEIC", "HEIC"),
        ("a.pts", ["a.AVIF"], "unreadable-image", "AVIF", "AVIF"),
        ("a.gif.pts", ["a.gif"], "unreadable-image", "GIF", "GIF"),
        ("annot/a.pts", ["frames/a.heic"], "unreadable-image", "HEIC", "HEIC in the folder beside"),
        ("a.pts", ["b.heic"], "missing-image", "a.jpg", "another picture's HEIC"),
    ],
)
def test_a_missing_picture_is_explained(
    tmp_path: Path, points: str, others: list[str], reason: str | None, fragment: str, why: str
) -> None:
    rejects = ibug.read(touch(tmp_path, points, *others)).rejects
    assert [r.reason for r in rejects] == ([reason] if reason else []), why
    assert all(fragment in r.detail and r.file == points for r in rejects)


@pytest.mark.parametrize(
    ("row", "expected", "why"),
    [
        ("0 0", [0, 0, 0], "0 0 is a point that nobody placed: points count from 1"),
        ("-1 -1", [0, 0, 0], "-1 -1 too"),
        ("1 1", [0, 0, 2], "the first pixel"),
        ("-5 3", [-6, 2, 2], "outside the picture"),
    ],
)
def test_missing_points(row: str, expected: list[float], why: str) -> None:
    rows = TEXT.splitlines()
    rows[67] = row
    assert ibug.parse("\n".join(rows))[50].tolist() == expected, why


@pytest.mark.parametrize(
    ("content", "reason", "why"),
    [
        (
            TEXT.replace("1.50 1.50", "9" * 400 + " 1").encode(),
            None,
            "400 digits in the jaw, which is not used",
        ),
        (TEXT.replace("68.50", "9" * 400).encode(), "not-a-number", "400 digits"),
        (TEXT.replace("68.50", "x" * 9000).encode(), "not-a-number", "a long word"),
        (("1 2 " * 9000).encode(), "unparsable-file", "one long line"),
        (f"n_points: {'9' * 9000}\n{TEXT}".encode(), "wrong-point-count", "a long count"),
        (b"\x80\x81", "unparsable-file", "no text"),
        (TEXT.encode("utf-16"), None, "UTF-16"),
    ],
)
def test_content(tmp_path: Path, content: bytes, reason: str | None, why: str) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "a.pts").write_bytes(content)
    rejects = ibug.read(tmp_path).rejects
    assert [r.reason for r in rejects] == ([reason] if reason else []), why
    assert all(len(r.detail) < 500 for r in rejects)

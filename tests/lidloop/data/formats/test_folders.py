"""Folders of a source: unreadable ones, links, spellings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lidloop.data.formats import coco, ibug, unlabelled, yolo
from lidloop.data.formats.folders import Folders
from lidloop.data.formats.records import Reading

Deny = Callable[[Path], None]


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Deny:
    """Make a folder unreadable, also for root, whom permissions do not stop."""
    denied: set[str] = set()
    scandir: Any = os.scandir

    def refuse(path: Any = ".") -> Any:
        if os.fspath(path) in denied:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return lambda path: denied.add(str(path))


def _coco(root: Path) -> Reading:
    (root / "x.json").write_text('{"images": [{"id": 1, "file_name": "gone.jpg"}], "annotations": []}')
    return coco.read(root / "x.json")


@pytest.mark.parametrize(
    "read", [ibug.read, yolo.read, unlabelled.read, _coco], ids=["ibug", "yolo", "images", "coco"]
)
@pytest.mark.parametrize("name", ["patients", "a/b/patients"])
def test_an_unreadable_folder_is_listed(tmp_path: Path, deny: Deny, read: Any, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    deny(tmp_path / name)
    rejects = [r for r in read(tmp_path).rejects if r.reason == "unreadable-folder"]
    assert [r.file for r in rejects] == [name]
    assert "Permission denied" in rejects[0].detail


def test_every_picture_of_a_folder_is_read(tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.PNG", "b/.hidden.jpg", ".git/d.jpg", "e.txt", "f.heic", "g.gif", "a.pts"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    reading = unlabelled.read(tmp_path)
    assert [(p.file, p.unlabelled, p.split) for p in reading.pictures] == [
        ("a.jpg", True, None),
        ("b/c.PNG", True, None),
    ]
    assert [(r.file, r.reason) for r in reading.rejects] == [
        ("f.heic", "unreadable-image"),
        ("g.gif", "unreadable-image"),
    ]


def test_find_prefers_the_exact_spelling(tmp_path: Path) -> None:
    for name in ("Images/A.jpg", "images2/b.jpg", "images2/B.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    folders = Folders()
    assert folders.find(tmp_path / "images/a.JPG") == tmp_path / "Images/A.jpg"
    assert folders.find(tmp_path / "images2/B.jpg") == tmp_path / "images2/B.jpg"
    assert folders.find(tmp_path / "images2/b.JPG") is None, "two spellings, neither exact"
    assert folders.file(tmp_path / "IMAGES") is None, "a folder is no file"
    assert folders.find(tmp_path / ("x" * 5000)) is None
    assert folders.unreadable == {}


def test_pipes_are_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").touch()
    assert [p.file for p in unlabelled.read(tmp_path).pictures] == ["b.jpg"]

"""Atomic writes: complete or absent, nothing foreign replaced, errors that name the path asked for."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lidloop.errors import OccupiedError, cause
from lidloop.files import expand_user, folder_atomic, refuse_foreign_file, require_free, write_atomic


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"), folder_atomic(tmp_path / "out") as folder:
        (folder / "a").write_text("half")
        raise RuntimeError("half way")
    assert not list(tmp_path.iterdir())
    with folder_atomic(tmp_path / "out") as folder:
        (folder / "a").write_text("whole")
    assert contents(tmp_path) == {"out/a": b"whole"}


@pytest.mark.parametrize("taken", ["folder", "file", "broken link", "link to a folder"])
def test_folder_atomic_does_not_replace_what_is_there(tmp_path: Path, taken: str) -> None:
    target = tmp_path / "out"
    thesis = tmp_path / ("thesis" if "link" in taken else "out")
    if taken in ("folder", "link to a folder"):
        thesis.mkdir()
        (thesis / "thesis.txt").write_text("years of work")
    elif taken == "file":
        thesis.write_text("years of work")
    if "link" in taken:
        target.symlink_to(thesis)
    before = contents(tmp_path)
    with pytest.raises(OccupiedError, match="out"), folder_atomic(target):
        raise AssertionError("the block must not start")
    assert contents(tmp_path) == before
    assert target.is_symlink() == ("link" in taken)


def test_folder_atomic_fills_an_empty_folder_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with folder_atomic(tmp_path / "link") as folder:
        (folder / "a").write_text("whole")
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == {"a": b"whole"}


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_folder_atomic_does_not_replace_what_appears_meanwhile(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    with pytest.raises((OccupiedError, OSError)), folder_atomic(target) as folder:
        (folder / "a").write_text("new")
        if kind == "folder":
            target.mkdir()
            (target / "other").write_text("of another process")
        else:
            target.write_text("of another process")
    assert b"of another process" in contents(tmp_path).values()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_replaced_folder_stays_when_the_swap_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    with folder_atomic(target) as folder:
        (folder / "a").write_text("old")
    real = os.replace

    def refuse(source: os.PathLike[str], place: os.PathLike[str]) -> None:
        if Path(place) == target and Path(source).name != "was":
            raise OSError(errno.ENOSPC, "disk full")
        real(source, place)

    with (
        pytest.raises(OSError, match="disk full"),
        monkeypatch.context() as patch,
        folder_atomic(target, replace=True) as folder,
    ):
        (folder / "a").write_text("new")
        patch.setattr(os, "replace", refuse)
    assert contents(tmp_path) == {"out/a": b"old"}
    with folder_atomic(target, replace=True) as folder:
        (folder / "a").write_text("new")
    assert contents(tmp_path) == {"out/a": b"new"}


def test_require_free_lets_new_and_empty_folders_pass(tmp_path: Path) -> None:
    require_free(tmp_path / "new" / "deep")
    require_free(tmp_path)
    with pytest.raises(OccupiedError, match="is not a folder"):
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        require_free(tmp_path / "loop")


def test_a_foreign_file_is_not_replaced(tmp_path: Path) -> None:
    def own(head: bytes) -> bool:
        return head.startswith(b"ours")

    refuse_foreign_file(tmp_path / "new", own, what="a table")
    (tmp_path / "empty").touch()
    refuse_foreign_file(tmp_path / "empty", own, what="a table")
    (tmp_path / "ours").write_text("ours, made earlier")
    refuse_foreign_file(tmp_path / "ours", own, what="a table")
    (tmp_path / "theirs").write_text("years of work")
    with pytest.raises(OccupiedError, match="theirs is there already"):
        refuse_foreign_file(tmp_path / "theirs", own, what="a table")
    with pytest.raises(OccupiedError, match="is a folder"):
        refuse_foreign_file(tmp_path, own, what="a table")


def test_a_file_keeps_its_content_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    write_atomic(file, "old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(os, "replace", refuse)
        write_atomic(file, "new")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_replaced_file_keeps_its_permissions_and_a_link_stays_a_link(tmp_path: Path) -> None:
    secret = tmp_path / "keys.json"
    write_atomic(secret, "one")
    assert secret.stat().st_mode & 0o777 == 0o644
    secret.chmod(0o600)
    (tmp_path / "link").symlink_to(secret)
    write_atomic(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert secret.read_text() == "two"
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "-rf", "a\nb", "*?[1]%20'", " "])
def test_unusual_names_are_written(tmp_path: Path, name: str) -> None:
    write_atomic(tmp_path / name, "content")
    assert contents(tmp_path) == {name: b"content"}
    with folder_atomic(tmp_path / "folders" / name) as folder:
        (folder / "a").write_text("whole")
    assert [p.name for p in (tmp_path / "folders").iterdir()] == [name]


@pytest.mark.parametrize(
    ("place", "words"),
    [("file/below/a.txt", "file"), ("x" * 256, "longer than the file system allows"), ("loop/a.txt", "link")],
)
def test_errors_name_the_path_and_not_a_temporary_file(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match=r".") as caught:
        write_atomic(tmp_path / place, "content")
    said = cause(caught.value)
    assert words in said
    assert "\n" not in said
    assert f"{tmp_path}/." not in said
    assert (tmp_path / "file").read_text() == "in the way"


def test_home_is_expanded_and_an_unknown_user_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert expand_user("~/set") == Path("/home/somebody/set")
    assert expand_user("~") == Path("/home/somebody")
    assert expand_user("~no-such-user/set") == Path("~no-such-user/set")
    assert expand_user("./~/set") == Path("./~/set")
    assert expand_user("a/~/set") == Path("a/~/set")


@pytest.mark.parametrize(
    "write", [write_atomic, lambda path, _: refuse_foreign_file(path, bool, what="a file")]
)
@pytest.mark.parametrize("linked", [False, True])
def test_a_device_pipe_or_socket_is_never_replaced(tmp_path: Path, write: Any, linked: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if linked else pipe
    if linked:
        path.symlink_to(pipe)
    with pytest.raises(OccupiedError, match="pipe"):
        write(path, "content")
    assert pipe.is_fifo()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == (["link", "pipe"] if linked else ["pipe"])

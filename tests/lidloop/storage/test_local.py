"""Store in a folder: listing, atomic writes, and messages for disk errors."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from lidloop.errors import StoreError
from lidloop.storage.local import LocalStore, disk_errors


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def filled(root: Path, keys: dict[str, bytes]) -> LocalStore:
    for key, content in keys.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(content)
    return LocalStore(root)


def test_listing_is_sorted_and_hides_own_files(tmp_path: Path) -> None:
    files = {"a/b": b"12", "a.txt": b"1", "a/c/d": b"", "Z": b"", "ü": b""}
    hidden = {".lidloop-store/record.jsonl": b"", "a/.lidloop-store-xyz": b""}
    store = filled(tmp_path / "s", files | hidden)
    keys = [item.key for item in store.items()]
    assert keys == ["Z", "a.txt", "a/b", "a/c/d", "ü"], "sorted by bytes, as S3 servers list"
    assert [item.key for item in store.items(start_after="a/b")] == ["a/c/d", "ü"]
    assert [item.key for item in store.items(recursive=False)] == ["Z", "a.txt", "a/", "ü"]
    assert [item.key for item in store.items(recursive=False, start_after="a/")] == ["ü"]
    assert [item.key for item in store.at("a").items()] == ["b", "c/d"]
    assert [item.size for item in store.items()][1:3] == [1, 2]
    assert list(LocalStore(tmp_path / "none").items()) == []


def test_links_are_followed_but_cycles_are_rejected(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {"a/b": b"1"})
    filled(tmp_path / "elsewhere", {"c": b"2"})
    (tmp_path / "s" / "linked").symlink_to(tmp_path / "elsewhere")
    assert [item.key for item in store.items()] == ["a/b", "linked/c"]
    (tmp_path / "s" / "a" / "up").symlink_to(tmp_path / "s")
    with pytest.raises(StoreError, match="a link in a cycle"):
        list(store.items())


def test_read_stat_and_put(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {"a": b"12345"})
    assert store.read("a", limit=5) == b"12345"
    assert store.read("no", limit=5) is None
    assert store.stat("no") is None
    with pytest.raises(StoreError, match="more than 4 bytes"):
        store.read("a", limit=4)
    found = store.stat("a")
    assert found is not None
    assert (found.size, found.sha256) == (5, sha(b"12345"))
    file = tmp_path / "f"
    file.write_bytes(b"new")
    assert not store.put(file, "a", sha256=sha(b"new"), only_if_absent=True)
    assert store.put(file, "b/c", sha256=sha(b"new"), only_if_absent=True)
    assert store.put(file, "a", sha256=sha(b"new"))
    with pytest.raises(StoreError, match="changed while it was read"):
        store.put(file, "a", sha256=sha(b"other"))
    assert {item.key: store.read(item.key, limit=9) for item in store.items()} == {"a": b"new", "b/c": b"new"}
    assert sorted(os.listdir(tmp_path / "s")) == ["a", "b"], "no temporary file is left"


def test_only_if_absent_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure of ``os.link`` is a mock."""

    def fail(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", fail)
    store, file = LocalStore(tmp_path / "s"), tmp_path / "f"
    for content, expected in ((b"one", True), (b"two", False)):
        file.write_bytes(content)
        assert store.put(file, "a", sha256=sha(content), only_if_absent=True) == expected
    assert store.read("a", limit=9) == b"one"


def test_a_file_changed_since_the_listing_is_rejected(tmp_path: Path) -> None:
    store = filled(tmp_path / "s", {"a": b"12345"})
    (item,) = store.items()
    (tmp_path / "s" / "a").write_bytes(b"123456")
    with pytest.raises(StoreError, match="has changed since it was listed"):
        list(store.reader(item))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk that holds /x is full; free space"),
        (errno.EDQUOT, "the disk that holds /x is full"),
        (errno.EACCES, "may not be read or written"),
        (errno.EROFS, "may not be read or written: Read-only file system"),
        (errno.ENOTDIR, "a file is in place of a folder"),
        (errno.EIO, "/x: Input/output error"),
    ],
)
def test_disk_errors_become_store_errors(code: int, words: str) -> None:
    with pytest.raises(StoreError) as error, disk_errors(Path("/x")):
        raise OSError(code, os.strerror(code))
    assert words in str(error.value)


def test_a_file_in_place_of_a_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file"):
        list(LocalStore(tmp_path / "f").items())
    with pytest.raises(StoreError, match="a file is in place of a folder"):
        LocalStore(tmp_path / "f").put(tmp_path / "f", "a", sha256=sha(b""))

"""Store in a local folder."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lidloop.errors import StoreError
from lidloop.files import sha256
from lidloop.storage.address import key_parts
from lidloop.storage.store import Item, Progress, ignore

CHUNK: Final = 1 << 20
WORK: Final = ".lidloop-store"
"""Folder of the record, lock and partial downloads of ``pull``; also the prefix of temporary file names."""


class LocalStore:
    """Store in a folder. Links are followed; this package's own temporary files are not listed."""

    def __init__(self, root: Path) -> None:
        """Use the folder ``root``; the first ``put`` creates it."""
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def at(self, key: str) -> LocalStore:
        """Return the store of a subfolder."""
        return LocalStore(self.root.joinpath(*key_parts(key)))

    def items(self, *, start_after: str = "", recursive: bool = True) -> Iterator[Item]:
        """List files, sorted by the bytes of their keys."""
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"{self.root} is a file; give the folder that contains it")
        found: list[Item] = []
        with disk_errors(self.root):
            for folder, _, names in _walk(self.root) if recursive else [_level(self.root)]:
                found += [self._item(Path(folder) / name) for name in names]
        found.sort(key=lambda item: item.key.encode())
        yield from (item for item in found if item.key.encode() > start_after.encode())

    def stat(self, key: str) -> Item | None:
        """Return size and digest of one file. No digest is stored, so it is computed."""
        path = self.root.joinpath(*key_parts(key))
        with disk_errors(path):
            if not path.is_file():
                return None
            item = self._item(path)
            return Item(item.key, item.size, item.tag, sha256_of(path))

    def read(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of a small file."""
        path = self.root.joinpath(*key_parts(key))
        with disk_errors(path):
            if not path.is_file():
                return None
            with path.open("rb") as file:
                content = file.read(limit + 1)
        if len(content) > limit:
            raise StoreError(f"{path} has more than {limit} bytes, too many for this file")
        return content

    def reader(self, item: Item, offset: int = 0) -> LocalReader:
        """Return a reader of a listed file."""
        return LocalReader(self.root.joinpath(*key_parts(item.key)), item, offset)

    def put(
        self, path: Path, key: str, *, sha256: str, progress: Progress = ignore, only_if_absent: bool = False
    ) -> bool:
        """Copy a file atomically: to a temporary name, renamed when complete."""
        target = self.root.joinpath(*key_parts(key))
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{WORK}-")
            try:
                digest = hashlib.sha256()
                with path.open("rb") as source, os.fdopen(handle, "wb") as file:
                    while data := source.read(CHUNK):
                        digest.update(data)
                        file.write(data)
                        progress(len(data))
                if digest.hexdigest() != sha256:
                    raise StoreError(
                        f"{path} was changed while it was read; try again when no process writes it"
                    )
                os.chmod(name, 0o644)
                if only_if_absent:
                    return _link_if_absent(name, target)
                os.replace(name, target)
                return True
            finally:
                Path(name).unlink(missing_ok=True)

    def _item(self, path: Path) -> Item:
        key = path.relative_to(self.root).as_posix()
        if path.is_dir():
            return Item(f"{key}/", 0)
        stat = path.stat()
        return Item(key, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}", modified=stat.st_mtime)


class LocalReader:
    """Reader of a file in chunks."""

    sha256 = ""

    def __init__(self, path: Path, item: Item, offset: int) -> None:
        """Store the path; the file is opened when iteration starts."""
        self._path, self._item, self._offset = path, item, offset

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content in chunks."""
        with disk_errors(self._path), self._path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if self._item.tag and self._item.tag != f"{stat.st_size}-{stat.st_mtime_ns}":
                raise StoreError(f"{self._path} has changed since it was listed; start again")
            file.seek(self._offset)
            while data := file.read(CHUNK):
                yield data


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Convert file-system errors at ``path`` into ``StoreError`` with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"the disk that holds {path} is full; free space and run the same command again to resume"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(
                f"{error.filename or path} may not be read or written: {error.strerror}"
            ) from error
        if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
            raise StoreError(
                f"{error.filename or path}: a file is in place of a folder, or a folder in place of a file; "
                "move it away"
            ) from error
        raise StoreError(f"{error.filename or path}: {error.strerror or error}") from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hex.

    Raises:
        StoreError: if it cannot be read.
    """
    with disk_errors(path):
        return sha256(path)


def _link_if_absent(name: str, target: Path) -> bool:
    try:
        os.link(name, target)
    except FileExistsError:
        return False
    except OSError:  # without hard links, two writers at once cannot be told apart
        if target.exists():
            return False
        os.replace(name, target)
    return True


def _walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_raise):
        real = os.path.realpath(folder)
        if real in seen:
            raise StoreError(
                f"{folder} is a link in a cycle, or to a folder that is listed already; remove it"
            )
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(WORK)]
        yield folder, folders, [name for name in names if not name.startswith(WORK)]


def _level(root: Path) -> tuple[str, list[str], list[str]]:
    names = os.listdir(root) if root.exists() else []
    return str(root), [], [name for name in names if not name.startswith(WORK)]


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error

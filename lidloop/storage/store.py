"""Interface of all stores: list, read, write. Keys are relative to the address of the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lidloop.errors import StoreError

Progress = Callable[[int], None]
"""Called with the number of bytes moved since the last call; negative if bytes must be moved again."""


Bytes = Callable[[int, int], None]
"""Called with the bytes done and the total."""


def ignore(moved: int) -> None:
    """Progress callback that does nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object; with a key that ends in ``/``, a prefix of objects."""

    key: str
    size: int
    """Bytes; 0 for a prefix."""
    tag: str = ""
    """Changes with the content: ETag of an object, size and time of a file. Empty for a prefix."""
    sha256: str = ""
    """Digest in the metadata of the object; empty if it has none or was not asked."""
    modified: float = 0.0
    """Unix time of the last change if a listing gives it; else 0."""

    @property
    def is_prefix(self) -> bool:
        """True for a prefix, False for an object."""
        return self.key.endswith("/")


class Reader(Protocol):
    """Reader of an object, from an offset to its end."""

    @property
    def sha256(self) -> str:
        """Stored digest of the whole object, known after the first chunk; empty if there is none."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content in chunks.

        Raises:
            StoreError: if it cannot be read, ends early, or has changed since it was listed.
        """


class Store(Protocol):
    """A folder, or a prefix in a bucket. Methods raise ``StoreError`` for failures that a user can fix."""

    def at(self, key: str) -> Store:
        """Return the store of a prefix below this one."""

    def items(self, *, start_after: str = "", recursive: bool = True) -> Iterator[Item]:
        """List objects page by page, sorted by the bytes of their keys.

        Args:
            start_after: skip this key and all before it, to resume a listing.
            recursive: list all levels; else the objects of this level, and one prefix per level below.
        """

    def stat(self, key: str) -> Item | None:
        """Return size and digest of one object; None if it does not exist."""

    def read(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of an object of at most ``limit`` bytes; None if it does not exist."""

    def reader(self, item: Item, offset: int = 0) -> Reader:
        """Return a reader of a listed object."""

    def put(
        self, path: Path, key: str, *, sha256: str, progress: Progress = ignore, only_if_absent: bool = False
    ) -> bool:
        """Write a file as an object atomically, with its digest as metadata if the store supports that.

        Args:
            path: the file; if its content does not match ``sha256``, nothing is written.
            key: key of the object.
            sha256: digest of the content.
            progress: called with bytes as they are read.
            only_if_absent: do not replace an existing object (a conditional write). For small objects:
                most servers make this atomic for them.

        Returns:
            False if ``only_if_absent`` found an object.
        """


class Meter:
    """Byte counter of several threads; stops them when one has failed."""

    def __init__(self, total: int, progress: Bytes | None) -> None:
        """Start at 0 of ``total`` bytes."""
        self.total = total
        self.stopped = False
        self._progress, self._done = progress, 0
        self._lock = threading.Lock()

    def move(self, moved: int) -> None:
        """Add bytes.

        Raises:
            StoreError: if ``stopped`` was set.
        """
        if self.stopped:
            raise StoreError("stopped, because another file failed")
        with self._lock:
            self._done += moved
            if self._progress:
                self._progress(self._done, self.total)

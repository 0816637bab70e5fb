"""Interface of every store: list, read, write. Keys are relative to the store's address."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lidloop.errors import StoreError

Progress = Callable[[int], None]
"""Called with the number of bytes moved since the last call; negative where work has to be done again."""


Bytes = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


def ignore(moved: int) -> None:
    """Default progress callback: does nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object, or with a key that ends in ``/`` a prefix under which there are some."""

    key: str
    size: int
    """Bytes; 0 for a prefix."""
    tag: str = ""
    """Another content has another tag: an object's ETag, a file's size and time. Empty for a prefix."""
    sha256: str = ""
    """Digest that the store keeps beside the object; empty where it has none or was not asked."""
    modified: float = 0.0
    """Unix time of its last change, where a listing says it; else 0."""

    @property
    def is_prefix(self) -> bool:
        """True for a prefix, False for an object."""
        return self.key.endswith("/")


class Reader(Protocol):
    """An object that is being read, from an offset to its end."""

    @property
    def sha256(self) -> str:
        """Digest that the store keeps of the whole object, known from the first chunk on; else empty."""

    def __iter__(self) -> Iterator[bytes]:
        """The content in chunks.

        Raises:
            StoreError: where it cannot be read, ends early, or has changed since it was listed.
        """


class Store(Protocol):
    """A folder, or a prefix in a bucket. Every method raises StoreError for what a person can put right."""

    def at(self, key: str) -> Store:
        """The store of a prefix below this one."""

    def items(self, *, start_after: str = "", recursive: bool = True) -> Iterator[Item]:
        """List objects in the order of their keys' bytes, page by page.

        Args:
            start_after: leave out this key and all before it, so that a listing can go on where it ended.
            recursive: list everything; else objects of this level, and one prefix for each level below.
        """

    def stat(self, key: str) -> Item | None:
        """Size and digest of one object; None where there is none."""

    def read(self, key: str, *, limit: int) -> bytes | None:
        """Content of a small object of at most ``limit`` bytes; None where there is none."""

    def reader(self, item: Item, offset: int = 0) -> Reader:
        """Read an object that was listed."""

    def put(
        self, path: Path, key: str, *, sha256: str, progress: Progress = ignore, only_if_absent: bool = False
    ) -> bool:
        """Write a file as an object, whole or not at all, with its digest beside it where the store can.

        Args:
            path: the file; where its content is not that of ``sha256`` nothing is written.
            key: key of the object.
            sha256: digest of the content.
            progress: called with bytes as they are read.
            only_if_absent: leave an object that is there alone; for small objects, for which most servers
                settle a race.

        Returns:
            False where ``only_if_absent`` found an object.
        """


class Meter:
    """Adds up the bytes of several threads, and stops them where one has failed."""

    def __init__(self, total: int, progress: Bytes | None) -> None:
        """Start at none of ``total`` bytes."""
        self.total = total
        self.stopped = False
        self._progress, self._done = progress, 0
        self._lock = threading.Lock()

    def move(self, moved: int) -> None:
        """Add bytes.

        Raises:
            StoreError: where ``stopped`` was set.
        """
        if self.stopped:
            raise StoreError("stopped, as another file failed")
        with self._lock:
            self._done += moved
            if self._progress:
                self._progress(self._done, self.total)

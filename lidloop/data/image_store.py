"""Storage of a dataset's pictures: in its own folder, or in a place that many datasets share.

A shared place is a folder that every step mounts, or a prefix of an object store. Pictures are named by
their SHA-256 there (``ab/abcd….jpg``): a second dataset with the same picture adds nothing, and nothing is
overwritten. Pictures of an object store are downloaded on demand, or several at a time ahead of it, and
their digest is checked.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from lidloop.errors import DatasetError
from lidloop.files import write_atomic
from lidloop.storage import LocalStore, Store, open_store

logger = logging.getLogger("lidloop")

WORKERS: Final = 16
"""Number of pictures transferred at a time."""
LARGEST: Final = 1 << 28
"""Limit of the size of a picture that is fetched, in bytes."""


class Record(Protocol):
    """Properties of a picture that are needed: name of its file in a dataset's folder, and SHA-256."""

    @property
    def file(self) -> str: ...
    @property
    def sha256(self) -> str: ...


class Pictures(Protocol):
    """The pictures of one dataset."""

    def path(self, record: Record) -> Path:
        """A picture's file on this disk."""

    def fetch(self, records: Sequence[Record]) -> None:
        """Download these pictures ahead of ``path``."""


@dataclass(frozen=True)
class Folder:
    """Pictures under a dataset's own names."""

    root: Path

    def path(self, record: Record) -> Path:
        """A picture's file."""
        return self.root / record.file

    def fetch(self, records: Sequence[Record]) -> None:
        """Nothing to do: they are on this disk."""


@dataclass(frozen=True)
class Shared:
    """Pictures under their digests in a place that many datasets share."""

    place: str
    digest: str
    """Digest of the dataset; names the folder of downloaded copies."""

    @cached_property
    def _store(self) -> Store:
        return open_store(self.place)

    @cached_property
    def _copies(self) -> Path:
        """Folder of downloaded copies: shared by the processes of this user, and by nobody else."""
        place = Path(tempfile.gettempdir()).resolve()
        folder = place / f"lidloop-pictures-{os.getuid()}-{self.digest[:16]}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
            raise DatasetError(
                f"{folder} can be changed by other users; remove it, or set TMPDIR to another folder"
            )
        return folder

    def path(self, record: Record) -> Path:
        """A picture's file.

        Raises:
            StoreError: where it cannot be fetched.
            DatasetError: where it does not exist, or its digest is not that of the index.
        """
        key = key_of(record)
        if isinstance(self._store, LocalStore):
            return self._store.root.resolve() / key
        copy = self._copies / key
        if not copy.exists():
            content = self._store.read(key, limit=LARGEST)
            if content is None:
                raise DatasetError(f"{record.file} is no longer in {self._store} (as {key}); convert again")
            if sha256(content).hexdigest() != record.sha256:
                raise DatasetError(f"{self._store}/{key} is damaged; remove it and convert again")
            write_atomic(copy, content)
        return copy

    def fetch(self, records: Sequence[Record]) -> None:
        """Download these pictures, ``WORKERS`` at a time."""
        if not isinstance(self._store, LocalStore):
            logger.info("fetching up to %d pictures from %s", len(records), self._store)
            _each(self.path, records)


def key_of(record: Record) -> str:
    """A picture's name in a shared place."""
    return f"{record.sha256[:2]}/{record.sha256}{Path(record.file).suffix}"


def share(folder: Path, records: Sequence[Record], place: str) -> int:
    """Copy those pictures into a shared place that it lacks, and return their number.

    Args:
        folder: where they lie, under their datasets' names.
        records: which.
        place: folder or ``s3://`` address.

    Raises:
        StoreError: where the place cannot be read or written.
    """
    store = open_store(place)
    known = {item.key for item in store.items()} if records else set()

    def put(record: Record) -> None:
        # Another process that writes the same name writes the same bytes.
        store.put(folder / record.file, key_of(record), sha256=record.sha256)

    missing = [record for record in records if key_of(record) not in known]
    _each(put, missing)
    logger.info("%d of %d pictures were new to %s", len(missing), len(records), store)
    return len(missing)


def _each(work: Callable[[Record], object], records: Iterable[Record]) -> None:
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="lidloop-pictures") as pool:
        try:
            for _ in pool.map(work, records):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

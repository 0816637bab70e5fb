"""Record of the files downloaded into a folder: JSON Lines, one line per completed file."""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from lidloop.errors import StoreError
from lidloop.files import write_atomic
from lidloop.storage.local import WORK, disk_errors

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Known:
    """A file as downloaded: key, size in bytes, tag in the store, SHA-256."""

    key: str
    bytes: int
    tag: str
    sha256: str


class Record:
    """Record of the downloaded files of a folder, held under a lock file."""

    def __init__(self, work: Path, file: IO[bytes], known: dict[str, Known], lines: int) -> None:
        self.parts = work / "parts"
        self.known = known
        self._path, self._file, self._lines = work / "record.jsonl", file, lines
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def open(cls, folder: Path, origin: str) -> Iterator[Record]:
        """Lock and open the record of a folder, and check that its files come from ``origin``."""
        work = folder / WORK
        if folder.exists() and not folder.is_dir():
            raise StoreError(f"{folder} is a file; give a folder")
        with disk_errors(work):
            work.mkdir(parents=True, exist_ok=True)
        with locked(work / "lock", folder), disk_errors(work), (work / "record.jsonl").open("a+b") as file:
            known, lines = _load(file, folder, origin)
            yield cls(work, file, known, lines)

    def add(self, known: Known) -> None:
        """Append a completed file."""
        line = json.dumps(asdict(known)).encode() + b"\n"
        with self._lock:
            self.known[known.key] = known
            self._lines += 1
            self._file.write(line)
            self._file.flush()

    def close(self, forget: Iterable[str]) -> None:
        """Drop the keys ``forget``, rewrite the record if it has stale lines, delete partial downloads."""
        for key in forget:
            del self.known[key]
        if self._lines != len(self.known):
            self._file.seek(0)
            head = self._file.readline()
            lines = [json.dumps(asdict(known)).encode() + b"\n" for known in self.known.values()]
            write_atomic(self._path, head + b"".join(lines))
        shutil.rmtree(self.parts, ignore_errors=True)


@contextmanager
def locked(lock: Path, folder: Path) -> Iterator[None]:
    """Hold a lock file, so that no other process downloads to ``folder``.

    Raises:
        StoreError: if another process holds it.
    """
    with disk_errors(lock):
        file = lock.open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another process downloads into {folder}; wait for it") from None
        yield


def _load(file: IO[bytes], folder: Path, origin: str) -> tuple[dict[str, Known], int]:
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        file.truncate(whole)  # last line incomplete: the process was killed
    try:
        rows = [json.loads(line) for line in content[:whole].splitlines()]
        known = [Known(**row) for row in rows[1:]]
    except (ValueError, TypeError):
        raise StoreError(
            f"{folder / WORK}/record.jsonl is damaged; remove {folder / WORK} and pull again; files "
            "already there are recognised by their digests"
        ) from None
    if not rows:
        file.write(json.dumps({"format": _FORMAT, "from": origin}).encode() + b"\n")
        file.flush()
        return {}, 0
    if rows[0].get("format") != _FORMAT:
        raise StoreError(
            f"{folder / WORK} is of another version of lidloop; remove that folder and pull again"
        )
    if rows[0]["from"] != origin:
        raise StoreError(
            f"{folder} was filled from {rows[0]['from']}; give another folder for {origin}, or remove "
            f"{folder / WORK} if both hold the same files"
        )
    return {one.key: one for one in known}, len(known)

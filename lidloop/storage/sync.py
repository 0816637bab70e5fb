"""Mirror a prefix of a store in a folder: downloads only missing and changed files.

The downloaded files are recorded in ``.lidloop-store/record.jsonl`` of the folder; a pull that was killed
resumes from it. Files that were changed locally are overwritten only on request.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from lidloop.errors import StoreError
from lidloop.storage.address import key_parts
from lidloop.storage.local import CHUNK, WORK, LocalStore, disk_errors, sha256_of
from lidloop.storage.record import Known, Record
from lidloop.storage.store import Bytes, Item, Meter, Store
from lidloop.storage.transfer import fetch

WORKERS: Final = 8
_MD5: Final = re.compile(r"[0-9a-f]{32}")
_SHOWN: Final = 5

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Pulled:
    """Result of a pull."""

    address: str
    folder: str
    files: int
    bytes: int
    """Total size of all files."""
    downloaded: int
    downloaded_bytes: int
    unchanged: int
    left_over: tuple[str, ...]
    """Files of an earlier pull that are still in the folder but no longer in the store."""
    removed: tuple[str, ...]


def pull(
    store: Store,
    folder: Path,
    *,
    overwrite: bool = False,
    prune: bool = False,
    wanted: Callable[[str], bool] | None = None,
    workers: int = WORKERS,
    progress: Bytes | None = None,
) -> Pulled:
    """Bring a folder up to date with a store.

    Args:
        store: source of the files.
        folder: target folder; created if missing.
        overwrite: replace files that were changed locally or are of unknown origin.
        prune: remove unchanged files of an earlier pull that are no longer in the store.
        wanted: chooses the keys to download; all by default.
        workers: number of files checked or downloaded in parallel.
        progress: called with bytes done and total bytes, as files are checked and downloaded.

    Raises:
        StoreError: for an unreachable or empty store, a key that is no valid path, local files in
            conflict, a folder of another store or locked by another pull, a full disk.
    """
    if isinstance(store, LocalStore) and folder.resolve().is_relative_to(store.root.resolve()):
        raise StoreError(f"{folder} is inside {store}, the source; give a folder elsewhere")
    items = [item for item in _listed(store) if wanted is None or wanted(item.key)]
    with Record.open(folder, str(store)) as record:
        paths = _paths(folder, items)
        meter = Meter(sum(item.size for item in items), progress)

        def check(item: Item) -> str:
            state = _state(store, item, paths[item.key], record)
            meter.move(item.size if state == "same" else 0)
            return state

        def download(item: Item) -> None:
            digest = fetch(store, item, paths[item.key], work=record.parts, progress=meter.move)
            record.add(Known(item.key, item.size, item.tag, digest))

        gone = sorted(record.known.keys() - paths.keys())
        removed = [key for key in gone if prune and _remove(folder, record.known[key])]
        states = list(_parallel_map(check, items, workers, meter))
        changed = [item for item, state in zip(items, states, strict=True) if state != "same"]
        conflicts = [item.key for item, state in zip(items, states, strict=True) if state == "modified"]
        if conflicts and not overwrite:
            raise StoreError(
                f"{_shortened(conflicts)} in {folder} were changed or did not come from {store}; move them "
                "away, or replace them with --overwrite"
            )
        wanted_bytes = sum(item.size for item in changed)
        _check_free_space(folder, wanted_bytes)
        for _ in _parallel_map(download, changed, workers, meter):
            pass
        left = [key for key in gone if folder.joinpath(*key_parts(key)).is_file()]
        record.close(forget=set(gone) - set(left))
    return Pulled(
        address=str(store),
        folder=str(folder),
        files=len(items),
        bytes=meter.total,
        downloaded=len(changed),
        downloaded_bytes=wanted_bytes,
        unchanged=len(items) - len(changed),
        left_over=tuple(left),
        removed=tuple(removed),
    )


def _listed(store: Store) -> list[Item]:
    items = list(store.items())
    if not items:
        raise StoreError(f"no objects under {store}; list its parent with `lidloop store list`")
    files = {item.key for item in items}
    for item in items:
        parts = key_parts(item.key)
        if parts[0] == WORK:
            raise StoreError(f"the key {item.key!r} has a name that lidloop reserves; rename the object")
        above = next((key for n in range(1, len(parts)) if (key := "/".join(parts[:n])) in files), None)
        if above:
            raise StoreError(
                f"{above!r} is an object and the folder of {item.key!r}; a file system cannot hold both"
            )
    return items


def _paths(folder: Path, items: Iterable[Item]) -> dict[str, Path]:
    """Return the path of each key's file; links that lead out of the folder are rejected."""
    paths = {item.key: folder.joinpath(*key_parts(item.key)) for item in items}
    root = os.path.realpath(folder)
    for parent in {path.parent for path in paths.values()}:
        if not Path(os.path.realpath(parent)).is_relative_to(root):
            raise StoreError(f"{parent} leads out of {folder} by a link; remove the link")
    return paths


def _state(store: Store, item: Item, path: Path, record: Record) -> str:
    """Return ``missing``, ``same``, ``old`` (changed in the store only) or ``modified`` (changed locally)."""
    with disk_errors(path):
        if not path.exists():
            return "missing"
        if not path.is_file():
            raise StoreError(f"{path} is not a file; move it away")
        size = path.stat().st_size
    known = record.known.get(item.key)
    if known and (known.tag, known.bytes) == (item.tag, item.size):
        return "same" if size == item.size and sha256_of(path) == known.sha256 else "modified"
    if size == item.size and (digest := _same_content(store, item, path)):
        record.add(Known(item.key, item.size, item.tag, digest))
        return "same"
    return "old" if known and size == known.bytes and sha256_of(path) == known.sha256 else "modified"


def _same_content(store: Store, item: Item, path: Path) -> str:
    """Return the SHA-256 of a file of unknown origin if ETag or digest match the object; else empty."""
    digest = sha256_of(path)
    if _MD5.fullmatch(item.tag):  # on most servers the ETag of a single-part upload
        with disk_errors(path), path.open("rb") as file:
            md5 = hashlib.md5(usedforsecurity=False)
            while data := file.read(CHUNK):
                md5.update(data)
        if md5.hexdigest() == item.tag:
            return digest
    found = store.stat(item.key)
    return digest if found is not None and found.sha256 == digest else ""


def _remove(folder: Path, known: Known) -> bool:
    path = folder.joinpath(*key_parts(known.key))
    with disk_errors(path):
        if not path.is_file() or path.stat().st_size != known.bytes or sha256_of(path) != known.sha256:
            return False
        path.unlink()
        for above in path.parents:
            if above == folder or any(above.iterdir()):
                break
            above.rmdir()
    return True


def _check_free_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise StoreError(
            f"{wanted / 1e9:.2f} GB are needed and the disk of {folder} has {free / 1e9:.2f} GB free; "
            "free space"
        )


def _parallel_map(function: Callable[[T], R], things: Iterable[T], workers: int, meter: Meter) -> Iterator[R]:
    """Apply ``function`` in parallel with a bounded queue; yield in order, stop at the first error."""
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="lidloop-store") as pool:
        try:
            for thing in things:
                waiting.append(pool.submit(function, thing))
                if len(waiting) > 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            meter.stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _shortened(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")

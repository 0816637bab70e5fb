"""Download one object to one file: resumable, verified, atomic."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lidloop.errors import StoreError
from lidloop.storage.local import CHUNK, disk_errors
from lidloop.storage.store import Item, Progress, Store, ignore


def fetch(
    store: Store, item: Item, path: Path, *, work: Path, sha256: str = "", progress: Progress = ignore
) -> str:
    """Download an object to a file.

    ``path`` is replaced only when the object is complete and its digest is right. An interrupted download is
    resumed if the object is unchanged (same tag).

    Args:
        store: the store of the object.
        item: the object as listed.
        path: target file.
        work: folder for the unfinished file, on the same file system.
        sha256: expected digest; by default the stored one, if there is one.
        progress: called with the bytes received.

    Returns:
        SHA-256 of the content.

    Raises:
        StoreError: if it cannot be read or written, or has another size or digest than expected.
    """
    name = hashlib.sha256(f"{item.key}\n{item.tag}\n{item.size}\n{sha256}".encode()).hexdigest()[:32]
    part = work / f"{name}.part"
    with disk_errors(path):
        work.mkdir(parents=True, exist_ok=True)
        resumed = part.exists()
        got, wanted = _receive(store, item, part, progress)
        if got != (sha256 or wanted or got) and resumed:
            part.unlink()  # the resumed part may be of other content
            progress(-item.size)
            got, wanted = _receive(store, item, part, progress)
        if got != (sha256 or wanted or got):
            part.unlink()
            raise StoreError(
                f"{store}/{item.key} is damaged: its SHA-256 is {got}, not {sha256 or wanted}; nothing was "
                "written. Upload it again"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, path)
    return got


def _receive(store: Store, item: Item, part: Path, progress: Progress) -> tuple[str, str]:
    """Complete the partial file; return its digest and the stored one."""
    digest = hashlib.sha256()
    with part.open("a+b") as file:
        file.seek(0)
        while data := file.read(CHUNK):
            digest.update(data)
        have = file.tell()
        if have >= item.size or not item.tag:  # no bytes to request, so no response with the stored digest
            file.truncate(0)
            digest, have = hashlib.sha256(), 0
        progress(have)
        reader = store.reader(item, have)
        for data in reader:
            file.write(data)
            digest.update(data)
            progress(len(data))
            have += len(data)
    if have != item.size:
        part.unlink()
        raise StoreError(f"{store}/{item.key} has {have} bytes, not the {item.size} listed; start again")
    return digest.hexdigest(), reader.sha256

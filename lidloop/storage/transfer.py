"""One object to one file: resumed where it was, verified, and there whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lidloop.errors import StoreError
from lidloop.storage.local import CHUNK, disk
from lidloop.storage.store import Item, Progress, Store, ignore


def fetch(
    store: Store, item: Item, path: Path, *, work: Path, sha256: str = "", progress: Progress = ignore
) -> str:
    """Download an object to a file.

    What was there at ``path`` is replaced when all of the object has come and its digest is right. A download
    that was cut off or killed is taken up where it was if the object is still the same (by its tag).

    Args:
        store: where the object is.
        item: the object as it was listed.
        path: the file.
        work: folder for the unfinished file, on the same file system.
        sha256: digest that it must have; else the one that the store keeps beside it, if it does.
        progress: called with bytes as they come.

    Returns:
        SHA-256 of the content.

    Raises:
        StoreError: where it cannot be read or written, is not of the size listed or not of that digest.
    """
    name = hashlib.sha256(f"{item.key}\n{item.tag}\n{item.size}\n{sha256}".encode()).hexdigest()[:32]
    part = work / f"{name}.part"
    with disk(path):
        work.mkdir(parents=True, exist_ok=True)
        resumed = part.exists()
        got, wanted = _receive(store, item, part, progress)
        if got != (sha256 or wanted or got) and resumed:
            part.unlink()  # its beginning may be from another time
            progress(-item.size)
            got, wanted = _receive(store, item, part, progress)
        if got != (sha256 or wanted or got):
            part.unlink()
            raise StoreError(
                f"{store}/{item.key} is damaged: its SHA-256 is {got}, not {sha256 or wanted}; nothing was "
                "written. Have it uploaded again"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, path)
    return got


def _receive(store: Store, item: Item, part: Path, progress: Progress) -> tuple[str, str]:
    """Fill the unfinished file; its digest, and the one that the store keeps."""
    digest = hashlib.sha256()
    with part.open("a+b") as file:
        file.seek(0)
        while data := file.read(CHUNK):
            digest.update(data)
        have = file.tell()
        if have >= item.size or not item.tag:  # nothing left to ask for, so nothing that tells the digest
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

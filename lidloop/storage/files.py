"""Download single files of a store by address."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lidloop.errors import StoreError
from lidloop.storage.transfer import fetch


def is_stored(place: str) -> bool:
    """True for an address of an object store, False for a local path."""
    return place.lower().startswith("s3://")


def split_name(address: str) -> tuple[str, str]:
    """Split an address into that of its parent, with the same parameters, and its last name.

    Raises:
        StoreError: if the address names only a bucket.
    """
    place, mark, parameters = address.partition("?")
    above, _, name = place.rstrip("/").rpartition("/")
    if not name or above.lower() in ("s3:/", "s3:"):
        raise StoreError(f"{place} is a bucket; name an object in it: {place.rstrip('/')}/NAME")
    return above + mark + parameters, name


def pull_file(address: str, folder: Path) -> Path:
    """Download one file into ``folder`` and return its path there.

    Raises:
        StoreError: if it does not exist, cannot be read, or is damaged.
    """
    from lidloop.storage import open_store

    above, name = split_name(address)
    store = open_store(above)
    item = store.stat(name)
    if item is None:
        raise StoreError(f"there is no {store}/{name}")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".lidloop-part-") as work:
        fetch(store, item, folder / name, work=Path(work), sha256=item.sha256)
    return folder / name

"""Single files of a store, by their address."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lidloop.errors import StoreError
from lidloop.storage.transfer import fetch


def is_stored(place: str) -> bool:
    """True if an address is one of an object store, rather than a path."""
    return place.lower().startswith("s3://")


def split_name(address: str) -> tuple[str, str]:
    """The address of what is above, with the same parameters, and the last name.

    Raises:
        StoreError: where there is nothing below the bucket.
    """
    place, mark, parameters = address.partition("?")
    above, _, name = place.rstrip("/").rpartition("/")
    if not name or above.lower() in ("s3:/", "s3:"):
        raise StoreError(f"{place} is a bucket; name what is in it: {place.rstrip('/')}/NAME")
    return above + mark + parameters, name


def pull_file(address: str, folder: Path) -> Path:
    """Download one file into ``folder`` and return its path there.

    Raises:
        StoreError: where it is not there, cannot be read, or is damaged.
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

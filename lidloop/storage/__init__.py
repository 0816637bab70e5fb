"""Object stores: folders and any S3 server behind one interface.

Example:
    >>> store = open_store("s3://hospital/raw/300w?endpoint=https://s3.hospital.example")     # doctest: +SKIP
    >>> pull(store, Path("data/300w"))                                                        # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lidloop.errors import StoreError
from lidloop.storage.address import S3Address, parse_address
from lidloop.storage.local import LocalStore
from lidloop.storage.store import Bytes, Item, Store
from lidloop.storage.sync import Pulled, pull

if TYPE_CHECKING:
    from lidloop.storage.transport import RetryPolicy

__all__ = [
    "Bytes",
    "Item",
    "LocalStore",
    "Pulled",
    "S3Address",
    "Store",
    "open_store",
    "parse_address",
    "pull",
]


def open_store(address: str | Path, *, retry_policy: RetryPolicy | None = None) -> Store:
    """Open a folder or an ``s3://`` address as a store. Sends no request.

    Args:
        address: a folder, or ``s3://BUCKET/PREFIX?PARAMETERS`` (``lidloop.storage.address``).
        retry_policy: retries of transient failures; by default up to six attempts.

    Raises:
        StoreError: for an invalid address, missing keys, or if the client is not installed.
    """
    parsed = parse_address(address)
    if isinstance(parsed, Path):
        return LocalStore(parsed)
    try:
        from lidloop.storage.s3 import S3Store
    except ModuleNotFoundError as error:
        if error.name != "minio":
            raise
        raise StoreError("s3:// addresses need the minio client: pip install 'lidloop[store]'") from error
    return S3Store(parsed, retry_policy=retry_policy)

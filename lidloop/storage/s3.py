"""Store at a prefix in a bucket of any S3 server, through the ``minio`` client."""

from __future__ import annotations

import copy
import hashlib
import heapq
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final, cast
from urllib.parse import urlsplit

import minio
from minio.error import S3Error
from minio.helpers import check_bucket_name
from minio.sse import Sse
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from lidloop.errors import StoreError
from lidloop.storage.address import S3Address, key_parts
from lidloop.storage.credentials import find_provider
from lidloop.storage.explain import store_errors
from lidloop.storage.local import disk_errors
from lidloop.storage.store import Item, Progress, ignore
from lidloop.storage.transport import RetryingPool, RetryPolicy, describe, is_transient, wait_before_retry

logger = logging.getLogger("lidloop")

CHUNK: Final = 1 << 18
"""Bytes read at a time; at most this much is lost if the connection is cut."""
PART: Final = 16 << 20
"""Bytes of a part: larger files are multipart uploads, three parts at a time."""
_MOST_PARTS: Final = 10_000
_PAGE: Final = 1000  # entries per page of a listing, as the client requests them
_DIGEST: Final = "x-amz-meta-sha256"
_LAST: Final = "\U0010ffff"
_ABSENT: Final = ("NoSuchKey", "NoSuchObject", "NotFound")


class S3Store:
    """Store at a prefix in a bucket. Transient failures are retried."""

    def __init__(self, address: S3Address, *, retry_policy: RetryPolicy | None = None) -> None:
        """Find the keys and set up the client. Sends no request to the store.

        Raises:
            StoreError: if there are no keys, the CA file is missing, or an Amazon address is invalid.
        """
        self.address = address
        self._retry_policy = retry_policy or RetryPolicy()
        pool = RetryingPool(ca_bundle=address.ca_bundle, retry_policy=self._retry_policy)
        url = urlsplit(address.endpoint)
        try:
            check_bucket_name(address.bucket, strict=True, s3_check=address.is_amazon)
            self._client = minio.Minio(
                url.netloc,
                secure=url.scheme == "https",
                # To ask for the region needs its own permission; servers other than Amazon's have only one.
                region=address.region or (None if address.is_amazon else "us-east-1"),
                http_client=pool,
                credentials=find_provider(address, pool),
            )
        except ValueError as error:
            raise StoreError(f"{address} at {address.endpoint} cannot be used: {error}") from error
        if address.use_path_style is not None:
            if address.use_path_style:
                self._client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
            else:
                self._client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
        if url.scheme == "http" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
            logger.warning("%s is reached without TLS: data can be read in transit", url.netloc)

    def __str__(self) -> str:
        return str(self.address)

    def at(self, key: str) -> S3Store:
        """Return the store of a prefix below this one; it shares connections."""
        below = copy.copy(self)
        below.address = replace(self.address, prefix=self._key(key))
        return below

    def items(self, *, start_after: str = "", recursive: bool = True) -> Iterator[Item]:
        """List objects; after a failure only the current page is requested again."""
        listed = self._items(start_after, recursive)
        if recursive:
            yield from listed
            return
        # The client lists the objects of a page before its prefixes; the heap restores the order.
        page: list[tuple[bytes, Item]] = []
        for item in listed:
            heapq.heappush(page, (item.key.encode(), item))
            if len(page) > _PAGE:
                yield heapq.heappop(page)[1]
        while page:
            yield heapq.heappop(page)[1]

    def _items(self, start_after: str, recursive: bool) -> Iterator[Item]:
        below = f"{self.address.prefix}/" if self.address.prefix else ""
        if start_after.endswith("/") and not recursive:
            start_after += _LAST  # else the objects under this prefix list it again
        listing = self._client.list_objects(
            self.address.bucket,
            prefix=below,
            recursive=recursive,
            start_after=below + start_after if start_after else None,
        )
        while True:
            with store_errors(self.address):
                found = next(listing, None)
            if found is None:
                return
            key = (found.object_name or "").removeprefix(below)
            if key and not (recursive and found.is_dir):  # some tools create empty objects as folder markers
                changed = found.last_modified.timestamp() if found.last_modified else 0.0
                yield Item(key, found.size or 0, found.etag or "", modified=changed)

    def stat(self, key: str) -> Item | None:
        """Return size and digest of one object; None if it does not exist."""
        with store_errors(self.address):
            try:
                found = self._client.stat_object(self.address.bucket, self._key(key))
            except S3Error as error:
                if error.code in _ABSENT:
                    return None
                raise
        return Item(key, found.size or 0, found.etag or "", (found.metadata or {}).get(_DIGEST, ""))

    def read(self, key: str, *, limit: int) -> bytes | None:
        """Return the content of a small object; None if it does not exist."""
        waits = self._retry_policy.waits()
        while True:
            content = bytearray()
            with store_errors(self.address):
                try:
                    for data in _stream(self._get(key)):
                        content += data
                        if len(content) > limit:
                            raise StoreError(
                                f"{self}/{key} has more than {limit} bytes, too many for this object"
                            )
                    return bytes(content)
                except S3Error as error:
                    if error.code in _ABSENT:
                        return None
                    raise
                except HTTPError as error:
                    _wait_or_raise(error, waits, self.address.host)

    def reader(self, item: Item, offset: int = 0) -> S3Reader:
        """Return a reader of a listed object, which resumes after a cut connection."""
        return S3Reader(self, item, offset)

    def put(
        self, path: Path, key: str, *, sha256: str, progress: Progress = ignore, only_if_absent: bool = False
    ) -> bool:
        """Upload a file, in parts if it is large. The object appears when the upload is complete."""
        with disk_errors(path), path.open("rb") as file, store_errors(self.address):
            size = path.stat().st_size
            body = _Checked(file, size, sha256, progress)
            try:
                self._send(body, key, size, _OnlyIfAbsent() if only_if_absent else None)
            except S3Error as error:
                if only_if_absent and error.code == "PreconditionFailed":
                    return False
                if only_if_absent and error.code == "NotImplemented":  # no conditional writes
                    return self.stat(key) is None and self.put(path, key, sha256=sha256)
                # A retried completion finds no upload if the first try succeeded and its answer was lost.
                if error.code != "NoSuchUpload":
                    raise
        found = self.stat(key)
        if found is None or found.size != size or found.sha256 not in ("", sha256):
            raise StoreError(
                f"{self}/{key} is not what was uploaded; check that nothing else writes there, and try again"
            )
        return True

    def presigned(self, key: str, seconds: int) -> str:
        """URL from which anybody who has it can read one object for a time. Sends no request.

        Args:
            key: key of the object.
            seconds: validity, at most 7 days; keys that expire before end it earlier.

        Raises:
            StoreError: for an anonymous address, which has no keys to sign with.
        """
        if self.address.anonymous:
            raise StoreError(f"{self.address} is read without keys, so there is nothing to sign a URL with")
        with store_errors(self.address):
            return self._client.presigned_get_object(
                self.address.bucket, self._key(key), expires=timedelta(seconds=seconds)
            )

    def _send(self, body: _Checked, key: str, size: int, condition: Sse | None) -> None:
        self._client.put_object(
            self.address.bucket,
            self._key(key),
            cast(BinaryIO, body),
            size,
            metadata={"sha256": body.sha256},
            part_size=max(PART, -(-size // _MOST_PARTS)),
            sse=condition,
        )

    def _get(self, key: str, offset: int = 0, tag: str = "") -> BaseHTTPResponse:
        headers: dict[str, str | list[str] | tuple[str]] = {"If-Match": f'"{tag}"'} if tag else {}
        return self._client.get_object(
            self.address.bucket, self._key(key), offset=offset, request_headers=headers
        )

    def _key(self, key: str) -> str:
        key_parts(key)
        return f"{self.address.prefix}/{key}" if self.address.prefix else key


class S3Reader:
    """Reader of an object, which resumes after a cut connection."""

    def __init__(self, store: S3Store, item: Item, offset: int) -> None:
        """Store a listed object and the start offset; sends no request."""
        self.sha256 = ""
        self._store, self._item, self._offset = store, item, offset

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content in chunks."""
        store, item, offset = self._store, self._item, self._offset
        waits = store._retry_policy.waits()
        while offset < item.size or not item.size:
            with store_errors(store.address):
                try:
                    response = store._get(item.key, offset, item.tag)
                    self.sha256 = response.headers.get(_DIGEST, "")
                    if offset and response.status != 206:
                        response.close()
                        raise StoreError(
                            f"{store.address.host} ignores byte ranges, so downloads cannot resume; retry"
                        )
                    for data in _stream(response):
                        offset += len(data)
                        yield data
                        waits = store._retry_policy.waits()  # progress resets the attempts
                    break
                except HTTPError as error:
                    _wait_or_raise(error, waits, store.address.host)


class _Checked:
    """File wrapper for uploads that compares the digest at the end of the file.

    The end is read before the last part is sent, so a file that changes meanwhile never becomes an object.
    """

    def __init__(self, file: BinaryIO, size: int, sha256: str, progress: Progress) -> None:
        self.sha256 = sha256
        self._file, self._left, self._progress = file, size, progress
        self._digest = hashlib.sha256()
        self._check()

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._digest.update(data)
        self._progress(len(data))
        self._left -= len(data)
        if not data:
            self._left = 0
        self._check()
        return data

    def _check(self) -> None:
        if self._left == 0 and self._digest.hexdigest() != self.sha256:
            raise StoreError(
                f"{self._file.name} was changed while it was read; try again when no process writes it"
            )


class _OnlyIfAbsent(Sse):
    """Conditional write: the server rejects it if the object exists.

    The client has no parameter for that, but sends the headers of an encryption object.
    """

    def headers(self) -> dict[str, str]:
        return {"If-None-Match": "*"}

    def tls_required(self) -> bool:
        return False


def _stream(response: BaseHTTPResponse) -> Iterator[bytes]:
    done = False
    try:
        yield from response.stream(CHUNK)
        done = True
    finally:
        if not done:
            response.close()  # unread bytes must not become part of the next answer
        response.release_conn()


def _wait_or_raise(error: HTTPError, waits: Iterator[float], host: str) -> None:
    seconds = next(waits, None)
    if seconds is None or not is_transient(error):
        raise error
    wait_before_retry(seconds, f"{host}: {describe(error)}")

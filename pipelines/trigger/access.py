"""Authentication by API key, in ``Authorization`` as Bearer or as the password of Basic.

Without a key file only this machine is answered. Keys have 256 random bits and cannot be guessed; failed
attempts are limited so that they neither cost time nor fill the log. A valid key works even where its address
is limited: behind one gateway all callers have one address, and nobody can lock out the others.
"""

from __future__ import annotations

import base64
import binascii
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request

from lidloop.web.api_keys import ALERTS, READ, START, AccessError, KeyFile
from lidloop.web.problems import Problem

log: Final = logging.getLogger("lidloop.trigger")

_HEADER: Final = 1000  # characters; a key has 64
_ADDRESSES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: id of its key, or ``local``, and its scopes."""

    id: str
    scopes: frozenset[str]


LOCAL: Final = Caller("local", frozenset({ALERTS, READ, START}))


class Failures:
    """Rate limit of failed attempts: a token bucket for each address.

    Args:
        most: attempts of an address before it is limited.
        seconds: time in which a bucket fills again.
        clock: a monotonic clock, in seconds.

    The least recently seen addresses are dropped beyond a fixed number.
    """

    def __init__(
        self, most: int = 10, seconds: float = 60.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._rate, self._clock = most, most / seconds, clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, address: str) -> float:
        """Count a failed attempt; return 0, or the seconds until the next one is allowed."""
        with self._lock:
            now = self._clock()
            left, seen = self._left.pop(address, (float(self._most), now))
            left = min(self._most, left + (now - seen) * self._rate)
            wait = 0.0 if left >= 1 else (1 - left) / self._rate
            self._left[address] = (left - 1 if left >= 1 else left, now)
            while len(self._left) > _ADDRESSES:
                self._left.popitem(last=False)
            return wait


class Access:
    """Authentication of one service.

    Args:
        keys: file of hashed keys; None: local callers need no key.

    Raises:
        AccessError: for a file that cannot be used.
    """

    def __init__(self, keys: Path | None) -> None:
        self._keys = KeyFile(keys) if keys else None
        self._failures = Failures()
        self.failures = 0
        """Number of failed attempts."""

    @property
    def open(self) -> bool:
        """True if callers need no keys; then only this machine is answered."""
        return self._keys is None

    def check(self, request: Request, *scopes: str) -> Caller:
        """Return the caller, if one of ``scopes`` is among its scopes.

        Raises:
            Problem: ``credentials``, ``forbidden``, ``too-many``, or ``not-ready`` if the key file cannot be
                read.
        """
        if self._keys is None:
            return LOCAL
        key = read_key(request.headers.get("authorization", ""))
        try:
            found = self._keys.find(key) if key else None
        except AccessError as error:
            log.error("%s", error)
            raise Problem("not-ready", "the key file cannot be read now") from None
        if found is None:
            raise self._refuse(request.state.address, given=bool(key))
        if not found.scopes & set(scopes):
            raise Problem("forbidden", f"the key does not have the scope {' or '.join(scopes)}")
        return Caller(found.id, found.scopes)

    def _refuse(self, address: str, *, given: bool) -> Problem:
        self.failures += 1
        wait = self._failures.failed(address)
        if wait:
            return Problem(
                "too-many",
                "too many failed attempts from this address; see Retry-After",
                headers={"Retry-After": str(int(wait) + 1)},
            )
        log.warning("refused %s: %s", address, "a key that is not valid" if given else "no key")
        invalid = ', error="invalid_token"' if given else ""
        return Problem(
            "credentials",
            "the key is not valid" if given else "this service needs a key",
            headers={"WWW-Authenticate": f'Bearer realm="lidloop"{invalid}, Basic realm="lidloop"'},
        )


def read_key(header: str) -> str | None:
    """Return the key of an ``Authorization`` header: Bearer (RFC 6750), or password of Basic (RFC 7617)."""
    scheme, _, value = header[:_HEADER].partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value or None
    if scheme.lower() != "basic":
        return None
    try:
        _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return password or None

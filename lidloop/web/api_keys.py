"""API keys: made, revoked, looked up; shared by every service that answers over HTTP.

A key is ``lidloop_ID_SECRET`` with 256 random bits of secret, so a plain SHA-256 of it cannot be turned
back and no slow hash is needed (NIST SP 800-63B, 5.1.2.2: look-up secrets of 112 bits and more). The key file
holds ids, names, hashes, scopes and expiry, never a secret, and is read again when it changes: a revoked key
is refused at the next request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from lidloop.errors import LidloopError
from lidloop.files import write_atomic

PREFIX: Final = "lidloop_"
"""What every key begins with."""
SCREEN: Final = "screen"
METRICS: Final = "metrics"
START: Final = "runs:start"
READ: Final = "runs:read"
ALERTS: Final = "alerts"
SCOPES: Final = {
    SCREEN: "everything of `lidloop serve` that takes a picture",
    METRICS: "see the metrics of `lidloop serve`",
    START: "start runs through `lidloop trigger`",
    READ: "see its runs and alerts",
    ALERTS: "send it alerts, which may start a run",
}
"""What keys may be for."""

_KEY: Final = re.compile(PREFIX + r"([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class AccessError(LidloopError):
    """A key file or a key set that cannot be used."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is good now: its id, whose it is, and what it may be used for."""

    id: str
    name: str
    scopes: frozenset[str]


class KeyFile:
    """A file of hashed API keys, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._entries: dict[str, dict[str, Any]] = {}
        self._refresh()

    def find(self, key: str) -> Key | None:
        """Who a key belongs to; None for one that is unknown, revoked or expired."""
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        entry = self._refresh().get(match[1])
        # Compared also where there is no such id, so that the time does not tell.
        known = entry["sha256"] if entry else "0" * 64
        if not hmac.compare_digest(_hash(key), known) or entry is None:
            return None
        if entry.get("expires") and datetime.fromisoformat(entry["expires"]) <= datetime.now(UTC):
            return None
        return Key(match[1], entry["name"], frozenset(entry["scopes"]))

    def _refresh(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            now = stamp(self._path)
            if now is None:
                raise AccessError(f"the key file {self._path} cannot be read; is it there?")
            if now != self._stamp:
                self._entries = {entry["id"]: entry for entry in read_keys(self._path)}
                self._stamp = now
            return self._entries


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes when a file does; None where it cannot be looked at."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_ino, stat.st_size)


def read_keys(path: Path) -> list[dict[str, Any]]:
    """Entries of a key file.

    Raises:
        AccessError: for a file that cannot be read or is not one.
    """
    try:
        entries = json.loads(path.read_text())["keys"]
        for entry in entries:
            scopes = entry["scopes"]
            if not re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]) or not isinstance(scopes, list):
                raise ValueError("sha256 or scopes")
            if entry.get("expires") and datetime.fromisoformat(entry["expires"]).tzinfo is None:
                raise ValueError("expires without a time zone")
            str(entry["id"]), str(entry["name"])
    except OSError as error:
        raise AccessError(f"the key file {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise AccessError(f"{path} is not a key file of `lidloop serve-key`: {error}") from None
    return list(entries)


def add_key(path: Path, name: str, *, scopes: tuple[str, ...] = (SCREEN,), days: int | None = None) -> str:
    """Make a key, write its hash into the file, and return it: it cannot be shown again.

    Raises:
        AccessError: where the file is not a key file.
    """
    entries = read_keys(path) if path.exists() else []
    identity = secrets.token_hex(6)
    key = f"{PREFIX}{identity}_{secrets.token_urlsafe(32)}"
    now = datetime.now(UTC).replace(microsecond=0)
    entries.append(
        {
            "id": identity,
            "name": name,
            "sha256": _hash(key),
            "scopes": list(scopes),
            "created": now.isoformat(),
            "expires": None if days is None else (now + timedelta(days=days)).isoformat(),
        }
    )
    _write_keys(path, entries)
    return key


def revoke_key(path: Path, identity: str) -> None:
    """Take a key out of the file.

    Raises:
        AccessError: where it is not in there.
    """
    entries = read_keys(path)
    left = [entry for entry in entries if entry["id"] != identity]
    if len(left) == len(entries):
        raise AccessError(f"{path} has no key {identity!r}")
    _write_keys(path, left)


def _write_keys(path: Path, entries: list[dict[str, Any]]) -> None:
    write_atomic(path, json.dumps({"keys": entries}, indent=1) + "\n")


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()

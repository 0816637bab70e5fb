"""API keys: creation, look-up and revocation, for every HTTP service.

A key is ``lidloop_ID_SECRET`` with 256 random bits of secret, so a plain SHA-256 of it cannot be inverted and
no slow hash is needed (NIST SP 800-63B, 5.1.2.2: look-up secrets of 112 bits and more). The key file holds
ids, names, hashes, scopes and expiry, never a secret. It is read again when it changes: a revoked key is
rejected at the next request.
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
"""Prefix of every key."""
SCREEN: Final = "screen"
METRICS: Final = "metrics"
START: Final = "runs:start"
READ: Final = "runs:read"
ALERTS: Final = "alerts"
SCOPES: Final = {
    SCREEN: "send pictures to `lidloop serve`",
    METRICS: "read the metrics of `lidloop serve`",
    START: "start runs through `lidloop trigger`",
    READ: "read its runs and alerts",
    ALERTS: "send it alerts, which may start a run",
}
"""Scopes of keys, with their meaning."""

_KEY: Final = re.compile(PREFIX + r"([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class AccessError(LidloopError):
    """A key file or a key set that cannot be used."""


@dataclass(frozen=True, slots=True)
class Key:
    """A valid key: id, name of its owner, and scopes."""

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
        """Look up a key; None if it is unknown, revoked or expired.

        Raises:
            AccessError: if the file can no longer be read.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        entry = self._refresh().get(match[1])
        # Compared also for an unknown id, so that timing does not reveal which ids exist.
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
    """Return a value that changes when the file changes; None if the file cannot be read."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_ino, stat.st_size)


def read_keys(path: Path) -> list[dict[str, Any]]:
    """Read the entries of a key file.

    Raises:
        AccessError: if it cannot be read or is not a key file.
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
    """Create a key, add its hash to the file, and return the key, which cannot be shown again.

    Raises:
        AccessError: if the file is not a key file.
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
    """Remove a key from the file.

    Raises:
        AccessError: if the file does not contain it.
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

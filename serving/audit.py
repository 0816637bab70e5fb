"""Audit log: one FHIR R4B AuditEvent, as a JSON line, for every request with a picture.

It says who, when, which model and the outcome; never pixels, file names, landmarks or patient data.

Paths are those of the routes, not as they were sent, and query strings are left out: both may hold anything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

from lidloop import __version__
from lidloop.errors import LidloopError
from lidloop.screening.screen import ModelInfo
from serving.access import Caller

log: Final = logging.getLogger("lidloop.serving")

SECONDS: Final = 5.0
"""Longest time that an answer waits for its audit line."""

_STDOUT: Final = 1
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"


class AuditError(LidloopError):
    """An audit log that cannot be opened."""


def event(
    *,
    request_id: str,
    recorded: datetime,
    operation: str,
    status: int,
    outcome: str,
    caller: Caller | None,
    address: str,
    model: ModelInfo | None,
) -> dict[str, Any]:
    """Return an AuditEvent.

    Args:
        request_id: UUID of the request. recorded: when it ended, with a time zone.
        operation: method and route, as ``POST /v1/screen``.
        status: of the answer. outcome: ``ok``, or the kind of problem.
        caller: None if not authenticated. address: of the caller.
        model: the model that answered, None if none did.
    """
    entities: list[dict[str, Any]] = [
        {
            "what": {"identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{request_id}"}},
            "name": operation,
        }
    ]
    if model is not None:
        entities.append(
            {
                "what": {"display": f"model {model.name}"},
                "type": {"system": _TERMINOLOGY + "audit-entity-type", "code": "2"},
                "detail": [
                    {"type": "version", "valueString": model.version or "unregistered"},
                    {"type": "iteration", "valueString": str(model.iteration)},
                    {"type": "sha256", "valueString": model.digest},
                ],
            }
        )
    return {
        "resourceType": "AuditEvent",
        "id": request_id,
        "type": {"system": _TERMINOLOGY + "audit-event-type", "code": "rest", "display": "RESTful Operation"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "operation"}],
        "action": "E",
        "recorded": recorded.isoformat(timespec="milliseconds"),
        "outcome": "0" if status < 400 else "4" if status < 500 else "8",
        "outcomeDesc": f"{status} {outcome}",
        "agent": [
            {
                "who": _who(caller),
                "requestor": True,
                "network": {"address": address or "unknown", "type": "2"},
            }
        ],
        "source": {
            "observer": {"display": f"lidloop {__version__}"},
            "type": [{"system": _TERMINOLOGY + "security-source-type", "code": "4"}],
        },
        "entity": entities,
    }


def _who(caller: Caller | None) -> dict[str, Any]:
    if caller is None:
        return {"display": "not recognised"}
    if caller.kind == "local":
        return {"display": "a user of this machine"}
    if caller.kind == "key":
        return {"identifier": {"type": {"text": "API key"}, "value": caller.name}}
    return {"identifier": {"system": caller.issuer, "value": caller.name}}


class AuditLog:
    """Writer of audit lines.

    One write to a file that is open for appending, so lines of several processes do not mix. A file that was
    moved away (rotation) is opened anew, and one that was cut off is written on from its new end.

    Args:
        target: a file, or ``-`` for standard output.
        on_failure: called for every line that could not be written.

    Raises:
        AuditError: where it cannot be opened.
    """

    def __init__(self, target: str, *, on_failure: Callable[[], None] = lambda: None) -> None:
        self._path = None if target == "-" else target
        self._on_failure = on_failure
        self._torn = False
        # One thread: if the reader of standard output blocks, lines wait, not the event loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        try:
            self._file = _STDOUT if self._path is None else _open(self._path)
        except OSError as error:
            raise AuditError(f"audit lines cannot be written to {target}: {error.strerror}") from None

    async def write(self, entry: dict[str, Any]) -> bool:
        """Write a line; return True if the operating system has all of it."""
        line = self._thread.submit(self._append, entry)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(line), SECONDS)
        except TimeoutError:
            self._failed(f"it was not written within {SECONDS:g} seconds")
            return False

    def write_later(self, entry: dict[str, Any]) -> None:
        """Write a line without waiting for it."""
        self._thread.submit(self._append, entry)

    def close(self) -> None:
        """Write the waiting lines and close the file."""
        self._thread.shutdown(wait=True)
        if self._path is not None:
            os.close(self._file)

    def _append(self, entry: dict[str, Any]) -> bool:
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        try:
            self._follow()
            self._write(line)
        except OSError as error:
            self._failed(error.strerror or type(error).__name__)
            return False
        return True

    def _follow(self) -> None:
        """Reopen the file if it was moved, replaced or removed (log rotation)."""
        if self._path is None:
            return
        try:
            if os.path.samestat(os.stat(self._path), os.fstat(self._file)):
                return
        except FileNotFoundError:
            pass
        new = _open(self._path)
        os.close(self._file)
        self._file, self._torn = new, False

    def _write(self, line: bytes) -> None:
        # A truncated line is ended, so that the next one can be parsed.
        left = memoryview(b"\n" + line if self._torn else line)
        while left:
            written = os.write(self._file, left)
            left = left[written:]
            self._torn = bool(left)

    def _failed(self, reason: str) -> None:
        log.error("an audit line was lost: %s", reason)
        self._on_failure()


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

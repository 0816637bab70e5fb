"""One line per request that asks about a picture: who, when, which model, and how it ended. A FHIR R4B
AuditEvent as JSON; never pixels, file names, landmarks or patient data.

Paths are those of the routes, not as they were sent, and query strings are left out: both may hold anything.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from datetime import datetime
from typing import Any, Final

from lidloop import __version__
from lidloop.errors import LidloopError
from lidloop.screening import ModelInfo
from serving.access import Caller

log: Final = logging.getLogger("lidloop.serving")

_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"


class AuditError(LidloopError):
    """A place for audit lines that cannot be written to."""


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
    """An AuditEvent.

    Args:
        request_id: UUID of the request. recorded: when it ended, with a time zone.
        operation: method and route, as ``POST /v1/screen``.
        status: of the answer. outcome: ``ok``, or the kind of problem.
        caller: None where nobody was recognised. address: of the peer.
        model: that answered, None where none did.
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
    """Where the lines go.

    Args:
        target: a file that is appended to, or ``-`` for standard output.

    Raises:
        AuditError: where it cannot be opened.
    """

    def __init__(self, target: str) -> None:
        self._lock = threading.Lock()
        try:
            # One write to a file opened for appending: the lines of several processes do not mix.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = None if target == "-" else os.open(target, flags, 0o600)
        except OSError as error:
            raise AuditError(f"audit lines cannot be written to {target}: {error.strerror}") from None

    def write(self, entry: dict[str, Any]) -> None:
        """Write a line. A failure goes to the server's log: the answer has been given by now."""
        line = json.dumps(entry, separators=(",", ":")) + "\n"
        try:
            with self._lock:
                if self._file is None:
                    sys.stdout.write(line)
                    sys.stdout.flush()
                else:
                    os.write(self._file, line.encode())
        except OSError as error:
            log.error("an audit line was lost: %s", error.strerror)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)

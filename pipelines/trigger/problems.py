"""Refusals of the trigger service as problem details (RFC 9457), one stable ``type`` per kind.

``type`` is a reference relative to the service (``/problems/busy``), where it is described.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from starlette.responses import JSONResponse

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "/problems/"


class Kind(NamedTuple):
    """A kind of refusal: HTTP status, title, and what it means and what to do."""

    status: int
    title: str
    meaning: str


KINDS: Final[dict[str, Kind]] = {
    "body": Kind(
        400, "The request is malformed", "The body is not JSON that can be read, or a header is wrong."
    ),
    "query": Kind(
        400, "A query parameter is wrong", "`parameter` names it; it is unknown, or has another form."
    ),
    "credentials": Kind(
        401,
        "Credentials are needed",
        "No key, or one that is not valid (any more). Send `Authorization: Bearer KEY`, or Basic with the "
        "key as the password.",
    ),
    "forbidden": Kind(
        403,
        "Not allowed",
        "The key is valid but not for this; or, without keys, the request is not this machine's.",
    ),
    "not-found": Kind(404, "No such resource", "There is nothing here. `/openapi.json` says what there is."),
    "method": Kind(405, "Method not allowed", "`Allow` says which methods the resource knows."),
    "slow-body": Kind(408, "The body came too slowly", "It was not complete in time. Send it again."),
    "busy": Kind(
        409,
        "A run is running",
        "As many runs are running as may at a time; `runs` names them. Wait for the end of one.",
    ),
    "no-defaults": Kind(
        409,
        "Alerts start no runs here",
        "The run defaults name no sources; whoever runs the service adds them to its `--run-defaults`.",
    ),
    "too-large": Kind(413, "The body is too large", "`limit` says how many bytes are taken."),
    "media-type": Kind(
        415, "Not a media type that is taken", "Bodies are `application/json`, not compressed."
    ),
    "parameters": Kind(
        422,
        "A run cannot have these parameters",
        "`errors` names each that is unknown, of a wrong type, out of its range, or not a caller's to give.",
    ),
    "alerts": Kind(
        422, "Not a message of Alertmanager's webhook", "It is not version 4 of it; `detail` says where."
    ),
    "key-reused": Kind(
        422,
        "The Idempotency-Key was used for another request",
        "A key belongs to one request and what it asked for. Use a new one for a new request.",
    ),
    "too-many": Kind(
        429, "Too many failed attempts", "Too many requests without valid credentials came from this address."
    ),
    "internal": Kind(500, "The service failed", "A fault of the service, in its log under the request's id."),
    "not-ready": Kind(503, "Not ready", "The service starts, stops, or cannot use its state. Try again."),
}


class Problem(Exception):
    """A refusal; raise it anywhere behind the edge of the app.

    Args:
        kind: a key of ``KINDS``.
        detail: what is wrong with this request, for people.
        headers: added to the answer.
        extra: members added to the document.
    """

    def __init__(
        self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.extra = kind, detail, dict(headers or {}), extra

    def response(self, request_id: str) -> JSONResponse:
        """The answer."""
        kind = KINDS[self.kind]
        document = {
            "type": PREFIX + self.kind,
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            "instance": f"urn:uuid:{request_id}",
            **self.extra,
        }
        return JSONResponse(document, kind.status, headers=self.headers, media_type=MEDIA_TYPE)


def wrong_parameters(problems: Sequence[tuple[str, str]]) -> Problem:
    """A refusal of a run's parameters, each as (name, what is wrong)."""
    return Problem(
        "parameters",
        "; ".join(f"{name}: {text}" for name, text in problems),
        errors=[{"parameter": name, "detail": text} for name, text in problems],
    )

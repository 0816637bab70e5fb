"""Refusals as problem details (RFC 9457): one stable ``type`` per kind, described on this server itself.

``type`` is a reference relative to the server (``/problems/busy``), so that it can be looked up without a way
out of the hospital. A kind never changes its meaning; programs may rely on it, and on ``status``.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    "parameter": Kind(
        400,
        "A parameter is wrong",
        "A parameter is unknown, given twice, or its value is not one that it takes; `parameter` names it.",
    ),
    "body": Kind(
        400,
        "The request's body is malformed",
        "The body is not what its content type says: broken multipart, no field `image`, JSON that cannot be "
        "read, or a tensor that does not match its shape.",
    ),
    "credentials": Kind(
        401,
        "Credentials are needed",
        "No credentials, or ones that are not valid (any more). Send an API key or a JWT as "
        "`Authorization: Bearer …`.",
    ),
    "forbidden": Kind(
        403,
        "Not allowed",
        "The credentials are valid but do not allow this; or, on a server without access control, the "
        "request does not come from this machine.",
    ),
    "not-found": Kind(
        404, "No such resource", "There is nothing at this address. `/openapi.json` says what there is."
    ),
    "method": Kind(
        405, "Method not allowed", "The resource does not know this method; `Allow` says which it knows."
    ),
    "not-acceptable": Kind(
        406,
        "No acceptable answer",
        "`Accept` allows none of the media types that this resource answers in; `offered` lists them.",
    ),
    "slow-body": Kind(
        408, "The body came too slowly", "The request's body was not complete in time. Send it again."
    ),
    "too-large": Kind(
        413,
        "The picture is too large",
        "The body has too many bytes or the picture too many pixels; `limit` and `unit` say how many are "
        "taken. Scale the picture down or compress it.",
    ),
    "media-type": Kind(
        415,
        "Not a kind of picture that is taken",
        "The body is neither JPEG, PNG, DICOM nor a form with one of them, as its content type and its "
        "first bytes say.",
    ),
    "picture": Kind(
        422,
        "The picture cannot be used",
        "It is damaged, cut short, of a sub-kind that is not taken, or it expands beyond what its header "
        "promises. Export it again as a plain JPEG or PNG.",
    ),
    "several-faces": Kind(
        422,
        "A report is one patient's",
        "Several faces were found, and a DICOM report belongs to one patient. Send a picture of the patient "
        "alone: whose face is the most certain says nothing about whose report it is.",
    ),
    "internal": Kind(
        500, "The server failed", "A fault of the server, which is in its log under the request's id."
    ),
    "busy": Kind(
        503,
        "Too much to do",
        "More requests than can be answered in time. Try again after `Retry-After` seconds.",
    ),
    "late": Kind(
        503,
        "The answer came too late",
        "It was not ready in time and is given up. Try again after `Retry-After` seconds.",
    ),
    "audit": Kind(
        503,
        "No audit, no answer",
        "The answer cannot be written down now, so it is not given. The server's log has the reason.",
    ),
    "not-ready": Kind(503, "Not ready", "No model is loaded yet, or the server is about to stop. Try again."),
}


class Problem(Exception):
    """A refusal. Raise it anywhere behind the edge of the app, which answers with it.

    Args:
        kind: a key of ``KINDS``.
        detail: what is wrong with this very request, for people; never content of a picture, a file name or
            patient data.
        headers: added to the answer.
        extra: members added to the document, such as ``parameter``.
    """

    def __init__(
        self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.extra = kind, detail, dict(headers or {}), extra

    @property
    def status(self) -> int:
        """HTTP status."""
        return KINDS[self.kind].status

    def document(self, request_id: str) -> dict[str, Any]:
        """The problem details object."""
        return {
            "type": PREFIX + self.kind,
            "title": KINDS[self.kind].title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:uuid:{request_id}",
            **self.extra,
        }

    def response(self, request_id: str) -> JSONResponse:
        """The answer."""
        return JSONResponse(
            self.document(request_id), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def wrong_parameter(name: str, detail: str) -> Problem:
    """A refusal of a parameter's value."""
    return Problem("parameter", f"{name}: {detail}", parameter=name)


def too_large(what: str, limit: int, unit: str) -> Problem:
    """A refusal of a body or a picture for its size in ``unit`` (``bytes`` or ``pixels``)."""
    return Problem("too-large", f"{what}; at most {limit:,} {unit} are taken", limit=limit, unit=unit)

"""Problem types of the serving endpoint; see ``lidloop.web.problems``."""

from __future__ import annotations

from typing import Final

from lidloop.web.problems import ProblemType as Type

PROBLEM_TYPES: Final[dict[str, Type]] = {
    "parameter": Type(
        400,
        "A parameter is wrong",
        "A parameter is unknown, given twice, or its value is not accepted; `parameter` names it.",
    ),
    "body": Type(
        400,
        "The request is malformed",
        "The body is not what its content type says: broken multipart, no field `image`, JSON that cannot be "
        "read, or a tensor that does not match its shape; or a header contradicts itself.",
    ),
    "credentials": Type(
        401,
        "Credentials are needed",
        "No credentials, or ones that are not valid (any more). Send an API key or a JWT as "
        "`Authorization: Bearer …`.",
    ),
    "forbidden": Type(
        403,
        "Not allowed",
        "The credentials are valid but do not allow this; or, on a server without access control, the "
        "request does not come from this machine itself: it came from another one, through a proxy, or "
        "under a `Host` that is not a loopback name.",
    ),
    "not-found": Type(404, "No such resource", "There is nothing at this address; see `/openapi.json`."),
    "method": Type(405, "Method not allowed", "The resource does not have this method; see `Allow`."),
    "not-acceptable": Type(
        406,
        "No acceptable answer",
        "`Accept` allows none of the media types of this resource; `offered` lists them.",
    ),
    "slow-body": Type(
        408, "The body came too slowly", "The body of the request was not complete in time. Send it again."
    ),
    "too-large": Type(
        413,
        "The picture is too large",
        "The body has too many bytes or the picture too many pixels; the limit is `limit`, in `unit`. Scale "
        "the picture down or compress it.",
    ),
    "media-type": Type(
        415,
        "Unsupported media type",
        "By its content type or its first bytes the body is not one of the formats that this resource takes; "
        "or it has a content encoding that is not accepted, and `Accept-Encoding` lists those that are.",
    ),
    "picture": Type(
        422,
        "The picture cannot be used",
        "It is damaged, cut short, of a variant that is not supported, or it expands beyond what its header "
        "says. Export it again as a plain JPEG or PNG.",
    ),
    "several-faces": Type(
        422,
        "A report needs a picture of one patient",
        "Several faces were found, and a DICOM report belongs to one patient. Send a picture of the patient "
        "alone: the most certain face need not be the patient's.",
    ),
    "internal": Type(
        500, "The server failed", "A fault of the server; its log has the cause under the request's id."
    ),
    "busy": Type(
        503,
        "The server is overloaded",
        "More requests than can be answered in time. Try again after `Retry-After` seconds.",
    ),
    "late": Type(
        503,
        "Time-out",
        "The answer was not ready in time and is given up. Try again after `Retry-After` seconds.",
    ),
    "audit": Type(
        503,
        "The audit log cannot be written",
        "Requests about pictures are answered only when their audit event is written. The server's log has "
        "the cause.",
    ),
    "not-ready": Type(503, "Not ready", "No model is loaded yet, or the server is about to stop. Try again."),
}
"""The problem types by name, in the order of their status."""

"""Problem types of the trigger service; see ``lidloop.web.problems``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lidloop.web.problems import Problem
from lidloop.web.problems import ProblemType as Type

PROBLEM_TYPES: Final[dict[str, Type]] = {
    "body": Type(
        400, "The request is malformed", "The body is not JSON that can be read, or a header is wrong."
    ),
    "query": Type(
        400, "A query parameter is wrong", "It is unknown, or its value is not accepted; see `parameter`."
    ),
    "credentials": Type(
        401,
        "Credentials are needed",
        "No key, or one that is not valid (any more). Send `Authorization: Bearer KEY`, or Basic with the "
        "key as the password.",
    ),
    "forbidden": Type(
        403,
        "Not allowed",
        "The key is valid but does not allow this; or, on a service without keys, the request does not come "
        "from this machine itself: it came from another one, through a proxy, or under a `Host` that is not "
        "a loopback name.",
    ),
    "not-found": Type(404, "No such resource", "There is nothing at this address; see `/openapi.json`."),
    "method": Type(405, "Method not allowed", "The resource does not have this method; see `Allow`."),
    "slow-body": Type(
        408, "The body came too slowly", "The body of the request was not complete in time. Send it again."
    ),
    "busy": Type(
        409,
        "The limit of active runs is reached",
        "No more runs may be active at a time; `runs` lists them. Wait until one has ended.",
    ),
    "no-defaults": Type(
        409,
        "Alerts cannot start runs",
        "The run defaults name no sources; the operator adds them to the file of `--run-defaults`.",
    ),
    "too-large": Type(413, "The body is too large", "`limit` is the largest body in bytes."),
    "media-type": Type(
        415, "Unsupported media type", "Bodies are `application/json` without a content encoding."
    ),
    "parameters": Type(
        422,
        "The parameters of the run are wrong",
        "`errors` names each that is unknown, of a wrong type, out of range, or for the operator only.",
    ),
    "alerts": Type(
        422,
        "Not a message of Alertmanager's webhook",
        "The body is not version 4 of the message; `detail` says where it differs.",
    ),
    "key-reused": Type(
        422,
        "The Idempotency-Key belongs to another request",
        "A key belongs to one request and its body. Use a new key for a new request.",
    ),
    "too-many": Type(
        429,
        "Too many failed attempts",
        "This address sent too many requests without valid credentials. Wait for `Retry-After` seconds.",
    ),
    "internal": Type(
        500, "The service failed", "A fault of the service; its log has the cause under the request's id."
    ),
    "not-ready": Type(
        503, "Not ready", "The service is starting or stopping, or cannot use its state. Try again."
    ),
}
"""The problem types by name, in the order of their status."""


def wrong_parameters(problems: Sequence[tuple[str, str]]) -> Problem:
    """Problem ``parameters``: wrong parameters of a run, each as (name, reason)."""
    return Problem(
        "parameters",
        "; ".join(f"{name}: {text}" for name, text in problems),
        errors=[{"parameter": name, "detail": text} for name, text in problems],
    )

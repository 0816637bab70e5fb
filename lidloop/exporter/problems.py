"""Problem types of the exporter; see ``lidloop.web.problems``."""

from __future__ import annotations

from typing import Final

from lidloop.web.problems import ProblemType as Type

PROBLEM_TYPES: Final[dict[str, Type]] = {
    "body": Type(400, "The request is malformed", "The request is not HTTP that can be understood."),
    "forbidden": Type(
        403,
        "Not allowed",
        "An exporter that listens on a loopback address answers its own machine only: the request came "
        "through a proxy, under a `Host` that is not a loopback name, or from another web site.",
    ),
    "not-found": Type(404, "No such resource", "There are `/metrics`, `/livez` and `/readyz`."),
    "method": Type(405, "Method not allowed", "The resource does not have this method; see `Allow`."),
    "internal": Type(
        500, "The exporter failed", "An error in the exporter; its log has the cause under the request id."
    ),
    "not-ready": Type(
        503, "Not ready", "A source has not been read yet, or its reader is stuck; `detail` names it."
    ),
}
"""The problem types by name, in the order of their status."""

"""Problem details (RFC 9457): error answers with one stable ``type`` for each kind of error.

Every service has its own table of problem types. ``type`` is a reference relative to the service, such as
``/problems/busy``, which the service itself describes: it can be looked up without access to the Internet. A
type never changes its meaning; programs may rely on it and on ``status``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple, NoReturn

from pydantic import ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lidloop.web.wire import OpenWire

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "/problems/"

NOT_FOUND: Final = "there is nothing at this address"


class ProblemType(NamedTuple):
    """A type of problem: HTTP status, title, and an explanation of what it means and what to do."""

    status: int
    title: str
    meaning: str


ProblemTypes = Mapping[str, ProblemType]
"""The problem types of one service by name."""


class ProblemDetails(OpenWire):
    """A problem details object; further members depend on the type."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    instance: Annotated[str, Field(description="urn:uuid: and the request's id")]


class Problem(Exception):
    """An error answer. Raise it anywhere behind ``ServiceMiddleware``, which sends it.

    Args:
        kind: name of a problem type of the service.
        detail: what is wrong with this request, for people; never content of a picture, a file name or
            patient data.
        headers: added to the answer.
        extra: members added to the document, such as ``parameter``.
    """

    def __init__(
        self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.extra = kind, detail, dict(headers or {}), extra

    def document(self, types: ProblemTypes, request_id: str) -> dict[str, Any]:
        """Return the problem details object."""
        return ProblemDetails(
            type=PREFIX + self.kind,
            title=types[self.kind].title,
            status=types[self.kind].status,
            detail=self.detail,
            instance=f"urn:uuid:{request_id}",
            **self.extra,
        ).document()

    def response(self, types: ProblemTypes, request_id: str) -> Response:
        """Return the answer.

        Args:
            types: problem types of the service.
            request_id: UUID of the request.
        """
        return JSONResponse(
            self.document(types, request_id),
            types[self.kind].status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


def wrong_parameter(name: str, detail: str) -> Problem:
    """Problem ``parameter``: the value of the parameter ``name`` is not accepted."""
    return Problem("parameter", f"{name}: {detail}", parameter=name)


def too_large(what: str, limit: int, unit: str) -> Problem:
    """Problem ``too-large``: a body or a picture exceeds ``limit`` in ``unit`` (``bytes`` or ``pixels``)."""
    return Problem("too-large", f"{what}; at most {limit:,} {unit} are accepted", limit=limit, unit=unit)


async def raise_as_problem(_: Request, error: Exception) -> NoReturn:
    """Starlette's exception handler for ``HTTPException``: raise it again as a problem.

    Raises:
        Problem: ``not-found``, ``method``, or ``body`` for any other status.
    """
    assert isinstance(error, HTTPException)
    kinds = {404: ("not-found", NOT_FOUND), 405: ("method", "Allow lists the methods of this resource")}
    kind, detail = kinds.get(error.status_code, ("body", "the request cannot be understood"))
    raise Problem(kind, detail, headers=error.headers)


def describe(types: ProblemTypes, name: str) -> Response:
    """Return the description of a problem type, for ``GET /problems/{name}``.

    Raises:
        Problem: ``not-found``.
    """
    if name not in types:
        raise Problem("not-found", "there is no such problem type")
    return JSONResponse({"type": PREFIX + name, **types[name]._asdict()})

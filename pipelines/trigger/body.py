"""A request's body: limited before it is read, and read strictly."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from pipelines.trigger.problems import Problem

SECONDS: Final = 10.0
"""Time that a body may take to come."""


async def read_json(request: Request, *, limit: int) -> tuple[Any, bytes]:
    """The JSON value of a body, and its bytes; ``{}`` for an empty body.

    Args:
        limit: largest body in bytes.

    Raises:
        Problem: 400, 408, 413 or 415.
        ClientDisconnect: where the caller went away.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity" or kind not in ("application/json", ""):
        raise Problem("media-type", "the body must be application/json without a content encoding")
    body = await _read(request, limit)
    if body and not kind:
        raise Problem("media-type", "the body needs the content type application/json")
    return (parse(body) if body else {}), body


def parse(body: bytes) -> Any:
    """Strict JSON: UTF-8, no name twice, no NaN.

    Raises:
        Problem: 400.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        raise Problem("body", "the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Problem("body", f"the body is no JSON: {error.msg} in line {error.lineno}") from None
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, _Strict) else "a number is too long or it is nested too deeply"
        raise Problem("body", f"the body is not taken: {said}") from None


class _Strict(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Strict("an object has a name twice")
    return made


def _constant(name: str) -> Any:
    raise _Strict(f"{name} is no JSON")


async def _read(request: Request, limit: int) -> bytes:
    claimed = request.headers.get("content-length", "")
    if claimed.isdigit() and int(claimed[:20]) > limit:
        raise _too_large(limit)
    body, more = bytearray(), True
    try:
        async with asyncio.timeout(SECONDS):
            while more and len(body) <= limit:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
    except TimeoutError:
        raise Problem(
            "slow-body", f"it was not complete within {SECONDS:g} seconds", headers={"Connection": "close"}
        ) from None
    if len(body) > limit:
        raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> Problem:
    detail = f"at most {limit:,} bytes are taken"
    return Problem("too-large", detail, headers={"Connection": "close"}, limit=limit)

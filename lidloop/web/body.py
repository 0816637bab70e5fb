"""Request bodies and headers: read with limits of size and time, parsed strictly."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from lidloop.web.problems import Problem, too_large

if TYPE_CHECKING:
    from zlib import _Decompress

GZIP: Final = "gzip"
DEFLATE: Final = "deflate"
JSON: Final = "application/json"

_WINDOW_BITS: Final = {GZIP: 31, DEFLATE: 15}
_RAW_DEFLATE: Final = -15
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def single_header(headers: Headers, name: str) -> str | None:
    """Return the value of a header that may stand only once; None where it is absent.

    Raises:
        Problem: ``body`` where it is given twice with different values: which one counts is not known.
    """
    values = {value.strip() for value in headers.getlist(name)}
    if len(values) > 1:
        raise Problem("body", f"the header {name} is given twice, with different values")
    return values.pop() if values else None


def joined_header(headers: Headers, name: str) -> str:
    """Return the value of a list header such as ``Accept``, all its lines in one (RFC 9110, section 5.3)."""
    return ", ".join(headers.getlist(name))


async def read_body(request: Request, limit: int, seconds: float, *, codings: Sequence[str] = ()) -> bytes:
    """Read a body, whatever length it claims to have.

    Args:
        request: the request.
        limit: largest body in bytes, as sent and also as decoded.
        seconds: longest time that the body may take to arrive.
        codings: values of ``Content-Encoding`` that are decoded, of ``gzip`` and ``deflate``.

    Raises:
        Problem: ``too-large``; ``slow-body``; ``media-type`` for another content encoding; ``body`` for a
            damaged one.
        ClientDisconnect: where the caller went away.
    """
    decoder = _decoder(request.headers, codings, limit)
    claimed = request.headers.get("content-length", "")
    waits = request.headers.get("expect", "").lower() == "100-continue"
    if waits and claimed.isdigit() and int(claimed[:20]) > limit:
        raise _over(limit)  # it has not been sent yet
    body, received, more = bytearray(), 0, True
    try:
        async with asyncio.timeout(seconds):
            while more and max(received, len(body)) <= limit:
                chunk, more = await _chunk(request)
                received += len(chunk)
                body += decoder.decode(chunk) if decoder else chunk
    except TimeoutError:
        raise Problem(
            "slow-body",
            f"the body was not complete within {seconds:g} seconds",
            headers={"Connection": "close"},
        ) from None
    if max(received, len(body)) > limit:
        raise _over(limit)
    if decoder:
        decoder.check_complete()
    return bytes(body)


async def read_json(request: Request, limit: int, seconds: float) -> tuple[Any, bytes]:
    """Read a JSON body.

    Args:
        request: the request. limit, seconds: as ``read_body`` takes them.

    Returns:
        The value, ``{}`` for an empty body, and the bytes.

    Raises:
        Problem: as ``read_body`` and ``parse_json``; ``media-type`` for another content type.
        ClientDisconnect: where the caller went away.
    """
    kind = (single_header(request.headers, "content-type") or "").partition(";")[0].strip().lower()
    if kind not in (JSON, ""):
        raise Problem("media-type", f"the body must be {JSON}")
    body = await read_body(request, limit, seconds)
    if body and not kind:
        raise Problem("media-type", f"the body needs the content type {JSON}")
    return (parse_json(body) if body else {}), body


def parse_json(body: bytes) -> Any:
    """Parse strict JSON: UTF-8, no name twice in an object, no NaN or infinity, no half of
    a surrogate pair.

    Raises:
        Problem: ``body``.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_constant)
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError:
        raise Problem(
            "body", "a string in the body has half a surrogate pair, which is no character"
        ) from None
    except UnicodeDecodeError:
        raise Problem("body", "the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Problem("body", f"the body is not JSON: {error.msg} in line {error.lineno}") from None
    except _Ambiguous as error:
        raise Problem("body", f"the body is not strict JSON: {error}") from None
    except (ValueError, RecursionError):
        detail = "a number in the body has too many digits, or it is nested too deeply"
        raise Problem("body", detail) from None


class _Ambiguous(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Ambiguous("an object has a name twice")
    return made


def _constant(name: str) -> Any:
    raise _Ambiguous(f"{name} is not a JSON number")


class _Decoder:
    """Incremental decoding of gzip or deflate that never yields more than ``limit`` + 1 bytes."""

    def __init__(self, coding: str, limit: int) -> None:
        self._coding, self._left = coding, limit + 1
        self._stream: _Decompress | None = None

    def decode(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        if self._stream is None:
            self._stream = zlib.decompressobj(self._window_bits(chunk))
        try:
            made = self._stream.decompress(chunk, self._left) if self._left else b""
        except zlib.error:
            raise self._damaged() from None
        self._left -= len(made)
        if self._stream.unused_data:
            raise self._damaged()
        return made

    def check_complete(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise self._damaged()

    def _window_bits(self, chunk: bytes) -> int:
        # Some clients send deflate without the zlib header of RFC 1950; its first byte tells.
        if self._coding == DEFLATE and chunk[0] & 0x0F != 8:
            return _RAW_DEFLATE
        return _WINDOW_BITS[self._coding]

    def _damaged(self) -> Problem:
        return Problem(
            "body", f"the body is not {self._coding}, as Content-Encoding says, or it is cut short"
        )


def _decoder(headers: Headers, codings: Sequence[str], limit: int) -> _Decoder | None:
    coding = joined_header(headers, "content-encoding").strip().lower().removeprefix("x-")
    if coding in ("", "identity"):
        return None
    if coding not in codings:
        taken = ", ".join((*codings, "identity"))
        raise Problem(
            "media-type",
            f"the Content-Encoding {coding[:40]!r} is not accepted; {_how(codings)}",
            headers={"Accept-Encoding": taken},
        )
    return _Decoder(coding, limit)


def _how(codings: Sequence[str]) -> str:
    return f"send {' or '.join(codings)}, or no encoding" if codings else "send the body without an encoding"


async def _chunk(request: Request) -> tuple[bytes, bool]:
    """Return the next part of a body, and True if there is more."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _over(limit: int) -> Problem:
    problem = too_large("The body is too large", limit, "bytes")
    problem.headers["Connection"] = "close"
    return problem

"""What every request passes: it gets an id and security headers, strangers are turned away, whatever goes
wrong behind becomes a problem document and never a trace, and at its end it is counted and, where it is about
a picture, written down."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import refuse_other_sites, refuse_strangers
from serving.audit import event
from serving.problems import Problem
from serving.runtime import Runtime

log: Final = logging.getLogger("lidloop.serving")

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PROBES: Final = ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
"""Answered to anyone: a kubelet has no credentials and does not come from this machine."""
SAFE: Final = ("GET", "HEAD")
UNKNOWN: Final = "other"
LINGER_BYTES: Final = 64 * 1024 * 1024
LINGER_SECONDS: Final = 5.0


class Edge:
    """The outermost layer of the app (pure ASGI, so that bodies stream through it).

    Args:
        app: what is behind. runtime: shared state.
        routes: path of a route by its endpoint. audited: paths whose requests are written down.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        runtime: Runtime,
        routes: Mapping[Callable[..., Any], str],
        audited: frozenset[str],
    ) -> None:
        self.app, self._runtime, self._routes, self._audited = app, runtime, routes, audited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        state = scope.setdefault("state", {})
        state["id"] = request_id = str(uuid.uuid4())
        status, received = 0, False

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received = not message.get("more_body")
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not received and _closes(scope, message):
                    await _linger(receiving)
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._guard(scope)
            await self.app(scope, receiving, sending)
        except Problem as refusal:
            state["outcome"] = refusal.kind
            await refusal.response(request_id)(scope, receive, sending)
        except ClientDisconnect:
            state["outcome"] = "disconnected"
            # Nobody reads it, but a server or middleware in front may wait for the answer to begin.
            await Response(status_code=499)(scope, receive, sending)
        except Exception as error:
            # The message of an unforeseen error may hold content of a picture: only its kind and place go
            # into the log.
            log.error("request %s failed: %s", request_id, _place(error))
            state["outcome"] = "internal"
            if not status:
                problem = Problem("internal", "see the server's log under this request's id")
                await problem.response(request_id)(scope, receive, sending)
        finally:
            self._record(scope, status, time.perf_counter() - start)

    def _guard(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._runtime.access.open and scope["path"] not in PROBES:
            refuse_strangers(_address(scope), headers.get("host", ""))
        if scope["method"] not in SAFE:
            refuse_other_sites(headers)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope["state"]
        route = self._routes.get(scope.get("endpoint"), UNKNOWN)  # type: ignore[arg-type]
        outcome = state.get("outcome") or "ok"
        self._runtime.metrics.request(route, outcome, seconds)
        if route in self._audited or status in (401, 403):
            method = scope["method"] if scope["method"] in (*SAFE, "POST") else "other method"
            self._runtime.audit.write(
                event(
                    request_id=state["id"],
                    recorded=datetime.now(UTC),
                    operation=f"{method} {route}",
                    status=status or 499,
                    outcome=outcome,
                    caller=state.get("caller"),
                    address=_address(scope),
                    model=state.get("model"),
                )
            )


def _closes(scope: Scope, message: Message) -> bool:
    """Whether the connection closes behind an answer, on a caller who may be sending still. One that waits
    for ``100 Continue`` is not."""
    asked, said = Headers(scope=scope), Headers(raw=message.get("headers", []))
    closes = "close" in (asked.get("connection", "").lower(), said.get("connection", "").lower())
    return (closes or scope.get("http_version") == "1.0") and "expect" not in asked


async def _linger(receive: Receive) -> None:
    """Take in and forget the rest of a body for a while: a connection that is closed on a caller who is still
    sending is reset, and the caller never reads the answer."""
    left, more = LINGER_BYTES, True
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while more and left > 0:
                message = await receive()
                more = message.get("more_body", False)
                left -= len(message.get("body", b""))


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _place(error: BaseException) -> str:
    """Kind of an error and the lines it came through, without its message."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} at " + " < ".join(reversed(lines[-6:]))


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer of a ``Problem``."""
    assert isinstance(error, Problem)
    request.state.outcome = error.kind
    if request.url.path.startswith("/v2"):
        error.extra.setdefault("error", error.detail)  # the member that the Open Inference Protocol knows
    return error.response(request.state.id)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such route, wrong method) as problem documents."""
    assert isinstance(error, HTTPException)
    kinds = {404: ("not-found", "there is nothing at this address"), 405: ("method", "see Allow")}
    kind, detail = kinds.get(error.status_code, ("body", "the request cannot be understood"))
    return await on_problem(request, Problem(kind, detail, headers=error.headers))

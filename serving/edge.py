"""What every request passes: it gets an id and security headers, and whatever goes wrong behind becomes a
problem document, never a trace."""

from __future__ import annotations

import logging
import uuid
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import Problem

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


class Edge:
    """The outermost layer of the app (pure ASGI, so that bodies stream through it)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["id"] = request_id
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            return
        except Exception as error:
            # The message of an unforeseen error may hold content of a picture: only its kind and place go
            # into the log.
            log.error("request %s failed: %s", request_id, _place(error))
            if not started:
                problem = Problem("internal", "see the server's log under this request's id")
                await problem.response(request_id)(scope, receive, sending)


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
    return error.response(request.state.id)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such route, wrong method) as problem documents."""
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "method"}.get(error.status_code, "body")
    detail = "there is nothing at this address" if kind == "not-found" else str(error.detail)
    return Problem(kind, detail, headers=error.headers).response(request.state.id)

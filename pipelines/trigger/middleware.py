"""What every request passes: an id, security headers, no strangers, no trace of what goes wrong behind."""

from __future__ import annotations

import logging
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lidloop.web.peers import is_cross_site, is_stranger
from pipelines.trigger.problems import Problem

log: Final = logging.getLogger("lidloop.trigger")

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PROBES: Final = ("/livez", "/readyz")
"""Answered to anyone: a kubelet has no key and does not come from this machine."""


class Edge:
    """The outermost layer of the app.

    Args:
        app: what is behind.
        local: answer this machine only.
    """

    def __init__(self, app: ASGIApp, *, local: bool) -> None:
        self.app, self._local = app, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["id"] = request_id
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._guard(scope)
            await self.app(scope, receive, sending)
        except Problem as refusal:
            await refusal.response(request_id)(scope, receive, sending)
        except ClientDisconnect:
            await Response(status_code=499)(scope, receive, sending)
        except Exception:
            log.exception("request %s failed", request_id)
            if not begun:
                problem = Problem("internal", "see the service's log under this request's id")
                await problem.response(request_id)(scope, receive, sending)

    def _guard(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        client = str(scope["client"][0]) if scope.get("client") else ""
        if self._local and scope["path"] not in PROBES and is_stranger(client, headers.get("host", "")):
            raise Problem("forbidden", "without keys this service answers its own machine only")
        if scope["method"] not in ("GET", "HEAD") and is_cross_site(headers):
            raise Problem("forbidden", "requests from other web sites are not answered")


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer of a ``Problem``."""
    assert isinstance(error, Problem)
    return error.response(request.state.id)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such route, wrong method) as problem documents."""
    assert isinstance(error, HTTPException)
    kinds = {404: ("not-found", "there is nothing at this address"), 405: ("method", "see Allow")}
    kind, detail = kinds.get(error.status_code, ("body", "the request cannot be understood"))
    return Problem(kind, detail, headers=error.headers).response(request.state.id)

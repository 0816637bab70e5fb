"""What every request passes: it gets an id and security headers, strangers are turned away, whatever goes
wrong behind becomes a problem document and never a trace, and at its end it is counted and, where it is about
a picture, written down."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
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
METRICS: Final = "/metrics"
SAFE: Final = ("GET", "HEAD")
UNKNOWN: Final = "other"
CLIENT_GONE: Final = 499
"""Status for the record where nobody was there to be answered."""


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
        self.app, self.runtime, self.routes, self.audited = app, runtime, routes, audited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _Exchange(self, scope, receive, send).run()
        else:
            await self.app(scope, receive, send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        self._edge, self._runtime = edge, edge.runtime
        self._scope, self._receive, self._send = scope, receive, send
        self._start = time.perf_counter()
        self._state = scope.setdefault("state", {})
        self._state["id"] = self._id = str(uuid.uuid4())
        self._status = 0
        self._complete = not _has_body(Headers(scope=scope))
        self._written = self._withdrawn = False

    async def run(self) -> None:
        """Let the app answer."""
        try:
            self._check_port()
            self._guard()
            await self._edge.app(self._scope, self._receiving, self._sending)
        except Problem as refusal:
            await self._refuse(refusal)
        except ClientDisconnect:
            self._state["outcome"] = "disconnected"
            # Nobody reads it, but a server or middleware in front may wait for the answer to begin.
            await Response(status_code=CLIENT_GONE)(self._scope, self._receive, self._sending)
        except asyncio.CancelledError:
            self._state["outcome"] = "cancelled"
            raise
        except Exception as error:
            # The message of an unforeseen error may hold content of a picture: only its kind and place go
            # into the log.
            log.error("request %s failed: %s", self._id, _place(error))
            self._state["outcome"] = "internal"
            if not self._status:
                await self._refuse(Problem("internal", "see the server's log under this request's id"))
        finally:
            seconds = time.perf_counter() - self._start
            self._runtime.metrics.request(self._route, self._outcome, seconds)
            if not self._written and self._is_audited(self._status):
                self._runtime.audit.write_later(self._event(self._status or CLIENT_GONE))

    async def _receiving(self) -> Message:
        message = await self._receive()
        self._complete = not message.get("more_body")
        return message

    async def _sending(self, message: Message) -> None:
        if self._withdrawn:
            return
        if message["type"] == "http.response.start":
            status = message["status"]
            if not self._written and self._is_audited(status):
                # Before the answer: what cannot be written down is not given.
                there = await self._runtime.audit.write(self._event(status))
                self._written = True
                if not there and status < 400 and self._runtime.settings.audit_closed:
                    await self._withdraw()
                    return
            self._status = status
            self._prepare(message)
        await self._send(message)

    async def _withdraw(self) -> None:
        problem = Problem("audit", "this request cannot be written down, so it is not answered")
        await self._refuse(problem)
        self._withdrawn = True

    def _prepare(self, message: Message) -> None:
        """Add what every answer has."""
        headers = MutableHeaders(scope=message)
        headers["X-Request-ID"] = self._id
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if not self._complete:
            # Nobody waits for the rest of the body, which may have no end.
            headers["Connection"] = "close"

    async def _refuse(self, problem: Problem) -> None:
        self._state["outcome"] = problem.kind
        await problem.response(self._id)(self._scope, self._receive, self._sending)

    def _check_port(self) -> None:
        """Where metrics have a port of their own, they are there and nothing else is."""
        port = self._runtime.settings.metrics_port
        here = (self._scope.get("server") or ("", 0))[1] == port
        if port and here != (self._scope["path"] == METRICS):
            raise Problem("not-found", "there is nothing at this address")

    def _guard(self) -> None:
        headers = Headers(scope=self._scope)
        if self._runtime.access.open and self._scope["path"] not in PROBES:
            refuse_strangers(_address(self._scope), headers.get("host", ""))
        if self._scope["method"] not in SAFE:
            refuse_other_sites(headers)

    @property
    def _route(self) -> str:
        return self._edge.routes.get(self._scope.get("endpoint"), UNKNOWN)  # type: ignore[arg-type]

    @property
    def _outcome(self) -> str:
        return self._state.get("outcome") or "ok"

    def _is_audited(self, status: int) -> bool:
        return self._route in self._edge.audited or status in (401, 403)

    def _event(self, status: int) -> dict[str, Any]:
        method = self._scope["method"]
        return event(
            request_id=self._id,
            recorded=datetime.now(UTC),
            operation=f"{method if method in (*SAFE, 'POST') else 'other method'} {self._route}",
            status=status,
            outcome=self._outcome,
            caller=self._state.get("caller"),
            address=_address(self._scope),
            model=self._state.get("model"),
        )


def _has_body(headers: Headers) -> bool:
    """Whether a request has a body, by its head."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


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

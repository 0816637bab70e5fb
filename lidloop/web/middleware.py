"""Outermost ASGI middleware of every service: request id, security headers, origin checks, problem documents.

A service may override the hooks of ``Exchange``, for metrics or an audit log.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lidloop.web.peers import NO_PROXIES, TrustedProxies, is_cross_site, is_local
from lidloop.web.problems import Problem, ProblemTypes

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Security headers of every answer that does not set its own."""
SAFE: Final = ("GET", "HEAD")
CLIENT_GONE: Final = 499
"""Status for the record where the caller went away before the answer."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Settings of the middleware of one service.

    Attributes:
        problem_types: problem types of the service; those that ``lidloop.web`` raises are among them.
        log: logger of the service.
        local_only: the reason why only this machine is answered; empty: everybody is.
        probes: paths that are answered to anybody: a kubelet has no credentials and is another machine.
        proxies: reverse proxies that may name the caller's address.
        headers: security headers, added to ``HEADERS``.
        log_messages: log the message and the stack of an unforeseen error, not only its type and place.
            Never where a message may hold content of a picture.
    """

    problem_types: ProblemTypes
    log: logging.Logger
    local_only: str = ""
    probes: frozenset[str] = frozenset()
    proxies: TrustedProxies = NO_PROXIES
    headers: Mapping[str, str] = field(default_factory=dict)
    log_messages: bool = False


class Exchange:
    """One request and its answer.

    The request's state (``request.state``) gets ``id``, ``address`` (of the caller) and, where it did not
    end well, ``outcome``: a problem type, ``disconnected`` or ``cancelled``.
    """

    def __init__(self, app: ASGIApp, policy: Policy, scope: Scope, receive: Receive, send: Send) -> None:
        self.policy, self.scope = policy, scope
        self.headers = Headers(scope=scope)
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.id = str(uuid.uuid4())
        self.peer = str(scope["client"][0]) if scope.get("client") else ""
        self.address = policy.proxies.caller(self.peer, self.headers)
        self.state.update(id=self.id, address=self.address)
        self.status = 0
        """Of the answer; 0 before it begins."""
        self._app, self._receive, self._send = app, receive, send
        self._complete = not _has_body(self.headers)
        self._replaced = False  # by a problem document

    @property
    def outcome(self) -> str:
        """``ok``, or the reason why the request did not end well."""
        return str(self.state.get("outcome") or "ok")

    async def run(self) -> None:
        """Let the app answer; whatever goes wrong becomes a problem document, never a stack."""
        try:
            self.check()
            await self._app(self.scope, self._receiving, self.send)
        except Problem as problem:
            if self.status:
                self._log(problem)
            else:
                await self.refuse(problem)
        except ClientDisconnect:
            self.state["outcome"] = "disconnected"
            # Nobody reads it, but a server or middleware in front may wait for the answer to begin.
            await Response(status_code=CLIENT_GONE)(self.scope, self._receive, self.send)
        except asyncio.CancelledError:
            self.state["outcome"] = "cancelled"
            raise
        except Exception as error:
            self._log(error)
            self.state["outcome"] = "internal"
            if not self.status:
                await self.refuse(Problem("internal", "see the server's log under this request's id"))
        finally:
            self.ended()

    def check(self) -> None:
        """Check where the request comes from.

        Raises:
            Problem: ``forbidden``.
        """
        local_only = self.policy.local_only and self.scope["path"] not in self.policy.probes
        if local_only and not is_local(self.peer, self.headers, self.policy.proxies):
            raise Problem("forbidden", self.policy.local_only)
        if self.scope["method"] not in SAFE and is_cross_site(self.headers):
            raise Problem("forbidden", "requests from other web sites are not answered")

    async def before_answer(self, status: int) -> Problem | None:
        """Hook: called before an answer begins; a returned problem is sent in its place."""
        return None

    def ended(self) -> None:
        """Hook: called when the request has ended, well or not."""

    async def refuse(self, problem: Problem) -> None:
        """Send a problem document."""
        self.state["outcome"] = problem.kind
        response = problem.response(self.policy.problem_types, self.id)
        await response(self.scope, self._receive, self.send)

    async def send(self, message: Message) -> None:
        """Pass on a message of the answer."""
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            problem = await self.before_answer(message["status"])
            if problem is not None:
                await self.refuse(problem)
                self._replaced = True
                return
            self.status = message["status"]
            self._add_headers(message)
        await self._send(message)

    async def _receiving(self) -> Message:
        message = await self._receive()
        self._complete = not message.get("more_body")
        return message

    def _add_headers(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        headers["X-Request-ID"] = self.id
        for name, value in (HEADERS | dict(self.policy.headers)).items():
            headers.setdefault(name, value)
        if not self._complete:
            # Nobody waits for the rest of the body, which may have no end.
            headers["Connection"] = "close"

    def _log(self, error: Exception) -> None:
        if self.policy.log_messages:
            self.policy.log.error("request %s failed", self.id, exc_info=error)
        else:
            self.policy.log.error("request %s failed: %s", self.id, place(error))


class ServiceMiddleware:
    """The middleware, in pure ASGI, so that bodies stream through it.

    Args:
        app: the app behind it.
        policy: settings.
    """

    def __init__(self, app: ASGIApp, *, policy: Policy) -> None:
        self.app, self.policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.exchange(scope, receive, send).run()
        else:
            await self.app(scope, receive, send)

    def exchange(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        """Make the object that handles one request; a subclass returns its own."""
        return Exchange(self.app, self.policy, scope, receive, send)


def _has_body(headers: Headers) -> bool:
    """True if a request has a body, by its headers."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def place(error: BaseException) -> str:
    """Return the type of an error and the lines it came through, without its message."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} at " + " < ".join(reversed(lines[-6:]))

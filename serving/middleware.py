"""Outermost ASGI middleware: that of ``lidloop.web``, with metrics and an audit event for every request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from lidloop.web.middleware import CLIENT_GONE, SAFE, Exchange, Policy, ServiceMiddleware
from lidloop.web.problems import NOT_FOUND, Problem
from serving.audit import event
from serving.problems import PROBLEM_TYPES
from serving.runtime import Runtime

log: Final = logging.getLogger("lidloop.serving")

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the web page."""
PROBES: Final = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
METRICS: Final = "/metrics"
UNKNOWN: Final = "other"


class ServingMiddleware(ServiceMiddleware):
    """The middleware of this service.

    Args:
        app: the app behind it.
        runtime: shared state.
        routes: path of a route by its endpoint.
        audited: paths whose requests get an audit event.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        runtime: Runtime,
        routes: Mapping[Callable[..., Any], str],
        audited: frozenset[str],
    ) -> None:
        local_only = "without API keys or JWTs this server answers its own machine only"
        super().__init__(
            app,
            policy=Policy(
                problem_types=PROBLEM_TYPES,
                log=log,
                local_only=local_only if runtime.access.open else "",
                probes=PROBES,
                proxies=runtime.settings.proxies,
                headers={"Content-Security-Policy": PAGE_POLICY},
            ),
        )
        self.runtime, self.routes, self.audited = runtime, routes, audited

    def exchange(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        """Make the object that handles one request."""
        return _ServingExchange(self, scope, receive, send)


class _ServingExchange(Exchange):
    def __init__(self, middleware: ServingMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(middleware.app, middleware.policy, scope, receive, send)
        self._middleware, self._runtime = middleware, middleware.runtime
        self._start = time.perf_counter()
        self._written = False  # the audit event

    def check(self) -> None:
        """A metrics port serves metrics and nothing else; then the checks of every service."""
        port = self._runtime.settings.metrics_port
        here = (self.scope.get("server") or ("", 0))[1] == port
        if port and here != (self.scope["path"] == METRICS):
            raise Problem("not-found", NOT_FOUND)
        super().check()

    async def refuse(self, problem: Problem) -> None:
        """Send a problem document; under ``/v2`` with the member that the Open Inference Protocol has."""
        if self.scope["path"].startswith("/v2"):
            problem.extra.setdefault("error", problem.detail)
        await super().refuse(problem)

    async def before_answer(self, status: int) -> Problem | None:
        """Write the audit event first: where it cannot be written, nothing is answered about a picture."""
        if self._written or not self._is_audited(status):
            return None
        written = await self._runtime.audit.write(self._event(status))
        self._written = True
        if not written and status < 400 and self._runtime.settings.audit_closed:
            return Problem("audit", "the audit event cannot be written, so this is not answered")
        return None

    def ended(self) -> None:
        """Count the request; write the audit event where no answer began."""
        seconds = time.perf_counter() - self._start
        self._runtime.metrics.request(self._route, self.outcome, seconds)
        if not self._written and self._is_audited(self.status):
            self._runtime.audit.write_later(self._event(self.status or CLIENT_GONE))

    @property
    def _route(self) -> str:
        return self._middleware.routes.get(self.scope.get("endpoint"), UNKNOWN)  # type: ignore[arg-type]

    def _is_audited(self, status: int) -> bool:
        return self._route in self._middleware.audited or status in (401, 403)

    def _event(self, status: int) -> dict[str, Any]:
        method = self.scope["method"]
        return event(
            request_id=self.id,
            recorded=datetime.now(UTC),
            operation=f"{method if method in (*SAFE, 'POST') else 'other method'} {self._route}",
            status=status,
            outcome=self.outcome,
            caller=self.state.get("caller"),
            address=self.address,
            model=self.state.get("model"),
        )

"""HTTP of the exporter: ``/metrics``, ``/livez`` and ``/readyz``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any, Final

import uvicorn
from prometheus_client import CollectorRegistry, ProcessCollector, make_asgi_app
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lidloop.exporter.problems import PROBLEM_TYPES
from lidloop.exporter.reader import Reader
from lidloop.web.middleware import Policy, ServiceMiddleware
from lidloop.web.problems import PREFIX, Problem, describe, raise_as_problem
from lidloop.web.server import listen, uvicorn_config

log: Final = logging.getLogger("lidloop")

PROBES: Final = frozenset({"/livez", "/readyz"})
_AT_A_TIME: Final = 64  # connections
_GRACE: Final = 10.0


def make_app(collector: Collector, readers: Iterable[Reader[Any]], *, local_only: bool = False) -> Starlette:
    """Create the ASGI app.

    ``/livez`` is 200 while every reader is healthy, ``/readyz`` once each has read or failed to read its
    source: the metrics report a registry that is down.

    Args:
        collector: collector of the exporter's metrics; process metrics are added.
        readers: readers of the sources.
        local_only: answer requests from this machine only.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(collector)
    watched = list(readers)

    async def live(_: Request) -> Response:
        return _check([reader.name for reader in watched if not reader.healthy])

    async def ready(_: Request) -> Response:
        return _check([reader.name for reader in watched if reader.state.seconds is None])

    async def problem(request: Request) -> Response:
        return describe(PROBLEM_TYPES, request.path_params["name"])

    policy = Policy(
        problem_types=PROBLEM_TYPES,
        log=log,
        local_only="on a loopback address the exporter answers its own machine only" if local_only else "",
        probes=PROBES,
        log_messages=True,
    )
    app = Starlette(
        routes=[
            Route("/metrics", _Metrics(make_asgi_app(registry)), methods=["GET"]),
            Route("/livez", live),
            Route("/readyz", ready),
            Route(PREFIX + "{name}", problem),
        ],
        middleware=[Middleware(ServiceMiddleware, policy=policy)],
        exception_handlers={HTTPException: raise_as_problem},
    )
    app.router.redirect_slashes = False  # a redirect would reflect the Host header
    return app


class _Metrics:
    """Wraps an ASGI app as an endpoint; Starlette would call a plain function with a ``Request``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _check(waiting: list[str]) -> Response:
    if waiting:
        raise Problem("not-ready", f"not read: {', '.join(waiting)}")
    return PlainTextResponse("ok\n")


class ExporterServer:
    """uvicorn in a thread.

    Args:
        app: the ASGI app.
        host: name or address to listen on.
        port: TCP port; 0 takes a free one.

    Raises:
        LidloopError: if the address cannot be used.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._socket = listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn_config(app, grace=_GRACE, limit_concurrency=_AT_A_TIME, lifespan="off")
        )
        # Imports modules of uvicorn; must happen in this thread.
        self._server.config.load()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Start the server thread."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more requests, and wait for running ones."""
        self._server.should_exit = True
        self._thread.join(_GRACE + 1)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

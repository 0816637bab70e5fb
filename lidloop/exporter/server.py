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
    """Make the app.

    ``/livez`` is 200 while every reader works, ``/readyz`` once each has tried to read, also where that
    failed: a registry that is down is what the metrics are there to tell.

    Args:
        collector: what ``/metrics`` shows, beside figures of this process.
        readers: readers of the sources.
        local_only: answer this machine only.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(collector)
    watched = list(readers)

    async def live(_: Request) -> Response:
        return _check([reader.name for reader in watched if not reader.healthy])

    async def ready(_: Request) -> Response:
        return _check([reader.name for reader in watched if reader.known.seconds is None])

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
    app.router.redirect_slashes = False  # the redirect would repeat whatever Host says
    return app


class _Metrics:
    """An ASGI app as an endpoint: Starlette takes a function for one that handles a ``Request``."""

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
        app: the app.
        host: name or address to listen on. port: TCP port; 0 takes a free one.

    Raises:
        LidloopError: for an address that cannot be listened on.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._socket = listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn_config(app, grace=_GRACE, limit_concurrency=_AT_A_TIME, lifespan="off")
        )
        # Here, not in the thread: it imports uvicorn's parts.
        self._server.config.load()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, and wait for those that are being answered."""
        self._server.should_exit = True
        self._thread.join(_GRACE + 1)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

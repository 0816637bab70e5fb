"""A small service on the HTTP foundation, in this process and under uvicorn in a thread."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lidloop.web.body import DEFLATE, GZIP, read_body, read_json
from lidloop.web.middleware import Policy, ServiceMiddleware
from lidloop.web.problems import PREFIX, ProblemType, describe, raise_as_problem
from lidloop.web.server import listen, uvicorn_config

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have httpx2, which is httpx under another name
    from starlette.testclient import TestClient

TYPES = {
    "body": ProblemType(400, "Malformed", "The request is malformed."),
    "forbidden": ProblemType(403, "Not allowed", "It comes from elsewhere."),
    "not-found": ProblemType(404, "No such resource", "There is nothing."),
    "method": ProblemType(405, "Method not allowed", "See Allow."),
    "slow-body": ProblemType(408, "Too slow", "The body was not complete in time."),
    "too-large": ProblemType(413, "Too large", "The body is too large."),
    "media-type": ProblemType(415, "Unsupported media type", "Send something else."),
    "internal": ProblemType(500, "The service failed", "See the log."),
}
LIMIT = 100_000
LARGE = 50_000_000
log = logging.getLogger("lidloop.test")


async def read(request: Request) -> Response:
    body = await read_body(request, LIMIT, 0.5, codings=(GZIP, DEFLATE))
    return JSONResponse({"bytes": len(body)})


async def plain(request: Request) -> Response:
    return JSONResponse({"bytes": len(await read_body(request, LIMIT, 0.5))})


async def parsed(request: Request) -> Response:
    value, _ = await read_json(request, LIMIT, 0.5)
    return JSONResponse({"value": value, "address": request.state.address})


async def state(request: Request) -> Response:
    return JSONResponse({"address": request.state.address})


async def fails(_: Request) -> Response:
    raise RuntimeError("SECRET")


async def large(_: Request) -> Response:
    return Response(bytes(LARGE))


async def problem(request: Request) -> Response:
    return describe(TYPES, request.path_params["name"])


def make_app(**policy: Any) -> Starlette:
    return Starlette(
        routes=[
            Route("/state", state),
            Route("/read", read, methods=["POST"]),
            Route("/plain", plain, methods=["POST"]),
            Route("/json", parsed, methods=["POST"]),
            Route("/fails", fails),
            Route("/large", large),
            Route(PREFIX + "{name}", problem),
        ],
        middleware=[
            Middleware(ServiceMiddleware, policy=Policy(**({"problem_types": TYPES, "log": log} | policy)))
        ],
        exception_handlers={HTTPException: raise_as_problem},
    )


ClientFactory = Callable[..., TestClient]


@pytest.fixture
def make_client() -> Iterator[ClientFactory]:
    """Make a client of the service: ``make_client(peer="10.0.0.1", local_only="…")``."""
    with ExitStack() as stack:

        def make(peer: str = "127.0.0.1", **policy: Any) -> TestClient:
            return stack.enter_context(
                TestClient(
                    make_app(**policy),
                    base_url="http://localhost",
                    client=(peer, 50000),
                    raise_server_exceptions=False,
                )
            )

        yield make


@pytest.fixture
def client(make_client: ClientFactory) -> TestClient:
    return make_client()


class Running(NamedTuple):
    """A server in a thread."""

    port: int
    server: uvicorn.Server


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """The service under uvicorn with the settings of every service."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn_config(make_app(), grace=5, lifespan="off"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Running(listening.getsockname()[1], server)
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()

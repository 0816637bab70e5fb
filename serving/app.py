"""The app: its routes, and what happens when it starts and stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from serving.edge import Edge, on_http_exception, on_problem
from serving.model import Served
from serving.problems import KINDS, PREFIX, Problem
from serving.runtime import Runtime, runtime_of
from serving.screen import screen_endpoint
from serving.settings import Settings

PAGE: Final = Path(__file__).parent / "page"


def create_app(settings: Settings, served: Served | None = None) -> Starlette:
    """Make the app.

    Args:
        settings: limits, access, and which model.
        served: the model where it is loaded already; otherwise it is loaded when the app starts.
    """
    runtime = Runtime(settings, served)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await runtime.run(runtime.model.load)
        yield
        runtime.model.stopping = True
        runtime.close()

    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Edge)],
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception},
        lifespan=lifespan,
    )
    app.state.runtime = runtime
    return app


def _routes() -> list[BaseRoute]:
    return [
        Route("/", _index),
        Mount("/static", StaticFiles(directory=PAGE, check_dir=False)),
        Route("/v1/screen", screen_endpoint, methods=["POST"]),
        Route("/livez", _live),
        Route("/readyz", _ready),
        Route(PREFIX + "{kind}", _problem),
    ]


async def _index(_: Request) -> Response:
    page = PAGE / "index.html"
    if not page.is_file():
        raise Problem("not-found", "this server was installed without its page")
    return FileResponse(page)


async def _live(_: Request) -> Response:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> Response:
    if not runtime_of(request).model.ready:
        raise Problem("not-ready", "no model is loaded yet, or the server is about to stop")
    return JSONResponse({"ready": True})


async def _problem(request: Request) -> Response:
    kind: Any = KINDS.get(request.path_params["kind"])
    if kind is None:
        raise Problem("not-found", "there is no such kind of problem")
    return JSONResponse({"type": request.url.path, **kind._asdict()})

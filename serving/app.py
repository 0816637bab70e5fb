"""ASGI app of the screening endpoint: routes, start-up and shutdown."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lidloop.web.api_keys import METRICS as METRICS_SCOPE
from lidloop.web.problems import PREFIX, Problem, describe, raise_as_problem
from serving import open_inference, preload
from serving.metrics import CONTENT_TYPE
from serving.middleware import METRICS, ServingMiddleware
from serving.model import Served
from serving.openapi import document
from serving.problems import PROBLEM_TYPES
from serving.runtime import Runtime, runtime_of
from serving.screen import screen_endpoint
from serving.settings import Settings

PAGE: Final = Path(__file__).parent / "page"
AUDITED: Final = frozenset({"/v1/screen", "/v2/models/{name}/infer"})


def create_app(settings: Settings, served: Served | None = None) -> Starlette:
    """Create the app.

    Args:
        settings: limits, access, and which model.
        served: a model that is loaded already; otherwise it is loaded at start-up.

    Raises:
        LidloopError: for a key file, key set or audit file that cannot be used.
    """
    runtime = Runtime(settings, served)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # In this thread: loading imports libraries, and nothing else may import them at the same time.
        runtime.model.load()
        await preload.import_common()
        preload.start()
        watching = asyncio.create_task(_watch(runtime)) if settings.watch else None
        yield
        runtime.model.stopping = True
        if watching is not None:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        await asyncio.to_thread(runtime.close)
        await asyncio.to_thread(preload.stop)

    routes = _routes()
    # The version may be part of the path; it is the same resource.
    paths = {route.endpoint: route.path.replace("/versions/{version}", "") for route in reversed(routes)}
    app = Starlette(
        routes=[*routes, Mount("/static", StaticFiles(directory=PAGE, check_dir=False))],
        middleware=[Middleware(ServingMiddleware, runtime=runtime, routes=paths, audited=AUDITED)],
        exception_handlers={HTTPException: raise_as_problem},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would repeat the Host header
    app.state.runtime = runtime
    return app


@functools.cache
def shared_app() -> Starlette:
    """Return the app of this process, with settings from the environment.

    Raises:
        LidloopError: for a wrong setting, or see ``create_app``.
    """
    return create_app(Settings.read(os.environ))


def _routes() -> list[Route]:
    model = "/v2/models/{name}"
    version = model + "/versions/{version}"
    return [
        Route("/", _index),
        Route("/v1/screen", screen_endpoint, methods=["POST"]),
        Route("/livez", _live),
        Route("/v2/health/live", _live),
        Route("/readyz", _ready),
        Route("/v2/health/ready", _ready),
        Route("/v2", open_inference.server_metadata),
        Route(model, open_inference.model_metadata),
        Route(version, open_inference.model_metadata),
        Route(model + "/ready", open_inference.model_ready),
        Route(version + "/ready", open_inference.model_ready),
        Route(model + "/infer", open_inference.infer_endpoint, methods=["POST"]),
        Route(version + "/infer", open_inference.infer_endpoint, methods=["POST"]),
        Route(METRICS, _metrics),
        Route("/openapi.json", _openapi),
        Route("/fhir/CodeSystem/lidloop", _code_system),
        Route(PREFIX + "{kind}", _problem),
    ]


async def _watch(runtime: Runtime) -> None:
    """Check for another model at an interval."""
    while True:
        await asyncio.sleep(runtime.settings.watch)
        await asyncio.to_thread(runtime.model.refresh)


async def _index(_: Request) -> Response:
    page = PAGE / "index.html"
    if not page.is_file():
        raise Problem("not-found", "this server is installed without its web page")
    return FileResponse(page, headers={"Cache-Control": "no-cache"})


async def _live(_: Request) -> Response:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> Response:
    if not runtime_of(request).model.ready:
        raise Problem("not-ready", "no model is loaded yet, or the server is about to stop")
    return JSONResponse({"ready": True})


async def _metrics(request: Request) -> Response:
    runtime = runtime_of(request)
    if not runtime.settings.metrics_port:
        # Counters before and after a request reveal the result of its picture.
        await runtime.authorize(request, METRICS_SCOPE)
    content = await asyncio.to_thread(runtime.metrics.exposition)
    return Response(content, headers={"Content-Type": CONTENT_TYPE})


async def _openapi(request: Request) -> Response:
    runtime = runtime_of(request)
    return JSONResponse(document(runtime.settings))


async def _code_system(_: Request) -> Response:
    return Response(await asyncio.to_thread(_codes), media_type="application/fhir+json")


@functools.cache
def _codes() -> str:
    preload.wait()
    from serving.protocols.fhir import code_system

    text: str = code_system().model_dump_json(exclude_none=True)
    return text


async def _problem(request: Request) -> Response:
    return describe(PROBLEM_TYPES, request.path_params["kind"])

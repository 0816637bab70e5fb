"""ASGI app of the trigger service: routes, request handlers, start-up and shutdown."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lidloop.web.api_keys import ALERTS, READ, START
from lidloop.web.body import read_json, single_header
from lidloop.web.middleware import Policy, ServiceMiddleware
from lidloop.web.peers import NO_PROXIES, TrustedProxies
from lidloop.web.problems import PREFIX, Problem, describe, raise_as_problem
from pipelines.settings import SettingsError
from pipelines.trigger import wire
from pipelines.trigger.access import Access
from pipelines.trigger.cooldown import Outcome
from pipelines.trigger.launchers import Launcher
from pipelines.trigger.metrics import CONTENT_TYPE, Metrics
from pipelines.trigger.openapi import document
from pipelines.trigger.parameters import Rules
from pipelines.trigger.problems import PROBLEM_TYPES, wrong_parameters
from pipelines.trigger.store import Busy, KeyReused, Run, Store
from pipelines.trigger.supervisor import Supervisor
from pipelines.trigger.webhook import read_alerts

log: Final = logging.getLogger("lidloop.trigger")

REQUEST_BYTES: Final = 64 * 1024
MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Alertmanager does not resend a message that was too large; its ``max_alerts`` keeps messages small."""
BODY_SECONDS: Final = 10.0
"""Longest time that a body may take to arrive."""
PROBES: Final = frozenset({"/livez", "/readyz"})
PAGE: Final = 50
MOST_PER_PAGE: Final = 500
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Service:
    """State that the requests of one process share."""

    rules: Rules
    store: Store
    launcher: Launcher
    supervisor: Supervisor
    access: Access
    metrics: Metrics
    clock: Callable[[], float]


def create_app(
    *,
    rules: Rules,
    store: Store,
    launcher: Launcher,
    access: Access,
    proxies: TrustedProxies = NO_PROXIES,
    every: float = 2.0,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """Make the app. It supervises runs between start-up and shutdown, and then closes the store.

    Args:
        rules: rules for the parameters of runs.
        store: database of runs and alerts.
        launcher: starts runs.
        access: authentication.
        proxies: reverse proxies that may name the caller's address.
        every: seconds between two checks of the runs.
        clock: Unix time.
    """
    supervisor = Supervisor(store, launcher, every=every, clock=clock)
    service = Service(rules, store, launcher, supervisor, access, Metrics(store, supervisor, access), clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        supervisor.start()
        yield
        await asyncio.to_thread(supervisor.stop)
        store.close()

    app = Starlette(
        routes=[
            Route("/v1/runs", _runs, methods=["GET"]),
            Route("/v1/runs", _start, methods=["POST"]),
            Route("/v1/runs/{id}", _run),
            Route("/v1/alerts", _alerts, methods=["GET"]),
            Route("/v1/alerts", _receive_alerts, methods=["POST"]),
            Route("/livez", _live),
            Route("/readyz", _ready),
            Route("/metrics", _metrics),
            Route("/openapi.json", _openapi),
            Route(PREFIX + "{kind}", _problem),
        ],
        middleware=[Middleware(ServiceMiddleware, policy=_policy(access, proxies))],
        exception_handlers={HTTPException: raise_as_problem},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would repeat the Host header
    app.state.service = service
    return app


def _policy(access: Access, proxies: TrustedProxies) -> Policy:
    return Policy(
        problem_types=PROBLEM_TYPES,
        log=log,
        local_only="without keys this service answers its own machine only" if access.open else "",
        probes=PROBES,
        proxies=proxies,
        log_messages=True,
    )


async def _start(request: Request) -> Response:
    service = _service(request)
    caller = service.access.check(request, START)
    key = single_header(request.headers, "idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Problem("body", "Idempotency-Key must be 1 to 255 visible ASCII characters")
    given, body = await read_json(request, REQUEST_BYTES, BODY_SECONDS)
    if not isinstance(given, dict):
        raise Problem("body", "the body must be a JSON object of parameters")
    digest = hashlib.sha256(body).hexdigest()

    def work() -> tuple[Run, bool]:
        return service.store.add_request(
            service.rules.merge(given), by=caller.id, now=service.clock(), key=key, request=digest
        )

    try:
        run, repeated = await asyncio.to_thread(work)
    except SettingsError as error:
        raise wrong_parameters(error.problems) from None
    except KeyReused:
        raise Problem("key-reused", "this Idempotency-Key was sent before with another body") from None
    except Busy as busy:
        detail = "the largest number of active runs is reached"
        raise Problem("busy", detail, runs=busy.runs) from None
    service.supervisor.wake()
    headers = {"Location": f"/v1/runs/{run.id}"} | ({"Idempotency-Replayed": "true"} if repeated else {})
    return JSONResponse((await asyncio.to_thread(_shown, service, run)).document(), 202, headers=headers)


async def _runs(request: Request) -> Response:
    service = _service(request)
    service.access.check(request, READ, START)
    limit, before = _page(request)
    found = await asyncio.to_thread(service.store.runs, limit=limit + 1, before=before)
    shown = await asyncio.to_thread(lambda: [_shown(service, run) for run in found[:limit]])
    following = _next(request, limit, found[limit - 1].number if len(found) > limit else None)
    return JSONResponse(wire.Runs(runs=shown, next=following).document())


async def _run(request: Request) -> Response:
    service = _service(request)
    service.access.check(request, READ, START)
    run = await asyncio.to_thread(service.store.run, request.path_params["id"])
    if run is None:
        raise Problem("not-found", "there is no such run")
    return JSONResponse((await asyncio.to_thread(_shown, service, run)).document())


async def _receive_alerts(request: Request) -> Response:
    service = _service(request)
    caller = service.access.check(request, ALERTS)
    if not service.rules.complete:
        raise Problem("no-defaults", "the run defaults name no sources, so an alert cannot start a run")
    message, _ = await read_json(request, MESSAGE_BYTES, BODY_SECONDS)
    alerts = read_alerts(message)
    answers = await asyncio.to_thread(
        service.store.record_alerts, alerts, service.rules.defaults, by=caller.id, now=service.clock()
    )
    if any(outcome is Outcome.STARTED for _, outcome, _ in answers):
        service.supervisor.wake()
    heard = [
        wire.AlertAnswer(fingerprint=alert.fingerprint, name=alert.name, outcome=outcome, run=run)
        for alert, outcome, run in answers
    ]
    return JSONResponse(wire.Heard(alerts=heard).document())


async def _alerts(request: Request) -> Response:
    service = _service(request)
    service.access.check(request, READ, START)
    limit, before = _page(request)
    found = await asyncio.to_thread(service.store.alerts, limit=limit + 1, before=before)
    shown = [
        wire.Alert(
            received=_time(row["received"]),
            name=row["name"],
            fingerprint=row["fingerprint"],
            status=row["status"],
            starts_at=row["starts_at"],
            group=row["grouped"],
            outcome=Outcome(row["outcome"]),
            run=row["run"],
        )
        for row in found[:limit]
    ]
    following = _next(request, limit, found[limit - 1]["number"] if len(found) > limit else None)
    return JSONResponse(wire.Alerts(alerts=shown, next=following).document())


async def _live(_: Request) -> Response:
    return JSONResponse({"live": True})


async def _ready(request: Request) -> Response:
    service = _service(request)
    if not service.supervisor.alive:
        raise Problem("not-ready", "the run supervisor is not running; the service is starting or stopping")
    await asyncio.to_thread(service.store.newest)
    return JSONResponse({"ready": True})


async def _metrics(request: Request) -> Response:
    content = await asyncio.to_thread(_service(request).metrics.exposition)
    return Response(content, headers={"Content-Type": CONTENT_TYPE})


async def _openapi(request: Request) -> Response:
    return JSONResponse(document(_service(request).rules))


async def _problem(request: Request) -> Response:
    return describe(PROBLEM_TYPES, request.path_params["kind"])


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _page(request: Request) -> tuple[int, int | None]:
    """Return the query parameters ``limit`` and ``before``.

    Raises:
        Problem: ``query``.
    """
    given: Mapping[str, str] = request.query_params
    for name, value in request.query_params.multi_items():
        most = {"limit": MOST_PER_PAGE, "before": 2**53}.get(name)
        if most is None or len(request.query_params.getlist(name)) > 1:
            raise Problem(
                "query", f"{name[:50]}: the parameters are limit and before, each once", parameter=name[:50]
            )
        if not re.fullmatch(r"[0-9]{1,16}", value) or not 1 <= int(value) <= most:
            raise Problem("query", f"{name}: must be a whole number from 1 to {most}", parameter=name)
    return int(given.get("limit", PAGE)), int(given["before"]) if "before" in given else None


def _next(request: Request, limit: int, last: int | None) -> str | None:
    """Return the path of the next page; None after the last one."""
    return None if last is None else f"{request.url.path}?{urlencode({'limit': limit, 'before': last})}"


def _shown(service: Service, run: Run) -> wire.Run:
    """Convert a run for callers. May block on the host of the run."""
    return wire.Run(
        id=run.id,
        state=run.state,
        model=run.model,
        reason=run.reason,
        started_by=run.started_by,
        created=_time(run.created),
        ended=_time(run.ended),
        detail=run.detail,
        registered_as=run.registered,
        link=service.launcher.link(run.handle) if run.handle else None,
        parameters=run.parameters,
    )


def _time(seconds: float | None) -> str | None:
    return (
        None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    )

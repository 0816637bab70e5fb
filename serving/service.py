"""BentoML service for ``lidloop serve``, ``bentoml serve serving.service:Screening``, or a Bento.

BentoML brings the life cycle, its build tools, its configuration and, under ``bentoml serve``, the
supervision of workers. All HTTP is the app's own: ``Bypass`` stands before BentoML's routes, so that none of
them (its metrics, its documentation, its probes, its answers of 500 to a broken picture, its bodies without a
limit) can be reached around the app's refusals. Settings come from the environment (``serving.settings``).
"""

from __future__ import annotations

import os
from typing import Final

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # read when BentoML is used; it reports usage otherwise

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from serving.app import shared_app

# BentoML's worker takes uvicorn's default protocol, without limits for headers, and has no option for it.
HTTP_PROTOCOLS["auto"] = "lidloop.web.h11_limits:Connection"

app = shared_app()

TIMEOUT: Final = 120
"""Seconds after which BentoML, where it is the server, gives a request up. The app's own limits
(``Settings.body_seconds``, ``work_seconds``) are far shorter."""


class Bypass:
    """ASGI middleware that hands every request to our app, around BentoML's routes.

    Args:
        inner: BentoML's own app, which keeps the life cycle.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope["type"] == "http" else self._inner)(scope, receive, send)


@bentoml.service(
    name="lidloop",
    workers=app.state.runtime.settings.workers,
    traffic={"timeout": TIMEOUT},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},  # it writes addresses with their query strings
    tracing={"excluded_urls": [".*"]},  # so would its spans
)
class Screening:
    """The screening endpoint, a mounted app whose start-up and shutdown BentoML runs."""


Screening.add_asgi_middleware(Bypass)  # type: ignore[attr-defined]
bentoml.asgi_app(app)(Screening)

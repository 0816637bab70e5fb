"""``lidloop serve``: the BentoML service under uvicorn, in one process or several, with the same limits.

BentoML's own worker would leave uvicorn's settings as they are: no limit for the size of heads and the time
they take, and a log of addresses with their query strings.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape

from lidloop.errors import LidloopError
from lidloop.web.server import listen, url
from serving.settings import Settings

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

log: Final = logging.getLogger("lidloop.serving")

_MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"


def serve_one(settings: Settings) -> None:
    """Serve from this process until a signal stops it.

    Raises:
        LidloopError: for an address that is taken, a model that cannot be loaded, or see ``create_app``.
    """
    from serving.app import shared_app

    sockets = _listen(settings)
    info = shared_app().state.runtime.model.load().info
    import uvicorn

    app = _service()
    version = f" version {info.version}" if info.version else ""
    _announce(f"serving {escape(info.name)}{version}, iteration {info.iteration}", settings, sockets)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops gracefully, and then raises the signal again: an orderly end is exit status 0.
        signal.signal(number, lambda *_: None)
    uvicorn.Server(_config(app, settings)).run(sockets=sockets)


def serve_many(settings: Settings) -> None:
    """Serve from several processes, each with its share of the cores.

    They share the listening sockets. A supervisor restarts a process that ends or hangs. Each process exposes
    the metrics of all.

    Raises:
        LidloopError: as ``serve_one``, or where a worker does not start.
    """
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from lidloop.machine import cpus
    from serving.access import Access
    from serving.audit import AuditLog
    from serving.model import identity

    # Errors of the settings are reported here once, not by every worker.
    identity(settings)
    Access(settings)
    AuditLog(settings.audit).close()
    sockets = _listen(settings)
    if not settings.threads:
        os.environ["LIDLOOP_THREADS"] = str(max(1, cpus() // settings.workers))
    with tempfile.TemporaryDirectory(prefix="lidloop-metrics-") as folder:
        os.environ[_MULTIPROCESS] = folder
        _announce(f"serving from {settings.workers} processes", settings, sockets)
        supervisor = Multiprocess(_config("serving.server:worker", settings), sockets=sockets)
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise LidloopError("a worker did not start; why stands above")


def worker() -> ASGIApp:
    """Create the app of one of several workers; called by uvicorn in the worker process."""
    from uvicorn.config import STARTUP_FAILURE

    threading.Thread(target=_end_with_the_supervisor, name="supervisor", daemon=True).start()
    try:
        return _service()
    except LidloopError as error:
        log.error("%s", error)
        sys.exit(STARTUP_FAILURE)


def _service() -> ASGIApp:
    """Return the BentoML service as one of BentoML's workers runs it, with all requests routed around
    BentoML's own timers, spans and logs."""
    from serving.service import Bypass, Screening

    return Bypass(Screening.to_asgi())  # type: ignore[attr-defined]


def _config(app: ASGIApp | str, settings: Settings) -> uvicorn.Config:
    from lidloop.web.server import uvicorn_config

    return uvicorn_config(app, grace=settings.grace, workers=settings.workers, timeout_worker_healthcheck=30)


def _end_with_the_supervisor() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _listen(settings: Settings) -> list[socket.socket]:
    sockets = [listen(settings.host, settings.port)]
    if settings.metrics_port:
        host = settings.metrics_host or settings.host
        sockets.append(listen(host, settings.metrics_port, option="--metrics-port"))
    return sockets


def _announce(text: str, settings: Settings, sockets: list[socket.socket]) -> None:
    Console(stderr=True).print(
        f"{text}: [bold]{url(sockets[0], settings.host)}[/bold] (stop with Ctrl-C)",
        highlight=False,
        soft_wrap=True,
    )

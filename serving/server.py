"""The server behind ``lidloop serve``: the BentoML service under uvicorn, in one process or in several, with
the same limits in both.

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
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape

from lidloop.errors import LidloopError
from serving.settings import SettingError, Settings

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

log: Final = logging.getLogger("lidloop.serving")

_MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"


def serve_one(settings: Settings) -> None:
    """Serve from this process.

    Raises:
        LidloopError: for an address that is taken, a model that cannot be loaded, or see ``create_app``.
    """
    from serving.app import shared_app

    sockets = _listen(settings)
    app = shared_app()
    # The model is loaded while BentoML is imported.
    loading = _Loading(app.state.runtime.model.load)
    loading.start()
    import uvicorn

    door = _door()
    info = loading.result().info
    version = f" version {info.version}" if info.version else ""
    _say(f"serving {escape(info.name)}{version}, iteration {info.iteration}", settings, sockets)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops gracefully, and then raises the signal again: an orderly end is exit status 0.
        signal.signal(number, lambda *_: None)
    uvicorn.Server(_config(door, settings)).run(sockets=sockets)


def serve_many(settings: Settings) -> None:
    """Serve from several processes, each with its share of the cores. They share the listening sockets, a
    supervisor starts one anew that ends or hangs, and any of them tells the metrics of all.

    Raises:
        LidloopError: as ``serve_one``, or where a worker does not start.
    """
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from lidloop.machine import cpus
    from serving.access import Access
    from serving.audit import AuditLog
    from serving.model import identity

    # What is not there is said here, not by every worker.
    identity(settings)
    Access(settings)
    AuditLog(settings.audit).close()
    sockets = _listen(settings)
    if not settings.threads:
        os.environ["LIDLOOP_THREADS"] = str(max(1, cpus() // settings.workers))
    with tempfile.TemporaryDirectory(prefix="lidloop-metrics-") as folder:
        os.environ[_MULTIPROCESS] = folder
        _say(f"serving from {settings.workers} processes", settings, sockets)
        supervisor = Multiprocess(_config("serving.server:worker", settings), sockets=sockets)
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise LidloopError("a worker did not start; why stands above")


def worker() -> ASGIApp:
    """What one of several workers runs: called by uvicorn, in the worker."""
    from uvicorn.config import STARTUP_FAILURE

    threading.Thread(target=_end_with_the_supervisor, name="supervisor", daemon=True).start()
    try:
        return _door()
    except LidloopError as error:
        log.error("%s", error)
        sys.exit(STARTUP_FAILURE)


def _door() -> ASGIApp:
    """The BentoML service as one of BentoML's workers runs it, with the door around all of it: nothing of a
    request passes BentoML's timers, spans and logs."""
    from serving.service import Door, Screening

    return Door(Screening.to_asgi())  # type: ignore[attr-defined]


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    import uvicorn

    from lidloop.web.h11_limits import Connection

    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=settings.workers,
        timeout_worker_healthcheck=30,
        http=Connection,
        ws="none",
        proxy_headers=False,  # whoever may connect could write any address into the audit
        log_level="error",  # warnings are of requests that are none, as many as somebody likes to send
        access_log=False,  # it writes addresses with their query strings
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.grace)),
    )


def _end_with_the_supervisor() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _listen(settings: Settings) -> list[socket.socket]:
    sockets = [_listen_on(settings.host, settings.port, "--port")]
    if settings.metrics_port:
        host = settings.metrics_host or settings.host
        sockets.append(_listen_on(host, settings.metrics_port, "--metrics-port"))
    return sockets


def _listen_on(host: str, port: int, option: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise SettingError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another {option}"
        ) from None


def _say(what: str, settings: Settings, sockets: list[socket.socket]) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    Console(stderr=True).print(
        f"{what}: [bold]http://{host}:{sockets[0].getsockname()[1]}[/bold] (stop with Ctrl-C)",
        highlight=False,
        soft_wrap=True,
    )


class _Loading(threading.Thread):
    """A call in a thread whose result or error is handed on."""

    def __init__(self, work: Any) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._result: Any = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:
            self._error = error

    def result(self) -> Any:
        """Wait for the result, or raise the error."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._result

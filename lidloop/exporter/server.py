"""The exporter's HTTP: ``/metrics``, ``/livez``, ``/readyz``, and nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.registry import Collector

from lidloop.errors import LidloopError
from lidloop.exporter.reader import Reader

_SECONDS: Final = 10.0  # to send a request, and to take its answer
_AT_A_TIME: Final = 16

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def make_app(collector: Collector, readers: Iterable[Reader[Any]]) -> App:
    """The WSGI app.

    It is alive while its readers read, and ready once each has tried once: with a registry that is down, too,
    as saying so is what it is for.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(collector)
    metrics = make_wsgi_app(registry)
    watched = list(readers)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        checks = {
            "/livez": lambda: [r.name for r in watched if not r.healthy],
            "/readyz": lambda: [r.name for r in watched if r.known.seconds is None],
        }
        if path not in checks:
            return _answer(start_response, "404 Not Found", "there are /metrics, /livez and /readyz")
        waiting = checks[path]()
        if waiting:
            return _answer(start_response, "503 Service Unavailable", f"not read: {', '.join(waiting)}")
        return _answer(start_response, "200 OK", "ok")

    return app


def _answer(start_response: Any, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
    return [f"{text}\n".encode()]


class _Handler(WSGIRequestHandler):
    timeout = _SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of a scrape."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False  # what is being answered is waited for
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.Semaphore(_AT_A_TIME)
        super().__init__(*arguments)

    def server_bind(self) -> None:
        # WSGIServer's asks DNS for the host's name, which may take its time and is not needed.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "lidloop-exporter", self.server_address[1]
        self.setup_environ()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._free.acquire(blocking=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class ExporterServer:
    """A server in a thread."""

    def __init__(self, app: App, *, host: str, port: int) -> None:
        """Listen; ``port`` 0 takes a free one.

        Raises:
            LidloopError: where that is not possible.
        """
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            kind = type("_Server", (_Server,), {"address_family": family})
            self._server: _Server = kind((host, port), _Handler)
        except OSError as error:
            raise LidloopError(
                f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another --port"
            ) from None
        self._server.set_app(app)
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests, and wait for those that are being answered."""
        self._server.shutdown()
        self._server.server_close()

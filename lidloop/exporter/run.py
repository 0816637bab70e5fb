"""The exporter: readers, collector and HTTP server together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lidloop.exporter.collector import ExporterCollector
from lidloop.exporter.figures import RegistryReading, RunsReading
from lidloop.exporter.reader import Reader
from lidloop.exporter.registry_source import RegistrySource
from lidloop.exporter.runs_source import AllRuns
from lidloop.exporter.server import ExporterServer, make_app
from lidloop.web.peers import is_loopback


class Exporter:
    """Reads the sources and serves metrics between ``start`` and ``stop``, or as a context manager.

    Args:
        registry: address of the registry, as in ``lidloop.registry.registry.Registry``.
        runs: locations of runs: folders, ``s3://`` or ``kubeflow:``.
        model: name of the registered model.
        interval: seconds between readings.
        iterations: number of newest iterations that have series.
        host, port: address to listen on; port 0 takes a free one.

    Raises:
        LidloopError: for an invalid address. A source that is down is not an error.
    """

    def __init__(
        self,
        *,
        registry: str,
        runs: Sequence[str] = (),
        model: str = "lidloop",
        interval: float = 30.0,
        iterations: int = 100,
        host: str = "127.0.0.1",
        port: int = 9108,
    ) -> None:
        self.registry: Reader[RegistryReading] = Reader(
            "registry", RegistrySource(registry, model=model).read, interval=interval
        )
        self.runs: Reader[RunsReading] | None = None
        if runs:
            self.runs = Reader("runs", AllRuns(runs).read, interval=interval)
        self._readers: list[Reader[Any]] = [self.registry, *([] if self.runs is None else [self.runs])]
        collector = ExporterCollector(self.registry, self.runs, model=model, iterations=iterations)
        app = make_app(collector, self._readers, local_only=is_loopback(host))
        self._server = ExporterServer(app, host=host, port=port)
        self.port = self._server.port

    def start(self) -> None:
        """Start the readers and the server."""
        for reader in self._readers:
            reader.start()
        self._server.start()

    def stop(self) -> None:
        """Finish running requests, and stop."""
        for reader in self._readers:
            reader.stop()
        self._server.stop()

    def __enter__(self) -> Exporter:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

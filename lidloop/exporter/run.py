"""An exporter as a whole: its readers, its collector, its server."""

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
    """Reads and answers between ``start`` and ``stop``, or as a context.

    Args:
        registry: as ``lidloop.registry.registry.Registry`` takes it. runs: places of runs, folders
            or ``s3://``.
        model: name of the registered model. interval: seconds between readings.
        iterations: how many have series. host, port: where to listen; port 0 takes a free one.

    Raises:
        LidloopError: for an address that cannot be used. A source that is down is none.
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
        """Begin to read and to answer."""
        for reader in self._readers:
            reader.start()
        self._server.start()

    def stop(self) -> None:
        """Answer what was asked, and end."""
        for reader in self._readers:
            reader.stop()
        self._server.stop()

    def __enter__(self) -> Exporter:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

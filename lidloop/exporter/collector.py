"""From what the readers know to metric families: what a scrape asks for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lidloop.exporter.families import BY_NAME
from lidloop.exporter.figures import RegistryReading, RunsReading, Samples, figures
from lidloop.exporter.reader import REASONS, Reader


class ExporterCollector(Collector):
    """Answers a scrape from memory.

    Args:
        registry: reader of the registry. runs: reader of the runs; None where none are read.
        model: name of the registered model. iterations: how many have series.
    """

    def __init__(
        self,
        registry: Reader[RegistryReading],
        runs: Reader[RunsReading] | None,
        *,
        model: str,
        iterations: int,
    ) -> None:
        self._registry, self._runs = registry, runs
        self._model, self._iterations = model, iterations
        self._of: tuple[RegistryReading | None, RunsReading | None] | None = None
        self._figures = Samples()

    def describe(self) -> Iterator[Metric]:
        """Families without samples, so that nothing is read for their names."""
        yield from (_family(name) for name in BY_NAME)

    def collect(self) -> Iterator[Metric]:
        """All families that have samples."""
        samples = Samples()
        samples.update(self._newest_figures())
        for reader in (self._registry, self._runs):
            if reader is not None:
                _about(samples, reader)
        for name in BY_NAME:
            if name in samples.values:
                family = _family(name)
                for labels, value in samples.values[name].items():
                    family.add_metric(labels, value)
                yield family

    def _newest_figures(self) -> Samples:
        """The figures of the last readings, computed once for each pair of them."""
        runs = None if self._runs is None else self._runs.known.reading
        readings = (self._registry.known.reading, runs)
        if self._of is None or any(a is not b for a, b in zip(readings, self._of, strict=True)):
            found = figures(*readings, model=self._model, iterations=self._iterations)
            self._figures, self._of = found, readings
        return self._figures


def _about(samples: Samples, reader: Reader[RegistryReading] | Reader[RunsReading]) -> None:
    known = reader.known
    samples.add("exporter_source_up", reader.name, value=known.up)
    samples.add("exporter_source_timestamp_seconds", reader.name, value=known.at)
    samples.add("exporter_read_seconds", reader.name, value=known.seconds)
    for why in REASONS:
        samples.add("exporter_errors", reader.name, why, value=known.errors[why])
    if known.reading is not None:
        samples.add("exporter_left_out", reader.name, value=known.reading.left_out)


def _family(name: str) -> GaugeMetricFamily | CounterMetricFamily:
    family = BY_NAME[name]
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    return kind(f"lidloop_{name}", family.help, labels=family.labels)

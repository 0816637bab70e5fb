"""Prometheus collector: converts the last readings to metric families at a scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lidloop.exporter.families import BY_NAME
from lidloop.exporter.figures import RegistryReading, RunsReading, Samples, figures
from lidloop.exporter.reader import REASONS, Reader


class ExporterCollector(Collector):
    """Prometheus collector that answers a scrape from memory.

    Args:
        registry: reader of the registry.
        runs: reader of the runs; None if no runs are read.
        model: name of the registered model.
        iterations: number of newest iterations that have series.
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
        self._readings: tuple[RegistryReading | None, RunsReading | None] | None = None
        self._figures = Samples()

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples, so that registration reads no source."""
        yield from (_family(name) for name in BY_NAME)

    def collect(self) -> Iterator[Metric]:
        """Yield all families that have samples."""
        samples = Samples()
        samples.update(self._newest_figures())
        for reader in (self._registry, self._runs):
            if reader is not None:
                _reader_samples(samples, reader)
        for name in BY_NAME:
            if name in samples.values:
                family = _family(name)
                for labels, value in samples.values[name].items():
                    family.add_metric(labels, value)
                yield family

    def _newest_figures(self) -> Samples:
        """Return the samples of the last readings; cached until a reading changes."""
        runs = None if self._runs is None else self._runs.state.reading
        readings = (self._registry.state.reading, runs)
        cached = self._readings
        if cached is None or any(a is not b for a, b in zip(readings, cached, strict=True)):
            found = figures(*readings, model=self._model, iterations=self._iterations)
            self._figures, self._readings = found, readings
        return self._figures


def _reader_samples(samples: Samples, reader: Reader[RegistryReading] | Reader[RunsReading]) -> None:
    state = reader.state
    samples.add("exporter_source_up", reader.name, value=state.up)
    samples.add("exporter_source_timestamp_seconds", reader.name, value=state.at)
    samples.add("exporter_read_seconds", reader.name, value=state.seconds)
    for reason in REASONS:
        samples.add("exporter_errors", reader.name, reason, value=state.errors[reason])
    if state.reading is not None:
        samples.add("exporter_left_out", reader.name, value=state.reading.left_out)


def _family(name: str) -> GaugeMetricFamily | CounterMetricFamily:
    family = BY_NAME[name]
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    return kind(f"lidloop_{name}", family.help, labels=family.labels)

"""Prometheus metrics, computed from the database at each scrape, so that counters survive a restart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from pipelines.trigger.access import Access
from pipelines.trigger.cooldown import LastRun, Outcome, until
from pipelines.trigger.store import ACTIVE, REASONS, Store
from pipelines.trigger.supervisor import Supervisor

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_PREFIX: Final = "lidloop_trigger_"


class Metrics:
    """Collector of one service."""

    def __init__(self, store: Store, supervisor: Supervisor, access: Access) -> None:
        self._store, self._supervisor, self._access = store, supervisor, access
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        by_state, by_outcome = self._store.counts()
        runs = CounterMetricFamily(
            f"{_PREFIX}runs",
            "Runs by what started them; outcome started counts all, succeeded and failed those that ended.",
            labels=["reason", "outcome"],
        )
        for reason in REASONS:
            mine = {state: number for (why, state), number in by_state.items() if why == reason}
            runs.add_metric([reason, "started"], sum(mine.values()))
            for state in ("succeeded", "failed"):
                runs.add_metric([reason, state], mine.get(state, 0))
        yield runs
        alerts = CounterMetricFamily(f"{_PREFIX}alerts", "Alerts by outcome.", labels=["outcome"])
        for outcome in Outcome:
            alerts.add_metric([outcome.value], by_outcome.get(outcome.value, 0))
        yield alerts
        active = sum(number for (_, state), number in by_state.items() if state in ACTIVE)
        yield GaugeMetricFamily(f"{_PREFIX}runs_active", "Runs that have not ended.", value=active)
        over = GaugeMetricFamily(
            f"{_PREFIX}cooldown_until_timestamp_seconds",
            "When an alert may start a run again; 0 where none was started yet.",
            labels=["model"],
        )
        newest = self._store.newest()
        last = None if newest is None else LastRun(newest.created, newest.ended)
        over.add_metric([self._store.model], until(last, self._store.cooldown) or 0.0)
        yield over
        yield CounterMetricFamily(
            f"{_PREFIX}launcher_errors",
            "Failures to start or check runs since the service was started.",
            value=self._supervisor.errors,
        )
        yield CounterMetricFamily(
            f"{_PREFIX}refused_credentials",
            "Requests without valid credentials since the service was started.",
            value=self._access.failures,
        )

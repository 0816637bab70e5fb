"""Write ``docs/METRICS.md``: all metrics, from the descriptions that the code gives to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.pages.markdown import NONE, render, table
from lidloop.exporter.families import BY_NAME, FAMILIES, LABELS
from lidloop.files import write_atomic

SERVING_LABELS: Final[dict[str, str]] = {
    "route": "the path's pattern: `/v1/screen`, `/v2/models/{name}/infer`, …",
    "outcome": "`ok`, a kind of problem (`GET /problems/{kind}`), `disconnected`",
    "stage": "`wait`, `decode`, `detect`, `measure`, `answer`",
    "measurement": "a length of an eye: `pfh`, `mrd1`, …",
    "reason": "code of why it was withheld, or of the flag",
    "problem": "code of what is wrong with a face's picture",
    "level": "of the flag: `none`, `suspicious`, …",
    "name": "of the model",
    "version": "of the model in the registry; empty where nothing says so",
    "iteration": "that made the model",
    "digest": "first 12 digits of the SHA-256 of `model.onnx`",
    "feature": "a feature of `lidloop.drift`: `box_size`, `yaw`, …",
    "bin": "`0`, `1`, …: bins of the reference profile, tenths of the reference",
}
"""Values of the service's labels by label."""


class Row(NamedTuple):
    """A metric family as the page shows it."""

    name: str
    kind: str
    labels: Sequence[str]
    help: str


def exporter_rows(part: str) -> list[Row]:
    """Families of one part of the exporter."""
    return [Row(f.full_name, f.kind, f.labels, f.help) for f in FAMILIES[part]]


def serving_rows() -> list[Row]:
    """Families of the service."""
    from serving import metrics

    return [*_declared(metrics.Metrics(window=1, limit=1)._own), *_collected(metrics._drift([], {}))]


def trigger_rows() -> list[Row]:
    """Families of the trigger service."""
    from datetime import timedelta
    from types import SimpleNamespace

    from pipelines.trigger.metrics import Metrics

    state = SimpleNamespace(
        counts=lambda: ({}, {}), newest=lambda: None, model="", cooldown=timedelta(0), errors=0, failures=0
    )
    return list(_collected(list(Metrics(state, state, state).collect())))


def _declared(registry: Any) -> Iterator[Row]:
    # The Prometheus client has no public attribute for label names before there is a sample.
    for collector in registry._collector_to_names:
        for family in collector.describe():
            total = "_total" if family.type == "counter" else ""
            yield Row(family.name + total, family.type, collector._labelnames, family.documentation)


def _collected(families: Sequence[Any]) -> Iterator[Row]:
    for family in families:
        total = "_total" if family.type == "counter" else ""
        yield Row(family.name + total, family.type, family._labelnames, family.documentation)


def metrics_page(docs: Path) -> Path:
    """Write ``METRICS.md``."""
    own = {f"`{name}`": values for name, values in LABELS.items()}
    for family in BY_NAME.values():
        own |= {
            f"`{label}` of `{family.full_name}`": values for label, values in (family.values or {}).items()
        }
    write_atomic(
        docs / "METRICS.md",
        render(
            "pages/metrics.md.j2",
            exporter={part: _families(exporter_rows(part)) for part in FAMILIES},
            exporter_labels=_labels(own),
            serving=_families(serving_rows()),
            serving_labels=_labels({f"`{name}`": values for name, values in SERVING_LABELS.items()}),
            trigger=_families(trigger_rows()),
            trigger_labels=_labels({f"`{name}`": values for name, values in _trigger_labels().items()}),
        ),
    )
    return docs / "METRICS.md"


def _trigger_labels() -> dict[str, str]:
    from pipelines.trigger.cooldown import Outcome
    from pipelines.trigger.store import REASONS

    outcomes = ", ".join(f"`{outcome.value}`" for outcome in Outcome)
    return {
        "reason": ", ".join(f"`{reason}`" for reason in REASONS),
        "outcome": f"of a run: `started`, `succeeded`, `failed`; of an alert: {outcomes}",
        "model": "name of the registered model",
    }


def _families(rows: Sequence[Row]) -> str:
    return table(
        ("metric", "type", "labels", "description"),
        (
            (f"`{row.name}`", row.kind, ", ".join(f"`{label}`" for label in row.labels) or NONE, row.help)
            for row in rows
        ),
    )


def _labels(values: Mapping[str, str]) -> str:
    return table(("label", "values"), values.items())

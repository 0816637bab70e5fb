"""``docs/METRICS.md``: every metric, from the descriptions that the code itself gives to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from lidloop.exporter.families import BY_NAME, FAMILIES, LABELS
from lidloop.files import write_atomic

TEMPLATE: Final = Path(__file__).with_suffix(".md")

SERVING_LABELS: Final[dict[str, str]] = {
    "route": "the path's pattern: `/v1/screen`, `/v2/models/{name}/infer`, …",
    "outcome": "`ok`, a kind of problem (`GET /problems/{kind}`), `disconnected`",
    "stage": "`wait`, `decode`, `detect`, `measure`, `answer`",
    "measurement": "a length of an eye: `pfh`, `mrd1`, …",
    "reason": "code of why it was withheld",
    "problem": "code of what is wrong with a face's picture",
    "level": "of the flag: `none`, `suspicious`, …",
    "name": "of the model",
    "version": "of the model in the registry; empty where nothing says so",
    "iteration": "that made the model",
    "digest": "first 12 digits of the SHA-256 of `model.onnx`",
    "feature": "a feature of `lidloop.drift`: `box_size`, `yaw`, …",
    "bin": "`0`, `1`, …: bins of the reference profile, tenths of the reference",
}
"""Labels of the service by name, and which values they take."""


class Row(NamedTuple):
    """A family as the page shows it."""

    name: str
    kind: str
    labels: Sequence[str]
    help: str


def exporter_rows(part: str) -> list[Row]:
    """Families of a part of the exporter's."""
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
    # The client keeps label names for itself until there is a sample.
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
    parts = [f"### {part}\n\n{_table(exporter_rows(part))}" for part in FAMILIES]
    own = [f"| `{name}` | {meaning} |" for name, meaning in LABELS.items()]
    for family in BY_NAME.values():
        own += [f"| `{k}` of `{family.full_name}` | {v} |" for k, v in (family.values or {}).items()]
    text = TEMPLATE.read_text()
    for mark, content in {
        "@exporter@": "\n\n".join(parts),
        "@exporter-labels@": _two("label", own),
        "@serving@": _table(serving_rows()),
        "@trigger@": _table(trigger_rows()),
        "@trigger-labels@": _two("label", [f"| `{k}` | {v} |" for k, v in _trigger_labels().items()]),
        "@serving-labels@": _two("label", [f"| `{k}` | {v} |" for k, v in SERVING_LABELS.items()]),
    }.items():
        text = text.replace(mark, content)
    page = docs / "METRICS.md"
    write_atomic(page, text)
    return page


def _trigger_labels() -> dict[str, str]:
    from pipelines.trigger.cooldown import Outcome
    from pipelines.trigger.store import REASONS

    outcomes = ", ".join(f"`{outcome.value}`" for outcome in Outcome)
    return {
        "reason": ", ".join(f"`{reason}`" for reason in REASONS),
        "outcome": f"of a run: `started`, `succeeded`, `failed`; of an alert: {outcomes}",
        "model": "name of the registered model",
    }


def _table(rows: Sequence[Row]) -> str:
    lines = ["| metric | type | labels | |", "| --- | --- | --- | --- |"]
    for row in rows:
        labels = ", ".join(f"`{label}`" for label in row.labels) or "–"
        lines.append(f"| `{row.name}` | {row.kind} | {labels} | {row.help.replace('|', '&#124;')} |")
    return "\n".join(lines)


def _two(head: str, lines: Sequence[str]) -> str:
    return "\n".join([f"| {head} | values |", "| --- | --- |", *lines])

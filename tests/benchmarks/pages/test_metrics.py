from __future__ import annotations

from benchmarks.pages.metrics import SERVING_LABELS, exporter_rows, serving_rows, trigger_rows
from lidloop.exporter.families import BY_NAME, FAMILIES, LABELS


def test_every_family_is_listed_once() -> None:
    rows = [row for part in FAMILIES for row in exporter_rows(part)] + serving_rows() + trigger_rows()
    assert len({row.name for row in rows}) == len(rows) > 30
    psi = next(row for row in rows if row.name == "lidloop_serving_drift_psi")
    assert list(psi.labels) == ["feature"]


def test_every_label_is_explained() -> None:
    known = {(f.name, label) for f in BY_NAME.values() for label in (*LABELS, *(f.values or {}))}
    used = {(f.name, label) for f in BY_NAME.values() for label in f.labels}
    assert used <= known
    assert {label for row in serving_rows() for label in row.labels} == set(SERVING_LABELS)

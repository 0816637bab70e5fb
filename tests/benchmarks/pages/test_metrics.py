"""The page about metrics: what is kept under docs/ is what the code says."""

from __future__ import annotations

from pathlib import Path

from benchmarks.pages.metrics import SERVING_LABELS, exporter_rows, metrics_page, serving_rows, trigger_rows
from lidloop.exporter.families import BY_NAME, FAMILIES, LABELS

DOCS = Path(__file__).parents[3] / "docs"


def test_the_kept_page_is_current(tmp_path: Path) -> None:
    assert metrics_page(tmp_path).read_text() == (DOCS / "METRICS.md").read_text(), "run `make docs`"


def test_the_page_tells_every_family_and_label(tmp_path: Path) -> None:
    page = metrics_page(tmp_path).read_text()
    rows = [row for part in FAMILIES for row in exporter_rows(part)]
    rows += serving_rows() + trigger_rows()
    assert len({row.name for row in rows}) == len(rows) > 30
    for row in rows:
        assert f"| `{row.name}` | {row.kind} |" in page
    assert "@" not in page
    psi = next(row for row in serving_rows() if row.name == "lidloop_serving_drift_psi")
    assert list(psi.labels) == ["feature"]


def test_every_label_is_explained() -> None:
    known = {(f.name, label) for f in BY_NAME.values() for label in (*LABELS, *(f.values or {}))}
    used = {(f.name, label) for f in BY_NAME.values() for label in f.labels}
    assert used <= known
    assert {label for row in serving_rows() for label in row.labels} == set(SERVING_LABELS)

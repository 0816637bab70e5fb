"""Time of a scrape of the exporter with 100 iterations of 100,000 labels.

A registry of that many versions with evaluations and a ``watch.json``, and a run's folder with that many
ledgers, are made; then ``lidloop exporter`` is scraped while it reads both once a second. The baseline is the
time of a scrape that would read the ledgers itself.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.common import Progress, Row, below, no_progress
from benchmarks.servers import running
from lidloop.autolabel.candidates import REASONS
from lidloop.data.tables import read_table, write_table
from lidloop.data.version_writer import LEDGER_SCHEMA, ledger_counts
from lidloop.exporter.figures import GUARDS, PAIRS
from lidloop.models.bundle import seal
from lidloop.report.data import METRICS

TARGET: Final = 1.0
"""Limit of the 95th percentile, in seconds."""
_FEATURES: Final = 18
_SOURCES: Final = 8


def run(
    *, iterations: int = 100, labels: int = 100_000, scrapes: int = 60, progress: Progress = no_progress
) -> dict[str, Any]:
    """Measure.

    Args:
        iterations: number of versions and of ledgers.
        labels: number of labels of each version.
        scrapes: number of timed scrapes.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        models = _fill_registry(place, iterations, labels, progress)
        ledgers = _write_run(place / "runs" / "r", models, labels, progress)
        progress("reading the ledgers as a scrape would have to")
        start = time.perf_counter()
        for ledger in ledgers:
            ledger_counts(read_table(ledger))
        plain = time.perf_counter() - start
        program = str(Path(sys.executable).with_name("lidloop"))
        command = [program, "exporter", "--registry", str(place / "registry"), "--interval", "1"]
        command += ["--runs", str(place / "runs"), "--port", "{port}"]
        with running(command, "/livez") as server:
            progress("scraping")
            first, ready = _first_readings(server.port)
            seconds, text = [], ""
            for _ in range(scrapes):
                time.sleep(0.13)  # not in step with the readings, which start every second
                taken, text = _scrape(server.port)
                seconds.append(taken)
            rss = server.rss
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {
            "iterations": iterations,
            "labels": labels,
            "scrapes": scrapes,
            "seconds": {
                "median": median(seconds),
                "p95": float(np.percentile(seconds, 95)),
                "slowest": max(seconds),
            },
            "plain_seconds": plain,
            "ready_seconds": server.seconds + ready,
            "first_read_seconds": first,
            "read_seconds": _readings(text),
            "series": len(lines),
            "bytes": len(text.encode()),
            "rss_mb": round(rss / 1e6),
            "target": TARGET,
        }


def _scrape(port: int) -> tuple[float, str]:
    start = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return time.perf_counter() - start, text


def _first_readings(port: int) -> tuple[dict[str, float], float]:
    """Seconds of the first reading by source, and until all sources were read."""
    start = time.perf_counter()
    found: dict[str, float] = {}
    while len(found) < 2:
        if time.perf_counter() - start > 300:
            raise RuntimeError("no source was read within five minutes")
        found = _seconds(_scrape(port)[1]) | found
        time.sleep(0.05)
    return found, time.perf_counter() - start


def _seconds(text: str) -> dict[str, float]:
    """Seconds of the last reading by source, from the text of a scrape."""
    start = 'lidloop_exporter_read_seconds{source="'
    lines = [line.removeprefix(start) for line in text.splitlines() if line.startswith(start)]
    return {name: float(value) for name, _, value in (line.partition('"} ') for line in lines)}


def _readings(text: str) -> dict[str, float]:
    """Seconds of the last reading by source.

    Raises:
        RuntimeError: if a source was not read without errors.
    """
    up = [line for line in text.splitlines() if line.startswith("lidloop_exporter_source_up{")]
    if len(up) != 2 or not all(line.endswith(" 1.0") for line in up):
        raise RuntimeError(f"not all sources were read: {up}")
    return _seconds(text)


def _fill_registry(place: Path, iterations: int, labels: int, progress: Progress) -> list[str]:
    """Register untrained models as iterations of a run; return the models' digests."""
    from lidloop.registry.registry import Registry

    registry = Registry(place / "registry")
    history: list[dict[str, Any]] = []
    digests = []
    for k in range(iterations):
        if k % 20 == 0:
            progress(f"version {k + 1} of {iterations}")
        history.append(_entry(k))
        model = place / "models" / str(k)
        model.mkdir(parents=True)
        (model / "model.onnx").write_bytes(f"model {k}".encode())
        (model / "weights.pt").write_bytes(b"none")
        (model / "training.json").write_text(json.dumps({"iteration": k, "imgsz": 640}))
        bundle = seal(
            model, place / "bundles" / str(k), evaluation={**history[-1], "iterations": history},
            profile={"format": 1}, run="r", iteration=k, parent=str(k) if k else None, dataset="d" * 64,
            label_version=k, labels=_counts(labels, k, iterations), watch=_watch(k, labels),
        )  # fmt: skip
        digests.append(bundle.model_digest)
        registry.register(bundle, run="r", iteration=k, parent=str(k) if k else None)
    registry.promote("1", reason="the first")
    return digests


def _entry(k: int) -> dict[str, Any]:
    """An iteration's entry of ``evaluation.json``."""
    overall = {metric.source: 0.5 + k / 1000 for metric in METRICS} | {"faces": 1000}
    gold = {"overall": overall, "by_source": {f"source-{s}": overall for s in range(_SOURCES)}}
    return {"iteration": k, "gold": gold, "paper": gold}


def _counts(labels: int, k: int, iterations: int) -> dict[str, dict[str, int]]:
    grown = labels * k // (2 * iterations)
    val = labels // 5
    return {"train": {"human": labels - val - grown, "grown": grown}, "val": {"human": val, "grown": 0}}


def _watch(k: int, labels: int) -> dict[str, Any]:
    """A ``watch.json`` with all pairs, features and guards."""
    feature = {"psi": 0.1, "psi_limit": 0.2, "js": 0.1, "ks": 0.1, "p_corrected": 0.5, "level": "stable"}
    pair = {"faces": [labels, labels], "features": {f"feature-{f}": feature for f in range(_FEATURES)}}
    guard = {"value": 0.1, "threshold": 0.5, "tripped": False, "why": ""}
    return {"iteration": k, "pairs": dict.fromkeys(PAIRS, pair), "guards": dict.fromkeys(GUARDS, guard)}


def _write_run(run: Path, models: list[str], labels: int, progress: Progress) -> list[Path]:
    """Write a run's folder with a ledger for each model: its labels, and half as many dropped predictions."""
    rng = np.random.default_rng(0)
    rows = labels * 3 // 2
    columns = {
        "line": np.where(np.arange(rows) < labels, 0, -1), "origin": rng.integers(-1, 3, rows),
        **{name: rng.random(rows) for name in ("x1", "y1", "x2", "y2", "confidence", "iou")},
    }  # fmt: skip
    words = {
        "image": [f"picture-{k}" for k in range(rows)], "split": ["train", "val"], "model": ["m"],
        "decision": ["kept", "dropped"], "reason": list(REASONS),
    }  # fmt: skip
    named = {
        name: pa.DictionaryArray.from_arrays(pa.array(np.arange(rows) % len(v), pa.int32()), pa.array(v))
        for name, v in words.items()
    }
    table = pa.table({**columns, **named}).select(LEDGER_SCHEMA.names).cast(LEDGER_SCHEMA)
    dropped = dict.fromkeys(("below-confidence", "overlaps-label", "overlaps-prediction"), labels // 6)
    written = []
    for k, model in enumerate(models):
        if k % 20 == 0:
            progress(f"ledger {k + 1} of {len(models)}")
        folder = run / "steps" / "lidloop-refinement" / f"nms-filter-{k}" / "grown"
        written.append(folder / "ledger" / f"v{k + 1}.parquet")
        write_table(written[-1], table)
        info = {
            "format": 1, "version": k + 1, "dataset": "d" * 64, "counts": _counts(labels, k + 1, len(models)),
            "parameters": {"model": model, "grown": labels // 10, "dropped": dropped},
        }  # fmt: skip
        (folder / "version.json").write_text(json.dumps(info))
    for name in ("run.json", "summary.json"):
        (run / name).write_text("{}")
    return written


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    p95, plain = report["seconds"]["p95"], report["plain_seconds"]
    return [
        Row(
            f"Scrape of the exporter, p95, {report['iterations']} iterations of {report['labels']:,} labels",
            f"{1e3 * p95:.0f} ms", f"{plain:.1f} s", f"{plain / p95:.0f}×",
            *below(p95, report["target"], f"{report['target']:g} s"),
        )
    ]  # fmt: skip

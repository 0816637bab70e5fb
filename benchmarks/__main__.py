"""All measurements, one after the other: ``python -m benchmarks``, which is ``make bench``.

Writes ``benchmarks.json`` and ``BENCHMARKS.md``. What could not be measured now keeps its earlier figures
with their date. A missed target is shown as missed; the exit status is 1 only where a measurement broke.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import (
    auto_label,
    detection,
    exporter,
    filter,
    overhead,
    service,
    sigma,
    soak,
    tracking,
    unlabelled,
)
from benchmarks.common import DATA, REPORTS, Say, Skipped, machine
from benchmarks.measurements import measure as measurements
from benchmarks.pages import __main__ as docs
from benchmarks.pages import benchmarks as render
from benchmarks.scale import report as scale
from lidloop.files import write_atomic

STORED: Final = "benchmarks.json"
PAGE: Final = "BENCHMARKS.md"

LONG: Final = ("soak",)
"""Measured only where they are named: they take much longer than all others together."""

Measure = Callable[[Say], dict[str, Any]]


def planned(
    *, run_dir: Path | None, model: Path | None, quick: bool, stored: Mapping[str, Any] | None = None
) -> dict[str, Measure]:
    """What to call for each measurement, in the order in which they are made; ``stored`` is what is known."""
    if model is None and run_dir is not None and (run_dir / "steps").is_dir():
        model = overhead.newest_model(run_dir)
    small: dict[str, dict[str, Any]] = {
        "auto_label": {"pictures": 10, "imgsz": 256, "repeat": 1},
        "detection": {"pictures": 2, "imgsz": 256, "repeat": 1, "judged": 10},
        "exporter": {"iterations": 3, "labels": 1000, "scrapes": 5},
        "filter": {"images": 2000, "repeat": 1},
        "measurements": {"faces": 4, "demo_faces": 4, "real": 4, "repeat": 3},
        "scale": {"sizes": (200, 400)},
        "service": {"imgsz": 256, "rounds": 2, "seconds": 3.0, "starts": 1, "size": False},
        "soak": {"imgsz": 256, "minutes": 0.25, "mutated": 50},
        "sigma": {"annotations": 40, "imgsz": 96, "epochs": 3, "factor": 1},
        "tracking": {"imgsz": 256, "pairs": 4, "warm": 2},
        "unlabelled": {"pictures": 20, "imgsz": 96, "epochs": (1,)},
        "unlabelled_real": {"imgsz": 96, "epochs": (1,), "start_pictures": 20, "start_epochs": 1},
    }
    size = small if quick else {name: {} for name in small}
    return {
        "filter": lambda say: filter.run(**size["filter"]),
        "overhead": lambda say: overhead.run(run_dir),
        "auto_label": lambda say: auto_label.run(model=model, say=say, **size["auto_label"]),
        "detection": lambda say: detection.run(model=model, say=say, **size["detection"]),
        "measurements": lambda say: measurements.run(say=say, **size["measurements"]),
        "scale": lambda say: scale.run(stored=stored or {}, say=say, **size["scale"]),
        "service": lambda say: service.run(say=say, **size["service"]),
        "exporter": lambda say: exporter.run(say=say, **size["exporter"]),
        "tracking": lambda say: tracking.run(say=say, **size["tracking"]),
        "soak": lambda say: soak.run(say=say, **size["soak"]),
        "sigma": lambda say: sigma.run(say=say, **size["sigma"]),
        "unlabelled": lambda say: unlabelled.run(say=say, **size["unlabelled"]),
        "unlabelled_real": lambda say: unlabelled.run_real(say=say, **size["unlabelled_real"]),
    }


def measure_all(
    chosen: Mapping[str, Measure], stored: Mapping[str, Any], console: Console, *, quick: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Make the measurements and join them with what is stored.

    Returns:
        The new content of ``benchmarks.json``, and the names of those that broke.
    """
    entries = dict(stored.get("benchmarks", {}))
    broken = []
    for name, work in chosen.items():
        start = time.perf_counter()
        entry: dict[str, Any] = {"measured": datetime.now(UTC).date().isoformat(), "machine": machine()}
        waiting = console.status(name) if console.is_terminal else nullcontext()
        with waiting as status:

            def say(text: str, name: str = name, status: Any = status) -> None:
                if status is None:
                    console.print(f"{name}: {text}", highlight=False)
                else:
                    status.update(f"{name}: {text}")

            try:
                entry["report"] = work(say)
                entry["quick"] = quick
            except Skipped as reason:
                entry["skipped"] = str(reason)
                console.print(f"{name}: skipped, {reason}", highlight=False)
            except Exception as error:
                # The others must still run; the stack is for who mends it, not for the page.
                entry["failed"] = type(error).__name__
                broken.append(name)
                console.print(f"{name}: failed", style="red")
                traceback.print_exc()
        entry["seconds"] = round(time.perf_counter() - start, 1)
        if "report" in entry or "report" not in entries.get(name, {}):
            entries[name] = entry
        if "report" in entry:
            console.print(f"{name}: measured in {entry['seconds']:.0f} s", highlight=False)
    return {"format": 1, "benchmarks": entries}, broken


def show(stored: Mapping[str, Any], names: list[str], console: Console) -> None:
    """Print the table of the measurements made."""
    table = Table("question", "lidloop", "theirs", "ratio or share", "target", "")
    for name in render.PAGES:
        entry = stored["benchmarks"].get(name, {})
        for row in render.PAGES[name].rows(entry["report"]) if name in names and "report" in entry else []:
            style = "red" if row.met is False else None
            table.add_row(*row[:5], render.met(row).strip("*"), style=style)
    console.print(table)


def main(arguments: list[str] | None = None) -> int:
    names = list(planned(run_dir=None, model=None, quick=False))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, help="measure only this; may be repeated")
    parser.add_argument("--run", type=Path, help="a finished run, for overhead, and its newest model")
    parser.add_argument("--model", type=Path, help="model folder for auto_label; default: that of --run")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: proof that all runs, no figures")
    parser.add_argument("--out", type=Path, help="where to write; default: docs, or runs/bench with --quick")
    parser.add_argument("--strict", action="store_true", help="a missed target is exit status 1, too")
    given = parser.parse_args(arguments)
    out = given.out or (Path("runs/bench") if given.quick else Path("docs"))
    console = Console()
    file = out / DATA / STORED
    stored = json.loads(file.read_text()) if file.exists() else {}
    known = stored.get("benchmarks", {})
    all_of_them = planned(run_dir=given.run, model=given.model, quick=given.quick, stored=known)
    asked = given.only or [name for name in all_of_them if name not in LONG]
    chosen = {name: work for name, work in all_of_them.items() if name in asked}
    result, broken = measure_all(chosen, stored, console, quick=given.quick)
    write_atomic(file, json.dumps(result, indent=1) + "\n")
    write_atomic(out / REPORTS / PAGE, render.page(result))
    docs.measurements_page(out)
    docs.scale_page(out)
    show(result, list(chosen), console)
    console.print(f"written: {out / REPORTS / PAGE}", highlight=False)
    missed = given.strict and any(
        row.met is False
        for name in chosen
        if "report" in result["benchmarks"][name]
        for row in render.PAGES[name].rows(result["benchmarks"][name]["report"])
    )
    return 1 if broken or missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the measurements side by side: ``python -m benchmarks``, or ``make bench``.

Writes ``reports/data/benchmarks.json`` and the pages made from it below ``--out``. A measurement that is
skipped or fails keeps its earlier figures with their date. A missed target is shown as missed; the exit
status is 1 only if a measurement failed, or with ``--strict`` if a target was missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.common import DATA, REPORTS, Skipped, machine
from benchmarks.overhead import newest_model
from benchmarks.pages.__main__ import write_benchmark_pages
from benchmarks.pages.benchmarks import met, notes
from benchmarks.registry import MEASUREMENTS
from lidloop.files import write_atomic


def measure_all(
    names: Sequence[str],
    stored: Mapping[str, Any],
    console: Console,
    *,
    context: Mapping[str, Any],
    quick: bool = False,
    sizes: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Make the measurements and merge them with those that are stored.

    Args:
        context: ``model`` and ``run_dir`` for the measurements that use them.
        sizes: arguments that replace those of the measurements.

    Returns:
        The new content of ``benchmarks.json``, and the names of the measurements that failed.
    """
    entries = dict(stored.get("benchmarks", {}))
    failed = []
    for name in names:
        start = time.perf_counter()
        entry: dict[str, Any] = {"measured": datetime.now(UTC).date().isoformat(), "machine": machine()}
        with console.status(name) if console.is_terminal else nullcontext() as status:

            def progress(text: str, name: str = name, status: Any = status) -> None:
                if status is None:
                    console.print(f"{name}: {text}", highlight=False)
                else:
                    status.update(f"{name}: {text}")

            measurement = MEASUREMENTS[name]
            try:
                entry["report"] = measurement.measure(
                    {**(measurement.quick if quick else {}), **(sizes or {})},
                    {**context, "stored": entries, "progress": progress},
                )
                entry["quick"] = quick
            except Skipped as reason:
                entry["skipped"] = str(reason)
                console.print(f"{name}: skipped, {reason}", highlight=False)
            except Exception as error:
                # The other measurements still run; the page names the error's class only.
                entry["failed"] = type(error).__name__
                failed.append(name)
                console.print(f"{name}: failed", style="red")
                traceback.print_exc()
        entry["seconds"] = round(time.perf_counter() - start, 1)
        if "report" in entry or "report" not in entries.get(name, {}):
            entries[name] = entry
        if "report" in entry:
            console.print(f"{name}: measured in {entry['seconds']:.0f} s", highlight=False)
    return {"format": 1, "benchmarks": entries}, failed


def show(reports: Mapping[str, Mapping[str, Any]], console: Console) -> int:
    """Print the table and the remarks of some reports, and return how many targets are missed."""
    table = Table("question", "lidloop", "baseline", "ratio or share", "target", "")
    missed = 0
    for name, report in reports.items():
        for row in MEASUREMENTS[name].rows(report):
            table.add_row(*row[:5], met(row).strip("*"), style="red" if row.met is False else None)
            missed += row.met is False
    console.print(table)
    for name, report in reports.items():
        console.print(notes(name, report), highlight=False, markup=False)
    return missed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(MEASUREMENTS), help="measure only this; may be repeated"
    )
    parser.add_argument("--run", type=Path, help="a finished run, for overhead, and its newest model")
    parser.add_argument("--model", type=Path, help="model folder for auto_label and detection")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, which only prove that all runs")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=JSON",
        help="an argument of the measurement, such as imgsz=320; may be repeated",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="where to write; default: docs, or runs/bench with --quick")
    parser.add_argument("--strict", action="store_true", help="a missed target is exit status 1, too")
    given = parser.parse_args(arguments)
    try:
        sizes = {name: json.loads(value) for name, _, value in (part.partition("=") for part in given.set)}
    except ValueError:
        parser.error(f"--set wants NAME=JSON, not {' '.join(given.set)}")
    names = [name for name, it in MEASUREMENTS.items() if (name in given.only if given.only else not it.long)]
    for name in names:
        if unknown := MEASUREMENTS[name].unknown(sizes):
            parser.error(f"{name} has no argument {', '.join(unknown)}")
    out = given.out or (Path("runs/bench") if given.quick else Path("docs"))
    console = Console()
    file = out / DATA / "benchmarks.json"
    stored = json.loads(file.read_text()) if file.exists() else {}
    model = given.model or (newest_model(given.run) if given.run else None)
    result, failed = measure_all(
        names, stored, console, context={"model": model, "run_dir": given.run}, quick=given.quick, sizes=sizes
    )
    write_atomic(file, json.dumps(result, indent=1) + "\n")
    write_benchmark_pages(out)
    entries = {name: result["benchmarks"][name] for name in names}
    missed = show({name: entry["report"] for name, entry in entries.items() if "report" in entry}, console)
    console.print(f"written: {out / REPORTS / 'BENCHMARKS.md'}", highlight=False)
    return 1 if failed or (given.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())

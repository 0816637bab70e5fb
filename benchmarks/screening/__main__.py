"""Measure the operating point of the screening flag: ``python -m benchmarks.screening``.

Needs ``LIDLOOP_300W``, a folder of photographs with ``.pts`` files. Faces are detected by the starter, or by
``--model``, and measured as the service does it. Writes ``reports/data/screening.json`` and the pages
made from it below ``--out``. The measured rows stay in ``--rows``: with ``--reuse`` the rules are applied to
them again, in seconds. Rows and sheets are of real people: keep them out of the repository.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.common import DATA, DOCS, REAL_FACES, Skipped, machine, path_from_environment
from benchmarks.screening.groups import groups_of
from benchmarks.screening.measure import AS_IT_WAS, drawn, photographed
from benchmarks.screening.page import STORED, screening_page
from benchmarks.screening.people import people_of
from benchmarks.screening.report import judge, report_of
from benchmarks.screening.rows import Row, read_rows, write_rows
from benchmarks.screening.targets import targets_of
from lidloop.detection.detector import load_detector
from lidloop.files import write_atomic
from lidloop.starter import starter_model

LOWERED: Final = 300
DRAWN: Final = 100
ROWS: Final = Path("runs/screening/rows.parquet")


def measure(model: Path | None, *, lowered: int | None, faces: int, seed: int, console: Console) -> list[Row]:
    """Measure photographs and drawn faces with a model: a bundle, a model folder or an ONNX file."""
    people = people_of(path_from_environment(REAL_FACES, "300W pictures with .pts files"))

    def progress(text: str) -> None:
        console.print(text, highlight=False)

    detector = load_detector(model or starter_model())
    rows = list(photographed(people, detector, lowered=lowered, seed=seed, progress=progress))
    return rows + list(drawn(detector, faces=faces, progress=progress))


def report_with_groups(rows: list[Row]) -> dict[str, Any]:
    """All figures of the page."""
    judged = judge(rows)
    healthy = [j for j in judged if j.row.group == AS_IT_WAS]
    drawings = [j for j in judged if j.row.source == "drawn"]
    return report_of(judged) | {"groups": groups_of(healthy, drawings)}


def main(
    model: Annotated[
        Path | None, typer.Option(help="Model folder, bundle or .onnx; default: the starter.")
    ] = None,
    lowered: Annotated[int, typer.Option(help="Photographed faces whose lids are lowered.")] = LOWERED,
    everybody: Annotated[bool, typer.Option("--all", help="Lower the lids of every suitable face.")] = False,
    faces: Annotated[int, typer.Option(help="Drawn faces of each degree of ptosis.")] = DRAWN,
    seed: Annotated[int, typer.Option(help="Seed of the sample and of the sides.")] = 11,
    rows: Annotated[Path, typer.Option(help="File of the measured rows.")] = ROWS,
    reuse: Annotated[bool, typer.Option(help="Apply the rules to the rows of an earlier run.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the documents.")] = DOCS,
    strict: Annotated[bool, typer.Option(help="A missed target is exit status 1.")] = False,
) -> None:
    """Measure who is judged, false flags, sensitivity and the operating curve; write docs/SCREENING.md."""
    console = Console()
    if reuse:
        measured = read_rows(rows)
    else:
        try:
            measured = measure(
                model, lowered=None if everybody else lowered, faces=faces, seed=seed, console=console
            )
        except Skipped as reason:
            console.print(f"cannot measure: {reason}", highlight=False)
            raise typer.Exit(2) from None
        write_rows(measured, rows)
    entry: dict[str, Any] = {
        "format": 1, "measured": datetime.now(UTC).date().isoformat(), "machine": machine(), "seed": seed,
        "model": "the starter weights" if model is None else model.name,
        "report": report_with_groups(measured),
    }  # fmt: skip
    write_atomic(out / DATA / STORED, json.dumps(entry, indent=1, allow_nan=False) + "\n")
    page = screening_page(out)
    table = Table("target", "reached", "95 % interval", "limit", "")
    missed = 0
    for target in targets_of(entry["report"]):
        value, low, high = (target.reached[k] for k in ("value", "low", "high"))
        interval = "–" if low is None else f"{low:.3f} to {high:.3f}"
        verdict = "no figure" if target.met is None else "met" if target.met else "missed"
        missed += target.met is False
        table.add_row(target.what, "–" if value is None else f"{value:.3f}", interval, target.limit, verdict)
    console.print(table)
    console.print(f"written: {page}", highlight=False)
    raise typer.Exit(1 if strict and missed else 0)


if __name__ == "__main__":
    typer.run(main)

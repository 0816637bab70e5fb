"""``docs/reports/RESULTS.md`` and its figures, from the ``summary.json`` of a run on real faces.

    python -m benchmarks.results RUN_DIR [--grid GRID.jpg]

The page has figures and numbers only. Pictures of people stay in the run's folder, since they may be licensed
for research only. ``--grid`` writes a sheet of random grown labels for a person to review; the counts of the
review go into ``docs/reports/data/review.json`` and from there onto the page::

    {"reviewed": 100, "wrong": 2, "wrong_ids": ["helen-123:1"], "by": "…", "notes": "…", "hardware": "…"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common import DATA, DOCS, FIGURES, REPORTS
from benchmarks.pages.markdown import render
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.errors import DatasetError
from lidloop.files import write_atomic
from lidloop.report import figures, pictures
from lidloop.report.data import BY_KEY, METRICS, STEPS, read_json, shown
from lidloop.report.page import sigma_text

PAPER_FROM, PAPER_TO = 4437, 6240
"""Labels before and after in the paper's Table 1 (arXiv 2404.05348)."""

SHOWN_SETTINGS = (
    "iterations", "epochs", "patience", "imgsz", "batch", "device", "conf", "iou", "retention", "paper_exact",
    "split", "seed", "oks_sigma", "background", "workers", "shards",
)  # fmt: skip
"""Settings that are published; others may contain paths."""


def plots(summary: Mapping[str, Any]) -> dict[str, bytes]:
    """The page's figures as PNG files by name."""
    wanted: dict[str, tuple[figures.Draw, tuple[float, float]]] = {
        "growth": (figures.label_growth(summary), (6.4, 3.9)),
        "confidence": (figures.confidence_or_iou(summary, "confidence"), (4.6, 3.0)),
        "iou": (figures.confidence_or_iou(summary, "iou"), (4.6, 3.0)),
    }
    for key in ("recall", "precision", "pose_ap50_95", "nme", "lid_error", "failure_rate"):
        wanted[key] = (figures.metric_by_iteration(summary, key), (4.0, 2.9))
    for name in summary["drift"]:
        wanted[f"drift-{name}"] = (figures.drift(summary, name), (4.2, 3.0))
    if summary["timings"]:
        wanted["seconds"] = (figures.seconds(summary), (6.4, 3.4))
    return {
        f"{name}.png": figures.render(draw, kind="png", size=size) for name, (draw, size) in wanted.items()
    }


def source_name(spec: str) -> str:
    """A source without its folder: ``ibug:/somewhere/afw`` as ``ibug:afw``."""
    kind, colon, place = spec.partition(":")
    return f"{kind}:{Path(place).name}" if colon else Path(spec).name


def public(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary without paths: the content of ``docs/reports/data/results.json``."""
    settings = {k: v for k, v in summary["settings"].items() if k in SHOWN_SETTINGS}
    sources = [source_name(spec) for spec in summary["sources"]]
    return {**summary, "settings": settings, "sources": sources, "paths": {}}


def checked(review: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A review with missing fields filled in; None for None.

    Raises:
        DatasetError: if the counts contradict each other.
    """
    if review is None:
        return None
    reviewed, wrong, ids = review.get("reviewed"), review.get("wrong"), list(review.get("wrong_ids", []))
    counts = isinstance(reviewed, int) and isinstance(wrong, int) and 0 <= wrong <= reviewed and reviewed > 0
    if not counts or len(ids) not in (0, wrong):
        raise DatasetError(
            f"review.json says {wrong!r} of {reviewed!r} labels are wrong and names {len(ids)}; count again"
        )
    return {"by": "", "notes": "", "hardware": "", "wrong_ids": [], **review}


def by_source(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Pairs of a source and an iteration (the first and the champion's); empty for only one source."""
    iterations = summary["iterations"]
    best = [row for row in iterations if row["iteration"] == summary["champion"]["iteration"]]
    chosen = list({row["iteration"]: row for row in [*iterations[:1], *best]}.values())
    sources = list(dict.fromkeys(name for row in chosen for name in row["by_source"].get("gold", {})))
    return [(source, row) for source in sources for row in chosen] if len(sources) > 1 else []


def page(summary: Mapping[str, Any], review: Mapping[str, Any] | None) -> str:
    """The page's Markdown.

    Args:
        summary: a run's ``summary.json``, by ``public``. review: the content of ``review.json``, if any.
    """
    return render(
        "results.md.j2",
        summary=summary,
        review=checked(review),
        by_source=by_source(summary),
        reasons=dict.fromkeys(reason for version in summary["versions"] for reason in version["dropped"]),
        sigma=sigma_text(summary),
        paper_from=PAPER_FROM,
        paper_to=PAPER_TO,
        metrics=METRICS,
        source_metrics=[BY_KEY[k] for k in ("recall", "nme", "nme_median", "failure_rate", "lid_error")],
        by_key=BY_KEY,
        steps=STEPS,
        shown=shown,
    )


def write_results(source: Path, docs: Path, *, review: Path | None = None) -> Path:
    """Write ``reports/RESULTS.md`` and ``reports/images/results/*.png`` below ``docs`` from a run's summary.

    The figures are kept as ``reports/data/results.json``, from which the page can be made again without
    the run.

    Args:
        source: a run's ``summary.json``.
        docs: folder to write to.
        review: the review by a person; by default ``reports/data/review.json`` if it exists.

    Raises:
        DatasetError: for a missing summary, or a review whose counts contradict each other.
    """
    summary = public(read_json(source, "summary"))
    default = docs / DATA / "review.json"
    file = review or (default if default.exists() else None)
    text = page(summary, None if file is None else read_json(file, "review"))
    for name, content in plots(summary).items():
        write_atomic(docs / FIGURES / "results" / name, content)
    kept = json.dumps(summary, indent=1, ensure_ascii=False)
    write_atomic(docs / DATA / "results.json", kept + "\n")
    write_atomic(docs / REPORTS / "RESULTS.md", text)
    return docs / REPORTS / "RESULTS.md"


def write_grid(run_dir: Path, out: Path, *, count: int = 100, seed: int = 0) -> int:
    """Write a sheet of random grown labels as a JPEG, and return how many are on it.

    The labels are those of the report's grid for the same seed. The sheet shows faces.
    """
    paths = read_json(run_dir / "summary.json", "summary")["paths"]
    dataset = Dataset.open(run_dir / paths["dataset"])
    labels = LabelVersion.open(run_dir / paths["labels"]).labels(dataset)
    tiles = pictures.grown_tiles(labels, pictures.loader(dataset), count=count, seed=seed)
    write_atomic(out, pictures.jpeg(pictures.contact_sheet(tiles)))
    return len(tiles)


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a run on real faces.")],
    docs: Annotated[Path, typer.Option(help="Folder to write reports/RESULTS.md to.")] = DOCS,
    review: Annotated[
        Path | None, typer.Option(help="Review by a person; default: docs/reports/data/review.json.")
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(help="Write only the sheet of random grown labels, to this file.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Labels in the grid.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the random choice.")] = 0,
) -> None:
    """Write docs/reports/RESULTS.md from a run, or a sheet of grown labels for a person to review."""
    if grid is not None:
        n = write_grid(run, grid, count=count, seed=seed)
        typer.echo(
            f"{grid}: {n} grown labels. It shows faces: store it only where the dataset may be stored."
        )
        return
    typer.echo(write_results(run / "summary.json", docs, review=review))


if __name__ == "__main__":
    typer.run(main)

"""``docs/reports/RESULTS.md`` and its figures, from the ``summary.json`` of a run on real faces.

    python -m benchmarks.results RUN_DIR [--grid GRID.jpg]

The page holds figures and numbers only. Pictures of people stay in the run's folder: they may be licensed for
research only. ``--grid`` writes the sheet of random grown labels for a person to look at; what that person
counted goes into ``docs/reports/data/review.json`` and from there onto the page::

    {"reviewed": 100, "wrong": 2, "wrong_ids": ["helen-123:1"], "by": "…", "notes": "…", "hardware": "…"}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common import DATA, DOCS, FIGURES, REPORTS
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.errors import DatasetError
from lidloop.files import write_atomic
from lidloop.report import figures, pictures
from lidloop.report.data import BY_KEY, METRICS, STEPS, YARDSTICKS, read_json, shown
from lidloop.report.page import sigma_text

PAPER_FROM, PAPER_TO = 4437, 6240
"""Labels before and after in the paper's Table 1 (arXiv 2404.05348)."""

SHOWN_SETTINGS = (
    "iterations", "epochs", "patience", "imgsz", "batch", "device", "conf", "iou", "retention", "paper_exact",
    "split", "seed", "oks_sigma", "background", "workers", "shards",
)  # fmt: skip
"""Settings that say what was done; others may hold places on somebody's disk."""


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


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table; the first column is text, all others numbers."""
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    lines += [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {line} |" for line in lines] + [""]


def source_name(spec: str) -> str:
    """A source without its place on the disk: ``ibug:/somewhere/afw`` as ``ibug:afw``."""
    kind, colon, place = spec.partition(":")
    return f"{kind}:{Path(place).name}" if colon else Path(spec).name


def public(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary without paths: the content of ``docs/reports/data/results.json``."""
    settings = {k: v for k, v in summary["settings"].items() if k in SHOWN_SETTINGS}
    sources = [source_name(spec) for spec in summary["sources"]]
    return {**summary, "settings": settings, "sources": sources, "paths": {}}


def review_text(review: Mapping[str, Any] | None) -> list[str]:
    """What a person counted, in words.

    Raises:
        DatasetError: where the counts contradict each other.
    """
    if review is None:
        return [
            "Nobody has looked at this run's grown labels yet: `docs/reports/data/review.json` is missing.",
            "",
        ]
    reviewed, wrong, ids = review.get("reviewed"), review.get("wrong"), list(review.get("wrong_ids", []))
    counts = isinstance(reviewed, int) and isinstance(wrong, int) and 0 <= wrong <= reviewed and reviewed > 0
    if not counts or len(ids) not in (0, wrong):
        raise DatasetError(
            f"review.json says {wrong!r} of {reviewed!r} labels are wrong and names {len(ids)}; count again"
        )
    by = f" by {review['by']}" if review.get("by") else ""
    lines = [f"Looked at{by}: **{wrong} of {reviewed}** random grown labels were wrong.", ""]
    if ids:
        lines += [
            "Wrong, as picture and line of its label file: " + ", ".join(f"`{i}`" for i in ids) + ".",
            "",
        ]
    if review.get("notes"):
        lines += [str(review["notes"]), ""]
    return lines


def metric_tables(summary: Mapping[str, Any]) -> list[str]:
    """Table 2 on either yardstick."""
    said = {
        "gold": "validation labels of version 0, frozen, human; the champion is chosen on it",
        "paper": "validation labels of the iteration, which grow, as in the paper's Table 2",
    }
    lines: list[str] = []
    for yardstick in YARDSTICKS:
        head = [
            "Iteration",
            "Faces",
            *(f"{m.label} ({m.unit}) {'↑' if m.more_is_better else '↓'}" for m in METRICS),
        ]
        rows = []
        for row in summary["iterations"]:
            star = " ★" if row["iteration"] == summary["champion"]["iteration"] else ""
            values = [shown(m, row["metrics"][yardstick][m.key]) for m in METRICS]
            rows.append([f"{row['iteration']}{star}", row["faces"][yardstick]["faces"], *values])
        lines += [f"### {yardstick.capitalize()}: {said[yardstick]}", "", *table(head, rows)]
    return lines


def source_table(summary: Mapping[str, Any]) -> list[str]:
    """Gold by source, in the first iteration and in the champion's; empty where there is one source only."""
    iterations = summary["iterations"]
    best = [r for r in iterations if r["iteration"] == summary["champion"]["iteration"]]
    chosen = list({r["iteration"]: r for r in [*iterations[:1], *best]}.values())
    sources = list(dict.fromkeys(name for r in chosen for name in r["by_source"].get("gold", {})))
    if len(sources) < 2:
        return []
    metrics = [BY_KEY[key] for key in ("recall", "nme", "nme_median", "failure_rate", "lid_error")]
    head = ["Source", "Iteration", "Faces"]
    head += [f"{m.label} ({m.unit}) {'↑' if m.more_is_better else '↓'}" for m in metrics]
    rows = []
    for source in sources:
        for row in chosen:
            star = " ★" if row["iteration"] == summary["champion"]["iteration"] else ""
            values = row["by_source"]["gold"][source]
            shown_values = [shown(m, values[m.key]) for m in metrics]
            rows.append([source, f"{row['iteration']}{star}", values["faces"], *shown_values])
    return ["### Gold by source: the first iteration and the champion", "", *table(head, rows)]


def changes(summary: Mapping[str, Any]) -> list[str]:
    """What got better and what got worse on gold, from the first iteration to the champion."""
    lines: list[str] = []
    for which in ("better", "worse", "same"):
        found = [(BY_KEY[c["metric"]], c) for c in summary["comparison"][which]]
        texts = [f"{m.label} {shown(m, c['from'])} → {shown(m, c['to'])} {m.unit}" for m, c in found]
        lines.append(f"- **{which.capitalize()}:** {', '.join(texts) or 'nothing'}.")
    return [*lines, ""]


def render(summary: Mapping[str, Any], review: Mapping[str, Any] | None, names: Sequence[str]) -> str:
    """The page's Markdown; ``names`` are the figures that lie under ``images/results/``."""

    def picture(name: str, text: str) -> str:
        return f"![{text}](images/results/{name}.png)" if f"{name}.png" in names else ""

    def row_of(*panels: tuple[str, str]) -> list[str]:
        return [" ".join(filter(None, (picture(n, t) for n, t in panels))), ""]

    grown = summary["growth"]
    share = "–" if grown["share"] is None else f"{100 * grown['share']:+.1f} %"
    versions = summary["versions"]
    settings = {k: summary["settings"][k] for k in SHOWN_SETTINGS if k in summary["settings"]}
    images = summary["dataset"]["images"]
    reasons = dict.fromkeys(r for v in versions for r in v["dropped"])
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks.results RUN_DIR` from the run's `summary.json`. Do not edit.",
        "",
        " ".join(summary["verdict"]),
        "",
        "## The run",
        "",
        f"Sources: {', '.join(f'`{source_name(s)}`' for s in summary['sources'])}; "
        f"{images['total']:,} pictures ({images['train']:,} train, {images['val']:,} val).",
        "",
        f"Settings: {', '.join(f'{k} {v}' for k, v in settings.items()) or 'not recorded'}. "
        f"OKS sigma of the evaluation: {sigma_text(summary)}.",
        "",
    ]
    if review is not None and review.get("hardware"):
        lines += [f"Hardware: {review['hardware']}.", ""]
    lines += ["## Label growth", ""]
    lines += table(
        ["", "from", "to", "growth"],
        [
            ["this run", f"{grown['from']:,}", f"{grown['to']:,}", share],
            ["the paper", f"{PAPER_FROM:,}", f"{PAPER_TO:,}", f"{100 * (PAPER_TO / PAPER_FROM - 1):+.1f} %"],
        ],
    )
    lines += [
        "The paper's pictures and this run's are not the same set, so only the kind of growth compares.",
        "",
    ]
    lines += table(
        ["Version", "Train", "Val", "Total", "Human", "Grown", "Dropped"],
        [
            [
                f"v{v['version']}",
                v["train"],
                v["val"],
                v["total"],
                v["human"],
                v["grown"],
                sum(v["dropped"].values()),
            ]
            for v in versions
        ],
    )
    lines += row_of(("growth", "Labels by version"))
    lines += ["## Metrics by iteration", ""]
    lines += ["Two yardsticks, never mixed. ★ marks the champion. Errors are over matched faces.", ""]
    lines += metric_tables(summary)
    lines += source_table(summary)
    lines += row_of(("nme", "NME by iteration"), ("lid_error", "Lid-opening error by iteration"))
    lines += row_of(("recall", "Recall by iteration"), ("precision", "Precision by iteration"))
    lines += row_of(
        ("pose_ap50_95", "Pose AP50:95 by iteration"), ("failure_rate", "NME above 8 % by iteration")
    )
    lines += ["## What got better and what got worse", "", "Gold, first iteration to champion:", ""]
    lines += changes(summary)
    lines += ["## The grown labels, looked at", "", *review_text(review)]
    lines += [
        "The pictures themselves are not in this repository. To see the same labels, with the run at hand:",
        "",
        "```",
        "python -m benchmarks.results RUN_DIR --grid RUN_DIR/grown.jpg",
        "```",
        "",
        "or open `RUN_DIR/report.html`, which shows them with what was dropped and the worst gold errors.",
        "",
        "## What the filter took and dropped",
        "",
    ]
    lines += table(
        ["Reason", *(f"v{v['version']}" for v in versions[1:])],
        [[reason, *(v["dropped"].get(reason, 0) for v in versions[1:])] for reason in reasons],
    )
    lines += row_of(("confidence", "Confidence of grown and dropped"), ("iou", "IoU of grown and dropped"))
    lines += ["## Drift between human and grown labels", ""]
    lines += table(
        ["Feature", "Human, median", "Grown, median", "KS distance"],
        [
            [
                f"{name}: {d['definition']}",
                *(_number(d["median"][g]) for g in ("human", "grown")),
                _number(d["ks"]),
            ]
            for name, d in summary["drift"].items()
        ],
    )
    lines += row_of(*((f"drift-{name}", f"{name} of human and grown labels") for name in summary["drift"]))
    lines += ["## Timings", ""]
    if summary["timings"]:
        lines += table(
            ["Iteration", *(f"{step} (s)" for step in STEPS), "total (s)"],
            [
                [r["iteration"], *(_number(r["seconds"][s], 1) for s in (*STEPS, "total"))]
                for r in summary["iterations"]
            ],
        )
        lines += row_of(("seconds", "Seconds by step"))
    else:
        lines += ["Not recorded.", ""]
    lines += [
        "## Again",
        "",
        f"Dataset digest `{summary['dataset']['digest']}`, seed {summary['seed']}. Give these settings to "
        "`lidloop run`, then run the command at the top of this page.",
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def write_results(source: Path, docs: Path, *, review: Path | None = None) -> Path:
    """Write ``reports/RESULTS.md`` and ``reports/images/results/*.png`` below ``docs`` from a run's summary.

    The figures are kept as ``reports/data/results.json``, from which the page can be made again without
    the run.

    Args:
        source: a run's ``summary.json``.
        docs: folder to write to.
        review: what a person counted; ``reports/data/review.json`` if that is there.

    Raises:
        DatasetError: for a missing summary, or a review whose counts contradict each other.
    """
    summary = public(read_json(source, "summary"))
    default = docs / DATA / "review.json"
    file = review or (default if default.exists() else None)
    drawn = plots(summary)
    text = render(summary, None if file is None else read_json(file, "review"), list(drawn))
    for name, content in drawn.items():
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


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a run on real faces.")],
    docs: Annotated[Path, typer.Option(help="Folder to write reports/RESULTS.md to.")] = DOCS,
    review: Annotated[
        Path | None, typer.Option(help="What a person counted; docs/reports/data/review.json.")
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(help="Write the random grown labels here, and nothing else.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Labels in the grid.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the grid's choice.")] = 0,
) -> None:
    """Write docs/reports/RESULTS.md from a run, or the grid of grown labels for a person to look at."""
    if grid is not None:
        n = write_grid(run, grid, count=count, seed=seed)
        typer.echo(f"{grid}: {n} grown labels. It shows faces: keep it where the dataset may lie.")
        return
    typer.echo(write_results(run / "summary.json", docs, review=review))


if __name__ == "__main__":
    typer.run(main)

"""Write ``docs/reports/REVIEW.md`` and its curve from the figures of ``benchmarks.review.measure``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.common import DATA, FIGURES, REPORTS
from benchmarks.pages.markdown import render as render_markdown
from benchmarks.review.corrupt import KINDS
from benchmarks.review.measure import TARGET
from lidloop.files import write_atomic
from lidloop.report.figures import render
from lidloop.review.queue import WEIGHTS
from lidloop.review.shares import FAR
from lidloop.review.signals import SIGNALS

STORED: Final = DATA / "review-queue.json"
CURVE: Final = "review/queue.png"
_STEPS: Final = range(0, 101, 2)


def review_page(docs: Path) -> Path | None:
    """Write the page and its figure below ``docs``; None if its figures are not there."""
    if not (docs / STORED).exists():
        return None
    report = json.loads((docs / STORED).read_text())
    rows = rows_of(report)
    write_atomic(docs / FIGURES / CURVE, _figure(rows))
    out = docs / REPORTS / "REVIEW.md"
    text = render_markdown(
        "review/page.md.j2", report=report, rows=rows, signals=SIGNALS, weights=WEIGHTS, target=TARGET,
        far=FAR, curve=CURVE, kinds=KINDS,
    )  # fmt: skip
    write_atomic(out, text)
    return out


def rows_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per data set: its name, shares averaged over the seeds, the worst one, kinds summed up."""
    rows = []
    if "drawn" in report:
        rows.append(_row("drawn faces", report["drawn"]["runs"]))
    names = {"trained": "the model trained on them", "demo": "the demo model"}
    parts = {"kept": "HELEN", "chosen_on": "LFPW and AFW (constants chosen here)"}
    for part, words in parts.items():
        for arm, runs in report.get("real", {}).get("arms", {}).items():
            rows.append(_row(f"{words}, {names[arm]}", [run[part] for run in runs]))
    return rows


def _row(name: str, runs: list[Mapping[str, Any]]) -> dict[str, Any]:
    kinds: dict[str, dict[str, int]] = {}
    for run in runs:
        for kind, counts in run["kinds"].items():
            total = kinds.setdefault(kind, {"wrong": 0, "found": 0})
            for key in total:
                total[key] += counts[key]
    return {
        "name": name, "seeds": len(runs), "faces": runs[0]["faces"], "wrong": runs[0]["wrong"],
        **{key: fmean(run[key] for run in runs) for key in ("queue", "confidence", "random", "half")},
        "worst": min(run["queue"] for run in runs), "kinds": kinds,
        "met": sum(run["queue"] >= TARGET for run in runs),
        "curve": {
            key: [fmean(values) for values in zip(*(run["curve"][key] for run in runs), strict=True)]
            for key in ("queue", "confidence")
        },
    }  # fmt: skip


def _figure(rows: list[dict[str, Any]]) -> bytes:
    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        for row, colour in zip(rows, ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"), strict=False):
            for key, style in (("queue", "-"), ("confidence", ":")):
                label = row["name"] if key == "queue" else None
                values = [100 * share for share in row["curve"][key]]
                axes.plot(list(_STEPS), values, style, color=colour, linewidth=1.5, label=label)
        axes.plot([0, 100], [0, 100], "--", color=colours["soft"], linewidth=0.9, label="random order")
        axes.axvline(20, color=colours["soft"], linewidth=0.6)
        axes.set_xlabel("looked at, % of the queue")
        axes.set_ylabel("wrong faces found, %")
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 102)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7.5)

    return render(draw, kind="png", size=(8.6, 3.8))

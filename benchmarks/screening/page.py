"""Write ``docs/SCREENING.md`` and its figure from ``screening.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.common import DATA, FIGURES
from benchmarks.pages.markdown import render as render_markdown
from benchmarks.screening.people import MAX_YAW, MIN_CANTHAL_PX, MIN_SHARPNESS
from benchmarks.screening.targets import targets_of
from lidloop.evaluation import groups
from lidloop.evaluation.intervals import interval_text
from lidloop.evaluation.skin_tone import TONES
from lidloop.files import write_atomic
from lidloop.report.figures import render
from lidloop.screening.thresholds import Thresholds

STORED: Final = "screening.json"
FIGURE: Final = "screening-curve.svg"
PAGE: Final = "SCREENING.md"


def screening_page(docs: Path) -> Path | None:
    """Write the page and its figure; None if ``screening.json`` does not exist."""
    stored = docs / DATA / STORED
    if not stored.exists():
        return None
    entry = json.loads(stored.read_text())
    write_atomic(docs / FIGURES / FIGURE, figure(entry["report"]["curve"]))
    write_atomic(docs / PAGE, page(entry))
    return docs / PAGE


def page(entry: Mapping[str, Any]) -> str:
    """The page's Markdown; ``entry`` is the content of ``screening.json``."""
    return render_markdown(
        "screening/page.md.j2", **entry, targets=targets_of(entry["report"]), figure=str(FIGURES / FIGURE),
        tones=TONES, group_metrics=groups.METRICS, min_faces=groups.MIN_FACES, ci=interval,
        served=Thresholds(),
        least={"px": MIN_CANTHAL_PX, "yaw": MAX_YAW, "sharpness": MIN_SHARPNESS},
    )  # fmt: skip


def interval(estimate: Mapping[str, Any], digits: int = 0, *, percent: bool = True) -> str:
    """An estimate with its interval, such as ``83 % (78–87)``; a dash without values."""
    return interval_text(estimate, digits, factor=100 if percent else 1, unit=" %" if percent else "")


def figure(curves: Mapping[str, Any]) -> bytes:
    """SVG: sensitivity against 1 - specificity over the threshold of the difference between the sides."""

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        styles = {"chosen": ("human", "-"), "held back": ("yard", "--")}
        names = {"chosen": "AFW and LFPW, on which thresholds were chosen", "held back": "HELEN, held back"}
        for part, (colour, line) in styles.items():
            known = [
                p for p in curves[part] if None not in (p["specificity"]["value"], p["sensitivity"]["value"])
            ]
            x = [100 * (1 - p["specificity"]["value"]) for p in known]
            y = [100 * p["sensitivity"]["value"] for p in known]
            axes.plot(x, y, line, marker="o", ms=3, lw=1.8, color=colours[colour], label=names[part])
            for p, at, height in zip(known, x, y, strict=True):
                if p["mm"] in (0.5, 1.0, 1.5, 2.0, 3.0):
                    axes.annotate(f"{p['mm']:g}", (at, height), xytext=(4, -9), textcoords="offset points",
                                  fontsize=8, color=colours["soft"])  # fmt: skip
        axes.axvline(10, color=colours["soft"], lw=0.9, ls=":")
        axes.axhline(90, color=colours["soft"], lw=0.9, ls=":")
        axes.set_xlabel("flagged as they were, % of those judged (1 - specificity)")
        axes.set_ylabel("flagged on the lowered side, % of those judged")
        axes.set_title("One lid lowered by 2 mm; labels: threshold in mm")
        axes.set_ylim(0, 102)
        axes.set_xlim(left=-0.5)
        axes.legend(loc="lower right")

    return render(draw, size=(7.2, 4.6))

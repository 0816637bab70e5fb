"""Write ``docs/reports/DRIFT.md`` and its figures from the report of ``benchmarks.drift.measure``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.common import DATA, FIGURES, REPORTS
from benchmarks.drift.windows import CONVENTION_VALUES, RULES
from benchmarks.pages.markdown import render as render_markdown
from lidloop.drift import DEFINITIONS
from lidloop.drift.compare import DEFAULT as THRESHOLDS
from lidloop.drift.compare import MIN_VALUES
from lidloop.drift.guards import DEFAULT as LIMITS
from lidloop.drift.guards import MIN_FACES, MIN_GROWN
from lidloop.drift.shape import COMPONENTS
from lidloop.drift.shape import MIN_FACES as SHAPE_FACES
from lidloop.files import write_atomic
from lidloop.report.figures import render

STORED: Final = DATA / "drift.json"
CURVES: Final = {"traffic": "power-traffic.png", "labels": "power-labels.png"}

_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#6a737d")


def drift_page(docs: Path) -> Path | None:
    """Write the page and its figures below ``docs``; None if ``drift.json`` is not there."""
    if not (docs / STORED).exists():
        return None
    report = json.loads((docs / STORED).read_text())
    for name, unit in (("traffic", "pictures"), ("labels", "faces")):
        write_atomic(docs / FIGURES / "drift" / CURVES[name], _figure(report[name]["power"], unit))
    out = docs / REPORTS / "DRIFT.md"
    write_atomic(out, page(report))
    return out


def page(report: Mapping[str, Any]) -> str:
    """The page's Markdown."""
    power = {**report["traffic"]["power"], **report["labels"]["power"]}
    return render_markdown(
        "drift/page.md.j2",
        report=report,
        definitions=DEFINITIONS,
        shape_faces=SHAPE_FACES,
        components=COMPONENTS,
        thresholds=THRESHOLDS,
        min_values=MIN_VALUES,
        limits=LIMITS,
        min_faces=MIN_FACES,
        min_grown=MIN_GROWN,
        rules={name: RULES[name] for name in ("bare", "convention", "psi", "ks")},
        convention_values=CONVENTION_VALUES,
        curves=CURVES,
        missed=[
            name for name, entry in power.items() if not (entry["seen_at"]["psi"] or entry["seen_at"]["ks"])
        ],
    )


def _figure(entries: Mapping[str, Any], unit: str) -> bytes:
    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        for k, (name, entry) in enumerate(entries.items()):
            colour = _COLOURS[k % len(_COLOURS)]
            x = [c["pictures"] for c in entry["curve"]]
            marker = "os^D"[k // len(_COLOURS)]
            for rule, style in (("psi", "-"), ("ks", ":")):
                y = [100 * c["rules"][rule] for c in entry["curve"]]
                label = name if rule == "psi" else None
                axes.plot(x, y, style, color=colour, marker=marker, markersize=3, linewidth=1.4, label=label)
        axes.axhline(90, color=colours["soft"], linewidth=0.8)
        ticks = sorted({c["pictures"] for entry in entries.values() for c in entry["curve"]})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(unit)
        axes.set_ylabel("alarms, %")
        axes.set_ylim(-2, 102)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7.5)

    return render(draw, kind="png", size=(8.2, 3.8))

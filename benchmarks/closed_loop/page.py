"""Write ``docs/reports/CLOSED_LOOP.md`` and its figure from ``closed-loop.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.common import DATA, FIGURES, REPORTS
from benchmarks.pages.markdown import render as render_markdown
from lidloop.files import write_atomic
from lidloop.report.figures import render

STORED: Final = "closed-loop.json"
FIGURE: Final = "closed-loop.png"

SHORT: Final = {
    "shift": "faces shift", "alert": "alert", "serving": "new champion", "resolved": "resolved",
}  # fmt: skip
"""Events that the figure marks, by name."""
_LINES: Final = 4


def closed_loop_page(docs: Path) -> Path | None:
    """Write the page and its figure; None if ``closed-loop.json`` does not exist."""
    stored = docs / DATA / STORED
    if not stored.exists():
        return None
    entry = json.loads(stored.read_text())
    write_atomic(docs / FIGURES / FIGURE, figure(entry["report"]))
    write_atomic(docs / REPORTS / "CLOSED_LOOP.md", page(entry))
    return docs / REPORTS / "CLOSED_LOOP.md"


def page(entry: Mapping[str, Any]) -> str:
    """The page's Markdown.

    Args:
        entry: ``measured`` (date), ``machine``, and ``report`` from ``run.run``.
    """
    return render_markdown("closed_loop/page.md.j2", **entry)


def figure(report: Mapping[str, Any]) -> bytes:
    """PNG: drift by feature over time, its threshold, and what happened when."""
    looks = report["drift"]
    features = {name for look in looks for name in look["psi"]}
    largest = {name: max(look["psi"].get(name, 0.0) for look in looks) for name in features}
    shown = sorted(largest, key=lambda name: -largest[name])[:_LINES]

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        palette = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
        for version in dict.fromkeys(look["version"] for look in looks):
            of_version = [look for look in looks if look["version"] == version]
            at = [look["at"] for look in of_version]
            most = [max(look["psi"].values()) for look in of_version]
            axes.plot(at, most, color=colours["ink"], linewidth=2.2, zorder=3,
                      label="largest of all" if version == looks[0]["version"] else None)  # fmt: skip
            for name, colour in zip(shown, palette, strict=False):
                values = [look["psi"].get(name, float("nan")) for look in of_version]
                label = name.replace("_", " ") if version == looks[0]["version"] else None
                axes.plot(at, values, color=colour, linewidth=1.2, label=label)
        axes.axhline(report["threshold"], color=colours["soft"], linestyle="--", linewidth=1)
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.02)
        axes.set_yticks([0.02, 0.05, 0.1, 0.25, 0.5, 1], minor=False)
        axes.set_yticks([], minor=True)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.annotate("threshold", (looks[0]["at"], report["threshold"]), xytext=(0, 3),
                      textcoords="offset points", color=colours["soft"], fontsize=8)  # fmt: skip
        for event in report["events"]:
            if event["name"] in SHORT:
                axes.axvline(event["at"], color=colours["grid"], linewidth=1.2, zorder=0)
                axes.annotate(
                    SHORT[event["name"]], (event["at"], 1), xycoords=("data", "axes fraction"), rotation=90,
                    xytext=(-2, -4), textcoords="offset points", ha="right", va="top", fontsize=8,
                    color=colours["soft"],
                )  # fmt: skip
        axes.set_xlabel("seconds")
        axes.set_ylabel("PSI against the champion's reference profile")
        axes.set_title("Do the faces that come still look like those the model knows?")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return render(draw, kind="png", size=(10, 4.2))

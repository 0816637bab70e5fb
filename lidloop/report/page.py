"""HTML page of the report, rendered from the summary and the images; it needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from lidloop.drawing import DROPPED_COLOUR, GROWN_COLOUR, HUMAN_COLOUR, PARTS, css
from lidloop.errors import LidloopError
from lidloop.evaluation import groups
from lidloop.evaluation.intervals import interval_text
from lidloop.report import figures, review_mode
from lidloop.report.data import BY_KEY, METRICS, STEPS, YARDSTICKS, shown
from lidloop.report.pictures import Strip, Tile

_YARDSTICK_NOTE = {
    "gold": "Human validation labels, frozen for the run: those of version 0, unless a continued run took "
    "those of reviewed labels. The promotion gate uses this yardstick.",
    "paper": "Validation labels of the iteration itself, with grown labels, as in Table 2 of the paper. "
    "The reference changes from row to row and contains predictions of earlier models.",
}

_GROUP_PARTS = {
    "gold": "Gold faces by skin tone, size and pose",
    "drawn": "Drawn gold faces by what the drawing knows",
}


class Pictures(NamedTuple):
    """Images on the page; all empty for a page without faces."""

    strips: list[Strip]
    grown: list[Tile]
    dropped: dict[str, list[Tile]]
    worst: list[Tile]


def data_uri(content: bytes, kind: str) -> str:
    """Encode content as a ``data:`` URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def render(
    summary: Mapping[str, Any],
    pictures: Pictures,
    *,
    faces: bool = True,
    review: review_mode.Review | None = None,
) -> str:
    """Render the page. Its Content Security Policy forbids it to load or send anything.

    Args:
        summary: the content of ``summary.json``.
        pictures: images to show.
        faces: False if images were left out on purpose, which the page then says.
        review: faces of the review mode; None for a page without one.

    Raises:
        LidloopError: if jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise LidloopError("the report needs jinja2: pip install 'lidloop[report]'") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lidloop.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = lambda n: "–" if n is None else f"{n:,}"
    environment.filters["seconds"] = _seconds
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.filters["jpeg"] = lambda content: data_uri(content, "image/jpeg")
    script = None if review is None else review_mode.script()
    return environment.get_template("report.html.j2").render(
        s=summary,
        pictures=pictures,
        faces=faces,
        review=review,
        review_content=None if review is None else review_mode.content(review, str(summary["run"])),
        review_script=script,
        script_source="'none'" if script is None else review_mode.script_source(script),
        verdicts=review_mode.VERDICTS,
        growth_panel=_panel(figures.label_growth(summary), (6.4, 3.9)),
        metric_panels=[_panel(figures.metric_by_iteration(summary, m.key), (4.0, 2.9)) for m in METRICS],
        ledger_panels=[
            _panel(figures.confidence_or_iou(summary, "confidence"), (4.6, 3.0)),
            _panel(figures.confidence_or_iou(summary, "iou"), (4.6, 3.0)),
        ],
        drift_panels=[_panel(figures.drift(summary, name), (4.2, 3.0)) for name in summary["drift"]],
        timing_panel=_panel(figures.seconds(summary), (6.4, 3.4)) if summary["timings"] else None,
        metrics=METRICS,
        by_key=BY_KEY,
        yardsticks=YARDSTICKS,
        yardstick_note=_YARDSTICK_NOTE,
        continued_rows=_continued_rows(summary),
        tables={y: _table(summary, y) for y in YARDSTICKS},
        sigma=sigma_text(summary),
        reasons=_reasons(summary),
        steps=STEPS,
        shown=shown,
        colours={"human": css(HUMAN_COLOUR), "grown": css(GROWN_COLOUR), "dropped": css(DROPPED_COLOUR)},
        parts={name: css(rgb) for name, rgb in PARTS.items()},
        group_metrics=groups.METRICS,
        group_parts=_GROUP_PARTS,
        min_faces=groups.MIN_FACES,
        interval=interval_text,
    )


def sigma_text(summary: Mapping[str, Any]) -> str:
    """Format the OKS sigma of pose AP; several values if iterations differ."""
    return " / ".join(dict.fromkeys(f"{value:.4g}" for value in summary["yardsticks"]["sigma"]))


def _table(summary: Mapping[str, Any], yardstick: str) -> list[dict[str, Any]]:
    """Return the rows of Table 2, with the best value of each column marked."""
    rows = summary["iterations"]
    best: dict[str, str] = {}
    for metric in METRICS:
        values = [v for r in rows if (v := r["metrics"][yardstick][metric.key]) is not None]
        if len(rows) > 1 and values:
            best[metric.key] = shown(metric, max(values) if metric.more_is_better else min(values))
    table = []
    for row in rows:
        cells = []
        for metric in METRICS:
            text = shown(metric, row["metrics"][yardstick][metric.key])
            cells.append({"text": text, "best": text == best.get(metric.key)})
        table.append(
            {
                "iteration": row["iteration"],
                "champion": row["iteration"] == summary["champion"]["iteration"],
                "faces": row["faces"][yardstick]["faces"],
                "cells": cells,
            }
        )
    return table


def _continued_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows for the model that a continued run started from and for its own models, on both golds."""
    continued = summary.get("continued")
    if not continued:
        return []
    models: list[tuple[str, Mapping[str, Any]]] = []
    if (start := continued["champion"]) is not None:
        models.append((f"version {start['version']}, the start", start["metrics"]))
    models += [(f"iteration {row['iteration']}", row["metrics"]) for row in summary["iterations"]]
    names = {"gold_before": "gold of before", "gold": "extended gold" if continued["extended"] else "gold"}
    return [
        {
            "model": model,
            "yardstick": name,
            "faces": continued["faces"][key],
            "cells": [shown(m, measured[key][m.key]) for m in METRICS],
        }
        for key, name in names.items()
        for model, measured in models
        if key in measured
    ]


def _reasons(summary: Mapping[str, Any]) -> dict[str, list[int]]:
    """Count dropped faces by reason and version; version 0 has none and is omitted."""
    versions = summary["versions"][1:]
    names = dict.fromkeys(reason for v in versions for reason in v["dropped"])
    return {name: [v["dropped"].get(name, 0) for v in versions] for name in names}


def _panel(draw: figures.Draw, size: tuple[float, float]) -> dict[str, str]:
    light = figures.render(draw, size=size)
    return {
        "light": data_uri(light, "image/svg+xml"),
        "dark": data_uri(figures.darken(light), "image/svg+xml"),
    }


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 100:
        return f"{value:.1f} s"
    hours, rest = divmod(round(value), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"

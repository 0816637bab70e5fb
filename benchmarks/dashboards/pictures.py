"""Draw previews of the dashboards: ``python -m benchmarks.dashboards.pictures [DOCS]``.

Grafana is not used. The queries of each panel are answered by a real Prometheus over artificial data
(``series``), and the answers are drawn at the panel's position. Colours and fonts differ from Grafana's; the
values do not.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.common import IMAGES
from benchmarks.dashboards import prometheus, series
from charts.dashboards.panels import COLUMNS
from charts.dashboards.write import FOLDER

COLOURS: Final = {
    "green": "#2a8f4f",
    "yellow": "#c58a00",
    "red": "#c4302b",
    "blue": "#2f6db5",
    "text": "#222222",
}
DEFAULTS: Final = {"font.size": 7.5, "axes.spines.top": False, "axes.spines.right": False}
INCHES_PER_ROW: Final = 0.44
WIDTH: Final = 17.0
DPI: Final = 84

Panel = Mapping[str, Any]
Answers = list[list[dict[str, Any]]]


def shown(value: float, unit: str, decimals: int | None) -> str:
    """Format a value as Grafana does, for the units that are used here."""
    if unit == "percentunit":
        return f"{100 * value:.{1 if decimals is None else decimals}f} %"
    if unit == "s" and value >= 60:
        for size, name in ((86400, "days"), (3600, "hours"), (60, "min")):
            if value >= size:
                return f"{value / size:.1f} {name}"
    if unit == "s":
        return f"{value:.3g} s"
    return f"{value:.{decimals}f}" if decimals is not None else f"{value:g}"


def colour(value: float, thresholds: Mapping[str, Any] | None) -> str:
    """Colour of a value by its thresholds."""
    found = "text"
    for step in (thresholds or {"steps": []})["steps"]:
        if step["value"] is None or value >= step["value"]:
            found = step["color"]
    return COLOURS[found]


def _stat(axes: Axes, panel: Panel, answers: Answers) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    axes.axis("off")
    if not answers[0]:
        text, tint = defaults.get("noValue", ""), COLOURS["text"]
    else:
        [item] = answers[0]
        value = float(item["value"][1])
        text, tint = (
            shown(value, defaults["unit"], defaults.get("decimals")),
            colour(value, defaults["thresholds"]),
        )
        if panel["options"]["textMode"] == "name":
            text = prometheus.legend(panel["targets"][0]["legendFormat"], item["metric"])
        for mapping in defaults.get("mappings", []):
            if found := mapping["options"].get(f"{value:g}"):
                text, tint = found["text"], COLOURS[found["color"]]
    size = 19 if len(text) < 12 else 11
    axes.text(0.5, 0.45, text, ha="center", va="center", fontsize=size, color=tint, transform=axes.transAxes)


def _lines(axes: Axes, panel: Panel, answers: Answers) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    found = [
        (prometheus.legend(target["legendFormat"], item["metric"]), dict(_points(item)))
        for target, answer in zip(panel["targets"], answers, strict=True)
        for item in answer
    ]
    known = sorted({at for _, points in found for at in points})
    step = min(b - a for a, b in pairwise(known))
    times = [known[0] + k * step for k in range(round((known[-1] - known[0]) / step) + 1)]  # with the gaps
    when = [datetime.fromtimestamp(at, UTC) for at in times]
    if "stacking" in defaults["custom"] and defaults["custom"]["stacking"]["mode"] == "normal":
        columns = [[points.get(at, 0.0) for at in times] for _, points in found]
        axes.stackplot(when, columns, labels=[name for name, _ in found], alpha=0.55)
    else:
        for name, points in found:
            axes.plot(when, [points.get(at, float("nan")) for at in times], label=name, linewidth=1.1)
    _lined(axes, defaults)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, defaults["unit"], None))
    _legend(axes)


def _points(item: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(at, float(value)) for at, value in item["values"]]


def _bars(axes: Axes, panel: Panel, answers: Answers) -> None:
    defaults, options = panel["fieldConfig"]["defaults"], panel["options"]
    matrix = next(step["options"] for step in panel["transformations"] if step["id"] == "groupingToMatrix")
    values = {
        (item["metric"][matrix["rowField"]], item["metric"][matrix["columnField"]]): float(item["value"][1])
        for item in answers[0]
    }
    rows, columns = (sorted({key[k] for key in values}) for k in (0, 1))
    stacked, flat = options["stacking"] == "normal", options["orientation"] == "horizontal"
    base = [0.0] * len(rows)
    for k, column in enumerate(columns):
        lengths = [values.get((row, column), 0.0) for row in rows]
        width = 0.8 if stacked else 0.8 / len(columns)
        places = [i if stacked else i - 0.4 + (k + 0.5) * width for i in range(len(rows))]
        if flat:
            axes.barh(places, lengths, width, label=column)
        else:
            axes.bar(places, lengths, width, bottom=base if stacked else None, label=column)
        if stacked:
            base = [a + b for a, b in zip(base, lengths, strict=True)]
    ticks, axis = (axes.set_yticks, axes.xaxis) if flat else (axes.set_xticks, axes.yaxis)
    ticks(range(len(rows)), rows)
    if flat:
        axes.invert_yaxis()
    axis.set_major_formatter(lambda value, _: shown(value, defaults["unit"], defaults.get("decimals")))
    _lined(axes, defaults, flat=flat)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Draw the legend below the axes, as Grafana does."""
    below = (0.0, -0.09 * INCHES_PER_ROW * 10 / axes.bbox.height * DPI)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=below,
        ncol=6,
        fontsize=6,
        frameon=False,
        columnspacing=1,
        borderpad=0,
    )


def _lined(axes: Axes, defaults: Mapping[str, Any], *, flat: bool = False) -> None:
    for step in defaults.get("thresholds", {"steps": []})["steps"]:
        if step["value"] is not None and "thresholdsStyle" in defaults["custom"]:
            draw = axes.axvline if flat else axes.axhline
            draw(step["value"], color=COLOURS[step["color"]], linestyle="--", linewidth=0.8)


def _table(axes: Axes, panel: Panel, answers: Answers) -> None:
    steps = {step["id"]: step["options"] for step in panel["transformations"]}
    key, names = steps["joinByField"]["byField"], steps["organize"]["renameByName"]
    columns = [{item["metric"][key]: float(item["value"][1]) for item in answer} for answer in answers]
    heads = [names[key], *(names[f"Value #{target['refId']}"] for target in panel["targets"])]
    rows = sorted(columns[0])
    for sort in panel["options"].get("sortBy", []):
        if sort["displayName"] in heads[1:]:
            column = columns[heads.index(sort["displayName"]) - 1]
            rows.sort(key=lambda row: column[row], reverse=sort["desc"])
    special = {
        o["matcher"]["options"]: {p["id"]: p["value"] for p in o["properties"]}
        for o in panel["fieldConfig"]["overrides"]
    }
    texts, tints = [], []
    for row in rows:
        cells = [
            _cell(column[row], special.get(head, {})) for head, column in zip(heads[1:], columns, strict=True)
        ]
        texts.append([row, *(text for text, _ in cells)])
        tints.append(["#222222", *(tint for _, tint in cells)])
    axes.axis("off")
    made = axes.table(texts, colLabels=heads, bbox=(0, 0, 1, 1), cellLoc="right", edges="horizontal")
    made.auto_set_font_size(False)
    made.set_fontsize(6.5)
    for (i, j), cell in made.get_celld().items():
        cell.set_edgecolor("#dddddd")
        if i:
            cell.get_text().set_color(tints[i - 1][j])
        if not j:
            cell.set_text_props(ha="left")


def _cell(value: float, special: Mapping[str, Any]) -> tuple[str, str]:
    for mapping in special.get("mappings", []):
        if found := mapping["options"].get(f"{value:g}"):
            return found["text"], COLOURS[found["color"]]
    return f"{value:.3f}", colour(value, special.get("thresholds"))


KINDS: Final = {"stat": _stat, "timeseries": _lines, "barchart": _bars, "table": _table}


def draw(server: prometheus.Server, board: Mapping[str, Any], path: Path) -> None:
    """Draw one dashboard as a PNG, with the panels at their positions in Grafana."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    variables = prometheus.choice(server, board, end=series.END, seconds=series.SECONDS)
    with plt.rc_context(DEFAULTS):
        figure = plt.figure(figsize=(WIDTH, INCHES_PER_ROW * (height + 1.2)), dpi=DPI, facecolor="#f4f5f5")
        figure.text(0.012, 1 - 0.6 / (height + 1.2), board["title"], fontsize=14, va="center")
        for panel in board["panels"]:
            grid = panel["gridPos"]
            answers = prometheus.answers(server, panel, variables, end=series.END, seconds=series.SECONDS)
            left, width = grid["x"] / COLUMNS, grid["w"] / COLUMNS
            bottom = 1 - (1.2 + grid["y"] + grid["h"]) / (height + 1.2)
            tall = grid["h"] / (height + 1.2)
            frame = figure.add_axes((left + 0.003, bottom + 0.005, width - 0.006, tall - 0.01))
            frame.set(xticks=[], yticks=[], facecolor="white")
            frame.spines[:].set_visible(False)
            frame.set_title(panel["title"], loc="left", fontsize=8.5, y=1.0, pad=-11, x=0.015, weight="bold")
            flat = panel["type"] in ("stat", "table")
            side = 0.012 if flat else 0.068 if panel["options"].get("orientation") == "horizontal" else 0.035
            axes = figure.add_axes(
                (
                    left + side,
                    bottom + (0.012 if flat else 0.06),
                    width - side - 0.012,
                    tall - (0.05 if flat else 0.1),
                )
            )
            KINDS[panel["type"]](axes, panel, answers)
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)


def pictures(server: prometheus.Server, docs: Path) -> list[Path]:
    """Draw all dashboards into ``docs/images/dashboards-NAME.png``."""
    made = []
    for source in sorted(FOLDER.glob("*.json")):
        path = docs / IMAGES / f"dashboards-{source.stem}.png"
        draw(server, json.loads(source.read_text()), path)
        made.append(path)
    return made


def main() -> None:
    """Draw all dashboards, or exit with what is missing."""
    if why := prometheus.missing():
        sys.exit(why)
    docs = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        text = series.open_metrics(series.samples())
        prometheus.store(folder, text, start=series.END - series.SECONDS, end=series.END)
        with prometheus.running(folder) as server:
            for path in pictures(server, docs):
                print(path)


if __name__ == "__main__":
    main()

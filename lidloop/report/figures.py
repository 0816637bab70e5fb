"""Figures of the report: each function draws one matplotlib panel from ``summary.json``.

Each panel has a light and a dark version, because an embedded image does not follow the colours of the page.
Palette: Okabe and Ito.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from lidloop.errors import LidloopError
from lidloop.report.data import BY_KEY, METRICS, YARDSTICKS

Theme = Literal["light", "dark"]
Kind = Literal["svg", "png"]
Draw = Callable[[Any, Mapping[str, str]], None]

THEMES: Final[dict[str, dict[str, str]]] = {
    "light": {"ink": "#1b1f24", "soft": "#6a737d", "grid": "#e1e4e8", "paper": "#ffffff",
              "human": "#0072b2", "gold": "#0072b2", "yard": "#d55e00", "dropped": "#8a8f98"},
    "dark": {"ink": "#e6e8eb", "soft": "#9aa4ae", "grid": "#343b43", "paper": "#16191d",
             "human": "#56b4e9", "gold": "#56b4e9", "yard": "#ff8a3d", "dropped": "#8a8f98"},
}  # fmt: skip
GROWN: Final = ("#d55e00", "#e69f00", "#cc79a7", "#009e73", "#f0e442", "#56b4e9", "#8c6bb1", "#999999")
"""Colour of the labels grown for v1, v2, …; the last is used for all later ones."""

PANELS: Final = tuple(m.key for m in METRICS)


def render(draw: Draw, *, theme: Theme = "light", kind: Kind = "svg", size: tuple[float, float]) -> bytes:
    """Draw a panel of ``size`` inches and return the bytes of the file (deterministic).

    Raises:
        LidloopError: if matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LidloopError("the report needs matplotlib: pip install 'lidloop[report]'") from error
    colours = THEMES[theme]
    style: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "lidloop", "font.size": 10, "axes.titlesize": 11,
        "font.family": "sans-serif", "axes.titleweight": "bold", "axes.titlelocation": "left",
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
        "axes.edgecolor": colours["soft"], "axes.labelcolor": colours["soft"],
        "axes.titlecolor": colours["ink"], "text.color": colours["ink"],
        "xtick.color": colours["soft"], "ytick.color": colours["soft"],
        "axes.facecolor": "none", "figure.facecolor": colours["paper"] if kind == "png" else "none",
        "axes.grid": True, "grid.color": colours["grid"], "grid.linewidth": 0.8,
        "legend.frameon": False, "legend.fontsize": 9,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot(), colours)
        buffer = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=160, metadata=metadata)
    return buffer.getvalue()


def darken(svg: bytes) -> bytes:
    """Return the dark version of a light SVG panel, by replacing its colours."""
    text = svg.decode()
    swap = {light: THEMES["dark"][name] for name, light in THEMES["light"].items()}
    return re.sub("|".join(swap), lambda found: swap[found[0]], text).encode()


def label_growth(summary: Mapping[str, Any]) -> Draw:
    """Label counts by version, stacked by origin: Figure 3 of the paper for this run."""

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        versions = summary["versions"]
        names = [f"v{v['version']}" for v in versions]
        origins = sorted({o for v in versions for o in v["by_origin"]} - {"human"}, key=int)
        base = [0] * len(versions)
        for origin in ("human", *origins):
            heights = [v["by_origin"].get(origin, 0) for v in versions]
            colour = colours["human"] if origin == "human" else GROWN[min(int(origin), len(GROWN) - 1)]
            label = "human" if origin == "human" else f"grown for v{int(origin) + 1}"
            axes.bar(names, heights, bottom=base, color=colour, width=0.62, label=label)
            base = [b + h for b, h in zip(base, heights, strict=True)]
        for k, total in enumerate(base):
            axes.text(k, total, f"{total:,}", ha="center", va="bottom", fontweight="bold")
        axes.set_title("Labels by version")
        axes.set_ylabel("labels")
        axes.margins(y=0.14)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=False, axis="x")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)

    return draw


def metric_by_iteration(summary: Mapping[str, Any], key: str) -> Draw:
    """One metric by iteration on both yardsticks; a circle marks the champion on gold."""
    metric = BY_KEY[key]

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        rows = summary["iterations"]
        factor = 100 if metric.unit == "%" else 1
        x = [row["iteration"] for row in rows]
        styles = {"gold": ("gold", "-", "o"), "paper": ("yard", "--", "s")}
        for yardstick in YARDSTICKS:
            name, line, marker = styles[yardstick]
            values = [row["metrics"][yardstick][key] for row in rows]
            y = [float("nan") if v is None else v * factor for v in values]
            axes.plot(x, y, line, marker=marker, ms=5, lw=2, color=colours[name], label=yardstick)
            for row, value in zip(rows, y, strict=True):
                if yardstick == "gold" and row["iteration"] == summary["champion"]["iteration"]:
                    axes.plot(row["iteration"], value, "o", ms=12, mfc="none", mew=1.6, mec=colours["ink"])
        arrow = "higher is better" if metric.more_is_better else "lower is better"
        axes.set_title(f"{metric.label} ({metric.unit})")
        axes.set_xlabel(f"iteration · {arrow}")
        axes.set_xticks(x)
        axes.margins(x=0.12, y=0.25)
        if metric.unit == "%" and axes.get_ylim()[1] > 102:
            axes.set_ylim(top=102)
        if axes.get_ylim()[0] < 0:
            axes.set_ylim(bottom=-0.05 * axes.get_ylim()[1])
        axes.legend(loc="best", handlelength=2.6)

    return draw


def confidence_or_iou(summary: Mapping[str, Any], quantity: Literal["confidence", "iou"]) -> Draw:
    """Histogram of accepted and dropped faces by confidence, or by IoU with an earlier label."""
    titles = {"confidence": "Confidence", "iou": "IoU with an existing label"}
    settings = {"confidence": "conf", "iou": "iou"}

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        found = summary["distributions"]
        edges, counts = found["edges"], found[quantity]
        for name, colour in (("dropped", colours["dropped"]), ("grown", GROWN[0])):
            label = f"{name} ({sum(counts[name]):,})"
            axes.stairs(counts[name], edges, fill=True, alpha=0.75, color=colour, label=label)
        threshold = summary["settings"].get(settings[quantity])
        if isinstance(threshold, int | float):
            axes.axvline(threshold, color=colours["ink"], lw=1.2, ls=":", label=f"threshold {threshold:g}")
        axes.set_title(titles[quantity])
        axes.set_ylabel("faces (log)")
        axes.set_yscale("symlog", linthresh=10)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, 1)
        axes.legend(loc="best")

    return draw


def drift(summary: Mapping[str, Any], quantity: str) -> Draw:
    """Normalised histograms of a feature over human and over grown labels."""
    titles = {
        "box_size": "Box size (share of the picture)",
        "pfh_ratio": "PFH / eye width",
        "yaw": "Yaw proxy",
    }

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        found = summary["drift"][quantity]
        for name, colour in (("human", colours["human"]), ("grown", GROWN[0])):
            n = sum(found[name])
            shares = [100 * count / n if n else 0.0 for count in found[name]]
            fill = name == "human"
            label = f"{name} ({n:,})"
            axes.stairs(
                shares, found["edges"], fill=fill, alpha=0.55 if fill else 1, lw=2, color=colour, label=label
            )
        axes.set_title(titles[quantity])
        axes.set_ylabel("% of the faces")
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")

    return draw


def seconds(summary: Mapping[str, Any]) -> Draw:
    """Seconds of the steps, one stacked bar per iteration."""

    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        steps = summary["timings"]
        names = list(dict.fromkeys(s["step"] for s in steps))
        lanes = list(dict.fromkeys("run" if s["iteration"] is None else str(s["iteration"]) for s in steps))
        left = dict.fromkeys(lanes, 0.0)
        palette = (colours["human"], *GROWN)
        for k, name in enumerate(names):
            colour = palette[k % len(palette)]
            label: str | None = name
            for step in steps:
                if step["step"] == name:
                    lane = "run" if step["iteration"] is None else str(step["iteration"])
                    axes.barh(lane, step["seconds"], left=left[lane], color=colour, label=label, height=0.6)
                    left[lane] += step["seconds"]
                    label = None
        axes.set_title("Seconds by step")
        axes.set_xlabel("seconds")
        axes.set_ylabel("iteration")
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4)

    return draw

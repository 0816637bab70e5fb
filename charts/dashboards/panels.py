"""Shared by all dashboards: variables, links, queries, and the kinds of panels.

The title of a panel names its content; the description explains it and says which values need attention.
Colours are used only with thresholds, which are those of the alerts (``charts/lidloop/files/rules``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import barchart, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as shape
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

RUNBOOKS: Final = "https://lidloop.example.org/runbooks"
REGISTRY: Final = "https://lidloop.example.org/registry"
RUNS: Final = "https://lidloop.example.org/runs"
"""Defaults of the addresses that links lead to: hidden variables of each dashboard, set when installing."""

SCREENS: Final = 'route=~"/v1/screen|.+/infer"'
"""Requests with a picture."""

PSI_LOOK: Final = 0.1
PSI_SHIFTED: Final = 0.25

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"
COLUMNS: Final = 24

Steps = Sequence[tuple[float | None, str]]
DRIFT: Final[Steps] = ((None, GREEN), (PSI_LOOK, YELLOW), (PSI_SHIFTED, RED))
SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")


def screen(uid: str, title: str, description: str, *, since: str, models: str) -> dashboard.Dashboard:
    """Create an empty dashboard with the common variables and links.

    Args:
        uid: identifier of the dashboard.
        title: its title.
        description: layout of the dashboard.
        since: initial time range, such as ``now-6h``.
        models: ``label_values(…)`` that lists the models.
    """
    board = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["lidloop"])
        .editable()
        .timezone("browser")
        .refresh("1m")
        .time(since, "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            _values("namespace", "Namespace", f"label_values({models.split(',')[0]}, namespace)")
            .include_all(True)
            .all_value(".*")
            .current(model.VariableOption(text="All", value="$__all", selected=True))
        )
        .with_variable(_values("model", "Model", f"label_values({models})"))
    )
    for name, where, what in (
        ("registry", REGISTRY, "Address of the registry (MLflow)"),
        ("runs", RUNS, "Address under which the folders of runs are served, for their report.html"),
        ("runbooks", RUNBOOKS, "Address of the runbooks"),
    ):
        constant = dashboard.ConstantVariable(name).value(where).description(what)
        constant.build().current = model.VariableOption(text=where, value=where, selected=True)
        board = board.with_variable(constant)
    others = dashboard.DashboardLink("lidloop").type(model.DashboardLinkType.DASHBOARDS).tags(["lidloop"])
    return (
        board.link(others.include_vars(True).keep_time(True).as_dropdown(False))
        .link(link("Registry", "${registry}/#/models/${model}", "All versions of the model"))
        .link(link("Runbooks", "${runbooks}/README.md", "Meaning of each alert, and what to do"))
    )


def _values(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name, "qryType": 1})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def link(title: str, url: str, tooltip: str = "") -> dashboard.DashboardLink:
    """A link that opens in a new tab."""
    return (
        dashboard.DashboardLink(title)
        .type(model.DashboardLinkType.LINK)
        .url(url)
        .tooltip(tooltip)
        .icon("external link")
        .target_blank(True)
    )


def runbook(alert: str) -> dashboard.DashboardLink:
    """A link to an alert's runbook."""
    return link(f"Runbook {alert}", "${runbooks}/" + alert + ".md")


def over_time(expr: str, legend: str) -> prometheus.Dataquery:
    """A query over the dashboard's range."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).range()


def now(expr: str, legend: str = "") -> prometheus.Dataquery:
    """A query at the end of the dashboard's range."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).instant()


def rows(expr: str) -> prometheus.Dataquery:
    """A query at the end of the range whose labels become columns."""
    return now(expr).format(PromQueryFormat.TABLE)


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    made = [model.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(made)


def _common(
    panel: Any,
    title: str,
    about: str,
    queries: Sequence[prometheus.Dataquery],
    size: tuple[int, int],
    unit: str,
    links: Sequence[dashboard.DashboardLink],
) -> Any:
    """Set what all panels have in common. Queries are named A, B, …"""
    panel = panel.title(title).description(about).datasource(SOURCE).span(size[0]).height(size[1]).unit(unit)
    for k, query in enumerate(queries):
        panel = panel.with_target(query.ref_id(chr(ord("A") + k)).datasource(SOURCE))
    return panel.links(list(links)) if links else panel


def number(
    title: str,
    about: str,
    query: prometheus.Dataquery,
    *,
    unit: str,
    steps: Steps = ((None, GREY),),
    size: tuple[int, int] = (4, 4),
    decimals: int | None = None,
    words: dict[str, tuple[str, str]] | None = None,
    name: bool = False,
    none: str = "unknown",
    links: Sequence[dashboard.DashboardLink] = (),
    data_links: Sequence[dashboard.DashboardLink] = (),
) -> stat.Panel:
    """A single figure. ``words`` maps values to (text, colour); ``name`` shows the legend."""
    panel: stat.Panel = _common(stat.Panel(), title, about, [query], size, unit, links)
    panel = (
        panel.thresholds(_thresholds(steps))
        .no_value(none)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .color_mode(shape.BigValueColorMode.VALUE)
        .graph_mode(shape.BigValueGraphMode.NONE)
        .justify_mode(shape.BigValueJustifyMode.CENTER)
        .orientation(shape.VizOrientation.AUTO)
        .text_mode(shape.BigValueTextMode.NAME if name else shape.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if words:
        texts = {
            value: model.ValueMappingResult(text=text, color=color) for value, (text, color) in words.items()
        }
        panel = panel.mappings([model.ValueMap(options=texts)])
    return panel.data_links(list(data_links)) if data_links else panel


def lines(
    title: str,
    about: str,
    queries: Sequence[prometheus.Dataquery],
    *,
    unit: str,
    size: tuple[int, int],
    steps: Steps = (),
    stacked: bool = False,
    most: float | None = None,
    links: Sequence[dashboard.DashboardLink] = (),
) -> timeseries.Panel:
    """Figures over time, with a line at each threshold of ``steps``."""
    panel: timeseries.Panel = _common(timeseries.Panel(), title, about, queries, size, unit, links)
    panel = (
        panel.line_width(2 if not stacked else 1)
        .fill_opacity(40 if stacked else 0)
        .show_points(shape.VisibilityMode.NEVER)
        .min(0)
        .legend(_legend())
        .tooltip(
            common.VizTooltipOptions().mode(shape.TooltipDisplayMode.MULTI).sort(shape.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(shape.StackingMode.NORMAL).group("A"))
    if most is not None:
        panel = panel.max(most)
    made: timeseries.Panel = _lined(panel, steps)
    return made


def bars(
    title: str,
    about: str,
    query: prometheus.Dataquery,
    *,
    across: str,
    by: str,
    unit: str,
    size: tuple[int, int],
    steps: Steps = (),
    stacked: bool = False,
    numbers: bool = True,
    decimals: int | None = None,
    links: Sequence[dashboard.DashboardLink] = (),
) -> barchart.Panel:
    """Bars: a group for each value of the label ``across``, with a bar for each value of ``by``.

    ``numbers``: values of ``across`` are integers, such as iterations, and are sorted.
    """
    panel: barchart.Panel = _common(barchart.Panel(), title, about, [query], size, unit, links)
    panel = (
        panel.stacking(shape.StackingMode.NORMAL if stacked else shape.StackingMode.NONE)
        .orientation(shape.VizOrientation.VERTICAL if numbers else shape.VizOrientation.HORIZONTAL)
        .x_field(f"{across}\\{by}")
        .show_value(shape.VisibilityMode.NEVER if steps or stacked else shape.VisibilityMode.AUTO)
        .group_width(0.8)
        .bar_width(0.95)
        .x_tick_label_rotation(0)
        .full_highlight(False)
        .min(0)
        .fill_opacity(70)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(shape.TooltipDisplayMode.MULTI).sort(shape.SortOrder.NONE))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if numbers:
        panel = panel.with_transformation(_convert(across, "number"))
    panel = panel.with_transformation(
        model.DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": across, "desc": False}]})
    ).with_transformation(
        model.DataTransformerConfig(
            id_val="groupingToMatrix",
            options={"columnField": by, "rowField": across, "valueField": "Value", "emptyValue": "null"},
        )
    )
    if numbers:
        panel = panel.with_transformation(_convert(f"{across}\\{by}", "string"))
    made: barchart.Panel = _lined(panel, steps)
    return made


def _convert(field: str, kind: str) -> model.DataTransformerConfig:
    conversions = [{"targetField": field, "destinationType": kind}]
    return model.DataTransformerConfig(
        id_val="convertFieldType", options={"fields": {}, "conversions": conversions}
    )


def cells(
    title: str,
    about: str,
    columns: Sequence[tuple[str, prometheus.Dataquery]],
    *,
    key: tuple[str, str],
    size: tuple[int, int],
    unit: str = "none",
    decimals: int = 3,
    steps: dict[str, Steps] | None = None,
    words: dict[str, dict[str, tuple[str, str]]] | None = None,
    units: dict[str, str] | None = None,
    sort: tuple[str, bool] | None = None,
    links: Sequence[dashboard.DashboardLink] = (),
) -> table.Panel:
    """A table with one row for each value of a label.

    Args:
        columns: heading and query of each column; the queries keep only the key label.
        key: the label that rows are joined by, and its column heading.
        steps, words, units: by column, as in ``number``.
        sort: column, and True for descending.
    """
    panel: table.Panel = _common(table.Panel(), title, about, [q for _, q in columns], size, unit, links)
    renamed = {f"Value #{chr(ord('A') + k)}": name for k, (name, _) in enumerate(columns)} | {key[0]: key[1]}
    order = {key[0]: 0} | {f"Value #{chr(ord('A') + k)}": k + 1 for k in range(len(columns))}
    panel = (
        panel.decimals(decimals)
        .show_header(True)
        .cell_height(shape.TableCellHeight.SM)
        .no_value("–")
        .with_transformation(
            model.DataTransformerConfig(id_val="joinByField", options={"byField": key[0], "mode": "outer"})
        )
        # Removes the time columns of the queries: "Time 1", "Time 2", …
        .with_transformation(
            model.DataTransformerConfig(
                id_val="filterFieldsByName", options={"exclude": {"pattern": "^Time.*"}}
            )
        )
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {}, "indexByName": order, "renameByName": renamed},
            )
        )
    )
    if sort:
        panel = panel.sort_by([common.TableSortByFieldState().display_name(sort[0]).desc(sort[1])])
    for name, made in _by_column(steps or {}, words or {}, units or {}).items():
        panel = panel.override_by_name(name, made)
    return panel


def _by_column(
    steps: dict[str, Steps], words: dict[str, dict[str, tuple[str, str]]], units: dict[str, str]
) -> dict[str, list[model.DynamicConfigValue]]:
    """Settings by column."""
    made: dict[str, list[model.DynamicConfigValue]] = {}
    for name, unit in units.items():
        made.setdefault(name, []).append(model.DynamicConfigValue(id_val="unit", value=unit))
    for name, limits in steps.items():
        made.setdefault(name, []).append(
            model.DynamicConfigValue(id_val="thresholds", value=_thresholds(limits).build())
        )
    for name, texts in words.items():
        options = {value: {"text": text, "color": color} for value, (text, color) in texts.items()}
        made.setdefault(name, []).append(
            model.DynamicConfigValue(id_val="mappings", value=[{"type": "value", "options": options}])
        )
    for name in {*steps, *words}:
        made[name].append(model.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}))
    return made


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(shape.LegendDisplayMode.LIST)
        .placement(shape.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs([])
    )


def _lined(panel: Any, steps: Steps) -> Any:
    """Add a dashed line at each threshold."""
    panel = panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    if not steps:
        return panel
    style = common.GraphThresholdsStyleConfig().mode(shape.GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(_thresholds(steps)).thresholds_style(style)

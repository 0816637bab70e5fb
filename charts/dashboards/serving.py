"""Dashboard of the service."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard

from charts.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    SCREENS,
    YELLOW,
    lines,
    link,
    now,
    number,
    over_time,
    runbook,
    screen,
)

MODEL: Final = 'lidloop_serving_model_info{namespace=~"$namespace",name="$model"} == 1'
SLOTS: Final = 'lidloop_serving_requests_{}{{namespace=~"$namespace"}}'
JOBS: Final = f"and on (namespace, job) ({MODEL})"
"""Restricts series by job to those whose instances answer with the selected model."""


def of(series: str) -> str:
    """Restrict series by instance to those of instances that answer with the selected model."""
    return f"({series} and on (namespace, job, instance) ({MODEL}))"


def rate(metric: str, labels: str = "") -> str:
    """Rate per second, of instances that answer with the selected model."""
    return of(f'rate({metric}{{namespace=~"$namespace"{"," if labels else ""}{labels}}}[$__rate_interval])')


def build() -> dashboard.Dashboard:
    """The dashboard."""
    board = screen(
        "lidloop-serving",
        "Does the service answer correctly and in time?",
        "Top: status. Middle: requests, latency and capacity. Bottom: results, which change with the "
        "patients and the photography.",
        since="now-3h",
        models="lidloop_serving_model_info, name",
    )
    for panel in (*_verdicts(), *_requests(), *_capacity(), *_content()):
        board = board.with_panel(panel)
    return board


def _verdicts() -> list[Any]:
    return [
        number(
            "Instances ready",
            "Instances that Prometheus scrapes and that have loaded a model.",
            now(f"count({MODEL})"),
            unit="none",
            steps=((None, RED), (1, GREEN)),
            none="none",
            links=[runbook("LidloopServingNotReady")],
        ),
        number(
            "Model in service",
            "Versions that instances answer with; more than one only during a rollout.",
            now(
                f"count by (name, version, iteration) ({MODEL})",
                "version {{version}}, iteration {{iteration}}",
            ),
            unit="none",
            steps=((None, BLUE),),
            name=True,
            none="none",
            data_links=[
                link(
                    "Version ${__field.labels.version} in the registry",
                    "${registry}/#/models/${__field.labels.name}/versions/${__field.labels.version}",
                )
            ],
        ),
        number(
            "Pictures",
            "Pictures received per minute, over the last 5 minutes.",
            now(
                "60 * sum("
                + of(f'rate(lidloop_serving_requests_total{{namespace=~"$namespace",{SCREENS}}}[5m])')
                + ")"
            ),
            unit="none",
            decimals=1,
            steps=((None, BLUE),),
        ),
        number(
            "Answers without server errors",
            "Share of the last hour's pictures that did not end in an error of the server (internal, "
            "not-ready).",
            now(
                f'1 - max(job:lidloop_serving_faults:ratio_rate1h{{namespace=~"$namespace"}} {JOBS})',
            ),
            unit="percentunit",
            decimals=2,
            steps=((None, RED), (0.95, YELLOW), (0.995, GREEN)),
            none="no traffic",
            links=[runbook("LidloopServingErrors")],
        ),
        number(
            "Answers within 1 s",
            "Share of the last hour's pictures; the objective is 99 % over 30 days. Time counts from "
            "the first byte of the request, so slow uploads are included.",
            now(f'1 - max(job:lidloop_serving_slow:ratio_rate1h{{namespace=~"$namespace"}} {JOBS})'),
            unit="percentunit",
            decimals=2,
            steps=((None, RED), (0.97, YELLOW), (0.99, GREEN)),
            none="no traffic",
            links=[runbook("LidloopLatencyBudgetBurn")],
        ),
        number(
            "Concurrency slots in use",
            "Requests running or waiting, over the limit. From 0.8 on pictures will soon be rejected.",
            now(
                "avg_over_time(max(job:lidloop_serving_saturation:ratio"
                f'{{namespace=~"$namespace"}} {JOBS})[10m:])'
            ),
            unit="percentunit",
            decimals=0,
            steps=((None, GREEN), (0.5, YELLOW), (0.8, RED)),
            links=[runbook("LidloopServingSaturated")],
        ),
    ]


def _requests() -> list[Any]:
    seconds = "lidloop_serving_request_seconds_bucket"
    return [
        lines(
            "Requests by outcome",
            "Requests with pictures per second, by outcome: ok, or the kind of error "
            "(docs/SERVING.md). internal and not-ready are errors of the server, busy is overload, "
            "the others are errors of the caller.",
            [
                over_time(
                    f"sum by (outcome) ({rate('lidloop_serving_requests_total', SCREENS)})", "{{outcome}}"
                )
            ],
            unit="reqps",
            size=(8, 7),
            stacked=True,
            links=[runbook("LidloopServingErrors")],
        ),
        lines(
            "Latency",
            "Of requests with pictures, with any outcome, from the first byte to the last. The "
            "objective is 1 s for 99 %.",
            [
                over_time(f"histogram_quantile({q}, sum by (le) ({rate(seconds, SCREENS)}))", name)
                for q, name in (("0.5", "half within"), ("0.95", "95 % within"), ("0.99", "99 % within"))
            ],
            unit="s",
            size=(8, 7),
            steps=((None, GREEN), (1, RED)),
            links=[runbook("LidloopLatencyBudgetBurn")],
        ),
        lines(
            "Mean time by stage",
            "wait grows under overload, detect if the machine has become slower.",
            [
                over_time(
                    f"sum by (stage) ({rate('lidloop_serving_stage_seconds_sum')})"
                    f" / sum by (stage) ({rate('lidloop_serving_stage_seconds_count')})",
                    "{{stage}}",
                )
            ],
            unit="s",
            size=(8, 7),
            stacked=True,
        ),
    ]


def _capacity() -> list[Any]:
    return [
        lines(
            "Concurrency slots",
            "Requests running or waiting, and their limit, over all instances.",
            [
                over_time(
                    f"sum({of(SLOTS.format('inside'))})",
                    "in use",
                ),
                over_time(
                    f"sum({of(SLOTS.format('limit'))})",
                    "limit",
                ),
            ],
            unit="none",
            size=(8, 6),
            links=[runbook("LidloopServingSaturated")],
        ),
        lines(
            "Burn rate of the latency budget",
            "Share of pictures over 1 s, as a multiple of the 1 % that the objective allows. 1 just "
            "lasts the month; 6 over six hours or 14.4 over one hour raises a page.",
            [
                over_time(
                    f'max(job:lidloop_serving_slow:ratio_rate{window}{{namespace=~"$namespace"}} {JOBS})'
                    " / 0.01",
                    f"over {window}",
                )
                for window in ("5m", "1h", "6h")
            ],
            unit="none",
            size=(8, 6),
            steps=((None, GREEN), (1, YELLOW), (14.4, RED)),
            links=[runbook("LidloopLatencyBudgetBurn")],
        ),
        lines(
            "Confidence of the model",
            "Scores of faces. They fall when pictures become worse, or differ from those the model "
            "was trained on.",
            [
                over_time(
                    f"histogram_quantile({q}, sum by (le) ({rate('lidloop_serving_confidence_bucket')}))",
                    name,
                )
                for q, name in (("0.5", "half under"), ("0.1", "a tenth under"))
            ],
            unit="percentunit",
            size=(8, 6),
            most=1,
        ),
    ]


def _content() -> list[Any]:
    return [
        lines(
            "Flags by level",
            "Share of faces by level of the flag. A change of the mix means other patients, other "
            "pictures, or a model that measures differently.",
            [
                over_time(
                    f"sum by (level) ({rate('lidloop_serving_flags_total')})"
                    f" / ignoring (level) group_left () sum({rate('lidloop_serving_flags_total')})",
                    "{{level}}",
                )
            ],
            unit="percentunit",
            size=(8, 6),
            stacked=True,
            most=1,
        ),
        lines(
            "Withheld measurements by reason",
            "Per face, over both eyes and all measurements (docs/reports/MEASUREMENTS.md).",
            [
                over_time(
                    f"sum by (reason) ({rate('lidloop_serving_withheld_total')})"
                    f" / ignoring (reason) group_left () sum({rate('lidloop_serving_confidence_count')})",
                    "{{reason}}",
                )
            ],
            unit="none",
            size=(8, 6),
        ),
        lines(
            "Quality problems of pictures",
            "Share of faces by problem of their picture. A changed camera shows here first.",
            [
                over_time(
                    f"sum by (problem) ({rate('lidloop_serving_quality_problems_total')})"
                    f" / ignoring (problem) group_left () sum({rate('lidloop_serving_confidence_count')})",
                    "{{problem}}",
                )
            ],
            unit="percentunit",
            size=(8, 6),
        ),
    ]

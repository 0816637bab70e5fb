"""Dashboard of models on gold."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard

from charts.dashboards.panels import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    bars,
    cells,
    lines,
    link,
    now,
    number,
    over_time,
    rows,
    runbook,
    screen,
)

OF: Final = 'namespace=~"$namespace",model="$model"'
ERRORS: Final = 'metric=~"lid_error|nme"'
"""Errors that decide about champions."""


def build() -> dashboard.Dashboard:
    """The dashboard."""
    board = screen(
        "lidloop-models",
        "Is the champion good, and do new models improve?",
        "Top: the champion and the newest run. Middle: models by iteration, on gold (human labels, "
        "frozen) and paper (labels that grow). Bottom: champion against candidate, and errors over "
        "time.",
        since="now-24h",
        models="lidloop_champion_info, model",
    )
    for panel in (*_verdicts(), *_iterations(), *_comparison()):
        board = board.with_panel(panel)
    return board


def _verdicts() -> list[Any]:
    return [
        number(
            "Champion",
            "The version with the alias champion, which the service loads. Links lead to it in the "
            "registry, and to the report of its run.",
            now(
                f"max by (model, version, iteration, run) (lidloop_champion_info{{{OF}}}) == 1",
                "version {{version}}, iteration {{iteration}}",
            ),
            unit="none",
            steps=((None, BLUE),),
            name=True,
            none="none",
            data_links=[
                link(
                    "Version ${__field.labels.version} in the registry",
                    "${registry}/#/models/${__field.labels.model}/versions/${__field.labels.version}",
                ),
                link("Report of run ${__field.labels.run}", "${runs}/${__field.labels.run}/report.html"),
            ],
        ),
        number(
            "Lid error of the champion",
            "Mean lid-opening error on gold, over the outer-canthal distance.",
            now(f'max(model_metric:lidloop_champion_gold:max{{{OF},metric="lid_error"}})'),
            unit="percentunit",
            decimals=2,
            steps=((None, BLUE),),
        ),
        number(
            "Lid error, candidate against champion",
            "Lid error of the newest version on gold over that of the champion, less 1: below 0 it is "
            "better. From 10 % on the loop makes worse models. 0 if the newest version is the "
            "champion.",
            now(
                f'max(model_metric:lidloop_candidate_gold:max{{{OF},metric="lid_error"}}) '
                f'/ max(model_metric:lidloop_champion_gold:max{{{OF},metric="lid_error"}}) - 1'
            ),
            unit="percentunit",
            decimals=1,
            steps=((None, GREEN), (0.02, YELLOW), (0.1, RED)),
            links=[runbook("LidloopGoldFalling")],
        ),
        number(
            "Recall of the champion",
            "Share of gold faces that it finds. The promotion gate tolerates no decrease beyond chance.",
            now(f'max(model_metric:lidloop_champion_gold:max{{{OF},metric="recall"}})'),
            unit="percentunit",
            decimals=1,
            steps=((None, BLUE),),
        ),
        number(
            "Time since the last run",
            "Time since the newest run ended, successfully or not. A run is due every week.",
            now(f"time() - max(lidloop_last_run_timestamp_seconds{{{OF}}})"),
            unit="s",
            decimals=0,
            steps=((None, GREEN), (7 * 86400, YELLOW), (8 * 86400, RED)),
            links=[runbook("LidloopRunOverdue")],
        ),
        number(
            "Outcome of the last run",
            "Failed or succeeded: the newest run that has ended.",
            now(f"max(lidloop_last_run_failed{{{OF}}})"),
            unit="none",
            words={"0": ("succeeded", GREEN), "1": ("failed", RED)},
            none="no run yet",
            links=[runbook("LidloopRunFailed")],
        ),
    ]


def _iterations() -> list[Any]:
    return [
        bars(
            "Errors on gold (by iteration)",
            "Lid-opening error and NME (means, over the outer-canthal distance) of each iteration's "
            "model on the frozen human labels. These two decide about champions.",
            rows(
                f"max by (metric, iteration) (lidloop_evaluation{{{OF},"
                'yardstick="gold",metric=~"lid_error|nme"})'
            ),
            across="iteration",
            by="metric",
            unit="percentunit",
            decimals=1,
            size=(8, 10),
            links=[runbook("LidloopGoldFalling")],
        ),
        bars(
            "Recall and pose AP on gold (by iteration)",
            "Recall, and AP by OKS at 0.5 and over 0.5 to 0.95. Recall must not fall. AP also falls "
            "because gold lacks faces that grown labels teach the model to find.",
            rows(
                f"max by (metric, iteration) (lidloop_evaluation{{{OF},"
                'yardstick="gold",metric=~"recall|pose_ap50|pose_ap50_95"})'
            ),
            across="iteration",
            by="metric",
            unit="percentunit",
            decimals=0,
            size=(8, 10),
        ),
        bars(
            "Lid error by source (gold, by iteration)",
            "Lid-opening error on gold by the source of the picture. If one rises while the others "
            "fall, the model is forgetting that source.",
            rows(f"max by (source, iteration) (lidloop_source_lid_error_ratio{{{OF}}})"),
            across="iteration",
            by="source",
            unit="percentunit",
            decimals=1,
            size=(8, 10),
        ),
    ]


def _comparison() -> list[Any]:
    both = (
        f'max by (metric) (lidloop_candidate_evaluation{{{OF},yardstick="gold",metric!="mse_px2"}})',
        f'max by (metric) (lidloop_champion_evaluation{{{OF},yardstick="gold",metric!="mse_px2"}})',
    )
    return [
        cells(
            "Newest version against champion (gold)",
            "All figures on gold. For lid_error, nme, nme_median and failure_rate lower is better, "
            "for the others higher. All differences are 0 if the newest version is the champion.",
            [("Champion", rows(both[1])), ("Newest", rows(both[0])), ("Difference", rows(" - ".join(both)))],
            key=("metric", "Metric"),
            size=(8, 9),
            sort=("Metric", False),
            links=[runbook("LidloopGoldFalling")],
        ),
        bars(
            "Errors on growing labels (paper, by iteration)",
            "The same errors on the iteration's own validation labels, as in the paper's Table 2. If "
            "they fall while gold rises, the model confirms its own errors.",
            rows(
                f"max by (metric, iteration) (lidloop_evaluation{{{OF},"
                'yardstick="paper",metric=~"lid_error|nme"})'
            ),
            across="iteration",
            by="metric",
            unit="percentunit",
            decimals=1,
            size=(8, 9),
        ),
        lines(
            "Errors of champion and candidate over time",
            "Errors on gold. A step is a new champion or a new version.",
            [
                over_time(
                    f"max by (metric) (model_metric:lidloop_champion_gold:max{{{OF},{ERRORS}}})",
                    "champion {{metric}}",
                ),
                over_time(
                    f"max by (metric) (model_metric:lidloop_candidate_gold:max{{{OF},{ERRORS}}})",
                    "candidate {{metric}}",
                ),
            ],
            unit="percentunit",
            size=(8, 9),
        ),
    ]

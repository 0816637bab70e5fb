"""Do the labels still mean what they meant?"""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard

from charts.dashboards.panels import (
    BLUE,
    DRIFT,
    GREEN,
    GREY,
    RED,
    YELLOW,
    bars,
    cells,
    lines,
    now,
    number,
    over_time,
    rows,
    runbook,
    screen,
)

OF: Final = 'namespace=~"$namespace",model="$model"'
LABELS: Final = 'feature!="faces_per_image"'
"""Features whose drift an alert is about; see ``rules/labels.yaml`` for why not the other."""


def build() -> dashboard.Dashboard:
    """The dashboard."""
    board = screen(
        "lidloop-labels",
        "Do the labels still mean what they meant?",
        "Above: the verdicts. In the middle: where labels and traffic have moved. Below: how the labels "
        "have grown, "
        "and what guards the growth.",
        since="now-24h",
        models="lidloop_labels, model",
    )
    for panel in (*_verdicts(), *_drift(), *_growth()):
        board = board.with_panel(panel)
    return board


def _verdicts() -> list[Any]:
    return [
        number(
            "Largest drift of labels (PSI)",
            "The feature that has moved most, from version 0 or from the label version before. 0.1: look; "
            "0.25: "
            "shifted. Faces per picture are left out: they become more because labels grow.",
            now(
                f'max(model_feature:lidloop_label_drift:psi{{{OF},pair=~"reference_current|previous_current",'
                f"{LABELS}}})"
            ),
            unit="none",
            decimals=2,
            steps=DRIFT,
            links=[runbook("LidloopLabelDrift")],
        ),
        number(
            "Largest drift of traffic (PSI)",
            "The feature in which the last faces sent to the endpoint differ most from those behind the "
            "model that "
            "answers, all instances together. Nothing where fewer than 200 faces came.",
            now(f"max(version_feature:lidloop_serving_drift:psi{{{OF}}})"),
            unit="none",
            decimals=2,
            steps=DRIFT,
            none="no traffic",
            links=[runbook("LidloopTrafficDrift")],
        ),
        number(
            "Guards tripped",
            "How many of the guards against self-labelling that goes wrong have tripped; the table below "
            "says which.",
            now(f"sum(max by (guard) (lidloop_guard_tripped{{{OF}}}))"),
            unit="none",
            decimals=0,
            steps=((None, GREEN), (1, RED)),
            links=[runbook("LidloopGuardTripped")],
        ),
        number(
            "Labels",
            "Labels of the newest label version, both splits.",
            now(f"max(sum by (iteration) (model_origin_iteration:lidloop_labels:sum{{{OF}}}))"),
            unit="none",
            decimals=0,
            steps=((None, BLUE),),
        ),
        number(
            "Grown labels",
            "Share of labels that a model gave. Under 1 % the loop grows nothing.",
            now(f"max(model:lidloop_labels_grown:ratio{{{OF}}})"),
            unit="percentunit",
            decimals=1,
            steps=((None, RED), (0.01, GREEN)),
            links=[runbook("LidloopGrowthStalled")],
        ),
        number(
            "Age of what is shown",
            "Time since the exporter last read the registry well. Over an hour: do not trust this screen.",
            now(
                'time() - max(lidloop_exporter_source_timestamp_seconds{namespace=~"$namespace",'
                'source="registry"})'
            ),
            unit="s",
            decimals=0,
            steps=((None, GREEN), (600, YELLOW), (3600, RED)),
            links=[runbook("LidloopExporterStale")],
        ),
    ]


def _drift() -> list[Any]:
    psi = f"version_feature:lidloop_serving_drift:psi{{{OF}}}"
    traffic = f"max by (feature) ({psi})"
    most = f"max by (feature) (max_over_time({psi}[$__range] @ end()))"
    return [
        bars(
            "Where have labels moved? (PSI by feature)",
            "human_grown compares grown labels with human ones: grown ones are of faces that nobody had "
            "marked, so "
            "some distance is to be expected there, and in faces_per_image. The other two pairs should "
            "stay under "
            "0.25.",
            rows(f"max by (pair, feature) (model_feature:lidloop_label_drift:psi{{{OF}}})"),
            across="feature",
            by="pair",
            unit="none",
            decimals=2,
            size=(10, 10),
            steps=DRIFT,
            numbers=False,
            links=[runbook("LidloopLabelDrift")],
        ),
        lines(
            "Has traffic moved? (PSI by feature)",
            "The last faces sent to the endpoint against those behind the model that answers, all instances "
            "of a version together; the six features that moved most in the range shown. Over 0.25 for a "
            "quarter of an hour starts a run.",
            [over_time(f"{traffic} and on (feature) topk(6, {most})", "{{feature}}")],
            unit="none",
            size=(8, 10),
            steps=DRIFT,
            links=[runbook("LidloopTrafficDrift")],
        ),
        cells(
            "Is it more than chance?",
            "The newest labels against version 0: Kolmogorov-Smirnov and Jensen-Shannon distance, and the "
            "p-value of "
            "the former, corrected for the number of tests. From 0.01 on it may be chance.",
            [
                (
                    name,
                    rows(
                        f'max by (feature) (lidloop_label_drift{{{OF},pair="reference_current",'
                        f'statistic="{statistic}"}})'
                    ),
                )
                for name, statistic in (("PSI", "psi"), ("KS", "ks"), ("JS", "js"))
            ]
            + [
                (
                    "p",
                    rows(f'max by (feature) (lidloop_label_drift_pvalue{{{OF},pair="reference_current"}})'),
                )
            ],
            key=("feature", "Feature"),
            size=(6, 10),
            steps={"PSI": DRIFT, "p": ((None, YELLOW), (0.01, GREY))},
            sort=("PSI", True),
        ),
    ]


def _growth() -> list[Any]:
    return [
        bars(
            "How have labels grown? (by iteration)",
            "Labels that each iteration's model was trained on, and last what the newest one has made of "
            "them. Human "
            "ones never become fewer.",
            rows(f"max by (origin, iteration) (model_origin_iteration:lidloop_labels:sum{{{OF}}})"),
            across="iteration",
            by="origin",
            unit="none",
            size=(8, 9),
            stacked=True,
            links=[runbook("LidloopGrowthStalled")],
        ),
        bars(
            "What became of predictions? (by iteration)",
            "Predictions that the filter looked at: grown ones became labels; the rest was dropped for the "
            "reason "
            "named. overlaps-label is the rule, for most faces have a label.",
            rows(f"max by (outcome, iteration) (lidloop_filter_predictions{{{OF}}})"),
            across="iteration",
            by="outcome",
            unit="none",
            size=(8, 9),
            stacked=True,
        ),
        cells(
            "Does anything speak for self-labelling gone wrong?",
            "What each guard measures in the newest iteration, and where it trips. "
            "docs/reports/DRIFT.md says how each is computed.",
            [
                ("Value", rows(f"max by (guard) (lidloop_guard{{{OF}}})")),
                ("Trips at", rows(f"max by (guard) (lidloop_guard_threshold{{{OF}}})")),
                ("State", rows(f"max by (guard) (lidloop_guard_tripped{{{OF}}})")),
            ],
            key=("guard", "Guard"),
            size=(8, 9),
            words={"State": {"0": ("quiet", GREEN), "1": ("tripped", RED)}},
            links=[runbook("LidloopGuardTripped")],
        ),
    ]

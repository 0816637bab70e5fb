"""Dashboard of labels and drift."""

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
"""Features with an alert on their drift; ``rules/labels.yaml`` says why one is left out."""


def build() -> dashboard.Dashboard:
    """The dashboard."""
    board = screen(
        "lidloop-labels",
        "Have labels or traffic drifted?",
        "Top: status. Then drift of labels and traffic, growth of the labels with the guards of "
        "self-labelling, and what people found when they reviewed labels.",
        since="now-24h",
        models="lidloop_labels, model",
    )
    for panel in (*_verdicts(), *_drift(), *_growth(), *_reviews()):
        board = board.with_panel(panel)
    return board


def _verdicts() -> list[Any]:
    return [
        number(
            "Largest drift of labels (PSI)",
            "PSI of the feature that has changed most against version 0 or the previous label "
            "version. From 0.1 on look at it; 0.25 is shifted. Faces per picture are left out, since "
            "their number grows with the labels.",
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
            "PSI of the feature in which the last faces sent to the endpoint differ most from the "
            "reference of the model that answers, all instances together. Empty below 200 faces.",
            now(f"max(version_feature:lidloop_serving_drift:psi{{{OF}}})"),
            unit="none",
            decimals=2,
            steps=DRIFT,
            none="no traffic",
            links=[runbook("LidloopTrafficDrift")],
        ),
        number(
            "Guards tripped",
            "Number of guards against failures of self-labelling that have tripped; the table below "
            "names them.",
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
            "Share of labels that a model predicted. Under 1 % the loop does not grow labels.",
            now(f"max(model:lidloop_labels_grown:ratio{{{OF}}})"),
            unit="percentunit",
            decimals=1,
            steps=((None, RED), (0.01, GREEN)),
            links=[runbook("LidloopGrowthStalled")],
        ),
        number(
            "Age of the data",
            "Time since the exporter last read the registry without errors. Over an hour this "
            "dashboard is out of date.",
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
            "Drift of labels (PSI by feature)",
            "human_grown compares grown labels with human ones. Grown labels are of faces that nobody "
            "had marked, so some distance is normal there, and in faces_per_image. The other two "
            "pairs should stay under 0.25.",
            rows(f"max by (pair, feature) (model_feature:lidloop_label_drift:psi{{{OF}}})"),
            across="feature",
            by="pair",
            unit="none",
            decimals=2,
            size=(10, 8),
            steps=DRIFT,
            numbers=False,
            links=[runbook("LidloopLabelDrift")],
        ),
        lines(
            "Drift of traffic (PSI by feature)",
            "The last faces sent to the endpoint against the reference of the model that answers, all "
            "instances of a version together; the six features that changed most in the time range. "
            "Over 0.25 for 15 minutes starts a run.",
            [over_time(f"{traffic} and on (feature) topk(6, {most})", "{{feature}}")],
            unit="none",
            size=(8, 8),
            steps=DRIFT,
            links=[runbook("LidloopTrafficDrift")],
        ),
        cells(
            "Statistics of label drift",
            "The newest labels against version 0: Kolmogorov-Smirnov and Jensen-Shannon distance, and "
            "the p-value of the former, corrected for the number of tests. From 0.01 on the "
            "difference may be chance.",
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
            size=(6, 8),
            steps={"PSI": DRIFT, "p": ((None, YELLOW), (0.01, GREY))},
            sort=("PSI", True),
        ),
    ]


def _growth() -> list[Any]:
    return [
        bars(
            "Labels by iteration",
            "Labels that the model of each iteration was trained on; the last bar is the newest label "
            "version. The number of human labels never falls.",
            rows(f"max by (origin, iteration) (model_origin_iteration:lidloop_labels:sum{{{OF}}})"),
            across="iteration",
            by="origin",
            unit="none",
            size=(8, 7),
            stacked=True,
            links=[runbook("LidloopGrowthStalled")],
        ),
        bars(
            "Outcomes of predictions (by iteration)",
            "Predictions that the filter decided on: grown ones became labels, the others were "
            "dropped for the reason shown. overlaps-label is normal, since most faces have a label.",
            rows(f"max by (outcome, iteration) (lidloop_filter_predictions{{{OF}}})"),
            across="iteration",
            by="outcome",
            unit="none",
            size=(8, 7),
            stacked=True,
        ),
        cells(
            "Guards of self-labelling",
            "Value of each guard in the newest iteration, and the threshold at which it trips. "
            "docs/reports/DRIFT.md defines them.",
            [
                ("Value", rows(f"max by (guard) (lidloop_guard{{{OF}}})")),
                ("Trips at", rows(f"max by (guard) (lidloop_guard_threshold{{{OF}}})")),
                ("State", rows(f"max by (guard) (lidloop_guard_tripped{{{OF}}})")),
            ],
            key=("guard", "Guard"),
            size=(8, 7),
            words={"State": {"0": ("ok", GREEN), "1": ("tripped", RED)}},
            links=[runbook("LidloopGuardTripped")],
        ),
    ]


def _reviews() -> list[Any]:
    # Grafana takes the order of the bars from the answer: low, value, high.
    shares = f"sort(max by (iteration, bound) (lidloop_wrong_labels_ratio{{{OF}}}))"
    return [
        bars(
            "Wrong labels among reviewed ones (by iteration)",
            "Share of the reviewed labels of each iteration that people corrected or declined, with the "
            "ends of its 95 % interval. People begin with likely wrong labels, so among all labels the "
            "share is smaller. An alert says when it rises by more than chance explains.",
            rows(shares),
            across="iteration",
            by="bound",
            unit="percentunit",
            decimals=1,
            size=(11, 5),
            links=[runbook("LidloopWrongLabelsRising")],
        ),
        bars(
            "Reviewed labels (by iteration)",
            "Grown labels that people have decided on, by the iteration that grew them. open: people "
            "disagree or are unsure.",
            rows(f'max by (iteration, verdict) (lidloop_reviewed_faces{{{OF},kind="grown"}})'),
            across="iteration",
            by="verdict",
            unit="none",
            size=(9, 5),
            stacked=True,
        ),
        number(
            "Rise of wrong labels",
            "How much larger the share of wrong labels is in the newest reviewed iteration than in all "
            "earlier ones together: lower end of the 95 % interval. Above 0 chance does not explain it.",
            now(f'max(clamp_min(lidloop_wrong_labels_rise_ratio{{{OF},bound="low"}}, 0))'),
            unit="percentunit",
            decimals=1,
            steps=((None, GREEN), (0.0001, RED)),
            size=(4, 5),
            none="not reviewed",
            links=[runbook("LidloopWrongLabelsRising")],
        ),
    ]

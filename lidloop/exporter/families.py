"""The metric families of the exporter: names, labels and help. ``docs/METRICS.md`` is generated from them.

Label values come from small fixed sets, with four bounded exceptions: ``model``, ``iteration`` (the newest
ones), ``source`` (the collections of a dataset), and version and run of the champion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LABELS: Final[dict[str, str]] = {
    "model": "name of the registered model",
    "iteration": "`0`, `1`, … of the newest run in the registry",
    "split": "`train`, `val`",
    "origin": "`human`, `grown`",
    "outcome": "`grown` (became a label), or the reason why not: `below-confidence`, `degenerate`, "
    "`outside-picture`, `overlaps-label`, `overlaps-prediction`, `relabelled`, "
    "`declined`",
    "pair": "`reference_current` (human labels of version 0, all labels that the iteration made), "
    "`previous_current` (labels that its model was trained on, all that it made), `human_grown` (human and "
    "grown labels that it made)",
    "feature": "a feature of `lidloop.drift`: `box_size`, `yaw`, …",
    "statistic": "`psi`, `js` (Jensen–Shannon distance), `ks` (Kolmogorov–Smirnov distance)",
    "yardstick": "`gold` (validation labels of version 0), `paper` (those of the iteration)",
    "metric": "as in `summary.json`: `precision`, `recall`, `ap50`, `ap50_95`, `pose_ap50`, `pose_ap50_95`, "
    "`nme`, `nme_median`, `nme_auc8`, `failure_rate`, `lid_error` (all ratios from 0), and `mse_px2` (px²)",
    "guard": "`grown_share`, `disagreement`, `confirmation_bias`, `source_concentration`, `group_gap`",
    "version": "number of the registry's version",
    "kind": "`grown` (labels), `dropped` (faces that the filter dropped)",
    "verdict": "`confirmed`, `corrected`, `declined`, `open` (people disagree or are unsure); the sum is the "
    "number of reviewed faces",
    "bound": "`value`, `low` and `high` (95 % interval)",
    "run": "name of the run that trained it",
    "source": "of the exporter's figures: `registry`, `runs`",
    "reason": "`unreachable`, `refused` (credentials), `damaged` (content that cannot be read), `timeout`, "
    "`other`",
}
"""Values of the exporter's labels, by label name; ``Family.values`` takes precedence."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family.

    Attributes:
        name: name without the prefix ``lidloop_``, and without ``_total`` for a counter.
        help: help text for Prometheus, one sentence.
        labels: label names in their order.
        kind: ``gauge`` or ``counter``.
        values: values of labels that have a special meaning in this family.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: str = "gauge"
    values: Mapping[str, str] | None = None

    @property
    def full_name(self) -> str:
        """Full name of the metric."""
        return f"lidloop_{self.name}{'_total' if self.kind == 'counter' else ''}"


FAMILIES: Final[dict[str, tuple[Family, ...]]] = {
    "Labels": (
        Family(
            "labels",
            "Labels by split, origin and label version: what the iteration's model was trained on, and last, "
            "from the ledgers, what the newest one has made.",
            ("model", "split", "origin", "iteration"),
        ),
        Family(
            "filter_predictions",
            "Predictions that the iteration's filter looked at, by what became of them.",
            ("model", "iteration", "outcome"),
        ),
        Family(
            "label_drift",
            "Distance between two groups of labels by feature, of the newest iteration.",
            ("model", "pair", "feature", "statistic"),
        ),
        Family(
            "label_drift_pvalue",
            "P-value of the Kolmogorov-Smirnov test of two groups of labels, corrected for many tests.",
            ("model", "pair", "feature"),
        ),
        Family(
            "label_drift_limit",
            "Population stability index that chance alone exceeds once in 100 tests of so many faces.",
            ("model", "pair", "feature"),
        ),
        Family(
            "label_drift_level",
            "Verdict on a feature of two groups of labels: 0 stable, 1 moderate, 2 shifted.",
            ("model", "pair", "feature"),
        ),
        Family(
            "label_drift_faces",
            "Faces in the two groups of labels that are compared.",
            ("model", "pair", "group"),
            values={"group": "`first`, `second` of the pair's name"},
        ),
        Family(
            "guard",
            "Value of a guard against failures of self-labelling, in the newest iteration.",
            ("model", "guard"),
        ),
        Family("guard_threshold", "The value from which the guard trips.", ("model", "guard")),
        Family("guard_tripped", "1 where the guard has tripped.", ("model", "guard")),
    ),
    "Reviews": (
        Family(
            "reviewed_faces",
            "Faces that people have decided on, by the iteration that found them.",
            ("model", "iteration", "kind", "verdict"),
        ),
        Family(
            "wrong_labels_ratio",
            "Share of corrected and declined labels among the reviewed labels that the iteration grew, with "
            "Wilson's interval; among all labels it is smaller, as the review queue begins with likely wrong "
            "ones.",
            ("model", "iteration", "bound"),
        ),
        Family(
            "wrong_labels_rise_ratio",
            "Share of wrong labels among the reviewed ones of the newest iteration that people have looked "
            "at, less that of all earlier iterations together, with Newcombe's interval.",
            ("model", "bound"),
        ),
    ),
    "Models": (
        Family(
            "evaluation",
            "Figures of the iteration's model, by yardstick.",
            ("model", "iteration", "yardstick", "metric"),
        ),
        Family(
            "source_lid_error_ratio",
            "Mean lid-opening error over outer-canthal distance on gold faces, by the source of the picture.",
            ("model", "iteration", "source"),
            values={
                "source": "a collection of the dataset, called as its folder is: `afw`, …; never after a "
                "patient"
            },
        ),
        Family(
            "champion_info", "1 for the version that is champion.", ("model", "version", "iteration", "run")
        ),
        Family("champion_evaluation", "Figures of the champion.", ("model", "yardstick", "metric")),
        Family("candidate_evaluation", "Figures of the newest version.", ("model", "yardstick", "metric")),
    ),
    "Runs": (
        Family(
            "last_run_timestamp_seconds",
            "When the newest run that has ended did so, well or not, as a Unix time; where no runs are read, "
            "when the newest version was made.",
            ("model",),
        ),
        Family("last_run_failed", "1 where the newest run that has ended failed.", ("model",)),
        Family("runs_running", "Runs that are working now.", ("model",)),
    ),
    "The exporter itself": (
        Family(
            "exporter_source_up",
            "1 where the last reading of the source went well.",
            ("source",),
        ),
        Family(
            "exporter_source_timestamp_seconds",
            "When the source was last read well, as a Unix time; its figures are as old as that.",
            ("source",),
        ),
        Family(
            "exporter_errors",
            "Readings of the source that failed.",
            ("source", "reason"),
            "counter",
        ),
        Family(
            "exporter_read_seconds",
            "How long the last reading of the source took.",
            ("source",),
        ),
        Family(
            "exporter_left_out",
            "What the last reading left out because its content is damaged or beyond the limits.",
            ("source",),
        ),
        Family(
            "registry_certificate_expiry_timestamp_seconds",
            "When the certificate of an https registry ends, as a Unix time.",
        ),
        Family(
            "store_bytes",
            "Space on the disk of a local registry or folder of runs.",
            ("source", "kind"),
            values={"kind": "`size`, `free`"},
        ),
    ),
}
"""All families, by section of ``docs/METRICS.md``."""

BY_NAME: Final[dict[str, Family]] = {family.name: family for part in FAMILIES.values() for family in part}

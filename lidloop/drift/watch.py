"""``watch.json`` of a bundle: drift, agreement and guards of its iteration, for monitoring.

The register step adds it to the version's bundle, under the bundle's digest. ``lidloop exporter`` exports its
values as metrics, without further computation. Versions registered by early releases have none.

An iteration k trains a model on label version k ("trained on") and makes version k + 1 with it ("made").
Drift and guards are computed for the labels *made*, before the gate decides on the model. Undefined numbers
are null; all keys are always present::

    {
      "format": 1,
      "iteration": 2,
      "label_version": 2,                        the version that the model was trained on
      "labels": {"train": {"human": 900, "grown": 210}, "val": {"human": 220, "grown": 51}},
                                                 its labels, as in the registry's tag ``lidloop.labels``
      "made": {
        "label_version": 3,                      the version that the iteration made
        "labels": {"train": {…}, "val": {…}},    its labels, as above
        "by_source": {"afw": {"human": 120, "grown": 95}, …}
      },
      "correction": "holm",                      of p-values, over the features of a pair
      "thresholds": {"moderate": 0.1, "shifted": 0.25, "alpha": 0.01},
      "pairs": {
        "reference_current": {                   human labels (version 0) → all labels made
          "faces": [1120, 1440],                 faces of the one and of the other
          "features": {
            "box_size": {
              "n": [1120, 1440],                 sample sizes: values that are defined
              "psi": 0.031,                      population stability index over tenths of the first
              "psi_limit": 0.034,                what chance exceeds at alpha over the features
              "js": 0.074,                       Jensen-Shannon distance, base 2, 0 to 1, over the same tenths
              "ks": 0.061,                       Kolmogorov-Smirnov distance, 0 to 1
              "p": 0.012,                        its p-value
              "p_corrected": 0.19,               the same after the correction
              "level": "stable"                  stable | moderate | shifted: see ``lidloop.drift.compare``;
                                                 null with too few values
            },
            …                                    one per feature of ``lidloop.drift.DEFINITIONS`` but
          }                                      confidence and, where the reference has a shape, shape_1 …
        },                                       shape_5; faces_per_image rises because labels grow
        "previous_current": {…},                 labels trained on → all labels made
        "human_grown": {…}                       human labels → grown labels made; null without grown ones
      },
      "guards": {
        "grown_share":          {"value": 0.19, "threshold": 0.5, "tripped": false, "why": "a sentence"},
        "disagreement":         {…},
        "confirmation_bias":    {…},
        "source_concentration": {…},             value null where there is too little to judge: never tripped
        "group_gap":            {…}              number of groups of faces that fall behind the others
      },
      "agreement": [                             the same faces, as labelled and as this model predicts them
        {"origin": "human", "faces": 870, "nme": 0.041, "offset": 0.004},
        {"origin": "0", "faces": 190, "nme": 0.046, "offset": 0.006}, …
      ],                                         origin: human, or the iteration that grew the label;
                                                 nme: mean; offset: its systematic part, see
                                                 ``lidloop.drift.agreement``
      "sources": {                               gold faces by source, as in ``evaluation.json``
        "afw": {"faces": 76, "recall": 0.961, "nme_mean": 0.082, "lid_error_mean": 0.022}, …
      },
      "metrics": [                               by iteration of the run, this one last
        {"iteration": 0,
         "gold": {"faces": 411, "recall": 0.988, "nme_mean": 0.056, "lid_error_mean": 0.020},
         "paper": {…}}, …
      ]
    }

A pair has at most some 20 features; nothing in the file grows with the number of faces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from lidloop.data.picture_index import ImageRecord
from lidloop.data.version_writer import SPLITS
from lidloop.drift import compare, guards
from lidloop.drift.agreement import Agreement, agreements
from lidloop.drift.features import CONFIDENCE, PER_IMAGE, features
from lidloop.drift.shape import RESIDUAL, Shape
from lidloop.labels import HUMAN, Floats, LabelSet
from lidloop.models.bundle import WATCH

FILE: Final = WATCH
FORMAT: Final = 1

_POPULATION: Final = ("box_size", "yaw")
"""Features whose thirds ``source_concentration`` compares. Models measure these nearly as human labels do;
lids and brows are predicted nearer to the average face."""
_NOT_LABELS: Final = (CONFIDENCE, RESIDUAL)
"""Features not compared between labels: human labels have no confidence, and predicted shapes always have a
smaller residual than human labels."""
_METRICS: Final = ("faces", "recall", "nme_mean", "lid_error_mean")


def summarise(
    *,
    iteration: int,
    trained_on: LabelSet,
    made: LabelSet,
    predictions: LabelSet,
    evaluation: Mapping[str, Any],
    records: Sequence[ImageRecord],
    label_version: int | None = None,
    shape: Shape | None = None,
    thresholds: compare.Thresholds = compare.DEFAULT,
    limits: guards.Limits = guards.DEFAULT,
) -> dict[str, Any]:
    """Compute the content of ``watch.json``, ready for JSON. Pure.

    Args:
        iteration: number of the iteration.
        trained_on: labels of both splits that its model was trained on.
        made: labels of the next version, which the iteration made.
        predictions: predictions of its model on any of the pictures.
        evaluation: content of its ``evaluation.json``.
        records: all pictures of the dataset.
        label_version: number of the version ``trained_on``; ``iteration`` by default.
        shape: shape of the reference profile.
        thresholds: thresholds of the drift levels.
        limits: limits of the guards.

    Raises:
        LidloopError: if SciPy is not installed.
    """
    version = iteration if label_version is None else label_version
    sizes = {r.id: (r.width, r.height) for r in records}

    def measure(labels: LabelSet) -> dict[str, Floats]:
        # All pictures: faces_per_image also counts pictures without a face.
        found = features(labels.reindex(list(sizes)), sizes, shape=shape)
        return {name: values for name, values in found.items() if name not in _NOT_LABELS}

    human, grown = made.select(made.origin == HUMAN), made.select(made.origin != HUMAN)
    of_human, of_grown, of_made = measure(human), measure(grown), measure(made)

    def pair(a: LabelSet, b: LabelSet, of_a: Mapping[str, Floats], of_b: Mapping[str, Floats]) -> Any:
        return {"faces": [len(a), len(b)], "features": compare.compare(of_a, of_b, thresholds=thresholds)}

    faces_only = {name: values for name, values in of_human.items() if name != PER_IMAGE}
    pairs = {
        "reference_current": pair(human, made, of_human, of_made),
        "previous_current": pair(trained_on, made, measure(trained_on), of_made),
        "human_grown": pair(human, grown, faces_only, of_grown) if len(grown) else None,
    }
    agreement = agreements(trained_on, predictions)
    results = judge(made=made, agreement=agreement, evaluation=evaluation, records=records, limits=limits)
    both = {"human": _by_source(human, records), "grown": _by_source(grown, records)}
    sources = sorted({r.source for r in records})
    return {
        "format": FORMAT,
        "iteration": iteration,
        "label_version": version,
        "labels": count(trained_on, records),
        "made": {
            "label_version": version + 1,
            "labels": count(made, records),
            "by_source": {s: {origin: both[origin].get(s, 0) for origin in both} for s in sources},
        },
        "correction": compare.CORRECTION,
        "thresholds": thresholds.to_json(),
        "pairs": pairs,
        "guards": {guard.name: guard.to_json() for guard in results},
        "agreement": [entry.to_json() for entry in agreement],
        "sources": {
            name: {key: entry.get(key) for key in _METRICS}
            for name, entry in evaluation["gold"]["by_source"].items()
        },
        "metrics": [
            {
                "iteration": entry["iteration"],
                **{y: {key: entry[y]["overall"].get(key) for key in _METRICS} for y in ("gold", "paper")},
            }
            for entry in evaluation["iterations"]
        ],
    }


def judge(
    *,
    made: LabelSet,
    agreement: Sequence[Agreement],
    evaluation: Mapping[str, Any],
    records: Sequence[ImageRecord],
    limits: guards.Limits = guards.DEFAULT,
) -> list[guards.Guard]:
    """Compute all guards of an iteration.

    Args:
        made: labels of the version that the iteration made.
        agreement: agreement of its model's predictions with the labels that it was trained on, by origin.
        evaluation: content of its ``evaluation.json``.
        records: all pictures of the dataset.
        limits: limits of the guards.
    """
    grown = made.select(made.origin != HUMAN)
    newest = grown.select(grown.origin == grown.origin.max(initial=HUMAN))
    sizes = {r.id: (r.width, r.height) for r in records}
    human, new = (features(labels, sizes) for labels in (made.select(made.origin == HUMAN), newest))
    return [
        guards.grown_share(count(made, records), limits=limits),
        guards.disagreement(agreement, limits=limits),
        guards.confirmation_bias(evaluation["iterations"], limits=limits),
        guards.source_concentration(
            _by_source(newest, records),
            Counter(r.source for r in records),
            {name: human[name] for name in _POPULATION},
            {name: new[name] for name in _POPULATION},
            limits=limits,
        ),
        guards.group_gap(evaluation["iterations"], limits=limits),
    ]


def count(labels: LabelSet, records: Sequence[ImageRecord]) -> dict[str, dict[str, int]]:
    """Count labels by split and origin: ``{"train": {"human": n, "grown": n}, "val": …}``."""
    split_of = {r.id: r.split for r in records}
    split = np.array([split_of[name] for name in labels.images], dtype=object)[labels.image]
    human = labels.origin == HUMAN
    return {
        name: {
            "human": int((human & (split == name)).sum()),
            "grown": int((~human & (split == name)).sum()),
        }
        for name in SPLITS
    }


def _by_source(labels: LabelSet, records: Sequence[ImageRecord]) -> dict[str, int]:
    source_of = {r.id: r.source for r in records}
    return dict(Counter(source_of[labels.images[k]] for k in labels.image.tolist()))

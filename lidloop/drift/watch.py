"""What those who watch a model need to know of its iteration and a registry does not say: ``watch.json``.

The register step puts it into the version's bundle, under the bundle's digest. It is what ``lidloop
exporter`` turns into metrics and what the run's report reads; nobody has to compute anything. Versions
registered before there was such a file have none.

An iteration k trains a model on label version k ("trained on") and makes version k + 1 with it ("made").
Drift and guards are about what it *made*, as that is what can go wrong here, and it is known before the gate
is asked about the model. Undefined numbers are null; no key is ever left out::

    {
      "format": 1,
      "iteration": 2,
      "label_version": 2,                        the version that the model was trained on
      "labels": {"train": {"human": 900, "grown": 210}, "val": {"human": 220, "grown": 51}},
                                                 its labels, as in the registry's tag ``lidloop.labels``
      "made": {
        "label_version": 3,                      the version that the iteration made; null where not given
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
              "psi_limit": 0.034,                what chance alone exceeds once in 1 / alpha tests
              "js": 0.074,                       Jensen-Shannon distance, base 2, 0 to 1, over the same tenths
              "ks": 0.061,                       Kolmogorov-Smirnov distance, 0 to 1
              "p": 0.012,                        its p-value
              "p_corrected": 0.19,               the same after the correction
              "level": "stable"                  stable | moderate | shifted: see ``lidloop.drift.compare``;
                                                 null with too few values
            },
            …                                    one per feature of ``lidloop.drift.DEFINITIONS`` and, where
          }                                      the reference has a shape, shape_1 … shape_5 and
                                                 shape_residual; not confidence, which people do not give
        },
        "previous_current": {…},                 labels trained on → all labels made; null where not known
        "human_grown": {…}                       human labels → grown labels made; null without grown ones
      },
      "guards": {
        "grown_share":          {"value": 0.19, "threshold": 0.5, "tripped": false, "why": "a sentence"},
        "disagreement":         {…},
        "confirmation_bias":    {…},
        "source_concentration": {…}              value null where there is too little to judge: never tripped
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

from typing import Final

FILE: Final = "watch.json"
FORMAT: Final = 1
PAIRS: Final = ("reference_current", "previous_current", "human_grown")
GUARDS: Final = ("grown_share", "disagreement", "confirmation_bias", "source_concentration")
LEVELS: Final = ("stable", "moderate", "shifted")

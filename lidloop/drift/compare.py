"""Comparison of two sets of faces by feature: distances of the distributions, and tests against chance.

By convention a PSI under 0.1 is stable and one over 0.25 has shifted. A small sample reaches both by chance
alone, so a level is given only to an index that chance would not reach either: above ``psi_limit`` at
``alpha`` over the number of features, so that of a pair without any shift some ``alpha`` (1 %; of samples
of a hundred, 3 %: docs/reports/DRIFT.md) show a feature that is not stable. Under ``MIN_VALUES`` values on a
side the index says nothing at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lidloop.drift.profile import decile_edges, histogram
from lidloop.drift.statistics import holm, js_distance, ks_test, psi, psi_limit
from lidloop.labels import Floats

LEVELS: Final = ("stable", "moderate", "shifted")
MIN_VALUES: Final = 100
"""Values that either side needs: with tenths as bins, ten are then expected in each."""
CORRECTION: Final = "holm"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a feature counts as drifted.

    Attributes:
        moderate, shifted: least PSI of either level; 0.1 and 0.25 by convention (Siddiqi 2006).
        alpha: chance that a pair without any shift shows a feature that is not stable.
    """

    moderate: float = 0.1
    shifted: float = 0.25
    alpha: float = 0.01

    def to_json(self) -> dict[str, float]:
        """Ready for JSON."""
        return {"moderate": self.moderate, "shifted": self.shifted, "alpha": self.alpha}

    def level(self, index: float, limit: float) -> str:
        """Name of a PSI, given what chance alone would reach."""
        if not index > limit:
            return LEVELS[0]
        return LEVELS[int(index > self.moderate) + int(index > self.shifted)]


DEFAULT: Final = Thresholds()


def compare(
    reference: Mapping[str, Floats], current: Mapping[str, Floats], *, thresholds: Thresholds = DEFAULT
) -> dict[str, dict[str, Any]]:
    """Compare two sets of faces by the features that both have.

    Args:
        reference, current: as ``lidloop.drift.features`` gives them; NaN is left out.
        thresholds: when a feature counts as drifted.

    Returns:
        By feature: ``n``, ``psi``, ``psi_limit``, ``js``, ``ks``, ``p``, ``p_corrected`` and ``level``, as in
        ``lidloop.drift.watch``; ready for JSON, None where undefined.
    """
    values = {
        name: (reference[name][~np.isnan(reference[name])], current[name][~np.isnan(current[name])])
        for name in reference
        if name in current
    }
    alpha = thresholds.alpha / max(1, len(values))
    found = {name: _one(a, b, alpha, thresholds) for name, (a, b) in values.items()}
    corrected = holm({name: entry["p"] for name, entry in found.items()})
    return {
        name: {key: _finite(value) for key, value in (entry | {"p_corrected": corrected[name]}).items()}
        for name, entry in found.items()
    }


def _one(a: Floats, b: Floats, alpha: float, thresholds: Thresholds) -> dict[str, Any]:
    entry: dict[str, Any] = {"n": [len(a), len(b)]}
    edges = decile_edges(a) if len(a) else []
    r, c = histogram(a, edges), histogram(b, edges)
    index, limit = psi(r, c), psi_limit(r, c, alpha=alpha)
    test = ks_test(a, b)
    enough = min(len(a), len(b)) >= MIN_VALUES
    return entry | {
        "psi": index,
        "psi_limit": limit,
        "js": js_distance(r, c),
        "ks": test.distance,
        "p": test.p,
        "level": thresholds.level(index, limit) if enough else None,
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

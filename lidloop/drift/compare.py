"""Comparison of two sets of faces by feature: distances of the distributions, and tests against chance.

By convention a PSI under 0.1 is stable and one over 0.25 has shifted. Small samples exceed both by chance, so
the PSI must also exceed ``psi_limit`` at ``alpha`` / number of features. Without any shift, a feature is then
not stable in a share ``alpha`` of pairs (1 %; 3 % for samples of a hundred: docs/reports/DRIFT.md). With
fewer than ``MIN_VALUES`` values on a side there is no level.
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
"""Smallest sample size of each side: ten values are then expected in each of ten bins."""
CORRECTION: Final = "holm"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of the drift levels.

    Attributes:
        moderate, shifted: smallest PSI of each level; 0.1 and 0.25 by convention (Siddiqi 2006).
        alpha: false alarm rate: probability that a pair without a shift has a feature that is not stable.
    """

    moderate: float = 0.1
    shifted: float = 0.25
    alpha: float = 0.01

    def to_json(self) -> dict[str, float]:
        """Return the thresholds by name, ready for JSON."""
        return {"moderate": self.moderate, "shifted": self.shifted, "alpha": self.alpha}

    def level(self, index: float, limit: float) -> str:
        """Level of a PSI; ``limit`` is the PSI that chance alone may reach (``psi_limit``)."""
        if not index > limit:
            return LEVELS[0]
        return LEVELS[int(index > self.moderate) + int(index > self.shifted)]


DEFAULT: Final = Thresholds()


def compare(
    reference: Mapping[str, Floats], current: Mapping[str, Floats], *, thresholds: Thresholds = DEFAULT
) -> dict[str, dict[str, Any]]:
    """Compare two sets of faces by the features that both have.

    Args:
        reference, current: values by feature, from ``lidloop.drift.features``; NaN is ignored.
        thresholds: thresholds of the drift levels.

    Returns:
        By feature: ``n``, ``psi``, ``psi_limit``, ``js``, ``ks``, ``p``, ``p_corrected`` and ``level``, as in
        ``lidloop.drift.watch``; ready for JSON, None where undefined.
    """
    names = [name for name in reference if name in current]
    alpha = thresholds.alpha / max(1, len(names))
    found = {name: _one(_known(reference[name]), _known(current[name]), alpha, thresholds) for name in names}
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


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Confidence intervals of shares and of means."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from lidloop.labels import Floats

LEVEL: Final = 0.95


class Estimate(NamedTuple):
    """A share or a mean with its confidence interval; ``n`` values were used. None without values."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def share_of(hits: int, n: int, level: float = LEVEL) -> Estimate:
    """Share of ``hits`` in ``n`` with Wilson's score interval (J Am Stat Assoc 1927;22:209).

    Example:
        >>> [round(v, 3) for v in share_of(9, 10)[:3]]
        [0.9, 0.596, 0.982]
    """
    if n == 0:
        return Estimate(None, None, None, 0)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Estimate(p, min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half)), n)


def mean_of(values: Floats, level: float = LEVEL, *, repeats: int = 1000, seed: int = 0) -> Estimate:
    """Mean of (n,) values with the percentile interval of a seeded bootstrap; NaN values are left out."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return Estimate(None, None, None, 0)
    rng = np.random.default_rng(seed)
    means = np.array([known[rng.integers(0, len(known), len(known))].mean() for _ in range(repeats)])
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(float(known.mean()), float(low), float(high), len(known))

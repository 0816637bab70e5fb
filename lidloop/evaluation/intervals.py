"""Confidence intervals of shares and of means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np

from lidloop.labels import Floats

LEVEL: Final = 0.95
DRAWN_AT_ONCE: Final = 2**18
"""Values that a bootstrap draws in one call, which bounds its memory."""


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


def difference_of(first: Estimate, second: Estimate) -> Estimate:
    """Share ``first`` less share ``second``, with Newcombe's hybrid score interval from theirs.

    Stat Med 1998;17:873, method 10. ``n`` is the smaller one; no value if one of the shares has none.

    Example:
        >>> [round(v, 3) for v in difference_of(share_of(56, 70), share_of(48, 80))[:3]]
        [0.2, 0.052, 0.334]
    """
    ends = (first.value, first.low, first.high, second.value, second.low, second.high)
    p, p_low, p_high, q, q_low, q_high = (math.nan if end is None else end for end in ends)
    n = min(first.n, second.n)
    if math.isnan(p - q):
        return Estimate(None, None, None, n)
    low, high = p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)
    return Estimate(p - q, low, high, n)


def mean_of(values: Floats, level: float = LEVEL, *, repeats: int = 1000, seed: int = 0) -> Estimate:
    """Mean of (n,) values with the percentile interval of a seeded bootstrap; NaN values are left out."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return Estimate(None, None, None, 0)
    rng = np.random.default_rng(seed)
    rows = max(1, DRAWN_AT_ONCE // len(known))
    means = np.concatenate(
        [
            known[rng.integers(0, len(known), (min(rows, repeats - done), len(known)))].mean(axis=1)
            for done in range(0, repeats, rows)
        ]
    )
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(float(known.mean()), float(low), float(high), len(known))


def interval_text(
    estimate: Mapping[str, Any] | None, digits: int = 1, *, factor: float = 100.0, unit: str = ""
) -> str:
    """Format an estimate as JSON has it with its interval; a dash without values.

    Args:
        estimate: ``Estimate`` by names of its fields. digits: decimals.
        factor: 100 for per cent. unit: put behind the value.

    Example:
        >>> interval_text({"value": 0.95, "low": 0.912, "high": 0.973}, unit=" %")
        '95.0 % (91.2–97.3)'
    """
    if estimate is None or estimate["value"] is None:
        return "–"
    value, low, high = (f"{factor * estimate[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value}{unit} ({low}–{high})"

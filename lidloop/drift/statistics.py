"""Distances between two samples, their limits by chance alone, and a correction for multiple tests.

SciPy is imported only in the functions that use it, so that serving, which needs ``psi``, runs without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np

from lidloop.errors import LidloopError
from lidloop.labels import Floats

PSI_EPSILON: Final = 1e-4
_EXACT: Final = 10_000
"""Largest product of two sample sizes for an exact Kolmogorov-Smirnov p-value; its time grows with it."""


class KS(NamedTuple):
    """A Kolmogorov-Smirnov distance, 0 (the same distribution) to 1, and its p-value."""

    distance: float
    p: float


def psi(reference: Sequence[int], current: Sequence[int], *, epsilon: float = PSI_EPSILON) -> float:
    """Population stability index of two histograms over the same bins: ``Σ (c - r) ln(c / r)`` of shares.

    0 for equal shares; by convention under 0.1 is stable and over 0.25 has shifted. Without any shift its
    expectation is about ``(bins - 1) (1 / n + 1 / m)`` for samples of n and m, so small samples need care.

    Args:
        reference, current: counts by bin.
        epsilon: smallest share of a bin; a bin that is empty on one side would make the index infinite.

    Returns:
        The index; NaN where a histogram is empty.

    Raises:
        LidloopError: for histograms of different lengths, or a negative count.

    Source: N. Siddiqi, Credit Risk Scorecards (2006); expectation: B. Yurdakul, Statistical Properties of
    Population Stability Index (2018).
    """
    r, c = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if r.shape != c.shape or r.ndim != 1:
        raise LidloopError(f"histograms over different bins cannot be compared: {r.shape} and {c.shape}")
    if (r < 0).any() or (c < 0).any():
        raise LidloopError("a histogram holds a negative count")
    if not r.sum() or not c.sum():
        return float("nan")
    share_r, share_c = np.maximum(r / r.sum(), epsilon), np.maximum(c / c.sum(), epsilon)
    return float(((share_c - share_r) * np.log(share_c / share_r)).sum())


def psi_limit(reference: Sequence[int], current: Sequence[int], *, alpha: float) -> float:
    """PSI that two samples of the same distribution exceed with probability ``alpha``, by their sizes.

    Without any shift ``PSI / (1 / n + 1 / m)`` is about chi-square distributed with ``bins - 1`` degrees of
    freedom: the constant thresholds 0.1 and 0.25 mean something only where this limit is well below them.
    Good from some 20 expected values in a bin on and for an ``alpha`` of a ten-thousandth or more; further
    out the index has a heavier tail and exceeds the limit several times as often (docs/reports/DRIFT.md). The
    quantile is Wilson and Hilferty's: within 2 % for tenths, and too large by up to 8 % for three bins.

    Args:
        reference, current: counts by bin. Bins that are empty in both are not counted.
        alpha: above 0 and below 1.

    Returns:
        The limit; NaN where a histogram is empty.

    Raises:
        LidloopError: for an ``alpha`` out of its range, or histograms of different lengths.

    Source: B. Yurdakul, Statistical Properties of Population Stability Index (2018); E. B. Wilson and
    M. M. Hilferty, The distribution of chi-square (1931).
    """
    if not 0 < alpha < 1:
        raise LidloopError(f"alpha must lie between 0 and 1, not {alpha}")
    if len(reference) != len(current):
        raise LidloopError(
            f"histograms over different bins cannot be compared: {len(reference)} and {len(current)}"
        )
    n, m = sum(reference), sum(current)
    if not n or not m:
        return math.nan
    free = sum(1 for r, c in zip(reference, current, strict=True) if r or c) - 1
    if free < 1:
        return 0.0
    z = NormalDist().inv_cdf(1 - alpha)
    spread = 2 / (9 * free)
    return float(free * max(0.0, 1 - spread + z * math.sqrt(spread)) ** 3 * (1 / n + 1 / m))


def js_distance(reference: Sequence[int], current: Sequence[int]) -> float:
    """Jensen-Shannon distance of two histograms over the same bins, base 2: 0 equal, 1 nothing shared.

    The square root of the divergence, which is a metric (Endres and Schindelin 2003). NaN where a histogram
    is empty. NumPy only, as serving has no SciPy; tests compare it with SciPy's.
    """
    r, c = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if not r.sum() or not c.sum():
        return math.nan
    p, q = r / r.sum(), c / c.sum()
    middle = (p + q) / 2
    bits = sum(float((x[x > 0] * np.log2(x[x > 0] / middle[x > 0])).sum()) for x in (p, q))
    return math.sqrt(max(0.0, bits / 2))


def ks_test(a: Floats, b: Floats) -> KS:
    """Two-sample Kolmogorov-Smirnov test, two-sided; NaN where a sample is empty.

    The p-value is exact for small samples and asymptotic for others. With ties it is conservative (too
    large, never too small).
    """
    if not len(a) or not len(b):
        return KS(math.nan, math.nan)
    method = "exact" if len(a) * len(b) <= _EXACT else "asymp"
    result = _scipy("stats").ks_2samp(a, b, method=method)
    return KS(float(result.statistic), float(result.pvalue))


def ks_distance_of_counts(reference: Sequence[int], current: Sequence[int]) -> float:
    """Kolmogorov-Smirnov distance of two histograms over the same bins; NaN where one is empty."""
    r, c = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if not r.sum() or not c.sum():
        return math.nan
    return float(np.abs(np.cumsum(r) / r.sum() - np.cumsum(c) / c.sum()).max())


def ks_of_counts(reference: Sequence[int], current: Sequence[int]) -> KS:
    """Two-sample Kolmogorov-Smirnov test of two histograms over the same bins.

    The distance is evaluated at the edges only, so it is at most that of the samples, and the p-value at
    least theirs.
    """
    n, m = sum(reference), sum(current)
    if not n or not m:
        return KS(math.nan, math.nan)
    distance = ks_distance_of_counts(reference, current)
    effective = max(1, round(n * m / (n + m)))
    return KS(distance, float(_scipy("stats").kstwo.sf(distance, effective)))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Correct p-values for their number by Holm's step-down procedure: NaN stays NaN and is not counted.

    Under a limit alpha, the chance of even one false alarm among all is at most alpha, however the tests
    depend on each other; features of one face depend on each other much. A correction of the false discovery
    rate (Benjamini and Hochberg) is weaker: it bounds the share of false alarms among the alarms, while here
    a single false alarm already costs attention.

    Source: S. Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    tested = sorted((value, name) for name, value in p.items() if not math.isnan(value))
    corrected = dict(p)
    largest = 0.0
    for rank, (value, name) in enumerate(tested):
        largest = max(largest, min(1.0, value * (len(tested) - rank)))
        corrected[name] = largest
    return corrected


def _scipy(module: str) -> Any:
    try:
        from importlib import import_module

        return import_module(f"scipy.{module}")
    except ImportError as error:
        raise LidloopError("this statistic needs SciPy: pip install 'lidloop[watch]'") from error

"""Alarms of many windows of faces at once, computed from counts by bin.

A pool holds, for each picture, the number of its values in each bin of each feature. A window is a choice of
pictures, so its histograms are sums, and thousands of windows are one matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.special import kolmogorov

from lidloop.drift import PER_IMAGE, PSI_EPSILON, Shape, bins, decile_edges, features, psi_limit
from lidloop.drift.compare import DEFAULT, MIN_VALUES
from lidloop.labels import Floats, LabelSet

CONVENTION_VALUES: Final = 200
RULES: Final = {
    "convention": f"PSI above {DEFAULT.shifted} on {CONVENTION_VALUES} values or more",
    "psi": f"PSI above the limit for chance (`psi_limit`), on {MIN_VALUES} values or more",
    "ks": "Kolmogorov-Smirnov with Holm's correction, on the same bins",
    "bare": f"PSI above {DEFAULT.shifted} on any number of values, as is common",
}

Edges = Mapping[str, Sequence[float]]


@dataclass(frozen=True, eq=False)
class Pool:
    """Counts of values in the pictures of one kind.

    Attributes:
        names: the features.
        counts: (pictures, features, bins).
    """

    names: tuple[str, ...]
    counts: Floats

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def faces(self) -> float:
        """Mean number of faces in a picture."""
        at = self.names.index("box_size")
        return float(self.counts[:, at].sum() / len(self))


def edges_of(
    labels: LabelSet, sizes: Mapping[str, tuple[int, int]], *, shape: Shape | None, but: Sequence[str] = ()
) -> dict[str, list[float]]:
    """Bin edges of every feature not in ``but``: tenths of these faces."""
    found = features(labels, sizes, shape=shape)
    return {
        name: decile_edges(values[~np.isnan(values)])
        for name, values in found.items()
        if name not in but and not np.isnan(values).all()
    }


def pool(
    labels: LabelSet, sizes: Mapping[str, tuple[int, int]], edges: Edges, *, shape: Shape | None
) -> Pool:
    """Count each picture's values by bin."""
    width = max(len(e) for e in edges.values()) + 1
    counts = np.zeros((len(labels.images), len(edges), width))
    found = features(labels, sizes, shape=shape)
    for f, (name, cuts) in enumerate(edges.items()):
        values = found[name]
        at = np.arange(len(labels.images)) if name == PER_IMAGE else labels.image
        known = ~np.isnan(values)
        np.add.at(counts, (at[known], f, bins(values, cuts)), 1)
    return Pool(tuple(edges), counts)


def alarms(reference: Floats, current: Floats, *, alpha: float) -> dict[str, Floats]:
    """Alarms by rule, as (windows, features) arrays of bools.

    Args:
        reference: (windows, features, bins) histograms of the reference.
        current: the same of the windows.
        alpha: nominal chance of a false alarm in a window, over all features.
    """
    n, m = reference.sum(axis=-1), current.sum(axis=-1)
    count = reference.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        r, c = reference / n[..., None], current / m[..., None]
        share_r, share_c = np.maximum(r, PSI_EPSILON), np.maximum(c, PSI_EPSILON)
        index = ((share_c - share_r) * np.log(share_c / share_r)).sum(axis=-1)
        free = ((reference > 0) | (current > 0)).sum(axis=-1) - 1
        limit = _factors(alpha / count, reference.shape[-1])[free] * (1 / n + 1 / m)
        distance = np.abs(np.cumsum(r, axis=-1) - np.cumsum(c, axis=-1)).max(axis=-1)
        p = kolmogorov(distance * np.sqrt(n * m / (n + m)))
    least = np.minimum(n, m)
    over = np.where(m > 0, index, 0) > DEFAULT.shifted
    return {
        "convention": over & (least >= CONVENTION_VALUES),
        "psi": (np.where(m > 0, index, 0) > limit) & (least >= MIN_VALUES),
        "ks": np.where(m > 0, p, 1) * count < alpha,
        "bare": over,
    }


def _factors(alpha: float, bins_at_most: int) -> Floats:
    """``psi_limit`` divided by (1 / n + 1 / m), by degrees of freedom."""
    ones = [[1] * (free + 1) for free in range(1, bins_at_most)]
    factors = [psi_limit(counts, counts, alpha=alpha) * len(counts) / 2 for counts in ones]
    return np.array([0.0, *factors, 0.0])  # the last one is for -1: bins that are empty in both


def choose(size: int, n: int, windows: int, rng: np.random.Generator) -> Floats:
    """Choose ``n`` pictures of a pool without repetition for each window, as (windows, size) ones."""
    order = rng.random((windows, size)).argsort(axis=1)
    return (order < n).astype(np.float64)


def histograms(chosen: Floats, pictures: Pool) -> Floats:
    """Histograms (windows, features, bins) of choices of pictures."""
    flat = pictures.counts.reshape(len(pictures), -1)
    return (chosen @ flat).reshape(len(chosen), *pictures.counts.shape[1:])


def false_alarms(
    unshifted: Pool, *, reference: int, n: int, windows: int, alpha: float, seed: int
) -> dict[str, float]:
    """Share of windows with an alarm by rule; reference and window are drawn, disjoint, from one pool."""
    rng = np.random.default_rng(seed)
    raised = dict.fromkeys(RULES, 0)
    for start in range(0, windows, 2000):
        size = min(2000, windows - start)
        order = rng.random((size, len(unshifted))).argsort(axis=1)
        first = histograms((order < reference).astype(np.float64), unshifted)
        then = histograms(((order >= reference) & (order < reference + n)).astype(np.float64), unshifted)
        for rule, found in alarms(first, then, alpha=alpha).items():
            raised[rule] += int(found.any(axis=1).sum())
    return {rule: count / windows for rule, count in raised.items()}


def power(
    unshifted: Pool, shifted: Pool, *, reference: int, n: int, windows: int, alpha: float, seed: int
) -> dict[str, Any]:
    """Share of windows of shifted pictures with an alarm by rule, and the features with most alarms.

    Pictures of a window may repeat, since it may need more than there are.
    """
    rng = np.random.default_rng(seed)
    first = histograms(choose(len(unshifted), reference, windows, rng), unshifted)
    often = rng.multinomial(n, np.full(len(shifted), 1 / len(shifted)), size=windows).astype(np.float64)
    then = histograms(often, shifted)
    found = alarms(first, then, alpha=alpha)
    by_feature = found["psi"].mean(axis=0)
    order = [k for k in np.argsort(-by_feature, kind="stable")[:3] if by_feature[k] >= 0.5]
    return {
        "rules": {rule: float(raised.any(axis=1).mean()) for rule, raised in found.items()},
        "features": [unshifted.names[k] for k in order],
    }

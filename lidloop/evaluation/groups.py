"""The same metrics for groups of faces, with confidence intervals, and the groups that fall behind.

A group falls behind on a metric if it is worse than all other faces together by more than the interval of the
difference explains, and by more than a gap that matters (``GroupMetric.tolerance``). The intervals of all
comparisons hold together with 95 % (Bonferroni), so that a run over many groups does not fail by chance.
Groups of fewer than ``MIN_FACES`` faces are shown but not compared: nothing can be said about them.

Size, pose, light and what covers a face limit what a picture can show, whoever is on it (``PHYSICAL``). Such
a group is reported as a note; any other group that falls behind is a failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np

from lidloop.evaluation.intervals import LEVEL, Estimate, difference_of, mean_of, share_of
from lidloop.evaluation.skin_tone import TONES
from lidloop.labels import Floats

MIN_FACES: Final = 30
"""Fewest faces with a value, in a group and in the rest, for a comparison."""
PHYSICAL: Final = frozenset(
    {"size", "pose", "pitch", "roll", "gaze", "blur", "noise", "exposure", "opening", "occluder"}
)
"""Dimensions that limit what a picture shows."""
UNKNOWN: Final = "unknown"
"""Group of faces of which a fact is not known; it is never compared."""
SIZES: Final = ((0.0, "under 60 px"), (60.0, "60–100 px"), (100.0, "100–150 px"), (150.0, "150 px and more"))
POSES: Final = ((0.0, "frontal"), (0.15, "turned a little"), (0.36, "turned"))
"""Groups, each with the smallest outer-canthal distance and |yaw proxy| at which it begins."""
_ORDER: Final = (*(name for name, _ in TONES), *(name for _, name in (*SIZES, *POSES)))


class GroupMetric(NamedTuple):
    """A metric of faces: its key and heading; a share of faces, or a mean of errors; if more is better; and
    the smallest gap that matters, in the unit of the metric."""

    key: str
    label: str
    is_share: bool
    more_is_better: bool
    tolerance: float


METRICS: Final = (
    GroupMetric("recall", "Recall", True, True, 0.01),
    GroupMetric("nme", "NME", False, False, 0.004),
    GroupMetric("lid_error", "Lid error", False, False, 0.003),
    GroupMetric("judged", "Judged", True, True, 0.1),
    GroupMetric("flagged", "Flagged", True, False, 0.05),
)
BY_KEY: Final = {metric.key: metric for metric in METRICS}


@dataclass(frozen=True, slots=True)
class Line:
    """Figures of one group: number of faces, and the estimates by key of a metric."""

    dimension: str
    group: str
    faces: int
    figures: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Gap:
    """A group that falls behind the rest of the faces.

    Attributes:
        value, rest: of the metric, in the group and among all other faces of known group.
        worse, low, high: how much worse the group is, and the interval of that difference.
        is_failure: False for a dimension in ``PHYSICAL``.
    """

    dimension: str
    group: str
    metric: str
    value: float
    rest: float
    worse: float
    low: float
    high: float
    is_failure: bool

    @property
    def text(self) -> str:
        """One sentence with the figures."""
        metric = BY_KEY[self.metric]
        return (
            f"{self.dimension} {self.group}: {metric.label} {100 * self.value:.1f} % against "
            f"{100 * self.rest:.1f} % of all others; worse by {100 * self.worse:.1f} points, of which chance "
            f"explains down to {100 * self.low:.1f}"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures by group, the groups that fall behind, and the groups too small to compare."""

    lines: tuple[Line, ...]
    gaps: tuple[Gap, ...]
    too_small: tuple[str, ...]
    comparisons: int

    @property
    def failures(self) -> tuple[Gap, ...]:
        return tuple(gap for gap in self.gaps if gap.is_failure)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {
            "min_faces": MIN_FACES,
            "comparisons": self.comparisons,
            "lines": [
                {**asdict(line), "figures": {k: _rounded(e) for k, e in line.figures.items()}}
                for line in self.lines
            ],
            "gaps": [{**asdict(gap), "text": gap.text} for gap in self.gaps],
            "failures": len(self.failures),
            "too_small": list(self.too_small),
        }


def compare(groups: Mapping[str, Sequence[str]], values: Mapping[str, Floats]) -> Comparison:
    """Compare each group with all other faces, dimension by dimension.

    Args:
        groups: group of each of n faces by dimension, such as ``skin tone``; ``UNKNOWN`` where not known.
        values: (n,) values by key of ``METRICS``: 0 or 1 for shares, NaN where not defined.

    Example:
        >>> import numpy as np
        >>> found = np.r_[np.ones(200), np.ones(30), np.zeros(30)]
        >>> tone = ["light"] * 200 + ["dark"] * 60
        >>> [gap.group for gap in compare({"skin tone": tone}, {"recall": found}).failures]
        ['dark']
    """
    lines: list[Line] = []
    pairs: list[tuple[str, str, GroupMetric, Floats, Floats]] = []
    too_small: list[str] = []
    for dimension, names in groups.items():
        of_face = np.array(list(names), dtype=object)
        for group in sorted(set(names), key=_rank):
            mine = of_face == group
            figures = {m.key: _estimate(m, values[m.key][mine]) for m in METRICS if m.key in values}
            lines.append(Line(dimension, group, int(mine.sum()), figures))
            if group == UNKNOWN:
                continue
            if int(mine.sum()) < MIN_FACES:
                too_small.append(f"{dimension} {group} ({int(mine.sum())} faces)")
            others = ~mine & (of_face != UNKNOWN)
            for metric in (m for m in METRICS if m.key in values):
                a, b = _known(values[metric.key][mine]), _known(values[metric.key][others])
                if min(len(a), len(b)) >= MIN_FACES:
                    pairs.append((dimension, group, metric, a, b))
    level = 1 - (1 - LEVEL) / max(len(pairs), 1)
    gaps = [gap for pair in pairs if (gap := _gap(*pair, level)) is not None]
    return Comparison(tuple(lines), tuple(gaps), tuple(too_small), len(pairs))


def size_of(canthal_px: float) -> str:
    """Group of an outer-canthal distance in pixels (``SIZES``); ``UNKNOWN`` for NaN."""
    return _within(SIZES, canthal_px)


def pose_of(yaw: float) -> str:
    """Group of a yaw proxy (``POSES``); ``UNKNOWN`` for NaN."""
    return _within(POSES, abs(yaw))


def _within(table: Sequence[tuple[float, str]], value: float) -> str:
    if math.isnan(value):
        return UNKNOWN
    return next(name for least, name in reversed(table) if value >= least)


def _rank(group: str) -> tuple[int, str]:
    """Groups of tone, size and pose in their own order, others by name, unknown last."""
    known = _ORDER.index(group) if group in _ORDER else len(_ORDER)
    return (len(_ORDER) + 1 if group == UNKNOWN else known), group


def _rounded(estimate: Estimate) -> dict[str, Any]:
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in estimate._asdict().items()}


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _estimate(metric: GroupMetric, values: Floats) -> Estimate:
    known = _known(values)
    return share_of(int(known.sum()), len(known)) if metric.is_share else mean_of(known)


def _gap(
    dimension: str, group: str, metric: GroupMetric, mine: Floats, rest: Floats, level: float
) -> Gap | None:
    """Return the gap if the group falls behind, else None."""
    value, other = float(mine.mean()), float(rest.mean())
    low, high = _difference(metric, mine, rest, level)
    if metric.more_is_better:
        low, high = -high, -low
    worse = other - value if metric.more_is_better else value - other
    if low <= 0 or worse <= metric.tolerance:
        return None
    return Gap(
        dimension, group, metric.key, value, other, worse, low, high, is_failure=dimension not in PHYSICAL
    )


def _difference(metric: GroupMetric, mine: Floats, rest: Floats, level: float) -> tuple[float, float]:
    """Interval of the mean of ``mine`` less that of ``rest``.

    Of shares by Newcombe's hybrid score (Stat Med 1998;17:873, method 10), of means by Welch.
    """
    difference = float(mine.mean() - rest.mean())
    if metric.is_share:
        of_shares = difference_of(*(share_of(int(part.sum()), len(part), level) for part in (mine, rest)))
        assert of_shares.low is not None
        assert of_shares.high is not None
        return of_shares.low, of_shares.high
    error = math.sqrt(float(mine.var(ddof=1)) / len(mine) + float(rest.var(ddof=1)) / len(rest))
    half = NormalDist().inv_cdf(0.5 + level / 2) * error
    return difference - half, difference + half

"""Early stopping: decide if another iteration is worth its training. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lidloop.errors import LidloopError

DEFAULT_MIN_GROWTH: Final = 0.002
DEFAULT_MAX_LOSS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Verdict:
    """Decision to train another iteration (``proceed``), and its reason as a sentence."""

    proceed: bool
    reason: str


def judge(
    labels_before: int,
    labels_after: int,
    gold: Mapping[str, Any],
    gold_before: Mapping[str, Any] | None,
    *,
    min_growth: float = DEFAULT_MIN_GROWTH,
    max_loss: float = DEFAULT_MAX_LOSS,
) -> Verdict:
    """Decide on another iteration by the labels that this one added and by its gold metrics.

    Args:
        labels_before: number of labels of the version that the iteration trained on.
        labels_after: number of labels of the version that it made.
        gold: its metrics on the gold yardstick; ``recall`` and ``nme_mean`` are used.
        gold_before: the same metrics of the previous iteration; None in iteration 0.
        min_growth: smallest growth as a fraction of ``labels_before``; 0 disables this check.
        max_loss: largest relative loss of recall and largest relative rise of NME, compared with the previous
            iteration.

    Raises:
        LidloopError: for a negative threshold, or if ``labels_before`` is 0.
    """
    if labels_before < 1 or min_growth < 0 or max_loss < 0:
        raise LidloopError(
            f"growth needs labels to begin with ({labels_before}) and thresholds of 0 or more "
            f"(min_growth {min_growth}, max_loss {max_loss})"
        )
    added = labels_after - labels_before
    growth = added / labels_before
    if min_growth and growth < min_growth:
        return Verdict(False, f"labels grew by {added} ({growth:.2%}), less than {min_growth:.2%}")
    if gold_before is not None:
        recall, recall_before = _number(gold, "recall", 0.0), _number(gold_before, "recall", 0.0)
        if recall < recall_before * (1 - max_loss):
            return Verdict(False, f"gold recall fell from {recall_before:.2%} to {recall:.2%}")
        nme, nme_before = _number(gold, "nme_mean", math.inf), _number(gold_before, "nme_mean", math.inf)
        if nme > nme_before * (1 + max_loss):
            return Verdict(False, f"gold NME rose from {nme_before:.2%} to {nme:.2%}")
    return Verdict(True, f"labels grew by {added} ({growth:.2%}) and gold metrics held")


def _number(metrics: Mapping[str, Any], key: str, missing: float) -> float:
    value = metrics.get(key)
    return missing if value is None else float(value)

"""Share of wrong faces that is expected among human labels, grown labels and dropped faces. Pure functions.

The evidence of human labels, grown labels and dropped faces cannot be compared, so each kind is ordered by
itself. These shares say how much of each order belongs to the front of the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.data.ledgers import Ints
from lidloop.labels import HUMAN, Floats
from lidloop.review import signals
from lidloop.review.signals import robust_z

FAR: Final = 0.05
"""Mean distance of the points to the truth, over the size of the box, from which a label is wrong."""
OUTLIER: Final = 5.0
"""Robust deviations above the median from which a human label's disagreement with the model is an error of
the label; a difficult face has less."""
PRIOR: Final = 0.05
"""Share of a kind that is expected to be wrong before anything is known of it."""
PRIOR_FACES: Final = 20
"""Number of faces that the prior counts for."""


def expected_shares(origin: Ints, found: Mapping[str, Floats], dropped: Floats) -> dict[str, float]:
    """Estimate the share of each kind that is wrong, or wrongly dropped.

    - ``human``: labels that lie much further from the model's prediction than others.
    - ``grown``: these are predictions, and how often a prediction is wrong can be seen at human labels: the
      share of those that the model finds, but further than ``FAR`` away.
    - ``dropped``: mean evidence that they are faces (``lidloop.review.queue.of_dropped``).

    Each is drawn to ``PRIOR`` as if ``PRIOR_FACES`` more faces were known.

    Args:
        origin: (n,) of the labels.
        found: (n,) values by signal of the labels.
        dropped: (m,) evidence of the dropped faces.
    """
    distance = found["disagreement"][origin == HUMAN]
    distance = distance[np.isfinite(distance)]
    seen = distance[distance < signals.NOT_FOUND]
    return {
        "human": _share(robust_z(distance, distance) > OUTLIER),
        "grown": _share(seen > FAR),
        "dropped": _share(np.clip(dropped, 0, 1)),
    }


def merged(evidence: Floats, kinds: NDArray[np.str_], shares: Mapping[str, float]) -> Floats:
    """Order all faces together: (n,) share of the faces that are less suspicious, half a face itself counted.

    A face's place in the order of its kind is divided by the number of wrong ones expected there: those
    within the expected number come first, whatever their kind.

    Args:
        evidence: (n,) comparable within a kind only.
        kinds: (n,) names of ``shares``.
        shares: expected share of wrong faces of each kind, above 0.
    """
    place = np.zeros(len(evidence))
    for kind in np.unique(kinds):
        mine = np.flatnonzero(kinds == kind)
        order = np.argsort(-evidence[mine], kind="stable")
        place[mine[order]] = (np.arange(len(mine)) + 0.5) / (len(mine) * shares[str(kind)])
    order = np.argsort(-place, kind="stable")
    result = np.zeros(len(evidence))
    result[order] = (np.arange(len(evidence)) + 0.5) / max(len(evidence), 1)
    return result


def _share(wrong: NDArray[np.bool_] | Floats) -> float:
    """Mean of the values, drawn to the prior."""
    return float((wrong.sum() + PRIOR * PRIOR_FACES) / (len(wrong) + PRIOR_FACES))

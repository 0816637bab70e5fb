"""Choice of the pictures for training. Pure."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping


def choose_train(sources: Mapping[str, str], share: float, seed: int) -> set[str]:
    """Choose pictures for training, each source by itself and to within one picture of its share.

    The order in a source is that of a hash of seed and picture, so neither the order of the sources nor
    that of their files matters. Sources get whole numbers by largest remainder, so that the whole is
    within one picture of its share too. Of two pictures or more, neither part is empty unless the share
    is 0 or 1.

    Args:
        sources: source by picture; a picture is a hash of its pixels, its copies are not listed.
        share: of the pictures, 0…1.
        seed: another seed gives another choice.
    """
    pictures: dict[str, list[str]] = defaultdict(list)
    for picture, source in sources.items():
        pictures[source].append(picture)
    n = len(sources)
    wanted = math.floor(share * n + 0.5)
    if n > 1 and 0 < share < 1:
        wanted = min(max(wanted, 1), n - 1)
    # 1e-9: 0.8 * 10 must not fall below 8 in floating point.
    count = {name: math.floor(share * len(group) + 1e-9) for name, group in pictures.items()}
    by_remainder = sorted(pictures, key=lambda name: (count[name] - share * len(pictures[name]), name))
    for name in by_remainder[: max(wanted - sum(count.values()), 0)]:
        count[name] += 1
    if sum(count.values()) > wanted:  # a share so near to 1 that every source rounds up to all it has
        count[max(count, key=lambda name: (count[name], name))] -= 1
    chosen: set[str] = set()
    for name, group in pictures.items():
        ordered = sorted(group, key=lambda picture: hashlib.sha256(f"{seed}:{picture}".encode()).digest())
        chosen.update(ordered[: count[name]])
    return chosen

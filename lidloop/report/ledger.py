"""Statistics of the ledgers of a run: counts, reasons, distributions, and a choice of faces to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lidloop.data.ledgers import Ints, Ledger
from lidloop.data.version_writer import SPLITS
from lidloop.drift import DEFINITIONS, features
from lidloop.labels import HUMAN, Floats, LabelSet, box_iou

OVERLAPS_LABEL = "overlaps-label"

_MEANING = {
    "box_size": DEFINITIONS["box_size"],
    "pfh_ratio": "palpebral fissure height over width, both eyes",
    "yaw": DEFINITIONS["yaw"],
}


def count_labels(ledger: Ledger, sources: Mapping[str, str]) -> dict[str, Any]:
    """Count the labels of a version by split, origin and source, and its accepted and dropped faces."""
    kept = ledger.kept
    human = ledger.origin == HUMAN
    by_source: dict[str, dict[str, int]] = {
        name: {"human": 0, "grown": 0} for name in sorted(set(sources.values()))
    }
    for image, is_human in zip(ledger.image[kept].tolist(), human[kept].tolist(), strict=True):
        by_source[sources[image]]["human" if is_human else "grown"] += 1
    grown_by = Counter(ledger.origin[kept & ~human].tolist())
    return {
        "version": ledger.version,
        **{split: int((kept & (ledger.split == split)).sum()) for split in SPLITS},
        "total": int(kept.sum()),
        "human": int((kept & human).sum()),
        "grown": int((kept & ~human).sum()),
        "accepted": int(ledger.accepted.sum()),
        "grown_by_split": {s: int((kept & ~human & (ledger.split == s)).sum()) for s in SPLITS},
        "by_origin": {"human": int((kept & human).sum()), **{str(k): grown_by[k] for k in sorted(grown_by)}},
        "by_source": by_source,
        "dropped": dict(Counter(ledger.reason[~kept].tolist()).most_common()),
    }


def histogram(values: Floats, edges: Floats) -> list[int]:
    """Return counts by bin; values outside the edges count in the first or last bin."""
    clipped = np.clip(values, edges[0], edges[-1])
    return [int(n) for n in np.histogram(clipped, bins=edges)[0]]


def distributions(ledgers: Sequence[Ledger]) -> dict[str, Any]:
    """Histograms of confidence and of IoU with an existing label, for accepted and for dropped faces."""
    edges = np.linspace(0, 1, 41)
    result: dict[str, Any] = {"edges": [round(float(e), 4) for e in edges]}
    for quantity in ("confidence", "iou"):
        columns = [(getattr(ledger, quantity), ledger) for ledger in ledgers]
        accepted = np.concatenate([values[ledger.accepted] for values, ledger in columns])
        dropped = np.concatenate([values[~ledger.kept] for values, ledger in columns])
        result[quantity] = {"grown": histogram(accepted, edges), "dropped": histogram(dropped, edges)}
    return result


def drift(labels: LabelSet, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """Compare human with grown labels by features of ``lidloop.drift``; PFH ratios of both eyes are pooled.

    ``ks`` is the two-sample Kolmogorov-Smirnov distance, 0 (the same distribution) to 1.

    Args:
        labels: a label version.
        sizes: width and height in pixels by picture.
    """
    found = features(labels, sizes)
    human = labels.origin == HUMAN
    eyes = np.concatenate([found["pfh_ratio_left"], found["pfh_ratio_right"]])
    quantities = {
        "box_size": (found["box_size"], human, 1.0),
        "pfh_ratio": (eyes, np.concatenate([human, human]), 0.8),
        "yaw": (found["yaw"], human, 2.0),
    }
    result: dict[str, Any] = {}
    for name, (values, is_human, top) in quantities.items():
        edges = np.linspace(-top if name == "yaw" else 0.0, top, 41)
        defined = np.isfinite(values)
        groups = {"human": values[is_human & defined], "grown": values[~is_human & defined]}
        result[name] = {
            "definition": _MEANING[name],
            "edges": [round(float(e), 5) for e in edges],
            **{group: histogram(v, edges) for group, v in groups.items()},
            "median": {group: float(np.median(v)) if len(v) else None for group, v in groups.items()},
            "n": {group: len(v) for group, v in groups.items()},
            "ks": ks_distance(groups["human"], groups["grown"]),
        }
    return result


def ks_distance(a: Floats, b: Floats) -> float | None:
    """Two-sample Kolmogorov-Smirnov distance, 0 to 1; None if a sample is empty."""
    if not len(a) or not len(b):
        return None
    points = np.concatenate([a, b])
    cdf_a = np.searchsorted(np.sort(a), points, side="right") / len(a)
    cdf_b = np.searchsorted(np.sort(b), points, side="right") / len(b)
    return float(np.abs(cdf_a - cdf_b).max())


def compare_with_truth(
    labels: LabelSet, hidden: Mapping[str, Floats], *, min_iou: float = 0.5
) -> dict[str, int]:
    """Compare grown labels with the faces whose labels were hidden.

    Greedy one-to-one matching within a picture, in descending order of IoU.

    Args:
        labels: a label version, human and grown.
        hidden: (n, 4) boxes of the hidden faces by picture.
        min_iou: minimum IoU of a match.

    Returns:
        Counts: ``hidden`` faces and how many were ``recovered``, ``grown`` labels and how many are
        ``grown_correct``.
    """
    grown = labels.select(labels.origin != HUMAN)
    rows_of: dict[str, list[int]] = {}
    for row, image in enumerate(grown.image.tolist()):
        rows_of.setdefault(grown.images[image], []).append(row)
    recovered = 0
    for name, boxes in hidden.items():
        iou = box_iou(grown.boxes[rows_of.get(name, [])], boxes)
        while iou.size and iou.max() >= min_iou:
            pair = np.unravel_index(int(iou.argmax()), iou.shape)
            iou[pair[0], :] = -1
            iou[:, pair[1]] = -1
            recovered += 1
    return {
        "hidden": sum(len(boxes) for boxes in hidden.values()),
        "recovered": recovered,
        "grown": len(grown),
        "grown_correct": recovered,
    }


def sample_grown(labels: LabelSet, *, count: int, seed: int) -> Ints:
    """Return the rows of ``count`` random grown labels; deterministic for a seed."""
    rows = np.flatnonzero(labels.origin != HUMAN)
    rng = np.random.default_rng(seed)
    return np.asarray(rng.permutation(rows)[:count], dtype=np.int64)


def near_misses(ledgers: Sequence[Ledger], *, per_reason: int) -> dict[str, list[tuple[int, int]]]:
    """Dropped faces that came closest to being kept, by reason: pairs of an index into ``ledgers`` and a row.

    For ``overlaps-label`` those of smallest IoU, for other reasons those of highest confidence; at most one
    per picture and reason.
    """
    by_reason: dict[str, list[tuple[float, int, int]]] = {}
    for index, ledger in enumerate(ledgers):
        for row in np.flatnonzero(~ledger.kept).tolist():
            reason = str(ledger.reason[row])
            rank = ledger.iou[row] if reason == OVERLAPS_LABEL else -ledger.confidence[row]
            by_reason.setdefault(reason, []).append((float(rank), index, row))
    chosen: dict[str, list[tuple[int, int]]] = {}
    for reason, entries in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        seen: set[str] = set()
        picked = []
        for _, index, row in sorted(entries):
            image = str(ledgers[index].image[row])
            if image not in seen:
                seen.add(image)
                picked.append((index, row))
            if len(picked) == per_reason:
                break
        chosen[reason] = picked
    return chosen

"""Time of the vectorised filter against Python loops over boxes.

Both sides start from boxes in memory in the form that suits them (arrays, dictionaries of tuples) and end
with the kept predictions.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import NO_TARGET, Row, at_least
from benchmarks.paper_procedure import Box, filter_by_priority, filter_predictions
from lidloop.autolabel.priority_nms import KEPT, priority_nms, priority_order

T = TypeVar("T")


class Boxes(NamedTuple):
    """Boxes of many pictures as arrays, and the same as plain Python objects."""

    image: NDArray[np.int64]
    boxes: NDArray[np.float64]
    score: NDArray[np.float64]
    plain: dict[str, list[Box]]
    plain_score: dict[str, list[float]]


def generate(images: int, seed: int) -> tuple[Boxes, Boxes]:
    """Draw labels (3 a picture on average) and predictions (4 on average) in pictures of 640 × 480 pixels.

    Of ten predictions, six are a label of their picture with an error, one is another prediction with an
    error, and three are new faces.
    """
    rng = np.random.default_rng(seed)
    label_image = np.repeat(np.arange(images), rng.poisson(3, images))
    labels = _faces(rng, len(label_image))
    image = np.repeat(np.arange(images), rng.poisson(4, images))
    boxes = _faces(rng, len(image))
    counts = np.bincount(label_image, minlength=images)
    starts = np.cumsum(counts) - counts
    kind = rng.random(len(image))
    of_label = (kind < 0.6) & (counts[image] > 0)
    chosen = (starts[image] + rng.integers(0, np.maximum(counts[image], 1)))[of_label]
    boxes[of_label] = labels[chosen] + rng.normal(0, 4, (of_label.sum(), 4))
    copy = np.flatnonzero((kind > 0.9) & (np.diff(image, prepend=-1) == 0))
    boxes[copy] = boxes[copy - 1] + rng.normal(0, 4, (len(copy), 4))
    score = rng.uniform(0.7, 1, len(image)).astype(np.float32).astype(np.float64)
    return _both(label_image, labels, np.ones(len(labels)), images), _both(image, boxes, score, images)


def _faces(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    side = rng.uniform(40, 160, (n, 1)) * rng.uniform(0.85, 1.15, (n, 2))
    corner = rng.uniform(0, 1, (n, 2)) * ((640, 480) - side)
    return np.concatenate([corner, corner + side], axis=1)


def _both(image: NDArray[np.int64], boxes: NDArray[np.float64], score: NDArray[np.float64], n: int) -> Boxes:
    plain: dict[str, list[Box]] = {f"{k:06d}": [] for k in range(n)}
    plain_score: dict[str, list[float]] = {name: [] for name in plain}
    names = list(plain)
    for k, box, value in zip(image.tolist(), boxes.tolist(), score.tolist(), strict=True):
        plain[names[k]].append((box[0], box[1], box[2], box[3]))
        plain_score[names[k]].append(value)
    return Boxes(image, boxes, score, plain, plain_score)


def _timed(work: Callable[[], T]) -> tuple[T, tuple[float, float]]:
    """Return the result of ``work``, and its wall time and processor time in seconds."""
    gc.collect()
    start = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - start[0], time.process_time() - start[1])


def _same(kept: dict[str, list[int]], keep: NDArray[np.bool_], predictions: Boxes) -> bool:
    starts = np.searchsorted(predictions.image, np.arange(len(kept)))
    first = dict(zip(predictions.plain, starts.tolist(), strict=True))
    rows = [first[name] + k for name, positions in kept.items() for k in positions]
    return bool(np.array_equal(np.array(rows, dtype=np.int64), np.flatnonzero(keep)))


def run(*, images: int = 100_000, iou: float = 0.3, seed: int = 0, repeat: int = 9) -> dict[str, Any]:
    """Time both sides alternately, and compare what they keep.

    Args:
        images: number of pictures.
        iou: the filter's threshold.
        seed: seed of the boxes.
        repeat: timings of each side; the best of each counts, since other work on the machine only adds time.

    Returns:
        Seconds, ratios of wall time and of processor time, and counts, for ``paper_exact`` and for the full
        ``priority`` filter.

    Raises:
        RuntimeError: if the two sides do not keep the same predictions.
    """
    labels, predictions = generate(images, seed)
    points = np.zeros((len(predictions.image), 51, 3))

    def paper() -> NDArray[np.bool_]:
        result = priority_nms(
            labels.image, labels.boxes, predictions.image, predictions.boxes, predictions.score,
            iou=iou, among_predictions=False,
        )  # fmt: skip
        return result.decision == KEPT

    def priority() -> NDArray[np.bool_]:
        order = priority_order(predictions.image, predictions.score, predictions.boxes, points)
        result = priority_nms(
            labels.image, labels.boxes, predictions.image[order], predictions.boxes.take(order, axis=0),
            predictions.score[order], iou=iou,
        )  # fmt: skip
        keep = np.empty(len(order), dtype=bool)
        keep[order] = result.decision == KEPT
        return keep

    def paper_plain() -> dict[str, list[int]]:
        return filter_predictions(labels.plain, predictions.plain, iou=iou)

    def priority_plain() -> dict[str, list[int]]:
        return filter_by_priority(labels.plain, predictions.plain, predictions.plain_score, iou=iou)

    report: dict[str, Any] = {
        "question": "filter alone, vectorised against Python loops over boxes",
        "images": images, "labels": len(labels.image), "predictions": len(predictions.image),
        "iou": iou, "seed": seed, "repeat": repeat,
    }  # fmt: skip
    for name, plain, fast in (
        ("paper_exact", paper_plain, paper),
        ("priority", priority_plain, priority),
    ):
        plain_seconds, fast_seconds = [], []
        for _ in range(repeat):
            kept, seconds = _timed(plain)
            plain_seconds.append(seconds)
            keep, seconds = _timed(fast)
            fast_seconds.append(seconds)
        if not _same(kept, keep, predictions):
            raise RuntimeError(
                f"{name}: the vectorised filter and the plain loops keep different predictions"
            )
        slow, slow_cpu = np.min(plain_seconds, axis=0).tolist()
        quick, quick_cpu = np.min(fast_seconds, axis=0).tolist()
        report[name] = {
            "plain_seconds": slow, "lidloop_seconds": quick, "ratio": slow / quick,
            "cpu_ratio": slow_cpu / quick_cpu, "kept": int(keep.sum()), "same_kept": True,
        }  # fmt: skip
    report["ratio"] = report["paper_exact"]["ratio"]
    report["target"] = 50.0
    return report


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    lines = []
    for name, variant in (("paper_exact", "as the paper filters"), ("priority", "priority NMS")):
        figures, target = report[name], report["target"]
        limit = at_least(figures["ratio"], target, f"{target:g}×") if name == "paper_exact" else NO_TARGET
        lines.append(
            Row(
                f"Filter alone, {variant}, {report['images']:,} pictures",
                f"{figures['lidloop_seconds']:.3f} s", f"{figures['plain_seconds']:.2f} s",
                f"{figures['ratio']:.0f}×", *limit,
            )
        )  # fmt: skip
    return lines

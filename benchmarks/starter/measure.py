"""Measure the starter weights on photographs and on drawn faces.

The photographs' labels take no part in training. Their sources are reported one by one: what was chosen
while the weights were made (drawings, stages, the score) was chosen with a look at some of them
(``CHOSEN_ON``), the others are reported only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common import REAL_FACES, Progress, Skipped, no_progress, path_from_environment
from lidloop.autolabel.predict import VAL_FLOOR, predict
from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset
from lidloop.data.picture_index import ImageRecord
from lidloop.detection.detector import Detector
from lidloop.evaluation.evaluate import MATCH_IOU, Evaluation, evaluate
from lidloop.labels import LabelSet, box_iou

CHOSEN_ON: Final = ("afw", "lfpw")
TARGETS: Final[dict[str, float]] = {"recall": 0.985, "nme_mean": 0.05, "nme_failure8": 0.08}
FALSE_FINDS_TARGET: Final = 2
"""Finds that are no face, counted by a person on ``SHEET_PICTURES`` pictures."""
SHEET_PICTURES: Final = 100
_KEPT: Final = ("faces", "predictions", "matched", "recall", "precision", "nme_mean", "nme_median",
                "nme_failure8", "lid_error_median", "box_ap50", "pose_ap50")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Measured:
    """Finds and labels of a set of pictures, and their evaluation."""

    dataset: Dataset
    records: tuple[ImageRecord, ...]
    found: LabelSet
    truth: LabelSet
    evaluation: Evaluation


def measure(
    detector: Detector, sources: Sequence[str], work: Path, *, score: float, limit: int = 0
) -> Measured:
    """Predict on all pictures of some sources and compare with their labels.

    Args:
        sources: as in ``lidloop convert``, such as ``ibug:FOLDER``.
        work: an empty folder for the converted pictures.
        score: threshold of recall and errors.
        limit: pictures by source, spread evenly; 0 takes all.
    """
    dataset, labels = convert(list(sources), work / "dataset", work / "labels", split=0.0)
    by_source: dict[str, list[ImageRecord]] = {}
    for record in dataset.records:
        by_source.setdefault(record.source, []).append(record)
    records = tuple(r for group in by_source.values() for r in spread(group, limit))
    found, failures = predict(dataset, detector, records, floor=VAL_FLOOR)
    if failures:
        raise Skipped(f"{len(failures)} pictures cannot be read: {failures[0]['reason']}")
    truth = labels.labels(dataset).reindex([record.id for record in records])
    evaluation = evaluate(found, truth, sources={r.id: r.source for r in records}, score=score)
    return Measured(dataset, records, found, truth, evaluation)


def spread(records: Sequence[ImageRecord], limit: int) -> list[ImageRecord]:
    """At most ``limit`` records, evenly spaced; all for 0."""
    if not limit or len(records) <= limit:
        return list(records)
    rows = np.linspace(0, len(records) - 1, limit).round().astype(int)
    return [records[row] for row in rows]


def unlabelled_finds(found: LabelSet, truth: LabelSet, *, score: float) -> LabelSet:
    """Finds of at least ``score`` that overlap no labelled face by the IoU of a match.

    In photographs of crowds most of them are faces that nobody labelled; a person has to look.
    """
    found = found.reindex(list(truth.images))
    keep = found.score >= score
    for row in np.flatnonzero(keep):
        faces = truth.boxes[truth.image == found.image[row]]
        keep[row] = not len(faces) or box_iou(found.boxes[row : row + 1], faces).max() < MATCH_IOU
    return found.select(keep)


def figures(measured: Measured, *, score: float) -> dict[str, Any]:
    """Figures overall and by source, ready for JSON, with the number of finds that match no label."""

    def of(metrics: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
        extra = [n for n in (measured.truth.images[k] for k in other.image) if n in names]
        return {key: metrics[key] for key in _KEPT} | {"pictures": len(names), "other_finds": len(extra)}

    other = unlabelled_finds(measured.found, measured.truth, score=score)
    result = measured.evaluation.to_dict()
    names = {r.id: r.source for r in measured.records}
    return {
        "overall": of(result["overall"], set(names)),
        "by_source": {
            _short(source): of(values, {n for n, s in names.items() if s == source})
            for source, values in result["by_source"].items()
        },
    }


def _short(source: str) -> str:
    return source.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1].lower()


def real_sources() -> list[str]:
    """The folders of photographs below ``LIDLOOP_300W``.

    Raises:
        Skipped: without them.
    """
    place = path_from_environment(REAL_FACES, "photographs with the 68-point annotations")
    return [f"ibug:{folder}" for folder in sorted(place.iterdir()) if any(folder.rglob("*.pts"))]


def report(
    detector: Detector, drawn: Path, work: Path, *, score: float, limit: int = 0,
    progress: Progress = no_progress,
) -> tuple[dict[str, Any], Measured]:  # fmt: skip
    """Figures on photographs and on a folder of drawn faces; also the photographs' finds, for the sheet."""
    progress("photographs")
    real = measure(detector, real_sources(), work / "real", score=score, limit=limit)
    progress("drawn faces")
    made = measure(detector, [f"yolo:{drawn}"], work / "drawn", score=score, limit=limit)
    return {
        "score": score,
        "imgsz": detector.imgsz,
        "chosen_on": list(CHOSEN_ON),
        "targets": TARGETS | {"false_finds": FALSE_FINDS_TARGET},
        "real": figures(real, score=score),
        "drawn": figures(made, score=score)["overall"],
    }, real

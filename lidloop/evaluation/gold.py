"""Evaluation of a model on gold: human validation labels that do not change in a run."""

from __future__ import annotations

from typing import Any

from lidloop.autolabel.predict import VAL_FLOOR, predict
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import Detector
from lidloop.errors import DatasetError
from lidloop.evaluation.evaluate import evaluate
from lidloop.labels import HUMAN


def measure_on_gold(detector: Detector, dataset: Dataset, labels: LabelVersion) -> dict[str, Any]:
    """Predict on the validation pictures and compare the predictions with the human labels.

    Args:
        detector: the model.
        dataset: the pictures.
        labels: a yardstick, or a label version, whose human labels are taken.

    Returns:
        ``lidloop.evaluation.evaluate.Metrics`` overall, as a dict.

    Raises:
        DatasetError: for a validation picture that cannot be read.
    """
    records = dataset.split("val")
    gold = labels.labels(dataset, "val").reindex([record.id for record in records])
    found, failures = predict(dataset, detector, records, floor=VAL_FLOOR)
    if failures:
        raise DatasetError(f"{len(failures)} validation pictures cannot be read: {failures[0]['reason']}")
    return evaluate(found, gold.select(gold.origin == HUMAN)).overall.to_dict()

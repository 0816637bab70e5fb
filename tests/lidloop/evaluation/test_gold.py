"""Tests of the evaluation of a model on gold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import load_detector
from lidloop.evaluation.gold import measure_on_gold
from lidloop.models.bundle import seal
from lidloop.registry.registry import Registry
from lidloop.registry.steps import promote_step

pytest.importorskip("ultralytics")

Drawn = tuple[Dataset, LabelVersion]


def test_gold_metrics_count_the_human_validation_labels(model_folder: Path, drawn: Drawn) -> None:
    dataset, labels = drawn
    figures = measure_on_gold(load_detector(model_folder), dataset, labels)
    assert figures["faces"] == labels.info["counts"]["val"]["human"]
    assert 0 < figures["matched"] <= figures["faces"]


def test_champion_of_another_dataset_is_measured_on_the_new_gold(
    model_folder: Path, drawn: Drawn, tmp_path: Path
) -> None:
    """The champion and the candidate are the same network, so the champion stays."""
    dataset, labels = drawn
    figures = measure_on_gold(load_detector(model_folder), dataset, labels)
    registry = Registry(tmp_path / "registry")
    other = figures | {"nme_mean": 1e-6}
    for run, digest, gold in (("old", "0" * 64, other), ("new", dataset.digest, figures)):
        yardstick = {"overall": gold}
        evaluation = {"iteration": 0, "gold": yardstick, "paper": yardstick}
        bundle = seal(
            model_folder, tmp_path / run, evaluation=evaluation, profile={}, run=run, iteration=0,
            parent=None, dataset=digest, label_version=0, labels={},
        )  # fmt: skip
        registry.register(bundle, run=run, iteration=0)
    place = str(tmp_path / "registry")
    assert promote_step(place, "1")
    assert not promote_step(place, "2", dataset_dir=dataset.root, gold_dir=labels.root)
    gate = json.dumps(registry.get("2").gate)
    assert "1.0000 of the champion's" in gate

"""The gold yardstick as a folder of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lidloop.data.dataset import Dataset, LabelVersion, write_next
from lidloop.data.gold import gold_before, gold_digest, require_gold, write_gold
from lidloop.errors import DatasetError
from lidloop.labels import LabelSet
from tests.label_files import as_text_files


def test_gold_holds_the_human_validation_labels_and_nothing_else(
    drawn: tuple[Dataset, LabelVersion], tmp_path: Path
) -> None:
    dataset, labels = drawn
    gold = write_gold(tmp_path / "gold", dataset, labels, info={"why": "test"})
    found, expected = gold.labels(dataset, "val"), labels.labels(dataset, "val")
    assert np.array_equal(found.points, expected.points)
    assert gold.info["counts"]["train"]["human"] == 0
    assert gold.info["why"] == "test"
    assert gold_digest(dataset, gold) == gold_digest(dataset, labels)
    assert gold_before(gold) is None
    require_gold(gold)


def test_the_yardstick_of_before_stands_beside_another_one(
    drawn: tuple[Dataset, LabelVersion], tmp_path: Path
) -> None:
    dataset, labels = drawn
    image = next(r.id for r in dataset.split("val") if labels.text(r.id))
    empty = LabelSet.from_faces({}, [r.id for r in dataset.records])
    ledger = labels.ledger()
    later = write_next(tmp_path / "v1", labels, dataset, empty, ledger)
    file = as_text_files(later.root) / f"{image}.txt"
    file.write_bytes(file.read_bytes().replace(b" 2", b" 1", 1))
    later = LabelVersion.open(later.root)
    gold = write_gold(tmp_path / "gold", dataset, later, before=labels)
    before = gold_before(gold)
    assert before is not None
    assert gold_digest(dataset, before) == gold_digest(dataset, labels) != gold_digest(dataset, gold)
    require_gold(gold)
    with pytest.raises(DatasetError, match="the gold yardstick is version 0"):
        require_gold(later)

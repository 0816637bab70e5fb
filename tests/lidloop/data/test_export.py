"""A label version as a YOLO pose folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.export import export_yolo
from lidloop.errors import DatasetError


def test_an_exported_version_is_read_again_with_the_same_bytes(
    drawn: tuple[Dataset, LabelVersion], tmp_path: Path
) -> None:
    dataset, labels = drawn
    written = export_yolo(dataset, labels, tmp_path / "yolo")
    assert written == len(labels.labelled()) == len(list((tmp_path / "yolo/labels").rglob("*.txt")))
    for record in dataset.records:
        text = tmp_path / "yolo/labels" / record.split / f"{record.id}.txt"
        assert (text.read_bytes() if text.exists() else b"") == labels.text(record.id)
        picture = tmp_path / "yolo/images" / record.split / record.file
        assert picture.read_bytes() == dataset.path(record.id).read_bytes()
    again, version = convert(
        [f"yolo:{tmp_path / 'yolo'}"], tmp_path / "dataset", tmp_path / "labels", keep_splits=True
    )
    assert version.info["counts"] == labels.info["counts"]
    assert len(again.records) == len(dataset.records)


def test_labels_of_another_dataset_are_not_exported(
    drawn: tuple[Dataset, LabelVersion], tmp_path: Path
) -> None:
    dataset, labels = drawn
    other = Dataset.write(tmp_path / "other", dataset.records[:2], {})
    with pytest.raises(DatasetError, match="another dataset"):
        export_yolo(other, labels, tmp_path / "yolo")
    assert not (tmp_path / "yolo").exists()

"""A label version as the YOLO pose folder that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.errors import DatasetError
from lidloop.files import folder_atomic, link_or_copy
from lidloop.landmarks import FLIP, N_POINTS

DATA_YAML: Final = "data.yaml"


def write_texts(labels: LabelVersion, dataset: Dataset, folder: Path) -> int:
    """Write ``<id>.txt`` for every picture of a dataset that has a label; return how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for block in dataset.blocks():
        for name, text in zip(block.ids, labels.texts.many(block.ids), strict=True):
            if text:
                (folder / f"{name}.txt").write_bytes(text)
                written += 1
    return written


def export_yolo(dataset: Dataset, labels: LabelVersion, out: Path) -> int:
    """Write the labels of a version, byte for byte, and its pictures as a YOLO pose folder.

    ``out`` gets ``data.yaml``, ``images/<split>/`` and ``labels/<split>/``; pictures are hard links where the
    file system allows it.

    Args:
        dataset: the pictures.
        labels: a label version.
        out: a new or empty folder, written atomically.

    Returns:
        Number of pictures with a label.

    Raises:
        DatasetError: for labels of another dataset.
        OccupiedError: where ``out`` is not empty.
    """
    if labels.dataset_digest != dataset.digest:
        raise DatasetError(f"{labels.root} holds labels of another dataset than {dataset.root}")
    written = 0
    with folder_atomic(out) as folder:
        splits = sorted(set(dataset.records.column("split").to_pylist()))
        for split in splits:
            pictures = folder / "images" / split
            pictures.mkdir(parents=True)
            written += write_texts(labels, dataset.only(split), folder / "labels" / split)
            for record in dataset.split(split):
                link_or_copy(dataset.path(record.id), pictures / record.file)
        described = {
            **{split: f"images/{split}" for split in splits},
            "names": {0: "face"},
            "kpt_shape": [N_POINTS, 3],
            "flip_idx": list(FLIP),
        }
        (folder / DATA_YAML).write_text(yaml.safe_dump(described, sort_keys=False))
    return written

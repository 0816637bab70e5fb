"""The gold yardstick as a folder: the human validation labels of a label version, frozen.

A run's gold is that of version 0 of its labels. A run that goes on from reviewed labels keeps the gold of the
run before, or takes the human validation labels of the reviewed version where a person decided so; then the
gold of before stands beside it, in the folder ``before``, and models are measured on both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lidloop.data.dataset import Dataset, LabelVersion, write_human_labels
from lidloop.errors import DatasetError

BEFORE: Final = "before"
YARDSTICK: Final = "yardstick"
SPLIT: Final = "val"


def write_gold(
    root: Path,
    dataset: Dataset,
    labels: LabelVersion,
    *,
    before: LabelVersion | None = None,
    info: Mapping[str, Any] | None = None,
) -> LabelVersion:
    """Write the human validation labels of a version as a yardstick.

    Args:
        root: an empty folder, or a new one.
        dataset: the pictures.
        labels: a label version, or an earlier yardstick.
        before: the yardstick of the run before, if this one has other labels.
        info: recorded in ``version.json``.

    Raises:
        DatasetError: if the labels belong to another dataset.
    """
    if labels.dataset_digest != dataset.digest:
        raise DatasetError(f"{labels.root} holds labels of another dataset than {dataset.root}")
    if before is not None:
        write_human_labels(root / BEFORE, before, dataset, SPLIT, {YARDSTICK: "gold"})
    return write_human_labels(root, labels, dataset, SPLIT, {YARDSTICK: "gold", **(info or {})})


def require_gold(gold: LabelVersion) -> None:
    """Refuse labels that are no yardstick.

    Raises:
        DatasetError: unless the labels are version 0 or were written by ``write_gold``.
    """
    if gold.version != 0 and gold.info.get(YARDSTICK) != "gold":
        raise DatasetError(
            f"{gold.root} is label version {gold.version}; the gold yardstick is version 0, or a folder that "
            "a continued run wrote for it"
        )


def gold_before(gold: LabelVersion) -> LabelVersion | None:
    """Return the yardstick of the run before; None where it is the same."""
    folder = gold.root / BEFORE
    return LabelVersion.open(folder) if folder.exists() else None


def gold_digest(dataset: Dataset, gold: LabelVersion) -> str:
    """SHA-256 of the human validation labels: equal for yardsticks with the same labels.

    Args:
        dataset: the pictures.
        gold: a yardstick, or version 0.
    """
    sha = hashlib.sha256(dataset.digest.encode())
    for record in dataset.split(SPLIT):
        text = gold.text(record.id)
        if text:
            sha.update(f"\n{record.id}\n".encode() + text)
    return sha.hexdigest()

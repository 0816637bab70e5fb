"""Ledgers of label versions as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.data.dataset import LabelVersion
from lidloop.data.tables import BOX
from lidloop.labels import HUMAN, Floats

Strings = NDArray[np.object_]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
GROWN: Final = "grown"
"""Reason of a prediction that became a label."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """The ledger of one version as columns of n rows: see ``dataset.LEDGER_SCHEMA``; boxes are (n, 4)."""

    version: int
    image: Strings
    split: Strings
    line: Ints
    boxes: Floats
    origin: Ints
    confidence: Floats
    iou: Floats
    kept: Bools
    reason: Strings

    def __len__(self) -> int:
        return len(self.image)

    @property
    def accepted(self) -> Bools:
        """Mask of the rows that this version's filter accepted as labels."""
        return np.asarray(self.kept & (self.origin != HUMAN) & (self.reason == GROWN), dtype=bool)


def read_ledgers(labels: LabelVersion) -> list[Ledger]:
    """Read the ledgers of version 0 up to ``labels``."""
    ledgers = []
    for version in range(labels.version + 1):
        table = labels.ledger(version)
        text = {
            name: np.array(table[name].to_pylist(), dtype=object)
            for name in ("image", "split", "decision", "reason")
        }
        number = {
            name: np.asarray(table[name].to_numpy(), dtype=np.float64)
            for name in ("line", *BOX, "origin", "confidence", "iou")
        }
        ledgers.append(
            Ledger(
                version=version,
                image=text["image"],
                split=text["split"],
                line=number["line"].astype(np.int64),
                boxes=np.stack([number[k] for k in BOX], axis=-1).reshape(-1, 4),
                origin=number["origin"].astype(np.int64),
                confidence=number["confidence"],
                iou=number["iou"],
                kept=np.asarray(number["line"] >= 0),
                reason=text["reason"],
            )
        )
    return ledgers


def models_of(labels: LabelVersion) -> dict[str, str]:
    """Digest of the model by the iteration whose faces are in the ledgers of version 0 up to ``labels``."""
    found: dict[str, str] = {}
    for version in range(labels.version + 1):
        for part in labels.ledger_parts(version):
            pairs = part.select(["origin", "model"]).group_by(["origin", "model"]).aggregate([])
            for row in pairs.to_pylist():
                if row["origin"] != HUMAN and row["model"]:
                    found[str(row["origin"])] = str(row["model"])
    return dict(sorted(found.items(), key=lambda item: int(item[0])))

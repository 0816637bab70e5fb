"""Checkpoints of a training that survive a kill at any moment. Needs torch.

Ultralytics writes ``last.pt`` and ``best.pt`` in place, so a kill can leave half a file. Copies that took
their names whole are what a training goes on from.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Final

_NAMES: Final = ("best.pt", "last.pt")  # in this order: a ``last`` never lies beside an older ``best``


class Checkpoints:
    """Copies of the checkpoints of the training in ``run``, kept in ``safe``."""

    def __init__(self, run: Path, safe: Path) -> None:
        self.weights, self.safe = run / "weights", safe

    @property
    def last(self) -> Path:
        """The copy to go on from; it may not be there yet."""
        return self.safe / "last.pt"

    def keep(self, trainer: Any) -> None:
        """Copy what the trainer has just saved: for Ultralytics' ``on_model_save``."""
        self.safe.mkdir(parents=True, exist_ok=True)
        for name in _NAMES:
            partial = self.safe / f".{name}"
            shutil.copyfile(self.weights / name, partial)
            os.replace(partial, self.safe / name)

    def restore(self) -> int:
        """Put the copies back where Ultralytics looks for them; return the number of finished epochs."""
        import torch

        self.weights.mkdir(parents=True, exist_ok=True)
        for name in _NAMES:
            shutil.copyfile(self.safe / name, self.weights / name)
        # A pickle, but of this very run: its settings were compared before.
        state = torch.load(self.last, map_location="cpu", weights_only=False)
        return int(state["epoch"]) + 1

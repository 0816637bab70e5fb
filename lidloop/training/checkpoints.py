"""Atomic copies of a training's checkpoints, to resume from after a kill. Needs torch.

Ultralytics writes ``last.pt`` and ``best.pt`` in place, so a kill can leave half a file. A training resumes
from copies, which get their names when they are complete.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from lidloop.errors import StoreError
from lidloop.files import sha256
from lidloop.storage import Store, open_store
from lidloop.storage.transfer import fetch

log = logging.getLogger("lidloop")

_NAMES: Final = ("best.pt", "last.pt")  # in this order: a ``last`` never lies beside an older ``best``


class Checkpoints:
    """Copies of the checkpoints of the training in ``run``, kept in ``safe`` and, if given, in a store."""

    def __init__(self, run: Path, safe: Path, store: str = "") -> None:
        """Describe the places.

        Args:
            run: Ultralytics' folder of the training.
            safe: folder of the copies.
            store: address of the store; empty for none.
        """
        self.weights, self.safe, self.address = run / "weights", safe, store

    def __getstate__(self) -> dict[str, Any]:
        """Without the open store: a training on several GPUs hands this to processes of its own."""
        return {name: value for name, value in vars(self).items() if name != "store"}

    @cached_property
    def store(self) -> Store | None:
        """Object store for further copies; None for none."""
        return open_store(self.address) if self.address else None

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
        for name in _NAMES:
            self._send(self.safe / name)

    def begin(self, settings: Path) -> None:
        """Upload the settings of the training, before there is a checkpoint."""
        self._send(settings)

    def fetch(self, settings: Path) -> None:
        """Download the checkpoints of a training that was killed elsewhere, where there are none here.

        Raises:
            StoreError: where the store cannot be reached or read.
        """
        if self.store is None or settings.exists():
            return
        for path in (settings, *(self.safe / name for name in _NAMES)):
            item = self.store.stat(path.name)
            if item is None:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as work:
                fetch(self.store, item, path, work=Path(work), sha256=item.sha256)

    def _send(self, path: Path) -> None:
        if self.store is None:
            return
        try:
            self.store.put(path, path.name, sha256=sha256(path))
        except StoreError as error:  # the training is worth more than its copy
            log.warning("a checkpoint could not be stored: %s", error)

    def restore(self) -> int:
        """Put the copies back where Ultralytics looks for them; return the number of finished epochs."""
        import torch

        self.weights.mkdir(parents=True, exist_ok=True)
        for name in _NAMES:
            shutil.copyfile(self.safe / name, self.weights / name)
        # A pickle, but of this very run: its settings were compared before.
        state = torch.load(self.last, map_location="cpu", weights_only=False)
        return int(state["epoch"]) + 1

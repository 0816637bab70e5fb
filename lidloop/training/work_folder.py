"""Folder in which a training keeps what it needs to resume: only the training's own files are removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from lidloop.errors import TrainingError

_OWN: Final = (
    "base", "run", "safe", "weights", "model", "trained", "settings.json", "data.yaml",
    "train.txt", "val.txt", "train.cache", "val.cache",
)  # fmt: skip
"""Names that a training writes into its folder of checkpoints."""


def require_own(work: Path) -> None:
    """Check that a folder of checkpoints is new, empty, or an earlier training's.

    Raises:
        TrainingError: where it is a file, or holds files and no settings of a training.
    """
    if not work.exists():
        return
    if not work.is_dir():
        raise TrainingError(f"{work} is a file; give a folder for checkpoints")
    names = {path.name for path in work.iterdir()}
    if names - set(_OWN) and "settings.json" not in names:
        raise TrainingError(f"{work} holds other files; give an empty or new folder for checkpoints")
    try:
        if "settings.json" in names and not {"settings", "labels", "weights"} <= set(
            json.loads((work / "settings.json").read_text(encoding="utf-8"))
        ):
            raise ValueError
    except (ValueError, TypeError):
        raise TrainingError(f"{work}/settings.json is not that of a training; give another folder") from None


def remove_own(work: Path) -> None:
    """Remove what a training wrote into its folder of checkpoints, and the folder if that was all."""
    for name in _OWN:
        path = work / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(work.iterdir()):
        work.rmdir()

"""Starter weights: a detector for photographs on the first day, trained on drawn faces by ``make``.

``weights.pt`` is what training starts from; a pickle, never opened while serving. ``model.onnx`` is the same
network for inference, its weights stored in 16 bits. ``weights.json`` is the model card: how they were made,
from what, under which licence, and their figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent


def starter_weights() -> Path:
    """Path of the committed weights (YOLOv8n-pose, 51 points), to train from."""
    return _FOLDER / "weights.pt"


def starter_model() -> Path:
    """Path of the committed ONNX model, for ``lidloop.detection.detector.load_detector``."""
    return _FOLDER / "model.onnx"


def starter_card() -> dict[str, Any]:
    """Content of ``weights.json``; ``score`` is the smallest score of a face that is shown."""
    card: dict[str, Any] = json.loads((_FOLDER / "weights.json").read_text(encoding="utf-8"))
    return card

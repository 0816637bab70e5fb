"""Weights to ONNX, and the proof that both give the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lidloop.detector import load_detector
from lidloop.errors import TrainingError
from lidloop.images import read_rgb

TOLERANCE_PX: Final = 0.5
_ANCHORS: Final = 20


def export_onnx(folder: Path, *, imgsz: int) -> Path:
    """Export ``weights.pt`` of a model folder to ``model.onnx``, with free batch, height and width."""
    from ultralytics import YOLO

    exported = YOLO(str(folder / "weights.pt"), task="pose").export(
        format="onnx", dynamic=True, simplify=True, imgsz=imgsz, device="cpu", verbose=False
    )
    return Path(exported).replace(folder / "model.onnx")


def compare(folder: Path, pictures: Sequence[Path]) -> dict[str, Any]:
    """Hold ``model.onnx`` against ``weights.pt`` on pictures, at each one's 20 anchors of highest score.

    Returns:
        Number of pictures, the largest difference of a box corner or point in pixels of the picture, and of
        a score.

    Raises:
        TrainingError: where a box or point differs by more than 0.5 px.
    """
    onnx, torch = load_detector(folder, batch=1), load_detector(folder, backend="torch", batch=1)
    worst_px = worst_score = 0.0
    for path in pictures:
        prepared = onnx.prepare(read_rgb(path))
        a, b = onnx.forward([prepared])[0], torch.forward([prepared])[0]
        anchors = np.argsort(-b[4])[:_ANCHORS]
        off = _corners_and_points(a[:, anchors]) - _corners_and_points(b[:, anchors])
        # np.maximum hands NaN on, max() would not.
        worst_px = float(np.maximum(worst_px, np.abs(off).max() / min(prepared.gain)))
        worst_score = float(np.maximum(worst_score, np.abs(a[4, anchors] - b[4, anchors]).max()))
    if not worst_px <= TOLERANCE_PX or not np.isfinite(worst_score):
        raise TrainingError(f"the exported model differs from the trained one by {worst_px:.2f} px")
    return {"pictures": len(pictures), "max_px": round(worst_px, 5), "max_score": round(worst_score, 6)}


def _corners_and_points(raw: NDArray[np.float32]) -> NDArray[np.float64]:
    """Box corners and points of raw answers, (5 + 153, n) to (4 + 102, n), in pixels of the input."""
    values = raw.astype(np.float64)
    centre, half, points = values[:2], values[2:4] / 2, values[5:].reshape(-1, 3, values.shape[1])
    return np.concatenate([centre - half, centre + half, points[:, :2].reshape(-1, values.shape[1])])

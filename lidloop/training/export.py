"""Export of weights to ONNX, whole and in parts, and comparison of their outputs with the torch model."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidloop.detection.detector import Prepared, load_detector
from lidloop.detection.sparse_head import STRIDES, NetworkOutput
from lidloop.errors import TrainingError
from lidloop.files import write_atomic
from lidloop.images import read_rgb
from lidloop.models.bundle import PARTS, model_files
from lidloop.training.split_graph import CannotSplit, split

log = logging.getLogger("lidloop")

TOLERANCE_PX: Final = 0.5
"""Of the whole network, and of its parts, against the torch model, in pixels of the picture."""
PARTS_TOLERANCE_PX: Final = 0.01
"""Of the parts against the whole network, in pixels of the network's input: rounding errors grow with the
numbers there, and not with the picture, which may be ten times as large."""
PARTS_TOLERANCE_SCORE: Final = 1e-4

_ANCHORS: Final = 20


def export_onnx(folder: Path, *, imgsz: int) -> Path:
    """Export ``weights.pt`` of a model folder to ``model.onnx``, with free batch, height and width.

    Paths and git state of the training machine are removed from the weights first. Beside ``model.onnx``
    come its parts (``lidloop.training.split_graph``), where the network can be split.
    """
    from ultralytics import YOLO

    forget_machine(folder / "weights.pt")
    exported = YOLO(str(folder / "weights.pt"), task="pose").export(
        format="onnx", dynamic=True, simplify=True, imgsz=imgsz, device="cpu", verbose=False
    )
    onnx = Path(exported).replace(folder / "model.onnx")
    for name in PARTS:
        (folder / name).unlink(missing_ok=True)
    try:
        split(folder)
    except CannotSplit as reason:
        log.warning("the network will run whole, which is slower: %s", reason)
    return onnx


def forget_machine(weights: Path) -> None:
    """Remove paths of the training machine and the state of its git checkout from a checkpoint.

    Exports would repeat them. Of a path its last part stays. Tensors stay as they are, and so does a file
    that tells nothing.

    Args:
        weights: a ``.pt`` of Ultralytics: a pickle, open only what you trust.
    """
    import torch

    checkpoint = torch.load(weights, map_location="cpu", weights_only=False)
    models = [checkpoint[name] for name in ("model", "ema") if checkpoint.get(name) is not None]
    settings = [checkpoint.get("train_args"), *(getattr(model, "args", None) for model in models)]
    told = checkpoint.pop("git", None) is not None
    for known in settings:
        for name, value in known.items() if isinstance(known, dict) else ():
            if isinstance(value, str) and Path(value).is_absolute():
                known[name] = Path(value).name
                told = True
    if told:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomic(weights, buffer.getvalue())


class _Worst(NamedTuple):
    """Largest differences: of a box corner or a point in pixels, and of a score."""

    px: float = 0.0
    score: float = 0.0

    def joined(self, other: _Worst) -> _Worst:
        # np.maximum hands NaN on, max() would not.
        return _Worst(float(np.maximum(self.px, other.px)), float(np.maximum(self.score, other.score)))


def compare(folder: Path, pictures: Sequence[Path]) -> dict[str, Any]:
    """Compare the outputs of ``model.onnx`` and its parts with ``weights.pt`` on images.

    Compared are each picture's 20 anchors of highest score; the parts are held against the whole network at
    the corners of every feature map too, where the padding matters.

    Returns:
        Number of pictures, and the largest difference of a box corner or point, and of a score: ``max_px``
        and ``max_score`` of the whole network and its parts to the torch model, in pixels of the picture;
        where there are parts, ``parts_max_px`` and ``parts_max_score`` of them to the whole network, in
        pixels of the network's input.

    Raises:
        TrainingError: where a box or point differs by more than ``TOLERANCE_PX`` from the torch model's, or
            one of the parts by more than ``PARTS_TOLERANCE_PX`` from the whole network's.
    """
    whole = load_detector(folder, batch=1, whole=True)
    torch = load_detector(folder, backend="torch", batch=1)
    parts = load_detector(folder, batch=1) if model_files(folder).parts else None
    exported, split_up = _Worst(), _Worst()
    for path in pictures:
        prepared = whole.prepare(read_rgb(path))
        a, b = whole.forward([prepared]), torch.forward([prepared])
        best = np.argsort(-b.scores[0])[:_ANCHORS]
        exported = exported.joined(_difference(a, b, best, min(prepared.gain)))
        if parts is not None:
            c = parts.forward([prepared])
            anchors = np.union1d(best, _corners(prepared))
            split_up = split_up.joined(_difference(c, a, anchors))
            exported = exported.joined(_difference(c, b, best, min(prepared.gain)))
    if not split_up.px <= PARTS_TOLERANCE_PX or not split_up.score <= PARTS_TOLERANCE_SCORE:
        raise TrainingError(
            f"the network's parts differ from the whole by {split_up.px:.4f} px of its input in a box or "
            f"point and by {split_up.score:.1e} of a score"
        )
    if not exported.px <= TOLERANCE_PX or not np.isfinite(exported.score):
        raise TrainingError(f"the exported model differs from the trained one by {exported.px:.2f} px")
    found = {
        "pictures": len(pictures),
        "max_px": round(exported.px, 5),
        "max_score": round(exported.score, 6),
    }
    if parts is None:
        return found
    return {**found, "parts_max_px": round(split_up.px, 5), "parts_max_score": round(split_up.score, 6)}


def _difference(a: NetworkOutput, b: NetworkOutput, anchors: NDArray[np.int64], gain: float = 1.0) -> _Worst:
    """Differences of two answers; ``gain`` is the size of the input over that of the picture."""
    off = _corners_and_points(a, anchors) - _corners_and_points(b, anchors)
    score = np.abs(a.scores[0, anchors] - b.scores[0, anchors]).max()
    return _Worst(float(np.abs(off).max() / gain), float(score))


def _corners_and_points(answer: NetworkOutput, anchors: NDArray[np.int64]) -> NDArray[np.float64]:
    """Box corners and points of a batch's first picture: (n, 4 + 102), in pixels of the input."""
    boxes = answer.boxes(0, anchors).astype(np.float64)
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    points = answer.points(0, anchors).reshape(len(anchors), -1)
    return np.concatenate([centre - half, centre + half, points], axis=1)


def _corners(prepared: Prepared) -> NDArray[np.int64]:
    """Anchors at the four corners of each feature map."""
    start, corners = 0, []
    for stride in STRIDES:
        height, width = (side // stride for side in prepared.pixels.shape[:2])
        corners += [start, start + width - 1, start + (height - 1) * width, start + height * width - 1]
        start += height * width
    return np.array(corners)

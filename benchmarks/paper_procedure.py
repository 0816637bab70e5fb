"""The procedure of arXiv 2404.05348 in plain code: Ultralytics on the folder, then Python loops over boxes.

The baseline of lidloop's measurements, as a reader of the paper would write it: predict with ``save_txt``,
read the text files, and append to a picture's labels every predicted line whose box has no IoU above the
threshold with an existing label. It is written to be fair: a loop ends at the first overlap, the corners of
a box are computed once, and files are read once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2, in pixels or normalised."""


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, as commonly written."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union > 0 else 0.0


def filter_predictions(
    labels: Mapping[str, Sequence[Box]], predictions: Mapping[str, Sequence[Box]], *, iou: float = 0.3
) -> dict[str, list[int]]:
    """The paper's filter: keep a prediction unless it overlaps an existing label.

    Returns:
        Positions of the kept predictions by picture.
    """
    kept: dict[str, list[int]] = {}
    for image, boxes in predictions.items():
        existing = labels.get(image, ())
        stay = []
        for position, box in enumerate(boxes):
            for label in existing:
                if box_iou(box, label) > iou:
                    break
            else:
                stay.append(position)
        kept[image] = stay
    return kept


def filter_by_priority(
    labels: Mapping[str, Sequence[Box]],
    predictions: Mapping[str, Sequence[Box]],
    scores: Mapping[str, Sequence[float]],
    *,
    iou: float = 0.3,
) -> dict[str, list[int]]:
    """lidloop's priority NMS as plain loops: also drop what overlaps a kept prediction of higher confidence.

    Ties are broken by position.
    """
    kept: dict[str, list[int]] = {}
    for image, boxes in predictions.items():
        confidence = scores[image]
        there = list(labels.get(image, ()))
        stay = []
        for position in sorted(range(len(boxes)), key=lambda k: -confidence[k]):
            box = boxes[position]
            for other in there:
                if box_iou(box, other) > iou:
                    break
            else:
                stay.append(position)
                there.append(box)
        kept[image] = sorted(stay)
    return kept


class PaperResult(NamedTuple):
    """Added label lines by picture stem, and the seconds of prediction and of the filter."""

    added: dict[str, list[str]]
    predict_seconds: float
    filter_seconds: float


def predict_and_filter(
    weights: Path,
    image_dir: Path,
    labels_dir: Path,
    *,
    work: Path,
    out: Path | None = None,
    conf: float = 0.7,
    iou: float = 0.3,
    imgsz: int = 640,
    batch: int = 1,
    device: str = "cpu",
) -> PaperResult:
    """Auto-label a folder of pictures and filter the predictions, as the paper does.

    Args:
        weights: a YOLO pose model that Ultralytics opens (``.pt`` or exported).
        image_dir: folder of the pictures.
        labels_dir: folder of their YOLO pose text files ``<stem>.txt``, which may be missing.
        work: folder for Ultralytics' text files.
        out: folder for the merged text files, one for every picture; by default none are written.
        conf: lowest confidence of a prediction.
        iou: largest IoU with an existing label.
        imgsz: side of the network's input in pixels.
        batch: pictures at a time; Ultralytics' default for a folder is 1.
        device: device in Ultralytics' notation.

    Raises:
        FileExistsError: if ``work`` holds results of an earlier run, to which Ultralytics would append.
    """
    from ultralytics import YOLO, settings

    if (work / "paper").exists():
        raise FileExistsError(f"{work / 'paper'} holds an earlier run; give an empty folder")
    settings.update({"mlflow": False})
    start = time.perf_counter()
    model = YOLO(str(weights), task="pose")
    results = model.predict(
        source=str(image_dir), save_txt=True, save_conf=True, conf=conf, imgsz=imgsz, batch=batch,
        device=device, project=str(work.resolve()), name="paper", stream=True, verbose=False,
    )  # fmt: skip
    for _ in results:  # with stream=True pictures do not stay in memory
        pass
    predicted = time.perf_counter()
    added = _filter_folder(work / "paper" / "labels", labels_dir, image_dir, iou, out)
    return PaperResult(added, predicted - start, time.perf_counter() - predicted)


def _filter_folder(
    predicted_dir: Path, labels_dir: Path, image_dir: Path, iou: float, out: Path | None
) -> dict[str, list[str]]:
    added: dict[str, list[str]] = {}
    for stem in sorted({path.stem for path in image_dir.iterdir()}):
        before = _lines(labels_dir / f"{stem}.txt")
        candidates = _lines(predicted_dir / f"{stem}.txt")
        boxes = [_box(line) for line in candidates]
        kept = filter_predictions({stem: [_box(line) for line in before]}, {stem: boxes}, iou=iou)[stem]
        lines = [candidates[k] for k in kept if boxes[k][2] > boxes[k][0] and boxes[k][3] > boxes[k][1]]
        if lines:
            added[stem] = lines
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{stem}.txt").write_text("".join(line + "\n" for line in before + lines))
    return added


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip()] if path.exists() else []


def _box(line: str) -> Box:
    """Normalised corners of a YOLO line. IoU does not depend on the picture's size."""
    _, cx, cy, w, h = (float(field) for field in line.split(maxsplit=5)[:5])
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2

"""Auto-labelling and filtering in pictures per second, against the paper's procedure in plain code.

Both sides get the same pictures, labels, weights and input size, start by loading the model, and end with
label files on disk. They alternate, and the median of each counts. In paper-exact mode both must keep the
same labels.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import (
    NO_TARGET,
    REAL_FACES,
    Progress,
    Row,
    at_least,
    no_progress,
    path_from_environment,
    sample_ibug,
)
from benchmarks.paper_procedure import PaperResult, predict_and_filter
from lidloop.autolabel.predict import predict_shard
from lidloop.autolabel.refine import refine
from lidloop.data.dataset import Dataset, LabelVersion, write_initial
from lidloop.data.export import write_texts
from lidloop.detection.detector import Detector, load_detector
from lidloop.files import write_atomic
from lidloop.images import read_rgb
from lidloop.labels import box_iou
from lidloop.training.export import export_onnx

T = TypeVar("T")

CONF: Final = 0.7
IOU: Final = 0.3
TARGET: Final = 2.0
BOX_TOLERANCE_PX: Final = 0.05
"""Covers rounding of two runtimes and of two text formats; a wrong scale or padding is off by far more."""
FLIP_MARGIN: Final = 1e-4
"""A score or IoU this close to its threshold may be above it on one side and below it on the other."""


class Disagreement(RuntimeError):
    """Raised when the two sides do not keep the same labels."""


def run_lidloop(dataset: Dataset, labels: LabelVersion, model: Path, out: Path) -> LabelVersion:
    """Auto-label and filter with lidloop in paper-exact mode, into the empty folder ``out``."""
    shard = predict_shard(dataset, model, out / "predictions")
    iteration = json.loads((model / "training.json").read_text())["iteration"]
    return refine(
        dataset, labels, [shard], out / "labels", iteration=iteration, conf=CONF, iou=IOU, paper_exact=True
    )


def run_paper(
    dataset: Dataset, texts: Path, model: Path, out: Path, imgsz: int, *, all_cores: bool = False
) -> PaperResult:
    """Auto-label and filter with the paper's procedure, into the empty folder ``out``.

    Args:
        texts: folder of the label files that it merges with.
        all_cores: give Ultralytics every core; by default it leaves one idle.
    """
    from ultralytics.utils import torch_utils

    before = torch_utils.NUM_THREADS
    try:
        if all_cores:
            torch_utils.NUM_THREADS = before + 1
        return predict_and_filter(
            model / "weights.pt", dataset.root / "images", texts,
            work=out, out=out / "merged", conf=CONF, iou=IOU, imgsz=imgsz,
        )  # fmt: skip
    finally:
        torch_utils.NUM_THREADS = before


def compare(
    dataset: Dataset, base: LabelVersion, grown: LabelVersion, added: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Compare the labels that lidloop added to ``base`` with the lines that the paper's procedure added.

    Args:
        grown: lidloop's label version.
        added: lines by picture, each with its confidence at the end.

    Returns:
        Number of pictures and labels compared, the largest difference of a box corner, a point (in pixels)
        and a score, and ``flips``: labels that only one side kept, with a score or IoU within ``FLIP_MARGIN``
        of its threshold.

    Raises:
        Disagreement: for any other label that only one side kept, or if no label was kept.
    """
    ledger = grown.ledger().to_pylist()
    scores = {(row["image"], row["line"]): row["confidence"] for row in ledger if row["line"] >= 0}
    pairs, flips = 0, []
    worst = {"max_box_px": 0.0, "max_point_px": 0.0, "max_score": 0.0}
    for record in dataset.records:
        size = np.array([record.width, record.height], dtype=np.float64)
        before = _values(base.text(record.id).decode().splitlines())
        lines = grown.text(record.id).decode().splitlines()
        mine = _values(lines[len(before) :])
        other = _values(added.get(record.id, ()))
        my_scores = [scores[record.id, len(before) + k] for k in range(len(mine))]
        my_boxes, other_boxes = _boxes(mine, size), _boxes(other, size)
        matched = _pair(my_boxes, other_boxes)
        pairs += len(matched)
        for a, b in matched:
            points = np.abs(_points(mine[a], size) - _points(other[b], size)).max()
            worst["max_box_px"] = max(worst["max_box_px"], float(np.abs(my_boxes[a] - other_boxes[b]).max()))
            worst["max_point_px"] = max(worst["max_point_px"], float(points))
            worst["max_score"] = max(worst["max_score"], abs(my_scores[a] - float(other[b][-1])))
        alone = [("lidloop", my_boxes[k], my_scores[k]) for k in range(len(mine)) if k not in dict(matched)]
        taken = {b for _, b in matched}
        alone += [("paper", other_boxes[k], float(other[k][-1])) for k in range(len(other)) if k not in taken]
        for side, box, score in alone:
            iou = float(box_iou(box[None], _boxes(before, size)).max(initial=0.0))
            if not min(abs(score - CONF), abs(iou - IOU)) <= FLIP_MARGIN:
                raise Disagreement(
                    f"{record.id}: only {side} keeps the box {box.round(2).tolist()} px with score "
                    f"{score:.6f} and IoU {iou:.6f} with a label; {len(mine)} labels are kept by lidloop, "
                    f"{len(other)} by the paper's procedure"
                )
            flips.append({"kept_by": side, "score": score, "iou_with_label": iou})
    unknown = sorted(set(added) - set(dataset.by_id))
    if unknown:
        raise Disagreement(f"the paper's procedure labelled {unknown[0]}, which is not in the dataset")
    if not pairs:
        raise Disagreement("neither side keeps a label, so nothing is compared: use a model that finds faces")
    if worst["max_point_px"] > BOX_TOLERANCE_PX:
        raise Disagreement(f"kept points differ by up to {worst['max_point_px']:.3f} px")
    return {"pictures": len(dataset.records), "kept_by_both": pairs, **worst, "flips": flips}


def _values(lines: Sequence[str]) -> list[NDArray[np.float64]]:
    return [np.array(line.split(), dtype=np.float64) for line in lines if line.strip()]


def _boxes(faces: Sequence[NDArray[np.float64]], size: NDArray[np.float64]) -> NDArray[np.float64]:
    heads = np.array([face[1:5] for face in faces]).reshape(-1, 4)
    centre, half = heads[:, :2], heads[:, 2:] / 2
    corners: NDArray[np.float64] = np.concatenate([(centre - half) * size, (centre + half) * size], axis=1)
    return corners


def _points(face: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    points: NDArray[np.float64] = face[5:158].reshape(51, 3)[:, :2] * size
    return points


def _pair(a: NDArray[np.float64], b: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of boxes whose corners are within the tolerance, the closest first, each box once."""
    distance = np.abs(a[:, None] - b[None]).max(axis=-1, initial=0.0)
    pairs: list[tuple[int, int]] = []
    for k in np.argsort(distance, axis=None, kind="stable").tolist():
        i, j = divmod(k, len(b))
        if distance[i, j] <= BOX_TOLERANCE_PX and i not in dict(pairs) and j not in {q for _, q in pairs}:
            pairs.append((i, j))
    return pairs


def breakdown(dataset: Dataset, labels: LabelVersion, model: Path, out: Path) -> dict[str, float]:
    """Seconds of each part of lidloop's work, run one after the other.

    ``network`` is the backbone and the scores; ``decode`` includes the boxes and points of the found faces.
    A real run reads pictures while the network works, so the parts add up to more than its time.
    """
    seconds = dict.fromkeys(("load", "read_and_prepare", "network", "decode", "filter_and_write"), 0.0)
    detector = _clocked(seconds, "load", lambda: load_detector(model))
    forward = detector.forward
    detector.forward = lambda prepared: _clocked(seconds, "network", lambda: forward(prepared))  # type: ignore[method-assign]
    for start in range(0, len(dataset.records), 32):
        chunk = dataset.records[start : start + 32]
        prepared = _clocked(seconds, "read_and_prepare", lambda c=chunk: _prepare(dataset, detector, c))
        _clocked(seconds, "decode", lambda p=prepared: detector.detect_prepared(p))
    seconds["decode"] -= seconds["network"]
    shard = predict_shard(dataset, model, out / "predictions")
    _clocked(
        seconds, "filter_and_write",
        lambda: refine(dataset, labels, [shard], out / "labels", iteration=detector.iteration,
                       conf=CONF, iou=IOU, paper_exact=True),
    )  # fmt: skip
    return seconds


def _prepare(dataset: Dataset, detector: Detector, records: Sequence[Any]) -> list[Any]:
    return [detector.prepare(read_rgb(dataset.path(record.id))) for record in records]


def _clocked(seconds: dict[str, float], name: str, work: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = work()
    seconds[name] += time.perf_counter() - start
    return result


def measure(
    dataset: Dataset, labels: LabelVersion, model: Path, work: Path, *, imgsz: int, repeat: int,
    progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Time both sides alternately on one dataset and compare the labels that they keep.

    Args:
        model: a model folder whose ``training.json`` names ``imgsz``.
        work: an empty folder.

    Raises:
        Disagreement: see ``compare``.
    """
    progress("warming up")
    few, few_labels = first_pictures(dataset, labels, 8, work / "few")
    run_lidloop(few, few_labels, model, work / "warm-lidloop")
    texts, few_texts = work / "texts", work / "few-texts"
    write_texts(labels, dataset, texts)
    write_texts(few_labels, few, few_texts)
    run_paper(few, few_texts, model, work / "warm-paper", imgsz)
    mine: list[float] = []
    other: list[float] = []
    halves: list[tuple[float, float]] = []
    for k in range(repeat):
        progress(f"round {k + 1} of {repeat}: the paper's procedure")
        gc.collect()
        start = time.perf_counter()
        plain = run_paper(dataset, texts, model, work / f"paper-{k}", imgsz)
        other.append(time.perf_counter() - start)
        halves.append((plain.predict_seconds, plain.filter_seconds))
        progress(f"round {k + 1} of {repeat}: lidloop")
        gc.collect()
        start = time.perf_counter()
        grown = run_lidloop(dataset, labels, model, work / f"lidloop-{k}")
        mine.append(time.perf_counter() - start)
        agreement = compare(dataset, labels, grown, plain.added)
    progress("the paper's procedure with every core")
    start = time.perf_counter()
    run_paper(dataset, texts, model, work / "paper-all-cores", imgsz, all_cores=True)
    all_cores = time.perf_counter() - start
    progress("parts of lidloop's time")
    n = len(dataset.records)
    return {
        "pictures": n, "imgsz": imgsz, "repeat": repeat,
        "lidloop_seconds": mine, "paper_seconds": other, "paper_all_cores_seconds": all_cores,
        "lidloop_per_second": n / median(mine), "paper_per_second": n / median(other),
        "ratio": median(other) / median(mine), "ratio_all_cores": all_cores / median(mine), "target": TARGET,
        "paper_predict_seconds": median(p for p, _ in halves),
        "paper_filter_seconds": median(f for _, f in halves),
        "parts": breakdown(dataset, labels, model, work / "parts"),
        "agreement": agreement,
    }  # fmt: skip


def first_pictures(
    dataset: Dataset, labels: LabelVersion, count: int, out: Path
) -> tuple[Dataset, LabelVersion]:
    """Make a dataset of the first ``count`` pictures of another, as links, with their labels."""
    records = dataset.records[:count]
    root = out / "dataset"
    (root / "images").mkdir(parents=True)
    for record in records:
        (root / "images" / record.file).symlink_to(dataset.path(record.id).resolve())
    few = Dataset.write(root, records, {})
    return few, write_initial(out / "labels", few, labels.labels(dataset).reindex([r.id for r in records]))


def model_at(weights: Path, imgsz: int, out: Path) -> Path:
    """Make a model folder of ``weights`` with an ONNX file exported for an input of ``imgsz`` pixels."""
    out.mkdir(parents=True)
    (out / "weights.pt").symlink_to(weights.resolve())
    export_onnx(out, imgsz=imgsz)
    write_atomic(out / "training.json", json.dumps({"imgsz": imgsz, "iteration": 0}))
    return out


def run(
    *, model: Path | None = None, drawn: bool | None = None, pictures: int = 200, imgsz: int = 640,
    repeat: int = 3, seed: int = 0, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Measure on real pictures if ``LIDLOOP_300W`` names some, else on drawn ones.

    Args:
        model: a model folder; by default the demo weights, which were trained on drawn faces only.
        drawn: True to draw the pictures; by default if there are no real ones, or no model trained on them.
        pictures: number of pictures or real annotations; annotations may share a picture.

    Raises:
        Disagreement: if the two sides keep different labels.
    """
    from lidloop.data.convert import convert
    from lidloop.demo import demo_weights
    from lidloop.synthetic import write_faces_folder

    weights = demo_weights() if model is None else model / "weights.pt"
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        progress("making the dataset")
        if drawn is None:
            drawn = model is None or not os.environ.get(REAL_FACES)
        if drawn:
            write_faces_folder(work / "source", images=pictures, seed=1000 + seed, hide=0.3)
            source, data = f"yolo:{work / 'source'}", "drawn faces, 30 % of the labels hidden"
        else:
            real = path_from_environment(REAL_FACES, "real pictures")
            count = sample_ibug(real, work / "source", annotations=pictures, seed=seed)
            source, data = f"ibug:{work / 'source'}", f"{count} annotations drawn from {REAL_FACES}"
        dataset, labels = convert([source], work / "dataset", work / "labels-v0", seed=seed)
        progress("exporting the model")
        folder = model_at(weights, imgsz, work / "model")
        place = work / "work"
        report = measure(dataset, labels, folder, place, imgsz=imgsz, repeat=repeat, progress=progress)
    return {
        "question": "auto-label and filter, pictures per second", "data": data,
        "weights": "committed demo weights" if model is None else "a model given by --model or --run",
        **report,
    }  # fmt: skip


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    lidloop = f"{report['lidloop_per_second']:.2f} pictures/s"
    all_cores = report["pictures"] / report["paper_all_cores_seconds"]
    return [
        Row(
            "Auto-label + filter, same labels kept", lidloop, f"{report['paper_per_second']:.2f} pictures/s",
            f"{report['ratio']:.2f}×", *at_least(report["ratio"], report["target"], f"{report['target']:g}×"),
        ),
        Row(
            "The same, Ultralytics given every core (by default it leaves one idle)", lidloop,
            f"{all_cores:.2f} pictures/s", f"{report['ratio_all_cores']:.2f}×", *NO_TARGET,
        ),
    ]  # fmt: skip

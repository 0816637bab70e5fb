"""Time of detection against the bare network, and the gain by INT8 and OpenVINO.

The baseline is a bare forward pass of the whole network on ONNX Runtime with default options, on prepared
pixels. It is compared with all of detection, from a decoded picture to faces: scaling, the split network,
non-maximum suppression, points. All run alternately on the same pictures, one at a time; the median counts.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks.auto_label import model_at
from benchmarks.common import NO_TARGET, Progress, Row, at_most, no_progress
from lidloop.data.convert import convert
from lidloop.demo import demo_weights
from lidloop.detection.detector import Detector, Image, as_input, load_detector
from lidloop.images import read_rgb
from lidloop.labels import Face
from lidloop.synthetic import write_faces_folder
from lidloop.training.quantise import try_int8

TARGET: Final = 0.7
"""Share of the bare forward pass. The service, which does more, may take 0.85 of it over HTTP."""

CONF: Final = 0.25
REST: Final = 0.1
"""Seconds between calls: with default options ONNX Runtime's threads go on spinning for a while."""

BARE: Final = "bare"
DEMO_IMGSZ: Final = 256

_NAMES: Final = {
    "parts": "Detection, split network",
    "whole": "Detection, whole network",
    "int8": "Detection, split network, INT8",
    "openvino": "Detection, split network, OpenVINO",
    "openvino_whole": "Detection, whole network, OpenVINO",
}


def bare(model: Path, images: Sequence[Image], detector: Detector) -> list[Callable[[], Any]]:
    """A forward pass for each picture: whole network, default options, prepared pixels."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(model / "model.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    inputs = [as_input([detector.prepare(image)]) for image in images]
    return [lambda x=x: session.run(None, {name: x}) for x in inputs]  # type: ignore[misc]


def measure(
    model: Path, images: Sequence[Image], *, repeat: int, openvino: bool, progress: Progress = no_progress
) -> dict[str, Any]:
    """Time all variants alternately, one picture each, and compare their faces with the whole network's.

    Args:
        model: a model folder with an INT8 variant.
        repeat: calls per picture.
        openvino: True to measure OpenVINO, too.
    """
    detectors = {
        "parts": load_detector(model),
        "whole": load_detector(model, whole=True),
        "int8": load_detector(model, variant="int8"),
    }
    if openvino:
        detectors["openvino"] = load_detector(model, backend="openvino")
        detectors["openvino_whole"] = load_detector(model, backend="openvino", whole=True)
    reference = [detectors["whole"].detect([image], conf=CONF)[0] for image in images]
    apart = {name: _apart(d, images, reference) for name, d in detectors.items() if name != "whole"}
    work: dict[str, list[Callable[[], Any]]] = {
        BARE: bare(model, images, detectors["whole"]),
        **{
            name: [lambda d=d, image=image: d.detect([image], conf=CONF) for image in images]  # type: ignore[misc]
            for name, d in detectors.items()
        },
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(-1, repeat):  # the first round warms up and does not count
        progress(f"round {turn + 1} of {repeat}")
        for k in range(len(images)):
            for name, calls in work.items():
                time.sleep(REST)
                start = time.perf_counter()
                calls[k]()
                if turn >= 0:
                    seconds[name].append(time.perf_counter() - start)
    p50 = {name: median(values) for name, values in seconds.items()}
    return {
        "pictures": len(images),
        "faces": sum(map(len, reference)),
        "repeat": repeat,
        "ms": {name: 1e3 * value for name, value in p50.items()},
        "ratio": {name: value / p50[BARE] for name, value in p50.items() if name != BARE},
        "apart": apart,
    }


def _apart(
    detector: Detector, images: Sequence[Image], reference: Sequence[Sequence[Face]]
) -> dict[str, Any]:
    """Number of pictures with another number of faces than the reference, and the largest and median distance
    of a point in the other pictures, in pixels."""
    found = [detector.detect([image], conf=CONF)[0] for image in images]
    pairs = [
        (a, b)
        for faces, others in zip(found, reference, strict=True)
        if len(faces) == len(others)
        for a, b in zip(faces, others, strict=True)
    ]
    off = [np.linalg.norm(a.points[:, :2] - b.points[:, :2], axis=1) for a, b in pairs]
    return {
        "other_counts": sum(len(a) != len(b) for a, b in zip(found, reference, strict=True)),
        "max_px": float(np.max(off)) if off else None,
        "median_px": float(np.median(off)) if off else None,
    }


def run(
    *, model: Path | None = None, imgsz: int = 640, pictures: int = 6, repeat: int = 8, judged: int = 300,
    seed: int = 0, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Measure on drawn pictures.

    Args:
        model: a model folder; by default the demo weights.
        imgsz: side of the square input that is timed, in pixels.
        pictures: number of pictures that are timed.
        judged: number of pictures that calibrate and evaluate INT8.
    """
    weights = demo_weights() if model is None else model / "weights.pt"
    trained_at = (
        DEMO_IMGSZ if model is None else int(json.loads((model / "training.json").read_text())["imgsz"])
    )
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        progress("drawing pictures")
        timed = write_faces_folder(work / "timed", images=pictures, seed=3000 + seed, size=(imgsz, imgsz))
        images = [read_rgb(path) for path in sorted((timed / "images").rglob("*.jpg"))]
        source = write_faces_folder(work / "judged", images=judged, seed=4000 + seed)
        dataset, gold = convert([f"yolo:{source}"], work / "dataset", work / "labels-v0", keep_splits=True)
        verdicts = {}
        for size in dict.fromkeys((trained_at, imgsz)):
            progress(f"quantising at {size} px and evaluating on gold")
            folder = model_at(weights, size, work / f"model-{size}")
            verdicts[str(size)] = try_int8(folder, dataset, gold, work / f"tried-{size}")
        openvino = importlib.util.find_spec("openvino") is not None
        report = measure(work / f"tried-{imgsz}", images, repeat=repeat, openvino=openvino, progress=progress)
    return {
        "question": "detection against the bare whole network", "imgsz": imgsz,
        "weights": "committed demo weights" if model is None else "a model given by --model or --run",
        "target": TARGET, "int8": verdicts, **report,
    }  # fmt: skip


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    return [
        Row(
            _NAMES[name], f"{report['ms'][name]:.1f} ms", f"{report['ms'][BARE]:.1f} ms, the bare network",
            f"{ratio:.2f}×",
            *(at_most(ratio, report["target"], f"{report['target']:g}×") if name == "parts" else NO_TARGET),
        )
        for name, ratio in report["ratio"].items()
    ]  # fmt: skip

"""What does detection cost, against the whole network alone, and what do INT8 and OpenVINO give?

The yardstick is a bare forward pass of the whole network on ONNX Runtime with its default options, on pixels
that are ready. Against it stands all of detection, from a decoded picture to faces: scaling, the network in
parts, non-maximum suppression, points. All take turns on the same pictures, one at a time, and the median
counts. ``python -m benchmarks.detection --model DIR --json OUT``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks.auto_label import model_at
from benchmarks.common import Row, Say, quiet, show
from lidloop.data.convert import convert
from lidloop.demo import demo_weights
from lidloop.detection.detector import Detector, Image, as_input, load_detector
from lidloop.images import read_rgb
from lidloop.labels import Face
from lidloop.synthetic import write_faces_folder
from lidloop.training.quantise import try_int8

TARGET: Final = 0.7
"""Of the bare forward pass. The service may take 0.85 of it over HTTP, and does more than detect."""

CONF: Final = 0.25
REST: Final = 0.1
"""Seconds between turns: threads of ONNX Runtime's default options go on spinning for a while."""

BARE: Final = "bare"
DEMO_IMGSZ: Final = 256

_NAMES: Final = {
    "parts": "Detection, network in parts",
    "whole": "Detection, whole network",
    "int8": "Detection, network in parts, INT8",
    "openvino": "Detection, network in parts, OpenVINO",
    "openvino_whole": "Detection, whole network, OpenVINO",
}


def bare(model: Path, images: Sequence[Image], detector: Detector) -> list[Callable[[], Any]]:
    """A bare forward pass for each picture: whole network, default options, pixels ready."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(model / "model.onnx"), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    inputs = [as_input([detector.prepare(image)]) for image in images]
    return [lambda x=x: session.run(None, {name: x}) for x in inputs]  # type: ignore[misc]


def measure(
    model: Path, images: Sequence[Image], *, repeat: int, openvino: bool, say: Say = quiet
) -> dict[str, Any]:
    """Time all ways in turns, one picture each, and hold their faces against the whole network's.

    Args:
        model: a model folder with an INT8 variant.
        repeat: turns per picture.
        openvino: whether to measure OpenVINO too.
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
    for turn in range(-1, repeat):  # the first warms up and does not count
        say(f"round {turn + 1} of {repeat}")
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
    """Pictures with another number of faces than the reference, and in the others the largest and the median
    distance of a point in pixels."""
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
    seed: int = 0, say: Say = quiet,
) -> dict[str, Any]:  # fmt: skip
    """Measure on drawn pictures.

    Args:
        model: a model folder; by default the demo weights.
        imgsz: side of the square input that is timed.
        pictures: how many are timed. judged: how many calibrate and judge INT8, at the size that the model
            was trained at.
    """
    weights = demo_weights() if model is None else model / "weights.pt"
    trained_at = (
        DEMO_IMGSZ if model is None else int(json.loads((model / "training.json").read_text())["imgsz"])
    )
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        say("drawing pictures")
        timed = write_faces_folder(work / "timed", images=pictures, seed=3000 + seed, size=(imgsz, imgsz))
        images = [read_rgb(path) for path in sorted((timed / "images").rglob("*.jpg"))]
        source = write_faces_folder(work / "judged", images=judged, seed=4000 + seed)
        dataset, gold = convert([f"yolo:{source}"], work / "dataset", work / "labels-v0", keep_splits=True)
        verdicts = {}
        for size in dict.fromkeys((trained_at, imgsz)):
            say(f"quantising at {size} px and judging on gold")
            folder = model_at(weights, size, work / f"model-{size}")
            verdicts[str(size)] = try_int8(folder, dataset, gold, work / f"tried-{size}")
        try:
            import openvino  # noqa: F401
        except ImportError:
            there = False
        else:
            there = True
        report = measure(work / f"tried-{imgsz}", images, repeat=repeat, openvino=there, say=say)
    return {
        "question": "detection against the bare whole network", "imgsz": imgsz,
        "weights": "committed demo weights" if model is None else "a model given by --model or --run",
        "target": TARGET, "int8": verdicts, **report,
    }  # fmt: skip


def rows(report: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    theirs = f"{report['ms'][BARE]:.1f} ms, the whole network alone"
    lines = []
    for name, ratio in report["ratio"].items():
        target = report["target"] if name == "parts" else None
        lines.append(
            Row(
                _NAMES[name], f"{report['ms'][name]:.1f} ms", theirs, f"{ratio:.2f}×",
                "–" if target is None else f"≤ {target:g}×", None if target is None else ratio <= target,
            )
        )  # fmt: skip
    return lines


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the table."""
    apart, ms = report["apart"], report["ms"]
    off = "; ".join(
        f"{name.replace('_', ' ')} {values['max_px']:.4f} px"
        for name, values in apart.items()
        if name != "int8" and values["max_px"] is not None
    )
    small = apart["int8"]
    return [
        f"{report['pictures']} drawn pictures of {report['imgsz']} × {report['imgsz']} px, {report['faces']} "
        f"faces ({report['weights']}); one picture at a time, median of {report['repeat']} turns each. "
        "Detection counts from the decoded picture to faces; the whole network alone gets pixels that are "
        "ready, on ONNX Runtime with default options.",
        f"With the same options, the network in parts takes {ms['parts'] / ms['whole']:.2f} of the whole "
        "network's time. The rest of the difference is that lidloop's threads do not spin while they wait, "
        "which shows where cores are shared.",
        f"Largest distance of a point from the whole network's: {off}.",
        *(_verdict(tried, size) for size, tried in report["int8"].items()),
        f"With INT8, {small['other_counts']} of the pictures timed have another number of faces; half of the "
        f"points of the others move by less than {small['median_px'] or 0:.2f} px.",
    ]


def _verdict(tried: Mapping[str, Any], imgsz: str) -> str:
    verdict = "accepted" if tried["accepted"] else "refused"
    return (
        f"INT8 at {imgsz} px is {verdict} on {tried['gold']['faces']} gold faces (drawn; "
        f"{tried['calibration_pictures']} pictures calibrate): {'; '.join(tried['reasons'])}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--model", type=Path, help="a model folder; default: the demo weights")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--repeat", type=int, default=8)
    parser.add_argument("--judged", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the result")
    given = parser.parse_args()
    report = run(
        model=given.model, imgsz=given.imgsz, pictures=given.pictures, repeat=given.repeat,
        judged=given.judged, seed=given.seed, say=print,
    )  # fmt: skip
    show(report, rows(report), notes(report), json_file=given.json, word="against")


if __name__ == "__main__":
    main()

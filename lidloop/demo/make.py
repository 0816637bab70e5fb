"""Make the demo weights again: ``python -m lidloop.demo.make``; a quarter of an hour on two cores.

Everything is drawn: 1,200 training pictures from one seed, judged on pictures from another.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from lidloop.autolabel.predict import VAL_FLOOR, predict
from lidloop.data.convert import convert
from lidloop.demo import demo_weights
from lidloop.detection.detector import load_detector
from lidloop.evaluation.evaluate import evaluate
from lidloop.files import sha256, write_atomic
from lidloop.synthetic import write_faces_folder
from lidloop.training.fine_tune import TrainSettings, train

ARCHITECTURE: Final = "yolov8n-pose.yaml"
SIGMA: Final = {"kind": "anneal", "start": 0.2, "end": 0.03, "hold": 0.2}


def make(
    *, images: int = 1500, epochs: int = 18, imgsz: int = 256, seed: int = 1000, test_images: int = 200
) -> dict[str, object]:
    """Train from random numbers on drawn faces; write ``weights.pt`` and ``weights.json``, return these."""
    settings = TrainSettings(
        epochs=epochs, imgsz=imgsz, seed=seed, lr=0.002, batch=16, device="cpu", sigma=SIGMA, ignore=None
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder = write_faces_folder(place / "faces", images=images, seed=seed)
        dataset, labels = convert([f"yolo:{folder}"], place / "dataset", place / "labels", keep_splits=True)
        model = train(dataset, labels, place / "model", iteration=0, weights=ARCHITECTURE, settings=settings)
        unseen = write_faces_folder(place / "unseen", images=test_images, seed=seed + 1)
        test, truth = convert([f"yolo:{unseen}"], place / "test", place / "truth", split=0.0)
        found, _ = predict(test, load_detector(model), test.records, floor=VAL_FLOOR)
        metrics = evaluate(found, truth.labels(test)).to_dict()
        shutil.copyfile(model / "weights.pt", demo_weights())
        training = json.loads((model / "training.json").read_text(encoding="utf-8"))
    info = {
        "command": "python -m lidloop.demo.make",
        "sha256": sha256(demo_weights()),
        "bytes": demo_weights().stat().st_size,
        "architecture": ARCHITECTURE,
        "pictures": images,
        "training": {key: training[key] for key in ("settings", "label_counts", "versions", "seconds")},
        "unseen": {"pictures": test_images, "seed": seed + 1, **metrics},
    }
    write_atomic(demo_weights().with_suffix(".json"), json.dumps(info, indent=1) + "\n")
    return info


def main(
    images: Annotated[
        int, typer.Option(help="Drawn pictures; a fifth of them chooses the best epoch.")
    ] = 1500,
    epochs: Annotated[int, typer.Option(help="Passes over them.")] = 18,
    imgsz: Annotated[int, typer.Option(help="Longer side of the network's input in pixels.")] = 256,
    seed: Annotated[
        int, typer.Option(help="Of the pictures and of training; the test uses seed + 1.")
    ] = 1000,
) -> None:
    """Train the demo weights from random numbers on drawn faces and replace the committed ones."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    typer.echo(json.dumps(make(images=images, epochs=epochs, imgsz=imgsz, seed=seed), indent=1))


if __name__ == "__main__":
    typer.run(main)

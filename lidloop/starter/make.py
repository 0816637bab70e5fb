"""Make the starter weights again: ``python -m lidloop.starter.make --base-weights yolov8n-pose.pt``.

Everything that is learned from is drawn, in the style ``photo`` of ``lidloop.synthetic``: no photograph of a
person takes part. Training runs in stages, each from the weights of the one before, on pictures of its own
seed; an hour on two cores.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from lidloop.autolabel.predict import VAL_FLOOR, predict
from lidloop.data.convert import convert
from lidloop.detection.detector import load_detector
from lidloop.evaluation.evaluate import evaluate
from lidloop.files import sha256, write_atomic
from lidloop.starter.half import store_half
from lidloop.synthetic import write_faces_folder
from lidloop.synthetic.photo import photo_options
from lidloop.training.fine_tune import DEFAULT_WEIGHTS, TrainSettings, resolve_weights, train

log = logging.getLogger("lidloop")

LICENCE: Final = (
    "AGPL-3.0 (lidloop, and Ultralytics' YOLOv8n-pose weights for COCO that training starts from)"
)
SCORE: Final = 0.25
"""Smallest score of a face that is shown."""
TEST_SEED: Final = 7900
TEST_SIZE: Final = (320, 320)
"""Seed of the drawn pictures that only measure, and the size of all drawn pictures."""
_VAL_PICTURES: Final = 150
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One fine-tune on pictures of its own.

    Attributes:
        pictures: number of drawn pictures; ``_VAL_PICTURES`` of them choose the best epoch.
        seed: of the pictures.
        training_seed: of augmentation and of the weights of a new head.
    """

    pictures: int
    seed: int
    training_seed: int
    epochs: int
    lr: float
    sigma: dict[str, Any]
    batch: int = 32
    imgsz: int = 256
    mosaic: float = 0.25
    rotate: float = 15.0
    scale: float = 0.5
    freeze: int = 5
    """The layers up to a stride of 8, which saw photographs, keep their weights."""

    def settings(self) -> TrainSettings:
        return TrainSettings(
            epochs=self.epochs, imgsz=self.imgsz, batch=self.batch, device="cpu", seed=self.training_seed,
            workers=2,
            lr=self.lr, rotate=self.rotate, scale=self.scale, shear=3.0, perspective=0.0002, sigma=self.sigma,
            mosaic=self.mosaic, freeze=self.freeze, ignore=None,
        )  # fmt: skip


STAGES: Final = (
    Stage(
        pictures=4500, seed=7100, training_seed=7100, epochs=4, lr=0.0025,
        sigma={"kind": "anneal", "start": 0.12, "end": 0.03, "hold": 0.0},
    ),
    Stage(
        pictures=4500, seed=7100, training_seed=7101, epochs=2, lr=0.0025, batch=16, mosaic=0.0, rotate=10.0,
        scale=0.35,
        sigma={"kind": "anneal", "start": 0.03, "end": 0.02, "hold": 0.0},
    ),
)  # fmt: skip


def make(
    base: str, out: Path, *, stages: tuple[Stage, ...] = STAGES, test_pictures: int = 200
) -> dict[str, Any]:
    """Train the starter weights and write ``weights.pt``, ``model.onnx`` and ``weights.json`` into ``out``.

    Args:
        base: path of the weights to start from.
        out: an existing folder; files of these names are replaced when all is done.
        test_pictures: drawn pictures of another seed that measure the result.

    Returns:
        The content of ``weights.json``.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        weights: str | Path = base
        for number, stage in enumerate(stages, start=1):
            log.info("stage %d of %d: %d pictures", number, len(stages), stage.pictures)
            weights = run_stage(stage, weights, place / f"stage{number}")
        model = Path(weights)
        card = {
            "command": f"python -m lidloop.starter.make --base-weights {Path(base).name}",
            "licence": LICENCE,
            "base_weights": {"name": Path(base).name, "sha256": sha256(Path(base))},
            "data": "drawn faces only (lidloop.synthetic, style photo); no photograph with landmarks",
            "score": SCORE,
            **describe(model, stages),
            "drawn": measure_drawn(model, place / "unseen", pictures=test_pictures),
        }
        publish(model, out, card)
    return card


def run_stage(stage: Stage, weights: str | Path, place: Path) -> Path:
    """Draw the pictures of a stage and train on them; return the model folder."""
    folder = write_faces_folder(
        place / "faces", images=stage.pictures, seed=stage.seed, size=TEST_SIZE, options=photo_options(),
        val_fraction=min(_VAL_PICTURES / stage.pictures, 0.05),
    )  # fmt: skip
    dataset, labels = convert([f"yolo:{folder}"], place / "dataset", place / "labels", keep_splits=True)
    shutil.rmtree(folder)
    return train(dataset, labels, place / "model", iteration=0, weights=weights, settings=stage.settings())


def describe(model: Path, stages: tuple[Stage, ...]) -> dict[str, Any]:
    """Entries of the model card on the training of a model folder."""
    trained = json.loads((model / "training.json").read_text(encoding="utf-8"))
    return {
        "imgsz": trained["imgsz"],
        "stages": [asdict(stage) for stage in stages],
        "options": asdict(photo_options()),
        "versions": trained["versions"],
    }


def measure_drawn(model: Path, work: Path, *, pictures: int) -> dict[str, Any]:
    """Figures of a model on drawn pictures of a seed that none was trained on."""
    options = photo_options()
    folder = write_faces_folder(
        work / "faces", images=pictures, seed=TEST_SEED, size=TEST_SIZE, options=options
    )
    test, truth = convert([f"yolo:{folder}"], work / "dataset", work / "labels", split=0.0)
    found, _ = predict(test, load_detector(model), test.records, floor=VAL_FLOOR)
    result = evaluate(found, truth.labels(test), score=SCORE).overall
    return {"pictures": pictures, "seed": TEST_SEED, "overall": result.to_dict()}


def publish(model: Path, out: Path, card: dict[str, Any]) -> None:
    """Write the three files of the starter from a model folder; the card gets their digests."""
    onnx = store_half(model / "model.onnx", out / "model.onnx")
    write_atomic(out / "weights.pt", (model / "weights.pt").read_bytes())
    files = {
        path.name: {"sha256": sha256(path), "bytes": path.stat().st_size}
        for path in (out / "weights.pt", onnx)
    }
    write_atomic(out / "weights.json", json.dumps({**card, "files": files}, indent=1) + "\n")


def main(
    base_weights: Annotated[
        str, typer.Option(help="YOLOv8n-pose weights to start from: a name of Ultralytics, or a path.")
    ] = DEFAULT_WEIGHTS,
    out: Annotated[Path, typer.Option(help="Folder whose files are replaced.")] = _HERE,
) -> None:
    """Train the starter weights on drawn faces and replace the committed ones."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    typer.echo(json.dumps(make(resolve_weights(base_weights), out), indent=1))


if __name__ == "__main__":
    typer.run(main)

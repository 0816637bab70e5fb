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
from typing import Any, Final

from lidloop.autolabel.predict import VAL_FLOOR, predict
from lidloop.data.convert import convert
from lidloop.detection.detector import load_detector
from lidloop.evaluation.evaluate import evaluate
from lidloop.files import sha256, write_atomic
from lidloop.synthetic import write_faces_folder
from lidloop.synthetic.photo import photo_options
from lidloop.training.fine_tune import TrainSettings, train

TEST_SEED: Final = 7900
"""Of the drawn pictures that only measure."""

_SIZE: Final = (320, 320)
_VAL_PICTURES: Final = 120


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One fine-tune on pictures of its own.

    Attributes:
        pictures: number of drawn pictures; ``_VAL_PICTURES`` of them choose the best epoch.
        seed: of the pictures and of training.
    """

    pictures: int
    seed: int
    epochs: int
    lr: float
    sigma: dict[str, Any]
    imgsz: int = 320
    freeze: int = 0

    def settings(self) -> TrainSettings:
        return TrainSettings(
            epochs=self.epochs, imgsz=self.imgsz, batch=16, device="cpu", seed=self.seed, workers=2,
            lr=self.lr, rotate=15.0, scale=0.5, shear=3.0, perspective=0.0002, sigma=self.sigma,
            freeze=self.freeze,
        )  # fmt: skip


STAGES: Final = (
    Stage(
        pictures=3500, seed=7100, epochs=4, lr=0.0015,
        sigma={"kind": "anneal", "start": 0.1, "end": 0.025, "hold": 0.2},
    ),
)  # fmt: skip


def make(base: str, out: Path, *, stages: tuple[Stage, ...] = STAGES, test_pictures: int = 200) -> Path:
    """Train the starter weights and write a model folder with ``starter.json``, all or nothing.

    Args:
        base: the weights to start from, as in ``lidloop.training.fine_tune.train``.
        out: the folder to write: a new one, or an empty one.
        test_pictures: drawn pictures of another seed that measure the result.
    """
    log = logging.getLogger("lidloop")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        weights: str | Path = base
        for number, stage in enumerate(stages, start=1):
            log.info("stage %d of %d: %d pictures", number, len(stages), stage.pictures)
            here = place / f"stage{number}"
            folder = write_faces_folder(
                here / "faces", images=stage.pictures, seed=stage.seed, size=_SIZE, options=photo_options(),
                val_fraction=min(_VAL_PICTURES / stage.pictures, 0.5),
            )  # fmt: skip
            dataset, labels = convert([f"yolo:{folder}"], here / "dataset", here / "labels", keep_splits=True)
            shutil.rmtree(folder)
            last = number == len(stages)
            model = out if last else place / f"model{number}"
            train(dataset, labels, model, iteration=0, weights=weights, settings=stage.settings())
            weights = model
        unseen = write_faces_folder(
            place / "unseen", images=test_pictures, seed=TEST_SEED, size=_SIZE, options=photo_options()
        )
        test, truth = convert([f"yolo:{unseen}"], place / "test", place / "truth", split=0.0)
        found, _ = predict(test, load_detector(out), test.records, floor=VAL_FLOOR)
        drawn = evaluate(found, truth.labels(test)).overall.to_dict()
    trained = json.loads((out / "training.json").read_text(encoding="utf-8"))
    info = {
        "command": f"python -m lidloop.starter.make --base-weights {Path(base).name}",
        "sha256": sha256(out / "weights.pt"),
        "base_weights": {
            "name": Path(base).name,
            "sha256": sha256(Path(base)) if Path(base).exists() else "",
        },
        "stages": [asdict(stage) for stage in stages],
        "options": asdict(photo_options()),
        "versions": trained["versions"],
        "drawn": {"pictures": test_pictures, "seed": TEST_SEED, "overall": drawn},
    }
    write_atomic(out / "starter.json", json.dumps(info, indent=1) + "\n")
    return out

"""Epochs to a given gold NME with lidloop's sigma recipe and with Ultralytics' default sigma.

Pictures, start weights, seed and settings are the same; only the OKS sigma of the keypoint loss differs. The
recipe trains for E epochs, and the gold NME after its last epoch is the target. The default then trains for
F × E epochs, in one training with the schedule of that length, and is evaluated after every epoch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    BASE_WEIGHTS,
    REAL_FACES,
    Progress,
    Row,
    Skipped,
    at_least,
    no_progress,
    path_from_environment,
    sample_ibug,
)
from benchmarks.pages.markdown import percent
from lidloop.autolabel.predict import predict
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import Detector, torch_network
from lidloop.evaluation.evaluate import evaluate
from lidloop.training.fine_tune import SIGMA_RECIPE, ULTRALYTICS_DEFAULT, TrainSettings, train

FACTOR: Final = 5
SCORE: Final = 0.05
"""Lowest score of a prediction that counts. It is lower than elsewhere since scores are still low after one
or two epochs, and only the points are compared."""


def gold(dataset: Dataset, labels: LabelVersion, checkpoint: Path, imgsz: int) -> dict[str, Any]:
    """Gold figures of a checkpoint's averaged weights: NME (a fraction, or None), matched and all faces."""
    detector = Detector(torch_network(checkpoint, "cpu"), imgsz=imgsz, iteration=0, digest="")
    records = dataset.split("val")
    found, _ = predict(dataset, detector, records)
    truth = labels.labels(dataset, "val").reindex([r.id for r in records])
    overall = evaluate(found, truth, score=SCORE).overall
    return {"nme": overall.nme_mean, "matched": overall.matched, "faces": overall.faces}


@contextmanager
def checkpoints_kept(out: Path) -> Iterator[None]:
    """Copy the checkpoint of every epoch of any training within the block to ``out/<epoch>.pt``."""
    from ultralytics.utils.callbacks.base import default_callbacks

    out.mkdir(parents=True)

    def keep(trainer: Any) -> None:
        shutil.copyfile(trainer.last, out / f"{trainer.epoch + 1:04d}.pt")

    default_callbacks["on_model_save"].append(keep)
    try:
        yield
    finally:
        default_callbacks["on_model_save"].remove(keep)


def curve(
    dataset: Dataset, labels: LabelVersion, weights: Path, work: Path, *, sigma: Mapping[str, Any],
    settings: Callable[..., TrainSettings], epochs: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train, and return the gold figures after every epoch, ``epoch`` counted from 1."""
    chosen = settings(sigma=dict(sigma), epochs=epochs)
    with checkpoints_kept(work / "epochs"):
        train(dataset, labels, work / "model", iteration=0, weights=weights, settings=chosen)
    return [
        {"epoch": int(file.stem), **gold(dataset, labels, file, chosen.imgsz)}
        for file in sorted((work / "epochs").glob("*.pt"))
    ]


def first_epoch(figures: list[dict[str, Any]], target: float) -> int | None:
    """The first epoch whose NME is at most the target; None if there is none."""
    return next((f["epoch"] for f in figures if f["nme"] is not None and f["nme"] <= target), None)


def verdict(recipe: list[dict[str, Any]], default: list[dict[str, Any]], factor: int) -> dict[str, Any]:
    """Compare the NME of the default, epoch by epoch, with that of the recipe after its last epoch.

    Returns:
        ``ratio`` of epochs, ``at_least`` True if that is only a lower bound, and what it was computed from.

    Raises:
        RuntimeError: if the recipe ends without a defined NME.
    """
    epochs, target = recipe[-1]["epoch"], recipe[-1]["nme"]
    if target is None:
        raise RuntimeError(f"after {epochs} epochs the recipe finds no face: give more epochs or pictures")
    reached = first_epoch(default, target)
    return {
        "target_nme": target, "epochs": epochs, "default_epochs": default[-1]["epoch"], "reached": reached,
        "ratio": factor if reached is None else reached / epochs, "at_least": reached is None,
        "target": FACTOR,
    }  # fmt: skip


def run(
    *, annotations: int = 320, imgsz: int = 192, epochs: int = 2, factor: int = FACTOR, batch: int = 8,
    seed: int = 0, source: str = "lfpw", progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Train both on a sample of real pictures.

    Args:
        annotations: number of ``.pts`` files; a fifth of them is for validation.
        epochs: epochs of the recipe.
        factor: the default trains for so many times ``epochs``.
        source: folder under ``LIDLOOP_300W``.

    Raises:
        Skipped: without ``LIDLOOP_300W`` or ``LIDLOOP_BASE_WEIGHTS``.
    """
    real = path_from_environment(REAL_FACES, "real pictures") / source
    weights = path_from_environment(BASE_WEIGHTS, "weights that were not trained on these landmarks")
    if not real.is_dir():
        raise Skipped(f"needs the folder {source} under {REAL_FACES}")
    from lidloop.data.convert import convert

    def settings(**changed: Any) -> TrainSettings:
        return TrainSettings(imgsz=imgsz, batch=batch, device="cpu", seed=seed, workers=2, **changed)

    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        count = sample_ibug(real, work / "source", annotations=annotations, seed=seed)
        dataset, labels = convert(
            [f"ibug:{work / 'source'}"], work / "dataset", work / "labels-v0", seed=seed
        )
        progress(f"lidloop's recipe, {epochs} epochs")
        recipe = curve(dataset, labels, weights, work / "recipe", sigma=SIGMA_RECIPE, settings=settings,
                       epochs=epochs)  # fmt: skip
        progress(f"the default sigma, {factor * epochs} epochs")
        default = curve(dataset, labels, weights, work / "default", sigma=ULTRALYTICS_DEFAULT,
                        settings=settings, epochs=factor * epochs)  # fmt: skip
    return {
        "question": "epochs to a given gold NME", "data": f"{count} annotations of {REAL_FACES}/{source}",
        "train_pictures": len(dataset.split("train")), "val_pictures": len(dataset.split("val")),
        "imgsz": imgsz, "batch": batch, "seed": seed, "factor": factor,
        "sigma": {"recipe": dict(SIGMA_RECIPE), "default": dict(ULTRALYTICS_DEFAULT)},
        **verdict(recipe, default, factor), "recipe": recipe, "default": default,
    }  # fmt: skip


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table."""
    reached, target = report["reached"], report["target"]
    default = f"not within {report['default_epochs']} epochs" if reached is None else f"{reached} epochs"
    return [
        Row(
            f"Epochs to a gold NME of {percent(report['target_nme'])}", f"{report['epochs']} epochs", default,
            f"{'> ' if report['at_least'] else ''}{report['ratio']:g}×",
            *at_least(report["ratio"], target, f"{target:g}×"),
        )
    ]  # fmt: skip

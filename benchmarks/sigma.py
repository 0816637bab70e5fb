"""How many epochs to a given gold NME, with lidloop's sigma recipe and with Ultralytics' default sigma?

Same pictures, start, seed and settings; only the OKS sigma of the keypoint loss differs. The recipe trains
for E epochs, and the gold NME after its last epoch is the target. The default then trains for F × E epochs,
in one training with the schedule of that length, and is judged after every epoch.
``python -m benchmarks.sigma --json OUT``.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    BASE_WEIGHTS,
    REAL_FACES,
    Row,
    Say,
    Skipped,
    from_environment,
    quiet,
    sample_ibug,
    show,
)
from lidloop.autolabel.predict import predict
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import Detector, torch_network
from lidloop.evaluation.evaluate import evaluate
from lidloop.training.fine_tune import SIGMA_RECIPE, ULTRALYTICS_DEFAULT, TrainSettings, train

FACTOR: Final = 5
SCORE: Final = 0.05
"""From which a prediction counts. Lower than elsewhere: after an epoch or two few scores are high yet, and
what is asked is where the points are."""


def gold(dataset: Dataset, labels: LabelVersion, checkpoint: Path, imgsz: int) -> dict[str, Any]:
    """Gold figures of a checkpoint's averaged weights: NME (a fraction, or None) and faces found."""
    detector = Detector(torch_network(checkpoint, "cpu"), imgsz=imgsz, iteration=0, digest="")
    records = dataset.split("val")
    found, _ = predict(dataset, detector, records)
    truth = labels.labels(dataset, "val").reindex([r.id for r in records])
    overall = evaluate(found, truth, score=SCORE).overall
    return {"nme": overall.nme_mean, "matched": overall.matched, "faces": overall.faces}


@contextmanager
def checkpoints_kept(out: Path) -> Iterator[None]:
    """While the block runs, copy the checkpoint of every epoch of any training to ``out/<epoch>.pt``."""
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
    """The first epoch whose NME is at most the target; None where none is."""
    return next((f["epoch"] for f in figures if f["nme"] is not None and f["nme"] <= target), None)


def verdict(recipe: list[dict[str, Any]], default: list[dict[str, Any]], factor: int) -> dict[str, Any]:
    """Target, ratio of epochs and whether that ratio is only a lower bound.

    Raises:
        RuntimeError: where the recipe ends without a defined NME.
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
    seed: int = 0, source: str = "lfpw", say: Say = quiet,
) -> dict[str, Any]:  # fmt: skip
    """Train both on a sample of real pictures.

    Args:
        annotations: how many ``.pts`` files; a fifth of them is for validation.
        epochs: E. factor: the default gets so many times E.
        source: folder under ``LIDLOOP_300W``.

    Raises:
        Skipped: without ``LIDLOOP_300W`` or ``LIDLOOP_BASE_WEIGHTS``.
    """
    real = from_environment(REAL_FACES, "real pictures") / source
    weights = from_environment(BASE_WEIGHTS, "weights that do not know the landmarks yet")
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
        say(f"lidloop's recipe, {epochs} epochs")
        recipe = curve(dataset, labels, weights, work / "recipe", sigma=SIGMA_RECIPE, settings=settings,
                       epochs=epochs)  # fmt: skip
        say(f"the default sigma, {factor * epochs} epochs")
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
    """The line of the table."""
    reached, most = report["reached"], report["default_epochs"]
    other = f"not within {most} epochs" if reached is None else f"{reached} epochs"
    return [
        Row(
            f"Epochs to a gold NME of {report['target_nme']:.1%}".replace("%", " %"),
            f"{report['epochs']} epochs", other,
            f"{'> ' if report['at_least'] else ''}{report['ratio']:g}×", f"≥ {report['target']:g}×",
            report["ratio"] >= report["target"],
        )
    ]  # fmt: skip


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the table."""
    last = report["default"][-1]
    found = f"{last['matched']} of {last['faces']} faces found"
    return [
        f"Trained on {report['train_pictures']} pictures at {report['imgsz']} px, judged on "
        f"{report['val_pictures']} ({report['data']}); only the keypoint loss's OKS sigma differs. Both "
        "schedules (learning rate, mosaic, the recipe's sigma) span their own number of epochs. NME is over "
        "the faces found, and reaching the target does not ask how many those are.",
        f"Gold NME after the last epoch: recipe {_percent(report['recipe'][-1]['nme'])} after "
        f"{report['epochs']}, default {_percent(last['nme'])} after {last['epoch']} ({found}). The default, "
        f"epoch by epoch: {', '.join(_percent(f['nme']) for f in report['default'])}.",
    ]


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sigma", description=__doc__)
    parser.add_argument("--annotations", type=int, default=320)
    parser.add_argument("--imgsz", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--factor", type=int, default=FACTOR)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--source", default="lfpw", help=f"folder under {REAL_FACES}")
    parser.add_argument("--json", type=Path, help="where to write the result")
    given = vars(parser.parse_args())
    out = given.pop("json")
    try:
        report = run(**given, say=print)
    except Skipped as reason:
        print(f"skipped: {reason}")
        return
    show(report, rows(report), notes(report), json_file=out, word="against")


if __name__ == "__main__":
    main()

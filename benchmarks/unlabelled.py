"""Labels grown with and without background loss on regions that the model takes for unlabelled faces.

The same training twice, short and long: once every unlabelled region is background, as detectors are commonly
trained; once there is no background loss where the model itself is confident of a face
(``lidloop.training.fine_tune.IGNORE_UNLABELLED``). The labels that the iteration would grow are counted, and
the model is evaluated on gold.

On drawn faces, where the hidden labels are known, and on real ones, where they are not. Both start from a
model trained on other, fully labelled pictures, as every iteration but the first does: the question is if
training on partial labels makes it forget the faces without labels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    BASE_WEIGHTS,
    NO_TARGET,
    REAL_FACES,
    Progress,
    Row,
    Skipped,
    no_progress,
    path_from_environment,
    sample_ibug,
)
from benchmarks.pages.markdown import percent
from lidloop.autolabel.predict import predict_shard
from lidloop.autolabel.refine import read_predictions, refine
from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.demo import demo_weights
from lidloop.evaluation.evaluate import evaluate
from lidloop.labels import Floats
from lidloop.report.ledger import compare_with_truth
from lidloop.report.write import read_hidden
from lidloop.synthetic import write_faces_folder
from lidloop.training.fine_tune import IGNORE_UNLABELLED, TrainSettings, train

ARMS: Final = {"ignored": dict(IGNORE_UNLABELLED), "punished": None}
_QUESTION: Final = "growth when unlabelled faces are no background"


def arm(
    dataset: Dataset, labels: LabelVersion, weights: Path, work: Path, settings: TrainSettings,
    hidden: Mapping[str, Floats] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train, predict and filter once; return the grown labels by split and the gold figures.

    Args:
        hidden: (n, 4) boxes of the faces whose labels were hidden, by picture, if they are known; then
            ``truth`` counts those ``recovered`` and the grown labels that are correct (``grown_correct``).
    """
    model = train(dataset, labels, work / "model", iteration=0, weights=weights, settings=settings)
    shard = predict_shard(dataset, model, work / "shard")
    grown = refine(dataset, labels, [shard], work / "labels-v1", iteration=0)
    found, _, _ = read_predictions(dataset, [shard])
    names = [record.id for record in dataset.split("val")]
    gold = evaluate(found.reindex(names), labels.labels(dataset, "val").reindex(names)).overall
    truth = None if hidden is None else compare_with_truth(grown.labels(dataset), hidden)
    return {
        "grown": {split: counts["grown"] for split, counts in grown.info["counts"].items()},
        "nme": gold.nme_mean, "lid_error": gold.lid_error_mean, "recall": gold.recall, "faces": gold.faces,
        "truth": truth,
    }  # fmt: skip


def run(
    *, pictures: int = 160, hide: float = 0.3, imgsz: int = 192, epochs: tuple[int, ...] = (2, 10),
    batch: int = 8, seed: int = 0, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Compare on drawn pictures with hidden labels, from the committed demo weights.

    Args:
        pictures: number of pictures to draw.
        hide: share of the labels to hide.
        epochs: lengths of training.
    """
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        # Other seeds than those of the demo and of its weights (1000).
        write_faces_folder(work / "faces", images=pictures, seed=3000 + seed, hide=hide)
        dataset, labels = convert(
            [f"yolo:{work / 'faces'}"], work / "dataset", work / "labels-v0", keep_splits=True
        )
        hidden = read_hidden(work / "faces" / "truth.json", dataset)
        results = _compare(
            dataset, labels, demo_weights(), work, epochs, imgsz, batch, seed, progress, hidden
        )
        return {
            "question": _QUESTION, "kind": "drawn",
            "data": f"drawn faces, {100 * hide:.0f} % of the labels hidden",
            "start": "the demo weights, trained on other drawn faces", "pictures": len(dataset.records),
            "labels": labels.info["total"], "imgsz": imgsz, "batch": batch, "seed": seed,
            "ignore": dict(IGNORE_UNLABELLED), "results": results,
        }  # fmt: skip


def run_real(
    *, start: tuple[str, ...] = ("helen", "lfpw"), start_pictures: int = 200, start_epochs: int = 6,
    source: str = "afw", imgsz: int = 256, epochs: tuple[int, ...] = (2, 10), batch: int = 8, seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Compare on real pictures, many of whose faces have no label.

    Args:
        start: folders under ``LIDLOOP_300W`` whose faces are nearly all labelled; the start model is trained
            on ``start_pictures`` random annotations of each for ``start_epochs`` epochs.
        source: folder under ``LIDLOOP_300W`` to compare on.
        epochs: lengths of training.

    Raises:
        Skipped: without ``LIDLOOP_300W`` or ``LIDLOOP_BASE_WEIGHTS``.
    """
    real = path_from_environment(REAL_FACES, "real pictures")
    weights = path_from_environment(BASE_WEIGHTS, "weights that were not trained on these landmarks")
    for folder in (*start, source):
        if not (real / folder).is_dir():
            raise Skipped(f"needs the folder {folder} under {REAL_FACES}")
    settings = TrainSettings(epochs=start_epochs, imgsz=imgsz, batch=batch, device="cpu", seed=seed)
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        for folder in start:
            sample_ibug(real / folder, work / "chosen" / folder, annotations=start_pictures, seed=seed)
        progress("training the start model")
        sources = [f"ibug:{work / 'chosen' / folder}" for folder in start]
        first = convert(sources, work / "start" / "dataset", work / "start" / "labels", seed=seed)
        known = train(*first, work / "start" / "model", iteration=0, weights=weights, settings=settings)
        dataset, labels = convert(
            [f"ibug:{real / source}"], work / "dataset", work / "labels-v0", seed=seed
        )  # fmt: skip
        results = _compare(dataset, labels, known, work, epochs, imgsz, batch, seed, progress)
        return {
            "question": _QUESTION, "kind": "real", "data": f"{REAL_FACES}/{source}",
            "start": f"a model trained for {start_epochs} epochs on {len(first[0].records)} pictures of "
            f"{' and '.join(start)}",
            "pictures": len(dataset.records), "labels": labels.info["total"], "imgsz": imgsz, "batch": batch,
            "seed": seed, "ignore": dict(IGNORE_UNLABELLED), "results": results,
        }  # fmt: skip


def _compare(
    dataset: Dataset, labels: LabelVersion, weights: Path, work: Path, epochs: tuple[int, ...], imgsz: int,
    batch: int, seed: int, progress: Progress, hidden: Mapping[str, Floats] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    results: list[dict[str, Any]] = []
    for length in epochs:
        for title, ignore in ARMS.items():
            progress(f"{length} epochs, unlabelled faces {title}")
            settings = TrainSettings(
                epochs=length, imgsz=imgsz, batch=batch, device="cpu", seed=seed, ignore=ignore
            )
            figures = arm(dataset, labels, weights, work / f"{title}-{length}", settings, hidden)
            results.append({"epochs": length, "unlabelled": title, **figures})
    return results


def rows(report: Mapping[str, Any]) -> list[Row]:
    """Rows of the table: for each length of training, grown labels and gold figures of both sides."""
    lines = []
    by_key = {(result["epochs"], result["unlabelled"]): result for result in report["results"]}
    for epochs in dict.fromkeys(result["epochs"] for result in report["results"]):
        ignored, punished = by_key[epochs, "ignored"], by_key[epochs, "punished"]
        a, b = (sum(result["grown"].values()) for result in (ignored, punished))
        lines.append(
            Row(
                f"Labels grown on {report['kind']} faces after {epochs} epochs, unlabelled faces ignored or "
                "trained as background",
                _figures(a, ignored), _figures(b, punished), f"{a / b:.2f}×" if b else "–", *NO_TARGET,
            )
        )  # fmt: skip
    return lines


def _figures(grown: int, result: Mapping[str, Any]) -> str:
    truth = result["truth"]
    right = f", {truth['grown_correct']} right, of {truth['hidden']} hidden" if truth else ""
    gold = ", ".join(
        f"{name} {percent(result[key])}"
        for name, key in (("gold NME", "nme"), ("lid error", "lid_error"), ("recall", "recall"))
    )
    return f"{grown}{right} ({gold})"

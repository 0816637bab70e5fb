"""What does it do to leave alone what the model takes for a face that nobody labelled?

The same training twice, short and long: once teaching every unlabelled region as background, as detectors
are commonly trained, once without background loss where the model itself is sure of a face
(``lidloop.training.fine_tune.IGNORE_UNLABELLED``). Counted is what the iteration would grow, and what gold
says.

On drawn faces, where it is known which labels were hidden; and on real ones, where nobody knows. Both start
from a model that has learned faces from other, fully labelled pictures, as every iteration but the first
does: what is asked is whether training on partial labels unlearns the faces that have none.
``python -m benchmarks.unlabelled --json OUT`` or ``--real``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
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
)
from lidloop.autolabel.predict import predict_shard
from lidloop.autolabel.refine import read_predictions, refine
from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.demo import demo_weights
from lidloop.evaluation.evaluate import evaluate
from lidloop.files import write_atomic
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
        hidden: (n, 4) boxes of the faces whose labels were hidden, by picture, where they are known; then
            ``truth`` says how many were ``recovered`` and how many grown labels are ``grown_correct``.
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
    batch: int = 8, seed: int = 0, say: Say = quiet,
) -> dict[str, Any]:  # fmt: skip
    """Compare on drawn pictures with hidden labels, from the committed demo weights.

    Args:
        pictures: how many to draw. hide: share of the labels to hide. epochs: lengths of training.
    """
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        # The demo draws with small seeds, and its weights were trained on faces of seed 1000.
        write_faces_folder(work / "faces", images=pictures, seed=3000 + seed, hide=hide)
        dataset, labels = convert(
            [f"yolo:{work / 'faces'}"], work / "dataset", work / "labels-v0", keep_splits=True
        )
        hidden = read_hidden(work / "faces" / "truth.json", dataset)
        results = _compare(dataset, labels, demo_weights(), work, epochs, imgsz, batch, seed, say, hidden)
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
    say: Say = quiet,
) -> dict[str, Any]:  # fmt: skip
    """Compare on real pictures, many of whose faces have no label.

    Args:
        start: folders under ``LIDLOOP_300W`` whose faces are nearly all labelled: a random
            ``start_pictures`` of each teach the model that the comparison starts from, ``start_epochs`` long.
        source: folder under ``LIDLOOP_300W`` to compare on. epochs: lengths of training.

    Raises:
        Skipped: without ``LIDLOOP_300W`` or ``LIDLOOP_BASE_WEIGHTS``.
    """
    real = from_environment(REAL_FACES, "real pictures")
    weights = from_environment(BASE_WEIGHTS, "weights that do not know the landmarks yet")
    for folder in (*start, source):
        if not (real / folder).is_dir():
            raise Skipped(f"needs the folder {folder} under {REAL_FACES}")
    settings = TrainSettings(epochs=start_epochs, imgsz=imgsz, batch=batch, device="cpu", seed=seed)
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        for folder in start:
            sample_ibug(real / folder, work / "chosen" / folder, annotations=start_pictures, seed=seed)
        say("the model to start from")
        sources = [f"ibug:{work / 'chosen' / folder}" for folder in start]
        first = convert(sources, work / "start" / "dataset", work / "start" / "labels", seed=seed)
        known = train(*first, work / "start" / "model", iteration=0, weights=weights, settings=settings)
        dataset, labels = convert(
            [f"ibug:{real / source}"], work / "dataset", work / "labels-v0", seed=seed
        )  # fmt: skip
        results = _compare(dataset, labels, known, work, epochs, imgsz, batch, seed, say)
        return {
            "question": _QUESTION, "kind": "real", "data": f"{REAL_FACES}/{source}",
            "start": f"a model trained for {start_epochs} epochs on {len(first[0].records)} pictures of "
            f"{' and '.join(start)}",
            "pictures": len(dataset.records), "labels": labels.info["total"], "imgsz": imgsz, "batch": batch,
            "seed": seed, "ignore": dict(IGNORE_UNLABELLED), "results": results,
        }  # fmt: skip


def _compare(
    dataset: Dataset, labels: LabelVersion, weights: Path, work: Path, epochs: tuple[int, ...], imgsz: int,
    batch: int, seed: int, say: Say, hidden: Mapping[str, Floats] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    results: list[dict[str, Any]] = []
    for length in epochs:
        for title, ignore in ARMS.items():
            say(f"{length} epochs, unlabelled faces {title}")
            settings = TrainSettings(
                epochs=length, imgsz=imgsz, batch=batch, device="cpu", seed=seed, ignore=ignore
            )
            figures = arm(dataset, labels, weights, work / f"{title}-{length}", settings, hidden)
            results.append({"epochs": length, "unlabelled": title, **figures})
    return results


def rows(report: Mapping[str, Any]) -> list[Row]:
    """A line of the table for each length of training: grown labels and the gold figures of both."""
    lines = []
    by_key = {(r["epochs"], r["unlabelled"]): r for r in report["results"]}
    for epochs in dict.fromkeys(r["epochs"] for r in report["results"]):
        ours, theirs = by_key[epochs, "ignored"], by_key[epochs, "punished"]
        a, b = (sum(r["grown"].values()) for r in (ours, theirs))
        ratio = f"{a / b:.2f}×" if b else "–"
        question = (
            f"Labels grown on {report['kind']} faces after {epochs} epochs, unlabelled faces left alone or "
            "taught as background"
        )
        lines.append(Row(question, _said(a, ours), _said(b, theirs), ratio, "–", None))
    return lines


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the table."""
    ignore = report["ignore"]
    lines = [
        f"One iteration on {report['pictures']} pictures with {report['labels']} labels ({report['data']}) "
        f"at {report['imgsz']} px, batch {report['batch']}, one seed, from {report['start']}. Grown: "
        "predictions of confidence 0.7 that pass priority NMS, train and val. Left alone: no background loss "
        f"where the score is above {ignore['score']} and the box overlaps every label by at most "
        f"{ignore['iou']}.",
    ]
    if any(result["truth"] for result in report["results"]):
        lines.append("Right: overlaps a face whose label was hidden, by IoU of at least 0.5.")
    else:
        lines.append("Whether grown labels are right is not judged here; a person's count is in RESULTS.md.")
    return lines


def _said(grown: int, figures: Mapping[str, Any]) -> str:
    def share(key: str) -> str:
        return "–" if figures[key] is None else f"{100 * figures[key]:.1f} %"

    truth = figures["truth"]
    right = f", {truth['grown_correct']} right, of {truth['hidden']} hidden" if truth else ""
    gold = f"gold NME {share('nme')}, lid error {share('lid_error')}, recall {share('recall')}"
    return f"{grown}{right} ({gold})"


def main() -> None:
    """Measure and print, or write to ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", action="store_true", help="on real faces, under LIDLOOP_300W")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    report = (run_real if arguments.real else run)(say=print)
    text = json.dumps(report, indent=1)
    if arguments.json:
        write_atomic(arguments.json, text + "\n")
    print(text)


if __name__ == "__main__":
    main()

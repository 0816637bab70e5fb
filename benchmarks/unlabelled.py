"""What does it do to leave alone what the model takes for a face that nobody labelled?

The same training twice, short and long: once teaching every unlabelled region as background, as detectors
are commonly trained, once without background loss where the model itself is sure of a face
(``lidloop.training.IGNORE_UNLABELLED``). Counted is what iteration 0 would grow, and what gold says.
``python -m benchmarks.unlabelled --json OUT``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import BASE_WEIGHTS, REAL_FACES, Row, Say, Skipped, from_environment, quiet
from lidloop.autolabel import predict_shard
from lidloop.convert import convert
from lidloop.dataset import Dataset, LabelVersion
from lidloop.evaluation import evaluate
from lidloop.files import write_atomic
from lidloop.refinement import read_predictions, refine
from lidloop.training import IGNORE_UNLABELLED, TrainSettings, train


def arm(
    dataset: Dataset, labels: LabelVersion, weights: Path, work: Path, settings: TrainSettings
) -> dict[str, Any]:
    """Train, predict and filter once; return the grown labels by split and the gold figures."""
    model = train(dataset, labels, work / "model", iteration=0, weights=weights, settings=settings)
    shard = predict_shard(dataset, model, work / "shard")
    grown = refine(dataset, labels, [shard], work / "labels-v1", iteration=0)
    found, _, _ = read_predictions(dataset, [shard])
    names = [record.id for record in dataset.split("val")]
    gold = evaluate(found.reindex(names), labels.labels(dataset, "val").reindex(names)).overall
    return {
        "grown": {split: counts["grown"] for split, counts in grown.info["counts"].items()},
        "nme": gold.nme_mean, "lid_error": gold.lid_error_mean, "recall": gold.recall, "faces": gold.faces,
    }  # fmt: skip


def run(
    *, source: str = "afw", imgsz: int = 256, epochs: tuple[int, ...] = (5, 13), batch: int = 8,
    seed: int = 0, say: Say = quiet,
) -> dict[str, Any]:  # fmt: skip
    """Compare on real pictures, many of whose faces have no label.

    Args:
        source: folder under ``LIDLOOP_300W``. epochs: lengths of training to compare at.

    Raises:
        Skipped: without ``LIDLOOP_300W`` or ``LIDLOOP_BASE_WEIGHTS``.
    """
    real = from_environment(REAL_FACES, "real pictures") / source
    weights = from_environment(BASE_WEIGHTS, "weights that do not know the landmarks yet")
    if not real.is_dir():
        raise Skipped(f"needs the folder {source} under {REAL_FACES}")
    arms = {"ignored": dict(IGNORE_UNLABELLED), "punished": None}
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        dataset, labels = convert([f"ibug:{real}"], work / "dataset", work / "labels-v0", seed=seed)
        for length in epochs:
            for title, ignore in arms.items():
                say(f"{length} epochs, unlabelled faces {title}")
                settings = TrainSettings(
                    epochs=length, imgsz=imgsz, batch=batch, device="cpu", seed=seed, ignore=ignore
                )
                figures = arm(dataset, labels, weights, work / f"{title}-{length}", settings)
                results.append({"epochs": length, "unlabelled": title, **figures})
    return {
        "question": "growth when unlabelled faces are no background", "data": f"{REAL_FACES}/{source}",
        "pictures": len(dataset.records), "labels": labels.info["total"], "imgsz": imgsz, "batch": batch,
        "seed": seed, "ignore": dict(IGNORE_UNLABELLED), "results": results,
    }  # fmt: skip


def rows(report: Mapping[str, Any]) -> list[Row]:
    """A line of the table for each length of training: grown labels, gold NME and recall of both."""
    lines = []
    by_key = {(r["epochs"], r["unlabelled"]): r for r in report["results"]}
    for epochs in dict.fromkeys(r["epochs"] for r in report["results"]):
        ours, theirs = by_key[epochs, "ignored"], by_key[epochs, "punished"]
        a, b = (sum(r["grown"].values()) for r in (ours, theirs))
        ratio = f"{a / b:.2f}×" if b else "–"
        question = f"grown labels after {epochs} epochs, unlabelled faces left alone or taught as background"
        lines.append(Row(question, _said(a, ours), _said(b, theirs), ratio, "–", None))
    return lines


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the table."""
    ignore = report["ignore"]
    return [
        f"Iteration 0 on {report['pictures']} pictures with {report['labels']} labels ({report['data']}) at "
        f"{report['imgsz']} px, one seed. Grown: predictions of confidence 0.7 that pass priority NMS, train "
        f"and val. Left alone: no background loss where the score is above {ignore['score']} and the box "
        f"overlaps every label by at most {ignore['iou']}.",
        "Whether grown labels are right is not judged here; a person's count is in RESULTS.md.",
    ]


def _said(grown: int, figures: Mapping[str, Any]) -> str:
    nme = "–" if figures["nme"] is None else f"{100 * figures['nme']:.1f} %"
    recall = "–" if figures["recall"] is None else f"{100 * figures['recall']:.1f} %"
    return f"{grown} (gold NME {nme}, recall {recall})"


def main() -> None:
    """Measure and print, or write to ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="afw", help="folder under LIDLOOP_300W")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    report = run(source=arguments.source, say=print)
    text = json.dumps(report, indent=1)
    if arguments.json:
        write_atomic(arguments.json, text + "\n")
    print(text)


if __name__ == "__main__":
    main()

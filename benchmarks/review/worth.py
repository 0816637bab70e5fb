"""Write ``docs/reports/REVIEW_WORTH.md``: ``python -m benchmarks.review.worth``.

Two arms with the same training: an iteration from given labels, of which some are hidden, and a second one.
In one arm the loop runs alone; in the other the first 5 % of the queue are decided between the two by the
truth, and the second iteration trains on the reviewed version. Both arms share the first iteration.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np

from benchmarks.common import (
    DATA,
    DOCS,
    REAL_FACES,
    REPORTS,
    Progress,
    Skipped,
    machine,
    no_progress,
    path_from_environment,
    sample_ibug,
)
from benchmarks.pages.markdown import render as render_markdown
from benchmarks.review.measure import drawn_truth
from lidloop.autolabel.candidates import finish_points
from lidloop.autolabel.predict import predict_shard
from lidloop.autolabel.refine import read_predictions, refine
from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset, LabelVersion, write_initial
from lidloop.data.ledgers import read_ledgers
from lidloop.demo import demo_weights
from lidloop.evaluation.evaluate import evaluate
from lidloop.files import write_atomic
from lidloop.labels import HUMAN, LabelSet, box_iou
from lidloop.review.apply import import_decisions
from lidloop.review.decisions import Decision, DecisionFile
from lidloop.review.exchange import as_points
from lidloop.review.faces import SAME_FACE, Faces, read_faces_to_review
from lidloop.review.opinions import distance
from lidloop.review.queue import Evidence, make_queue
from lidloop.review.shares import FAR
from lidloop.starter.choose import STARTER, base_weights
from lidloop.synthetic import write_faces_folder
from lidloop.training.fine_tune import TrainSettings, train

STORED: Final = DATA / "review-worth.json"
PAGE: Final = REPORTS / "REVIEW_WORTH.md"
SHARE: Final = 0.05
"""Share of the queue that is reviewed."""
SECONDS: Final = 3.0
"""Time that a person takes for a look."""
ARMS: Final = ("alone", "reviewed")

_AT: Final = datetime(2024, 1, 1, tzinfo=UTC)


def decide(
    dataset: Dataset, faces: Faces, rows: Sequence[int], truth: LabelSet, *, complete: bool
) -> list[Decision]:
    """Decide on faces of the queue as a reviewer who knows the truth.

    A label at a true face is confirmed if its points are near the truth, else corrected; one beside a better
    label of the same face is declined. A dropped face becomes a label if its true face has none.

    Args:
        rows: of ``faces``, in the order of the queue.
        truth: true faces, with the pictures of ``faces``.
        complete: the truth holds every face; otherwise a face that it lacks is decided as unsure.
    """
    decisions, taken = [], set()
    for row in rows:
        image = faces.all.images[faces.all.image[row]]
        record = dataset.by_id[image]
        best = true_face(faces.all, row, truth)
        is_label = bool(faces.line[row] >= 0)
        verdict, points = "unsure", None
        if best is None:
            verdict = "declined" if complete else "unsure"
        elif is_label and best_label(faces, truth, best) != row:
            verdict = "declined"
        elif best not in taken and (is_label or best_label(faces, truth, best) is None):
            near = distance(truth.points[best], faces.all.points[row]) <= FAR
            verdict = "confirmed" if near else "corrected"
            taken.add(best)
        if verdict == "corrected":
            size = np.array([[record.width, record.height]], dtype=np.float64)
            assert best is not None
            points = as_points(finish_points(truth.points[best][None], size)[0])
        decisions.append(Decision(face=faces.ids[row], image=image, verdict=verdict, points=points, at=_AT))
    return decisions


def true_face(labels: LabelSet, row: int, truth: LabelSet) -> int | None:
    """Row of the true face of largest IoU with a face, 0.5 at least; None if there is none."""
    there = np.flatnonzero(truth.image == labels.image[row])
    iou = box_iou(labels.boxes[row][None], truth.boxes[there])[0]
    return int(there[iou.argmax()]) if len(iou) and iou.max() >= SAME_FACE else None


def best_label(faces: Faces, truth: LabelSet, row: int) -> int | None:
    """Row of the label that lies best on a true face; None if none has an IoU of 0.5."""
    labels = np.flatnonzero(faces.is_label & (faces.all.image == truth.image[row]))
    iou = box_iou(truth.boxes[row][None], faces.all.boxes[labels])[0]
    return int(labels[iou.argmax()]) if len(iou) and iou.max() >= SAME_FACE else None


def judge_grown(labels: LabelSet, truth: LabelSet, *, complete: bool) -> dict[str, int]:
    """Count grown labels: ``grown``, ``wrong``, and ``unknown`` ones, which the truth says nothing about."""
    grown = np.flatnonzero(labels.origin != HUMAN).tolist()
    counts = {"grown": len(grown), "wrong": 0, "unknown": 0}
    for row in grown:
        best = true_face(labels, row, truth)
        if best is None:
            counts["wrong" if complete else "unknown"] += 1
        else:
            counts["wrong"] += int(distance(truth.points[best], labels.points[row]) > FAR)
    return counts


def compare(
    dataset: Dataset, given: LabelVersion, truth: LabelSet, weights: Path, work: Path,
    settings: TrainSettings, *, complete: bool, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Run both arms.

    Args:
        given: label version 0, with hidden labels.
        truth: true faces of the dataset's pictures, those of hidden labels too.
        weights: weights that the first iteration starts from.
        settings: of each training.
        complete: the truth holds every face of the pictures.
    """
    progress("first iteration")
    model = train(dataset, given, work / "model-0", iteration=0, weights=weights, settings=settings)
    shard = predict_shard(dataset, model, work / "shard-0")
    first = refine(dataset, given, [shard], work / "v1", iteration=0)
    found = read_predictions(dataset, [shard])[0]
    ledgers = read_ledgers(first)
    faces = read_faces_to_review(dataset, first, found, ledgers)
    sizes = {r.id: (r.width, r.height) for r in dataset.records}
    queue = [entry.row for entry in make_queue(faces, Evidence(sizes, ledgers, [found]))]
    looks = queue[: math.ceil(SHARE * len(queue))]
    decisions = decide(dataset, faces, looks, truth, complete=complete)
    pictures = {d.image: dataset.by_id[d.image].sha256 for d in decisions}
    file = DecisionFile(
        dataset=dataset.digest, labels=first.version, session="benchmark", tool="benchmark",
        pictures=pictures, decisions=decisions,
    )  # fmt: skip
    reviewed, _ = import_decisions(dataset, first, {"truth": file}, work / "v2-reviewed", predictions=found)
    arms = {}
    for name, labels in zip(ARMS, (first, reviewed), strict=True):
        progress(f"second iteration, {name}")
        trained = train(
            dataset, labels, work / f"model-{name}", iteration=1, weights=model, settings=settings
        )  # fmt: skip
        shard = predict_shard(dataset, trained, work / f"shard-{name}")
        last = refine(dataset, labels, [shard], work / f"last-{name}", iteration=1)
        arms[name] = {
            "gold": _on_gold(dataset, given, shard),
            **judge_grown(last.labels(dataset).reindex(truth.images), truth, complete=complete),
        }
    return {
        "queue": len(queue), "looks": len(looks), "minutes": len(looks) * SECONDS / 60,
        "verdicts": dict(Counter(d.verdict for d in decisions)), "arms": arms,
        "before": {
            "gold": _on_gold(dataset, given, work / "shard-0"),
            **judge_grown(first.labels(dataset).reindex(truth.images), truth, complete=complete),
        },
    }  # fmt: skip


def _on_gold(dataset: Dataset, given: LabelVersion, shard: Path) -> dict[str, float | int | None]:
    names = [record.id for record in dataset.split("val")]
    found = read_predictions(dataset, [shard])[0].reindex(names)
    measured = evaluate(found, given.labels(dataset, "val").reindex(names)).overall
    return {"nme": measured.nme_mean, "recall": measured.recall, "faces": measured.faces}


def drawn(
    work: Path, *, pictures: int = 120, hide: float = 0.4, imgsz: int = 160, epochs: int = 2, seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Compare on drawn faces, of which the truth is complete."""
    # Other seeds than those of the demo and of its weights (1000).
    write_faces_folder(work / "faces", images=pictures, seed=7000 + seed, hide=hide)
    dataset, given = convert([f"yolo:{work / 'faces'}"], work / "dataset", work / "v0", keep_splits=True)
    settings = TrainSettings(epochs=epochs, imgsz=imgsz, batch=8, device="cpu", workers=0, seed=seed)
    truth = drawn_truth(work / "faces", dataset)
    result = compare(
        dataset, given, truth, demo_weights(), work, settings, complete=True, progress=progress
    )  # fmt: skip
    return {**result, "seed": seed, "labels": given.info["counts"]}


def real(
    work: Path, *, sources: Sequence[str] = ("afw", "helen", "lfpw"), annotations: int = 40,
    hide: float = 0.4, imgsz: int = 192, epochs: int = 2, seed: int = 0, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Compare on photographs, of which a share of the training labels is hidden.

    Raises:
        Skipped: without ``LIDLOOP_300W``.
    """
    folder = path_from_environment(REAL_FACES, "real faces")
    for name in sources:
        sample_ibug(folder / name, work / "chosen" / name, annotations=annotations, seed=seed)
    places = [f"ibug:{work / 'chosen' / name}" for name in sources]
    dataset, full = convert(places, work / "dataset", work / "true", seed=seed)
    truth = full.labels(dataset)
    train_pictures = np.array([dataset.by_id[name].split == "train" for name in truth.images])
    rng = np.random.default_rng(seed)
    hidden = train_pictures[truth.image] & (rng.random(len(truth)) < hide)
    given = write_initial(work / "v0", dataset, truth.select(~hidden))
    settings = TrainSettings(epochs=epochs, imgsz=imgsz, batch=8, device="cpu", workers=0, seed=seed)
    result = compare(
        dataset, given, truth, Path(base_weights(STARTER)), work, settings, complete=False, progress=progress
    )  # fmt: skip
    return {**result, "seed": seed, "labels": given.info["counts"], "hidden": int(hidden.sum())}


def worth_page(docs: Path) -> Path | None:
    """Write the page below ``docs``; None if its figures are not there."""
    if not (docs / STORED).exists():
        return None
    report = json.loads((docs / STORED).read_text())
    rows = [summed(name, report[name]["runs"]) for name in ("drawn", "real") if name in report]
    text = render_markdown(
        "review/worth.md.j2", report=report, rows=rows, share=SHARE, seconds=SECONDS, far=FAR
    )  # fmt: skip
    write_atomic(docs / PAGE, text)
    return docs / PAGE


def summed(name: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Summarise runs of several seeds: means of gold figures and minutes, sums of counts.

    ``changes`` holds the differences of gold NME, reviewed - alone, by seed, and ``change`` their mean.
    """

    def arm(read: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        found = [read(run) for run in runs]
        counts = {key: sum(entry[key] for entry in found) for key in ("grown", "wrong", "unknown")}
        gold = {key: fmean(entry["gold"][key] for entry in found) for key in ("nme", "recall")}
        return {**counts, **gold, "share": counts["wrong"] / max(counts["grown"] - counts["unknown"], 1)}

    changes = [run["arms"]["reviewed"]["gold"]["nme"] - run["arms"]["alone"]["gold"]["nme"] for run in runs]
    verdicts: Counter[str] = Counter()
    for run in runs:
        verdicts.update(run["verdicts"])
    return {
        "name": name, "seeds": len(runs), "looks": sum(run["looks"] for run in runs),
        "minutes": fmean(run["minutes"] for run in runs), "verdicts": dict(sorted(verdicts.items())),
        "before": arm(lambda run: run["before"]),
        **{which: arm(lambda run, which=which: run["arms"][which]) for which in ARMS},
        "changes": changes, "change": fmean(changes),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review.worth", description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS, help="where to write; default: docs")
    parser.add_argument("--only", choices=("drawn", "real"), help="measure only this part")
    parser.add_argument("--seeds", type=int, default=2, help="repetitions of each part")
    given = parser.parse_args(arguments)
    file = given.out / STORED
    measured: dict[str, Any] = {}
    for name, part in (("drawn", drawn), ("real", real)):
        if given.only not in (None, name):
            continue
        try:
            runs = []
            for seed in range(given.seeds):
                with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as work:
                    print(f"{name} faces, seed {seed}")
                    runs.append(part(Path(work), seed=seed, progress=print))
            measured[name] = {"runs": runs}
        except Skipped as reason:
            print(f"{name} faces: skipped, {reason}")
    report = json.loads(file.read_text()) if file.exists() else {}
    report |= {
        "format": 1,
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        **measured,
    }
    write_atomic(file, json.dumps(report, indent=1) + "\n")
    print(worth_page(given.out))


if __name__ == "__main__":
    main()

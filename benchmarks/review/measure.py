"""Share of known errors at the front of the review queue, on drawn and on real faces with 5 % wrong labels.

A curve gives the share of all wrong faces among the first x % of an order. Compared are the queue, the
model's confidence alone, and a random order, whose curve is the diagonal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import (
    BASE_WEIGHTS,
    REAL_FACES,
    Progress,
    no_progress,
    path_from_environment,
)
from benchmarks.page import demo_model
from benchmarks.review.corrupt import CORRECT, KINDS, corrupted
from lidloop.autolabel.predict import predict_shard
from lidloop.autolabel.refine import read_predictions, refine
from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset, LabelVersion, write_initial
from lidloop.data.ledgers import read_ledgers
from lidloop.demo import demo_weights
from lidloop.labels import HUMAN, Floats, LabelSet, box_iou
from lidloop.report.drawn_pictures import drawn_pictures
from lidloop.report.write import read_hidden
from lidloop.review.faces import SAME_FACE, Faces, read_faces_to_review
from lidloop.review.opinions import distance
from lidloop.review.queue import Evidence, make_queue
from lidloop.review.shares import FAR
from lidloop.synthetic import write_faces_folder
from lidloop.training.fine_tune import TrainSettings, train

SHARE: Final = 0.05
FIRST: Final = 0.2
TARGET: Final = 0.8
SEEDS: Final = 5
DRAWN_SEEDS: Final = (10, 11, 12, 13, 14)
"""Of the report's drawn faces. Merging and the weight of the confidence were chosen on seeds 1 to 4."""
CHOSEN_ON, KEPT_FOR_REPORT = ("afw", "lfpw"), ("helen",)
EPOCHS, IMGSZ = 3, 256

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Judged:
    """An order of faces with the truth about them.

    Attributes:
        wrong: (n,) True for wrong faces, in the order of the queue.
        by_confidence: the same faces in the order of falling doubt by the model's confidence alone.
        kind: (n,) name of the error, in the order of the queue; "" for right faces.
    """

    wrong: Bools
    by_confidence: Bools
    kind: NDArray[np.object_]


def figures(judged: Judged) -> dict[str, Any]:
    """Shares and curves of one order, ready for JSON."""
    total = int(judged.wrong.sum())
    kinds = [name for name in dict.fromkeys(judged.kind.tolist()) if name]
    first = slice(0, round(FIRST * len(judged.wrong)))
    return {
        "faces": len(judged.wrong), "wrong": total,
        "queue": _share(judged.wrong), "confidence": _share(judged.by_confidence), "random": FIRST,
        "half": _share(judged.wrong, FIRST / 2),
        "kinds": {
            name: {"wrong": int((judged.kind == name).sum()),
                   "found": int((judged.kind[first] == name).sum())}
            for name in sorted(kinds)
        },
        "curve": {"queue": _curve(judged.wrong), "confidence": _curve(judged.by_confidence)},
    }  # fmt: skip


def _share(wrong: Bools, part: float = FIRST) -> float:
    return float(wrong[: round(part * len(wrong))].sum() / max(wrong.sum(), 1))


def _curve(wrong: Bools) -> list[float]:
    """Share of the wrong faces in the first 0, 2, … 100 % of an order."""
    return [round(_share(wrong, part / 100), 4) for part in range(0, 101, 2)]


def judge(
    faces: Faces, evidence: Evidence, kinds: Sequence[str], doubt: Floats, keep: Bools | None = None
) -> Judged:
    """Order all faces and look up which are wrong.

    Args:
        kinds: (n,) error of each face, "" for right ones.
        doubt: (n,) 1 - confidence.
        keep: (n,) faces to judge; all are ordered together.
    """
    rows = np.array([entry.row for entry in make_queue(faces, evidence, human=True)])
    plain = np.argsort(-doubt, kind="stable")
    if keep is not None:
        rows, plain = rows[keep[rows]], plain[keep[plain]]
    names = np.array(list(kinds), dtype=object)
    return Judged(names[rows] != "", names[plain] != "", names[rows])


def doubt_of(labels: LabelSet, predictions: LabelSet) -> Floats:
    """1 - the score of the prediction of each label (IoU of 0.5), 1 without one: (n,)."""
    found = predictions.reindex(labels.images)
    doubt = np.ones(len(labels))
    for row in range(len(labels)):
        there = np.flatnonzero(found.image == labels.image[row])
        iou = box_iou(labels.boxes[row][None], found.boxes[there])[0]
        scores = found.score[there][iou >= SAME_FACE]
        doubt[row] = 1 - scores.max(initial=0.0)
    return doubt


def real(
    work: Path, *, training: bool = True, seed: int = 0, progress: Progress = no_progress
) -> dict[str, Any]:
    """Measure on photographs with 5 % wrong labels, with two models.

    One is trained on the wrong labels, as the loop would; the other, the demo model, has never seen a
    photograph. What ``work`` holds already of an earlier start is used again.

    Args:
        work: folder for the dataset and the models.
        training: False leaves out the trained model, which takes most of the time.
    """
    folder = path_from_environment(REAL_FACES, "real faces")
    if not (work / "labels-true" / "version.json").exists():
        sources = [f"ibug:{folder / name}" for name in sorted((*CHOSEN_ON, *KEPT_FOR_REPORT))]
        convert(sources, work / "dataset", work / "labels-true")
    dataset, true = Dataset.open(work / "dataset"), LabelVersion.open(work / "labels-true")
    sizes = {r.id: (r.width, r.height) for r in dataset.records}
    labels, _ = corrupted(true.labels(dataset), sizes, share=SHARE, seed=seed)
    if not (work / "labels-v0" / "version.json").exists():
        write_initial(work / "labels-v0", dataset, labels)
    if training and not (work / "shard").exists():
        weights = path_from_environment(BASE_WEIGHTS, "weights to start from")
        progress("training on wrong labels")
        settings = TrainSettings(epochs=EPOCHS, imgsz=IMGSZ, device="cpu", workers=0)
        version = LabelVersion.open(work / "labels-v0")
        model = train(dataset, version, work / "model", iteration=0, weights=weights, settings=settings)
        predict_shard(dataset, model, work / "shard")
    if not (work / "demo-shard").exists():
        progress("predicting with the demo model")
        (work / "demo").mkdir(exist_ok=True)
        predict_shard(dataset, demo_model(work / "demo"), work / "demo-shard")
    arms = {}
    models = {"trained": ("shard", 1)} if training else {}
    for name, (shard, seeds) in {**models, "demo": ("demo-shard", SEEDS)}.items():
        progress(f"ordering with the {name} model")
        found = read_predictions(dataset, [work / shard])[0]
        arms[name] = [_real_order(dataset, true, found, sizes, seed + k, work) for k in range(seeds)]
    return {
        "share": SHARE, "seed": seed, "epochs": EPOCHS, "imgsz": IMGSZ, "arms": arms,
        "chosen_on": list(CHOSEN_ON), "kept": list(KEPT_FOR_REPORT), "labels": len(labels),
    }  # fmt: skip


def _real_order(
    dataset: Dataset, true: LabelVersion, found: LabelSet, sizes: Mapping[str, tuple[int, int]], seed: int,
    work: Path,
) -> dict[str, Any]:  # fmt: skip
    labels, kinds = corrupted(true.labels(dataset), sizes, share=SHARE, seed=seed)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        version = write_initial(Path(folder) / "v0", dataset, labels)
        ledgers = read_ledgers(version)
        faces = read_faces_to_review(dataset, version, None, ledgers)
    names = ["" if kind == CORRECT else KINDS[kind] for kind in kinds.tolist()]
    evidence = Evidence(sizes, ledgers, [found])
    doubt = doubt_of(faces.all, found)
    source = np.array([_part(dataset.by_id[faces.all.images[k]].source) for k in faces.all.image])
    return {
        part: figures(judge(faces, evidence, names, doubt, np.isin(source, parts)))
        for part, parts in (("chosen_on", CHOSEN_ON), ("kept", KEPT_FOR_REPORT))
    }


def _part(source: str) -> str:
    return next(name for name in (*CHOSEN_ON, *KEPT_FOR_REPORT) if name in source)


def drawn(
    *, pictures: int = 240, hide: float = 0.3, imgsz: int = 192, epochs: int = 2, seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Measure on drawn faces: 30 % of the labels hidden, 5 % of the others wrong, two iterations of the loop.

    Wrong are the changed labels, grown labels that are no face or far from its truth, and dropped faces that
    are a hidden face without a label.
    """
    with tempfile.TemporaryDirectory(prefix="lidloop-bench-") as name:
        work = Path(name)
        # Other seeds than those of the demo and of its weights (1000).
        write_faces_folder(work / "faces", images=pictures, seed=5000 + seed, hide=hide)
        dataset, given = convert(
            [f"yolo:{work / 'faces'}"], work / "dataset", work / "given", keep_splits=True
        )
        sizes = {r.id: (r.width, r.height) for r in dataset.records}
        labels, kinds = corrupted(given.labels(dataset), sizes, share=SHARE, seed=seed)
        first = write_initial(work / "labels-v0", dataset, labels)
        progress("predicting with the demo model")
        (work / "demo").mkdir()
        shards = [predict_shard(dataset, demo_model(work / "demo"), work / "shard-0")]
        iteration = read_predictions(dataset, shards)[2] or 0
        second = refine(dataset, first, shards, work / "labels-v1", iteration=iteration)
        progress("training")
        settings = TrainSettings(epochs=epochs, imgsz=imgsz, batch=8, device="cpu", seed=seed)
        model = train(dataset, second, work / "model", iteration=1, weights=demo_weights(), settings=settings)
        shards.append(predict_shard(dataset, model, work / "shard-1"))
        last = refine(dataset, second, shards[1:], work / "labels-v2", iteration=1)
        predictions = [read_predictions(dataset, [shard])[0] for shard in shards]
        ledgers = read_ledgers(last)
        faces = read_faces_to_review(dataset, last, predictions[-1], ledgers)
        wrong = {id_: KINDS[k] for id_, k in _changed_ids(dataset, first, kinds).items()}
        names = _errors(faces, wrong, drawn_truth(work / "faces", dataset))
        evidence = Evidence(sizes, ledgers, predictions)
        doubt = np.where(faces.all.origin == HUMAN, doubt_of(faces.all, predictions[-1]), 1 - faces.all.score)
        return {
            "pictures": len(dataset.records), "hide": hide, "share": SHARE, "seed": seed, "imgsz": imgsz,
            "epochs": epochs, "labels": last.info["counts"], "dropped": int((~faces.is_label).sum()),
            "hidden": int(sum(map(len, read_hidden(work / "faces" / "truth.json", dataset).values()))),
            **figures(judge(faces, evidence, names, doubt)),
        }  # fmt: skip


def _changed_ids(dataset: Dataset, first: LabelVersion, kinds: NDArray[np.int64]) -> dict[str, int]:
    faces = read_faces_to_review(dataset, first)
    return {faces.ids[k]: int(kinds[k]) for k in np.flatnonzero(kinds != CORRECT).tolist()}


def drawn_truth(folder: Path, dataset: Dataset) -> LabelSet:
    """All drawn faces of the pictures, the hidden ones too, under the ids of the dataset."""
    found = {
        name: [face.face() for face in picture.faces]
        for picture, name in drawn_pictures(folder, dataset)
        if name is not None
    }
    return LabelSet.from_faces(found, [record.id for record in dataset.records])


def _errors(faces: Faces, changed: Mapping[str, str], truth: LabelSet) -> list[str]:
    """Error of every face: the kind of a changed label, ``grown``, ``dropped``, or "" for none."""
    names = []
    for row, name in enumerate(faces.ids):
        there = np.flatnonzero(truth.image == faces.all.image[row])
        iou = box_iou(faces.all.boxes[row][None], truth.boxes[there])[0] if len(there) else np.zeros(0)
        best = int(there[iou.argmax()]) if len(iou) and iou.max() >= SAME_FACE else None
        if name in changed:
            names.append(changed[name])
        elif faces.line[row] < 0:
            names.append("" if best is None or _has_label(faces, truth, best) else "dropped, but a face")
        elif faces.all.origin[row] == HUMAN:
            names.append("")
        else:
            far = best is None or distance(truth.points[best], faces.all.points[row]) > FAR
            names.append("grown, but wrong" if far else "")
    return names


def _has_label(faces: Faces, truth: LabelSet, row: int) -> bool:
    labels = faces.is_label & (faces.all.image == truth.image[row])
    return bool((box_iou(truth.boxes[row][None], faces.all.boxes[labels]) >= SAME_FACE).any())

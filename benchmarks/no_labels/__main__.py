"""Run the loop without a human label and measure it: ``python -m benchmarks.no_labels --out FOLDER``.

Needs ``LIDLOOP_300W``. Two runs of the pipeline from the starter weights, with the same settings: one on
drawn faces and photographs without labels, one on drawn faces and the same photographs with their human
labels. The models of both are measured on other photographs; the labels that the first run grew are compared
with the human ones, which it never saw. Both runs are kept in ``--out`` and resumed there. Writes
``reports/data/no-labels.json`` and ``reports/NO_LABELS.md`` below ``--docs``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.common import (
    DATA,
    DOCS,
    REAL_FACES,
    Skipped,
    machine,
    path_from_environment,
    picture_of,
    sample_ibug,
)
from benchmarks.no_labels.measure import by_digest, of_model, right_labels, signs
from benchmarks.no_labels.page import STORED, no_labels_page
from lidloop.autolabel.predict import predict
from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.detection.detector import load_detector
from lidloop.files import write_atomic
from lidloop.labels import HUMAN, LabelSet
from lidloop.review.views import predict_views
from lidloop.screening.screen import CONF
from lidloop.starter.choose import STARTER
from lidloop.synthetic import write_faces_folder
from lidloop.synthetic.photo import photo_options
from pipelines.local.run import RunResult, run_local
from pipelines.settings import RunSettings

SOURCES: Final = ("afw", "helen", "lfpw")
HELD_BACK: Final = "held-back"
DRAWN_SEED: Final = 7000
"""Seed of the drawn faces; no weights were trained on faces of this seed."""

FLOOR: Final = 0.01


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.no_labels", description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, outside the repository")
    parser.add_argument("--drawn", type=int, default=240, help="drawn pictures")
    parser.add_argument("--photos", type=int, default=100, help="annotated faces of each source to run on")
    parser.add_argument(
        "--held-back", type=int, default=50, help="annotated faces of each source to measure on"
    )
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--imgsz", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    out = given.out.resolve()
    if out.is_relative_to(DOCS.parent):
        parser.error("--out must lie outside the repository: the run keeps photographs")
    try:
        real = path_from_environment(REAL_FACES, "real pictures")
        choose(real, out, photos=given.photos, held_back=given.held_back, seed=given.seed)
    except Skipped as reason:
        parser.error(str(reason))
    drawn = out / "drawn"
    if not drawn.exists():
        options = photo_options()
        write_faces_folder(drawn, images=given.drawn, seed=DRAWN_SEED + given.seed, hide=0.0, options=options)
    human = truth([out / "chosen" / name for name in SOURCES], out / "human")
    held_back = truth([out / HELD_BACK / name for name in SOURCES], out / "held-back-truth")
    runs: dict[str, Any] = {}
    for name, sources in {
        "without": [f"images:{out / 'photos'}"],
        "with": [f"ibug:{out / 'chosen' / source}" for source in SOURCES],
    }.items():
        settings = RunSettings(
            sources=(f"yolo:{drawn}", *sources), iterations=given.iterations, epochs=given.epochs,
            imgsz=given.imgsz, seed=given.seed, base_weights=STARTER, min_growth=0.0, max_loss=1.0,
            device="cpu", registry=str(out / name / "registry"),
        )  # fmt: skip
        print(f"the run {name} human labels", flush=True)
        done = run_local(settings, out=out / name)
        runs[name] = list(iterations(done, human if name == "without" else None, held_back))
    entry = {
        "measured": datetime.now(UTC).date().isoformat(), "machine": machine(),
        "settings": {k: v for k, v in vars(given).items() if k not in ("docs", "out")}, "score": CONF,
        "faces": {"human": len(human[1]), "held_back": len(held_back[1])}, "runs": runs,
    }  # fmt: skip
    write_atomic(given.docs / DATA / STORED, json.dumps(entry, indent=1) + "\n")
    print(no_labels_page(given.docs))


def choose(real: Path, out: Path, *, photos: int, held_back: int, seed: int) -> None:
    """Link pictures with their annotations to run on, others to measure on, and the former without them."""
    for source in SOURCES:
        if not (real / source).is_dir():
            raise Skipped(f"needs the folder {source} under {REAL_FACES}")
        every = out / "every" / source
        if every.exists():
            continue
        sample_ibug(real / source, every, annotations=photos + held_back, seed=seed)
        taken: set[str] = set()
        for number, pts in enumerate(sorted(every.rglob("*.pts"))):
            picture = picture_of(pts)
            assert picture is not None  # sample_ibug links both
            digest = hashlib.sha256(picture.read_bytes()).hexdigest()
            if number < photos:
                taken.add(digest)
            elif digest in taken:  # AFW has a copy of a picture for each of its faces
                continue
            part = "chosen" if number < photos else HELD_BACK
            for file in (pts, picture):
                places = [out / part / source / file.name]
                if part == "chosen" and file.suffix != ".pts":
                    places.append(out / "photos" / f"{source}-{file.name}")
                for place in places:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.symlink_to(file.resolve())


def truth(folders: list[Path], out: Path) -> tuple[Dataset, LabelSet]:
    """Dataset of annotated pictures with its human labels."""
    dataset, labels = convert([f"ibug:{folder}" for folder in folders], out / "dataset", out / "labels")
    return dataset, labels.labels(dataset)


def iterations(
    run: RunResult, human: tuple[Dataset, LabelSet] | None, held_back: tuple[Dataset, LabelSet]
) -> Iterator[dict[str, Any]]:
    """Measure each iteration of a run; with human labels, compare those that it grew on the same pictures."""
    outputs: dict[str, dict[int, Any]] = {}
    for record in run.steps:
        if record.iteration is not None:
            outputs.setdefault(record.step, {})[record.iteration] = record.outputs
    places = {row["iteration"]: row for row in run.summary["iterations"]}
    earlier: LabelSet | None = None
    dataset, labels = held_back
    for number, row in sorted(places.items()):
        detector = load_detector(Path(outputs["train"][number]["model"]))
        predictions, _ = predict(dataset, detector, dataset.records, floor=FLOOR)
        views = predict_views(dataset, detector, dataset.records)
        result: dict[str, Any] = {
            "iteration": number, "drawn_gold": row["metrics"]["gold"],
            "photographs": of_model(predictions, labels, score=CONF),
            "signs": signs(predictions, views, earlier, labels, score=CONF),
        }  # fmt: skip
        if human is not None:
            grown = LabelVersion.open(Path(outputs["nms_filter"][number]["grown"]))
            result["labels"] = compared(run, grown, human)
        earlier = predictions
        yield result


def compared(run: RunResult, grown: LabelVersion, human: tuple[Dataset, LabelSet]) -> dict[str, int]:
    """Compare the labels that a run grew on photographs with the human ones of the same pictures."""
    dataset = Dataset.open(run.out / run.summary["paths"]["dataset"])
    digests = {record.id: record.sha256 for record in dataset.records}
    known = by_digest(human[1], {record.id: record.sha256 for record in human[0].records})
    labels = by_digest(grown.labels(dataset), digests)
    return right_labels(labels.select(labels.origin != HUMAN), known)


if __name__ == "__main__":
    main()

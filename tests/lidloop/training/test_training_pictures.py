"""Pictures that a fine-tune reads: an unlabelled picture joins them once it has a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from lidloop.autolabel.refine import refine
from lidloop.data.convert import convert
from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.tables import write_faces
from lidloop.images import read_rgb
from lidloop.labels import Face, LabelSet, box_of
from lidloop.review.apply import import_decisions
from lidloop.review.decisions import Decision, DecisionFile, now
from lidloop.review.faces import read_faces_to_review
from lidloop.synthetic import write_faces_folder
from lidloop.training.fine_tune import TrainSettings, _write_data, training_pictures


def listed(work: Path, dataset: Dataset, labels: LabelVersion) -> dict[str, set[str]]:
    """Names of the pictures in the lists that are written for Ultralytics."""
    work.mkdir()
    data = yaml.safe_load(_write_data(work, dataset, labels, TrainSettings()).read_text())
    return {
        split: {Path(line).stem for line in (work / data[split]).read_text().splitlines()}
        for split in ("train", "val")
    }


def test_an_unlabelled_picture_is_trained_on_once_it_has_a_label(tmp_path: Path) -> None:
    drawn = write_faces_folder(tmp_path / "drawn", images=8, seed=1, size=(160, 120), workers=1)
    other = write_faces_folder(tmp_path / "other", images=4, seed=2, size=(160, 120), workers=1)
    pictures = next(path for path in other.rglob("*") if path.is_dir() and any(path.glob("*.jpg"))).parent
    dataset, labels = convert(
        [f"yolo:{drawn}", f"images:{pictures}"], tmp_path / "dataset", tmp_path / "v0", keep_splits=True
    )
    human = labels.labelled()
    unlabelled = sorted(r.id for r in dataset.records if r.id not in human)
    assert len(unlabelled) == 4
    first = listed(tmp_path / "work0", dataset, labels)
    assert first["train"] == {r.id for r in dataset.split("train")} & human
    assert first["val"] == {r.id for r in dataset.split("val")}, "gold stays as it is"
    assert not first["val"] & set(unlabelled)

    points = np.column_stack([np.linspace(20, 90, 51), np.linspace(20, 90, 51), np.full(51, 2.0)])
    found = {
        unlabelled[0]: [Face(box_of(points), points, 0, 0.9)],
        unlabelled[1]: [Face(box_of(points), points, 0, 0.5)],
    }
    predictions = tmp_path / "shard"
    predictions.mkdir()
    write_faces(
        predictions / "faces.parquet", LabelSet.from_faces(found, [r.id for r in dataset.records]),
        model="m", iteration="0", dataset=dataset.digest,
    )  # fmt: skip
    grown = refine(dataset, labels, [predictions], tmp_path / "v1", iteration=0)
    second = listed(tmp_path / "work1", dataset, grown)
    assert second["train"] - first["train"] == {unlabelled[0]}, (
        "the other prediction was below the confidence"
    )
    assert second["val"] == first["val"]
    assert {r.id for r in training_pictures(dataset, grown)} == second["train"]

    (face,) = (n for n in read_faces_to_review(dataset, grown).ids if n.startswith(f"{unlabelled[0]}:"))
    image = unlabelled[0]
    file = DecisionFile(
        dataset=dataset.digest, labels=1, session="s", tool="test",
        pictures={image: dataset.by_id[image].sha256},
        decisions=[Decision(face=face, image=image, verdict="declined", at=now())],
    )  # fmt: skip
    reviewed, _ = import_decisions(dataset, grown, {"f": file}, tmp_path / "v2")
    assert listed(tmp_path / "work2", dataset, reviewed)["train"] == second["train"], "its declined place"
    assert {r.id for r in training_pictures(dataset, reviewed)} == first["train"]


def test_pictures_that_are_listed_can_be_read(tmp_path: Path) -> None:
    drawn = write_faces_folder(tmp_path / "drawn", images=4, seed=3, size=(160, 120), workers=1)
    dataset, labels = convert([f"yolo:{drawn}"], tmp_path / "dataset", tmp_path / "v0", keep_splits=True)
    listed(tmp_path / "work", dataset, labels)
    for line in (tmp_path / "work/train.txt").read_text().splitlines():
        assert read_rgb(Path(line)).shape == (120, 160, 3)

"""Start from an earlier run: its folders are found by path or by address of a store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.gold import gold_before, write_gold
from lidloop.data.reviews import read_reviews
from lidloop.errors import DatasetError
from lidloop.report.earlier_run import begin_from, below
from lidloop.review.apply import import_decisions
from lidloop.review.decisions import Decision, DecisionFile, now
from lidloop.review.faces import read_faces_to_review
from tests.servers.buckets import Bucket


@pytest.mark.parametrize(
    ("place", "relative", "expected"),
    [
        ("/runs/a", "steps/x", "/runs/a/steps/x"),
        ("s3://b/p/report/1/folder", "../../../convert/2/dataset", "s3://b/p/convert/2/dataset"),
        ("s3://b/p?endpoint=http://h", "summary.json", "s3://b/p/summary.json?endpoint=http://h"),
        ("s3://b", "reviewed/labels-v2", "s3://b/reviewed/labels-v2"),
    ],
)
def test_below(place: str, relative: str, expected: str) -> None:
    assert below(place, relative) == expected


def test_a_path_that_leaves_the_bucket_is_refused() -> None:
    with pytest.raises(DatasetError, match="not in the bucket"):
        below("s3://b/p", "../../other/dataset")


@pytest.fixture
def earlier(drawn: tuple[Dataset, LabelVersion], tmp_path: Path) -> Path:
    """The folder of a finished run with a reviewed version, in which a validation label was declined."""
    dataset, labels = drawn
    run = tmp_path / "run"
    shutil.copytree(dataset.root, run / "steps" / "dataset")
    shutil.copytree(labels.root, run / "steps" / "labels")
    write_gold(run / "steps" / "gold", dataset, labels)
    paths = {name: f"steps/{name}" for name in ("dataset", "labels", "gold")} | {"evaluation": "steps/e"}
    (run / "summary.json").write_text(json.dumps({"run": "first", "paths": paths}))
    faces = read_faces_to_review(dataset, labels)
    images = [faces.all.images[k] for k in faces.all.image]
    row = next(k for k, image in enumerate(images) if dataset.by_id[image].split == "val")
    decision = Decision(face=faces.ids[row], image=images[row], verdict="declined", at=now())
    file = DecisionFile(
        dataset=dataset.digest, labels=0, session="s", tool="test",
        pictures={images[row]: dataset.by_id[images[row]].sha256}, decisions=[decision],
    )  # fmt: skip
    import_decisions(dataset, labels, {"f": file}, run / "reviewed" / "labels-v1")
    return run


@pytest.mark.parametrize("extend", [True, False])
def test_dataset_labels_and_gold_are_taken_over(earlier: Path, tmp_path: Path, extend: bool) -> None:
    new = [tmp_path / "new" / name for name in ("dataset", "labels", "gold")]
    labels = begin_from(str(earlier), "", *new, extend_gold=extend)
    assert labels.version == 1
    assert read_reviews(labels)
    dataset, gold = Dataset.open(new[0]), LabelVersion.open(new[2])
    faces = gold.info["total"]
    before = gold_before(gold)
    assert (before is not None) is extend
    human = LabelVersion.open(earlier / "steps" / "gold").info["total"]
    assert faces == (human - 1 if extend else human)
    assert all(dataset.path(r.id).exists() for r in dataset.records)
    assert gold.info["continued"] == {"run": "first", "labels": 1}


def test_labels_that_nobody_reviewed_are_refused(earlier: Path, tmp_path: Path) -> None:
    new = [tmp_path / "new" / name for name in ("dataset", "labels", "gold")]
    with pytest.raises(DatasetError, match="was not reviewed"):
        begin_from(str(earlier), str(earlier / "steps" / "labels"), *new, extend_gold=False)


def test_a_run_in_a_store_is_continued_from_its_address(
    earlier: Path, tmp_path: Path, bucket: Bucket
) -> None:
    for file in sorted(path for path in earlier.rglob("*") if path.is_file()):
        bucket.put(f"first/{file.relative_to(earlier).as_posix()}", file.read_bytes())
    new = [tmp_path / "new" / name for name in ("dataset", "labels", "gold")]
    labels = begin_from(bucket.address("first"), "1", *new, extend_gold=True)
    here = LabelVersion.open(earlier / "reviewed" / "labels-v1")
    dataset = Dataset.open(new[0])
    assert all(labels.text(r.id) == here.text(r.id) for r in dataset.records)
    assert gold_before(LabelVersion.open(new[2])) is not None
    assert not list((tmp_path / "new").rglob(".lidloop*"))

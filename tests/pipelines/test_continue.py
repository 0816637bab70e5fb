"""A run that goes on from reviewed labels of an earlier one, through the command line on drawn faces."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")
pytest.importorskip("mlflow")

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.gold import gold_digest
from lidloop.data.reviews import read_reviews
from lidloop.demo import demo_weights
from lidloop.registry.registry import Registry
from lidloop.review.decisions import Decision, DecisionFile, now
from lidloop.review.faces import read_faces_to_review
from lidloop.synthetic import write_faces_folder

OPTIONS = (
    *("--iterations", "1", "--epochs", "1", "--imgsz", "128", "--batch", "8", "--workers", "0"),
    *("--device", "cpu", "--min-growth", "0", "--max-loss", "1e9"),
)


def lidloop(*arguments: str, good: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lidloop.cli", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is good, done.stderr[-3000:]
    return done.stdout if good else " ".join(done.stderr.split())


def folder(run: Path, name: str) -> Path:
    summary = json.loads((run / "summary.json").read_text())
    return run / summary["paths"][name]


@dataclass(frozen=True)
class Reviewed:
    """A run of one iteration, and the version in which a validation label was declined and one confirmed."""

    run: Path
    labels: LabelVersion
    dataset: Dataset
    declined: tuple[str, str]


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    place = tmp_path_factory.mktemp("continue")
    run = place / "first"
    write_faces_folder(place / "faces", images=16, seed=1, hide=0.3, size=(240, 180))
    lidloop(
        "run", "-s", f"yolo:{place / 'faces'}", "--keep-splits", "-o", str(run),
        "--base-weights", str(demo_weights()), "--conf", "0.3", *OPTIONS,
    )  # fmt: skip
    dataset, labels = Dataset.open(folder(run, "dataset")), LabelVersion.open(folder(run, "labels"))
    faces = read_faces_to_review(dataset, labels)

    def row(split: str, kind: str) -> int:
        image = faces.all.images
        return next(
            k
            for k in range(len(faces.ids))
            if faces.kinds[k] == kind and dataset.by_id[image[faces.all.image[k]]].split == split
        )

    chosen = {row("val", "human"): "declined", row("train", "human"): "confirmed"}
    pictures = {k: faces.all.images[faces.all.image[k]] for k in chosen}
    decisions = [
        Decision(face=faces.ids[k], image=pictures[k], verdict=verdict, at=now())
        for k, verdict in chosen.items()
    ]
    file = DecisionFile(
        dataset=dataset.digest, labels=labels.version, session="s", tool="test",
        pictures={image: dataset.by_id[image].sha256 for image in pictures.values()}, decisions=decisions,
    )  # fmt: skip
    (place / "decisions.json").write_text(file.model_dump_json())
    lidloop("review", "import", str(run), str(place / "decisions.json"))
    first = next(iter(chosen))
    return Reviewed(
        run, LabelVersion.open(run / "reviewed" / "labels-v2"), dataset, (faces.ids[first], pictures[first])
    )


def summary_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return content


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_continued_run_starts_from_reviewed_labels_and_the_champion_with_extended_gold(
    reviewed: Reviewed, tmp_path: Path
) -> None:
    out = tmp_path / "second"
    lidloop(
        "run", "--continue", str(reviewed.run), "--labels", "2", "--extend-gold", "-o", str(out), *OPTIONS
    )

    summary = summary_of(out)
    labels = LabelVersion.open(folder(out, "labels"))
    assert labels.version == 3, "label versions go on"
    assert [v["version"] for v in summary["versions"]] == [2, 3]
    assert read_reviews(labels) == read_reviews(reviewed.labels), "decisions are kept"
    for record in reviewed.dataset.records:
        assert labels.text(record.id).startswith(reviewed.labels.text(record.id)), "labels are kept"
    assert (Dataset.open(folder(out, "dataset"))).digest == reviewed.dataset.digest
    face, image = reviewed.declined
    assert face not in read_faces_to_review(reviewed.dataset, labels).ids or not labels.text(image)

    registry = Registry(reviewed.run / "registry", create=False)
    versions = registry.versions()
    assert [v.run for v in versions] == [summary_of(reviewed.run)["run"], summary["run"]]
    assert versions[1].parent == versions[0].version, "it started from the champion"
    assert versions[1].label_version == 2
    assert versions[0].gold_digest != versions[1].gold_digest
    assert versions[1].gate is not None
    assert versions[1].gate["against"] == versions[0].version

    continued = summary["continued"]
    assert continued["extended"]
    assert continued["faces"]["gold_before"] == continued["faces"]["gold"] + 1
    start = continued["champion"]
    assert start["version"] == versions[0].version
    own = summary["iterations"][0]["metrics"]
    assert start["metrics"]["gold_before"]["recall"] == versions[0].gold["recall"]
    assert {"gold", "gold_before"} <= set(own)
    assert summary["iterations"][0]["faces"]["gold"]["faces"] == continued["faces"]["gold"]
    assert 'id="table-continued"' in (out / "report.html").read_text()

    lidloop("report", str(out))
    assert summary_of(out)["continued"] == continued, "a report that is written again says the same"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_gold_stays_that_of_before_without_a_decision(reviewed: Reviewed, tmp_path: Path) -> None:
    out = tmp_path / "second"
    lidloop("run", "--continue", str(reviewed.run), "-o", str(out), "--registry", str(tmp_path / "registry"),
            "--base-weights", str(demo_weights()), *OPTIONS)  # fmt: skip
    gold = LabelVersion.open(folder(out, "gold"))
    before = LabelVersion.open(folder(reviewed.run, "gold"))
    assert gold_digest(reviewed.dataset, gold) == gold_digest(reviewed.dataset, before)
    continued = summary_of(out)["continued"]
    assert not continued["extended"]
    assert continued["champion"] is None, "it started from other weights"
    assert "gold_before" not in summary_of(out)["iterations"][0]["metrics"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--labels", "2"), "--labels needs --continue RUN"),
        (("--extend-gold",), "--extend-gold needs --continue RUN"),
        (("--continue", "nowhere"), "nowhere is not a folder"),
        (("--continue", "s3://runs/first"), "give the --registry of that run"),
        (("--continue", ".", "-s", "yolo:."), "give --source or --continue, not both"),
    ],
)
def test_wrong_starts_are_refused(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    assert says in lidloop("run", "-o", str(tmp_path / "out"), *options, good=False)

"""The whole loop through the command line on a few drawn faces: killed, resumed, reviewed and continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")
pytest.importorskip("mlflow")

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.data.reviews import read_reviews
from lidloop.demo import demo_weights
from lidloop.registry.registry import Registry
from lidloop.review.decisions import Decision, DecisionFile, now
from lidloop.review.faces import read_faces_to_review
from lidloop.synthetic import write_faces_folder

SMALL = (
    *("--epochs", "1", "--imgsz", "128", "--batch", "8", "--workers", "0", "--device", "cpu"),
    *("--min-growth", "0", "--max-loss", "1e9"),
)
ENVIRONMENT = {**os.environ, "COLUMNS": "120", "LIDLOOP_REGISTRY": ""}
IMAGES = 24


def lidloop(*arguments: object, good: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "lidloop.cli", *map(str, arguments)],
        env=ENVIRONMENT | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode == 0) is good, done.stderr[-3000:]
    return done


def steps_begun(out: Path) -> list[str]:
    log = out / "logs" / "run.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split("'")[1] for line in lines if "Executing task" in line]


def summary_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return content


def folder(run: Path, name: str) -> Path:
    """A folder that the summary of a run names."""
    return run / Path(summary_of(run)["paths"][name])


@dataclass(frozen=True)
class Resumed:
    """A run of two iterations that was killed in the second training and started again."""

    out: Path
    arguments: tuple[object, ...]
    begun_before: list[str]
    begun_again: list[str]
    said: str


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    # Names with characters that URIs, SQL, shells and rich's markup treat specially.
    place = tmp_path_factory.mktemp("runs")
    source, out = place / "faces 'x'?%41", place / "run 'y'?%20 [v1]"
    write_faces_folder(source, images=IMAGES, seed=1)
    arguments = (
        *("run", "-s", f"yolo:{source}", "-o", out, "--iterations", "2", "--shards", "2"),
        *("--base-weights", demo_weights(), *SMALL),
    )
    command = [sys.executable, "-m", "lidloop.cli", *map(str, arguments)]
    killed = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 400
    try:
        while "train-2" not in steps_begun(out):
            assert killed.poll() is None, (out / "logs" / "run.log").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(1.0)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    before = steps_begun(out)
    said = lidloop(*arguments).stderr
    return Resumed(out, arguments, before, steps_begun(out)[len(before) :], said)


@dataclass(frozen=True)
class Reviewed:
    """A label version of the run in which a validation label was declined and a training label confirmed."""

    labels: LabelVersion
    dataset: Dataset
    declined: str
    image: str


@pytest.fixture(scope="module")
def reviewed(resumed: Resumed, tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    run = resumed.out
    dataset, labels = Dataset.open(folder(run, "dataset")), LabelVersion.open(folder(run, "labels"))
    faces = read_faces_to_review(dataset, labels)
    pictures = [faces.all.images[k] for k in faces.all.image]

    def row(split: str) -> int:
        return next(
            k
            for k in range(len(faces.ids))
            if faces.kinds[k] == "human" and dataset.by_id[pictures[k]].split == split
        )

    chosen = {row("val"): "declined", row("train"): "confirmed"}
    file = DecisionFile(
        dataset=dataset.digest, labels=labels.version, session="s", tool="test",
        pictures={pictures[k]: dataset.by_id[pictures[k]].sha256 for k in chosen},
        decisions=[
            Decision(face=faces.ids[k], image=pictures[k], verdict=verdict, at=now())
            for k, verdict in chosen.items()
        ],
    )  # fmt: skip
    decisions = tmp_path_factory.mktemp("decisions") / "decisions.json"
    decisions.write_text(file.model_dump_json())
    lidloop("review", "import", run, decisions)
    first = next(iter(chosen))
    return Reviewed(
        LabelVersion.open(run / "reviewed" / "labels-v3"), dataset, faces.ids[first], pictures[first]
    )


@pytest.mark.timeout(900)  # about 50 s of CPU time; minutes on a busy machine
def test_a_killed_run_is_resumed_and_ends_with_a_report(resumed: Resumed) -> None:
    out = resumed.out
    assert resumed.begun_again[0] == "train-2", "iteration 0 is not repeated"
    assert "iteration 0 · train: taken from the cache" in resumed.said

    summary = summary_of(out)
    assert [row["iteration"] for row in summary["iterations"]] == [0, 1]
    assert all(row["seconds"]["train"] > 0 and row["seconds"]["total"] > 0 for row in summary["iterations"])
    assert summary["settings"]["imgsz"] == 128
    assert (out / "report.html").stat().st_size > 10_000
    assert not any(Path(path).is_absolute() for path in summary["paths"]["predictions"])
    dataset = Dataset.open(folder(out, "dataset"))
    newest = LabelVersion.open(folder(out, "labels"))
    assert newest.version == 2
    assert len(dataset.records) == IMAGES
    first = LabelVersion.open(folder(out, "dataset").with_name("labels"))
    for record in dataset.records:
        assert newest.text(record.id).startswith(first.text(record.id)), "human labels are never changed"
    versions = Registry(out / "registry", create=False).versions()[:2]
    assert [(v.run, v.iteration) for v in versions] == [(summary["run"], 0), (summary["run"], 1)]
    assert versions[1].parent == versions[0].version
    assert not list((out / "checkpoints").glob("*/run")), "a finished training needs no checkpoint"


def test_a_resumed_run_with_another_setting_is_refused(resumed: Resumed) -> None:
    refused = lidloop(*resumed.arguments, "--seed", "7", good=False, TERM="dumb")
    assert refused.returncode == 1
    assert "seed was 0 and is 7" in " ".join(refused.stderr.split())


@pytest.mark.timeout(900)
def test_a_continued_run_starts_from_reviewed_labels_and_the_champion_with_extended_gold(
    resumed: Resumed, reviewed: Reviewed, tmp_path: Path
) -> None:
    run, out = resumed.out, tmp_path / "second"
    champion = Registry(run / "registry", create=False).get("champion")
    lidloop(
        *("run", "--continue", run, "--labels", "3", "--extend-gold", "-o", out, "--iterations", "1"), *SMALL
    )

    summary = summary_of(out)
    labels = LabelVersion.open(folder(out, "labels"))
    assert labels.version == 4, "label versions go on"
    assert [v["version"] for v in summary["versions"]] == [3, 4]
    assert read_reviews(labels) == read_reviews(reviewed.labels), "decisions are kept"
    for record in reviewed.dataset.records:
        assert labels.text(record.id).startswith(reviewed.labels.text(record.id)), "labels are kept"
    assert Dataset.open(folder(out, "dataset")).digest == reviewed.dataset.digest
    faces = read_faces_to_review(reviewed.dataset, labels)
    assert reviewed.declined not in faces.ids or not labels.text(reviewed.image)

    versions = Registry(run / "registry", create=False).versions()
    assert [v.run for v in versions] == [*[summary_of(run)["run"]] * 2, summary["run"]]
    assert versions[2].parent == champion.version, "it started from the champion"
    assert versions[2].label_version == 3
    assert champion.gold_digest != versions[2].gold_digest
    assert versions[2].gate is not None
    assert versions[2].gate["against"] == champion.version

    continued = summary["continued"]
    assert continued["extended"]
    assert continued["faces"]["gold_before"] == continued["faces"]["gold"] + 1
    start = continued["champion"]
    assert start["version"] == champion.version
    own = summary["iterations"][0]["metrics"]
    assert start["metrics"]["gold_before"]["recall"] == champion.gold["recall"]
    assert {"gold", "gold_before"} <= set(own)
    assert summary["iterations"][0]["faces"]["gold"]["faces"] == continued["faces"]["gold"]
    assert 'id="table-continued"' in (out / "report.html").read_text()

    lidloop("report", out)
    assert summary_of(out)["continued"] == continued, "a report that is written again says the same"


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
    refused = lidloop("run", "-o", tmp_path / "out", *options, good=False)
    assert says in " ".join(refused.stderr.split())

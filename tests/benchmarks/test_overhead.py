"""Time and disk of a run, on a folder made by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks import overhead as bench
from benchmarks.common import Skipped
from benchmarks.pages.benchmarks import notes
from lidloop.errors import DatasetError


def _write(path: Path, content: bytes | dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Ten pictures of 10,000 bytes, and three label versions: most of each is links to the one before."""
    run = tmp_path / "run"
    steps = run / "steps" / "pipeline-1"
    dataset = steps / "convert" / "dataset"
    for k in range(10):
        _write(dataset / "images" / f"{k}.jpg", bytes(10_000))
    _write(dataset / "dataset.json", {})
    places = [steps / "convert" / "labels", steps / "nms-filter" / "grown", steps / "nms-filter-2" / "grown"]
    for version, place in enumerate(places):
        _write(place / "version.json", {"version": version, "dataset": "d"})
        for k in range(5):
            text = place / "text" / f"{k}.txt"
            if version and k:
                text.parent.mkdir(exist_ok=True)
                os.link(places[0] / "text" / text.name, text)
            else:
                _write(text, b"x" * 500 * (version + 1))
    _write(steps / "train" / "executor_output.json", {})
    _write(steps / "train" / "model" / "weights.pt", bytes(50_000))
    _write(steps / "train" / "model" / "training.json", {"iteration": 0, "seconds": 80.0})
    rows = [("convert", None, 5.0), ("train", 0, 90.0), ("filter", 0, 1.0)]
    timings = {"steps": [{"step": s, "iteration": i, "seconds": t} for s, i, t in rows]}
    _write(run / "run.json", {})
    _write(run / "timings.json", timings)
    _write(run / "logs" / "run.log", b"==== 2026-01-01 10:00:00 start, process 1\n")
    os.utime(run / "run.json", (1000, 1000))
    os.utime(run / "timings.json", (1100, 1100))
    summary = {
        "paths": {"dataset": "steps/pipeline-1/convert/dataset"}, "settings": {"epochs": 3, "imgsz": 64},
        "dataset": {"digest": "d", "images": {"total": 10}}, "iterations": [{}, {}],
    }  # fmt: skip
    _write(run / "summary.json", summary)
    return run


def _apparent(*paths: Path) -> int:
    return sum(path.lstat().st_size for path in paths)


def test_hard_links_count_once(run_dir: Path) -> None:
    space = bench.disk(run_dir)
    assert space["pictures"]["bytes"] == 100_000
    assert [v["version"] for v in space["label_versions"]] == [0, 1, 2]
    assert [v["files"] for v in space["label_versions"]] == [6, 2, 2]
    grown = run_dir / "steps" / "pipeline-1" / "nms-filter" / "grown"
    own = _apparent(grown, grown / "text", grown / "version.json", grown / "text" / "0.txt")
    assert space["label_versions"][1]["bytes"] == own
    assert (grown / "text" / "1.txt").stat().st_nlink == 3


def test_the_share_is_that_of_the_largest_version(run_dir: Path) -> None:
    space = bench.disk(run_dir)
    assert space["share"] == max(v["bytes"] for v in space["label_versions"][1:]) / 100_000
    blocks = max(v["blocks"] for v in space["label_versions"][1:])
    assert space["share_blocks"] == blocks / space["pictures"]["blocks"]


def test_models_are_counted_separately(run_dir: Path) -> None:
    other = bench.disk(run_dir)["other"]
    assert other["train: model"]["files"] == 2
    assert other["train: model"]["bytes"] > 50_000
    assert not any("grown" in name or "labels" in name for name in other)


def test_labels_of_another_dataset_are_not_counted(run_dir: Path) -> None:
    _write(run_dir / "other" / "version.json", {"version": 7, "dataset": "another"})
    assert [v["version"] for v in bench.disk(run_dir)["label_versions"]] == [0, 1, 2]


def test_a_run_without_its_pictures_is_an_error(run_dir: Path) -> None:
    os.rename(run_dir / "steps" / "pipeline-1" / "convert", run_dir / "gone")
    with pytest.raises(DatasetError, match="dataset is gone"):
        bench.disk(run_dir)


def test_time_is_wall_time_less_the_fine_tune(run_dir: Path) -> None:
    time = bench.time_shares(run_dir)
    assert time["wall_seconds"] == 100
    assert time["training_seconds"] == 80
    assert time["share"] == pytest.approx(0.2)
    assert time["share_beside_train_steps"] == pytest.approx(0.1)
    assert not bench.rows(bench.run(run_dir=run_dir))[0].met


@pytest.mark.parametrize("why", ["started twice", "copied without times"])
def test_without_a_wall_time_the_steps_are_added(run_dir: Path, why: str) -> None:
    if why == "started twice":
        with (run_dir / "logs" / "run.log").open("a") as log:
            log.write("==== 2026-01-01 11:00:00 start, process 2\n")
    else:
        os.utime(run_dir / "timings.json", (1001, 1001))
    time = bench.time_shares(run_dir)
    assert time["wall_seconds"] == 96
    assert time["wall_from"].startswith("sum of the steps")


def test_a_resumed_training_counts_as_its_step(run_dir: Path) -> None:
    training = {"iteration": 0, "seconds": 2.0, "resumed": True}
    _write(run_dir / "steps" / "pipeline-1" / "train" / "model" / "training.json", training)
    time = bench.time_shares(run_dir)
    assert (time["training_seconds"], time["training_from"]) == (90, "timings.json")


def test_the_newest_model_is_that_of_the_last_iteration(run_dir: Path) -> None:
    model = run_dir / "steps" / "pipeline-1" / "train-2" / "model"
    _write(model / "training.json", {"iteration": 1})
    assert bench.newest_model(run_dir).parent.name == "train"
    _write(model / "weights.pt", b"")
    assert bench.newest_model(run_dir) == model


def test_without_a_run_it_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="--run DIR"):
        bench.run()
    with pytest.raises(Skipped, match="no finished run"):
        bench.run(run_dir=tmp_path)


def test_rows_and_notes_have_the_figures(run_dir: Path) -> None:
    report = bench.run(run_dir=run_dir)
    _, size, blocks = bench.rows(report)
    assert size.met is (report["disk"]["share"] <= 0.02)
    assert blocks.met is None
    assert "train: model 0.0" in notes("overhead", report)

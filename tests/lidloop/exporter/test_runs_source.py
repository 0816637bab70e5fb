"""Tests of reading runs in a folder and in a bucket: state, end, counts of their ledgers."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.errors import LidloopError, StoreError
from lidloop.exporter import runs_source
from lidloop.exporter.figures import RunRecord, RunsReading
from lidloop.exporter.places import OPENERS
from lidloop.exporter.runs_source import AllRuns, RunsSource, label_record, local_state
from lidloop.review.tally import Tally, Verdicts
from tests.servers.buckets import Bucket

GROWN = {
    "format": 1, "version": 1, "dataset": "d", "total": 107,
    "counts": {"train": {"human": 80, "grown": 7}, "val": {"human": 20, "grown": 0}},
    "parameters": {"model": "abc", "grown": 7, "dropped": {"below-confidence": 40, "overlaps-label": 60}},
}  # fmt: skip


def begin(run: Path, **times: float) -> Path:
    """Create a run's folder with files of given modification times: begun, log, summary."""
    (run / "logs").mkdir(parents=True)
    for name, when in times.items():
        path = run / {"begun": "run.json", "log": "logs/run.log", "summary": "summary.json"}[name]
        path.write_text("{}")
        os.utime(path, (when, when))
    return run


def step(run: Path, name: str, content: str) -> None:
    folder = run / "steps" / "lidloop-refinement-2026" / name / "grown"
    folder.mkdir(parents=True)
    (folder / "version.json").write_text(content)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param({"begun": 1, "log": 5, "summary": 6}, ("done", 5), id="done, at the log's end"),
        pytest.param({"begun": 1, "log": 5}, ("failed", 5), id="no summary"),
        pytest.param({"begun": 1, "log": 9, "summary": 6}, ("failed", 9), id="started again, and failed"),
        pytest.param({"begun": 1}, ("failed", 1), id="died at once"),
        pytest.param({"begun": 1, "summary": 6}, ("done", 6), id="log cleaned away"),
    ],
)
def test_state_of_a_folder(tmp_path: Path, times: dict[str, float], expected: tuple[str, float]) -> None:
    assert local_state(begin(tmp_path / "r", **times)) == expected


def test_a_run_with_a_locked_lock_file_is_running(tmp_path: Path) -> None:
    run = begin(tmp_path / "r", begun=1, log=5, summary=6)
    with (run / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert local_state(run) == ("running", None)
        assert [r.state for r in RunsSource(str(tmp_path)).read().runs] == ["running"]
    assert local_state(run) == ("done", 5)


def test_runs_of_a_folder_are_read(tmp_path: Path) -> None:
    old = begin(tmp_path / "old", begun=1, log=2, summary=3)
    step(old, "nms-filter", json.dumps(GROWN))
    step(old, "train", json.dumps(GROWN))  # a skipped folder
    new = begin(tmp_path / "new", begun=10, log=20)
    step(new, "nms-filter-2", "{broken")
    (tmp_path / "something-else").mkdir()
    source = RunsSource(str(tmp_path))
    reading = source.read()
    assert [(run.name, run.state, run.ended) for run in reading.runs] == [
        ("new", "failed", 20), ("old", "done", 2),
    ]  # fmt: skip
    assert reading.left_out == 1
    (record,) = reading.runs[1].labels
    assert (record.version, record.model, record.counts) == (1, "abc", GROWN["counts"])
    assert record.outcomes == {"grown": 7, "below-confidence": 40, "overlaps-label": 60}
    assert reading.space["free"] > 0
    os.utime(new / "logs" / "run.log", (30, 30))
    step(new, "nms-filter", json.dumps(GROWN))
    assert source.read().runs[0].ended == 30, "a restarted run is read again"
    assert len(source.read().runs[0].labels) == 1
    assert [r.name for r in RunsSource(str(new)).read().runs] == [""], "a run's own folder"


REVIEWED = {
    "format": 1, "version": 2, "dataset": "d", "total": 106, "counts": {},
    "parameters": {"review": {
        "applied": {"declined": 1}, "outcomes": {"applied": 1}, "already": 0, "disputes": [],
        "faces": [Tally(0, "grown", Verdicts(declined=1)).to_json()], "models": {"0": "abc"},
    }},
}  # fmt: skip


def test_reviews_after_the_end_of_a_run_are_read(tmp_path: Path) -> None:
    run = begin(tmp_path / "r", begun=1, log=2, summary=3)
    step(run, "nms-filter", json.dumps(GROWN))
    for source in (RunsSource(str(tmp_path)), RunsSource(str(run))):
        assert [record.version for record in source.read().runs[0].labels] == [1]
        folder = run / "reviewed" / "labels-v2"
        folder.mkdir(parents=True)
        (folder / "version.json").write_text(json.dumps(REVIEWED))
        labels = source.read().runs[0].labels
        assert [record.version for record in labels] == [1, 2]
        assert labels[1].reviews == (Tally(0, "grown", Verdicts(declined=1)),)
        assert labels[1].models == {"0": "abc"}
        shutil.rmtree(run / "reviewed")


def test_reviews_of_the_newest_runs_only_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_source, "REVIEWED_RUNS", 1)
    for k in (1, 2):
        folder = begin(tmp_path / f"r{k}", begun=k, log=k, summary=k) / "reviewed" / "labels-v2"
        folder.mkdir(parents=True)
        (folder / "version.json").write_text(json.dumps(REVIEWED))
    assert {run.name: len(run.labels) for run in RunsSource(str(tmp_path)).read().runs} == {"r1": 0, "r2": 1}


def test_label_record_reads_a_real_label_version(drawn: tuple[Dataset, LabelVersion]) -> None:
    labels = drawn[1]
    record = label_record((labels.root / "version.json").read_bytes())
    assert record.version == 0
    assert record.counts == labels.info["counts"]
    assert record.outcomes == {}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b'{"version": 1}', b'{"version": 1, "counts": 3}', None,
        b'{"version": 1, "counts": {}, "parameters": {"review": {"faces": [{"iteration": 0}]}}}',
        b'{"version": 1, "counts": {}, "parameters": {"review": {"faces": 3}}}',
    ],
)  # fmt: skip
def test_damaged_label_versions_are_rejected(content: bytes | None) -> None:
    with pytest.raises(LidloopError, match=r"version\.json is damaged"):
        label_record(content)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no folder of runs"):
        RunsSource(str(tmp_path / "none")).read()


def test_runs_of_a_kubeflow_bucket_are_read(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    root = "v2/artifacts/lidloop-refinement"
    bucket.put(f"{root}/run-1/nms-filter/e1/grown/version.json", json.dumps(GROWN).encode())
    bucket.put(f"{root}/run-1/nms-filter/e1/grown/text/a.txt", b"0 0.5 0.5 0.1 0.1\n")
    bucket.put(f"{root}/run-1/report/e2/folder/summary.json", b"{}")
    place = f"{root}/run-1/report/e2/folder/reviewed/labels-v2"
    bucket.put(f"{place}/version.json", json.dumps(REVIEWED).encode())
    bucket.put(f"{root}/run-2/nms-filter/e1/grown/version.json", b"{broken")
    source = RunsSource(bucket.address(root))
    for _ in range(2):
        reading = source.read()
        done, open_ = reading.runs
        assert (done.name, done.state, open_.name, open_.ended) == ("run-1", "", "run-2", None)
        assert done.ended is not None
        assert [record.model for record in done.labels] == ["abc", ""]
        assert [len(record.reviews) for record in done.labels] == [0, 1]
        assert reading.left_out == 1
    bucket.put(f"{root}/run-2/nms-filter/e1/grown/version.json", json.dumps(GROWN).encode())
    later = {**REVIEWED, "version": 3}
    bucket.put(f"{root}/run-1/reviewed/labels-v3/version.json", json.dumps(later).encode())
    reviewed = [record.version for record in source.read().runs[0].labels if record.reviews]
    assert sorted(reviewed) == [2, 3], "people review after the end of a run"
    assert len(source.read().runs[1].labels) == 1, "an unfinished run is read again"
    monkeypatch.setattr(runs_source, "ABANDONED_AFTER", -3600.0)
    source.read()
    bucket.put(f"{root}/run-2/report/e2/folder/summary.json", b"{}")
    assert source.read().runs[1].ended is None, "an abandoned run is not read again"


def test_runs_of_several_locations_are_combined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeKubeflow:
        def __init__(self, host: str) -> None:
            assert host == "https://kfp.example"

        def read(self) -> RunsReading:
            return RunsReading([RunRecord("k", "failed", 9.0)], left_out=1)

    begin(tmp_path / "r", begun=1, log=2)
    monkeypatch.setitem(OPENERS, "kubeflow", FakeKubeflow)
    reading = AllRuns([str(tmp_path), "kubeflow:https://kfp.example"]).read()
    assert ([run.name for run in reading.runs], reading.left_out) == (["r", "k"], 1)
    assert "free" in reading.space


def test_kubeflow_needs_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OPENERS, "kubeflow", raising=False)
    with pytest.raises(LidloopError, match=r"lidloop\[cluster\]"):
        AllRuns(["kubeflow"])


def test_the_number_of_listed_folders_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(tmp_path / "r", begun=1, log=2)
    for k in range(5):
        step(run, f"nms-filter-{k}", json.dumps(GROWN))

    def found(limit: int) -> Any:
        monkeypatch.setattr(runs_source, "MAX_FOLDERS", limit)
        return len(RunsSource(str(tmp_path)).read().runs[0].labels)

    assert [found(100), found(9)] == [5, 2]

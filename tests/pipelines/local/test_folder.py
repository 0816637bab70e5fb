from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.local.engine import RunError, StepRecord, locked
from pipelines.local.folder import begin, clear_leftovers, collect

IDENTITY = {"epochs": 10, "sources": ["ibug:/a"]}


def test_a_run_is_started_once_and_then_resumed(tmp_path: Path) -> None:
    name = begin(tmp_path, IDENTITY, fresh=False)
    assert name.startswith(tmp_path.name)
    assert begin(tmp_path, IDENTITY, fresh=False) == name


def test_changed_settings_are_named(tmp_path: Path) -> None:
    begin(tmp_path, IDENTITY, fresh=False)
    with pytest.raises(RunError, match=r"epochs was 10 and is 20\. .*--fresh"):
        begin(tmp_path, {**IDENTITY, "epochs": 20}, fresh=False)


def test_fresh_deletes_the_run_but_not_its_registry(tmp_path: Path) -> None:
    begin(tmp_path, IDENTITY, fresh=False)
    for name in ("steps/x/model", "cache/a.json", "registry/mlflow.db", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(RunError, match=r"not empty and holds no run \(notes.txt"):
        begin(tmp_path, {**IDENTITY, "epochs": 20}, fresh=True)
    (tmp_path / "notes.txt").unlink()
    begin(tmp_path, {**IDENTITY, "epochs": 20}, fresh=True)
    assert not (tmp_path / "steps").exists()
    assert not (tmp_path / "cache").exists()
    assert (tmp_path / "registry" / "mlflow.db").exists()


def test_a_run_of_another_version_is_rejected_with_that_reason(tmp_path: Path) -> None:
    begin(tmp_path, {**IDENTITY, "lidloop": "0.1.0"}, fresh=False)
    with pytest.raises(RunError, match=r"a run of lidloop 0\.1\.0.*--fresh"):
        begin(tmp_path, {**IDENTITY, "lidloop": "0.2.0", "epochs": 20}, fresh=False)
    begin(tmp_path, {**IDENTITY, "lidloop": "0.2.0"}, fresh=True)


def test_fresh_touches_nothing_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    with pytest.raises(RunError, match="not empty"):
        begin(tmp_path, IDENTITY, fresh=True)
    assert (tmp_path / "steps").exists()


def test_fresh_touches_nothing_beside_a_run_json_of_another_program(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"run": 7, "notes": "of a laboratory"}')
    (tmp_path / "logs").mkdir()
    for fresh in (False, True):
        with pytest.raises(RunError, match=r"run\.json is not that of a lidloop run"):
            begin(tmp_path, IDENTITY, fresh=fresh)
    assert (tmp_path / "logs").is_dir()
    assert "laboratory" in (tmp_path / "run.json").read_text()


def test_a_lock_file_of_another_program_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_bytes(b"\xff of another program")
    with pytest.raises(RunError, match=r"\.lock is not that of a lidloop run"), locked(tmp_path):
        pass
    assert (tmp_path / ".lock").read_bytes() == b"\xff of another program"
    (tmp_path / ".lock").write_text("12345")
    with locked(tmp_path):
        pass


def test_outputs_that_are_not_in_the_cache_are_removed(tmp_path: Path) -> None:
    finished = tmp_path / "steps" / "run-1" / "for-loop-1-iteration-0" / "auto-label" / "predictions"
    finished.mkdir(parents=True)
    (finished / "faces.parquet").write_text("x")
    half = tmp_path / "steps" / "run-1" / "train" / "model"
    other = tmp_path / "steps" / "run-2" / "train" / "model"
    for folder in (half, other):
        folder.mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    entry = {"predictions": {"uri": str(finished)}, "Output": True}
    (tmp_path / "cache" / "1.json").write_text(json.dumps(entry))
    clear_leftovers(tmp_path)
    assert (finished / "faces.parquet").exists()
    assert not half.parent.exists()
    assert not other.parent.parent.exists()


def test_the_report_is_copied_with_paths_relative_to_the_run(tmp_path: Path) -> None:
    source = tmp_path / "steps" / "r" / "report" / "folder"
    (tmp_path / "steps" / "r" / "convert" / "dataset").mkdir(parents=True)
    source.mkdir(parents=True)
    (source / "report.html").write_text("<html>")
    (source / "timings.json").write_text("{}")
    paths = {"dataset": "../../convert/dataset", "truth": None, "predictions": ["../../p"]}
    (source / "summary.json").write_text(json.dumps({"run": "r", "paths": paths}))
    summary = collect(tmp_path, [StepRecord("report", None, None, "done", outputs={"folder": str(source)})])
    assert summary["paths"] == {
        "dataset": "steps/r/convert/dataset",
        "truth": None,
        "predictions": ["steps/r/p"],
    }
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert (tmp_path / "report.html").read_text() == "<html>"
    assert not (tmp_path / "timings.json").exists(), "the run has its own timings"

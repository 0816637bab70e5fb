"""The whole loop through the command line on a few drawn faces, killed half-way and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")
pytest.importorskip("mlflow")

from lidloop.data.dataset import Dataset, LabelVersion
from lidloop.registry.registry import Registry
from lidloop.synthetic import write_faces_folder

TINY = Path(__file__).parents[1] / "tiny-pose.yaml"


def command(source: Path, out: Path) -> list[str]:
    # Training starts from random weights, so no weights file is needed; the model need not be good.
    return [
        *(sys.executable, "-m", "lidloop.cli", "run", "-s", f"yolo:{source}", "-o", str(out)),
        *(
            "--iterations",
            "2",
            "--epochs",
            "1",
            "--imgsz",
            "128",
            "--batch",
            "8",
            "--workers",
            "0",
            "--shards",
            "2",
        ),
        *("--base-weights", str(TINY), "--device", "cpu", "--min-growth", "0", "--max-loss", "1e9"),
    ]


def steps_begun(out: Path) -> list[str]:
    log = out / "logs" / "run.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split("'")[1] for line in lines if "Executing task" in line]


@pytest.mark.timeout(900)  # about 50 s of CPU time; minutes on a busy machine
def test_a_killed_run_is_resumed_and_ends_with_a_report(tmp_path: Path) -> None:
    # Names with characters that URIs, SQL, shells and rich's markup treat specially.
    source, out = tmp_path / "faces 'x'?%41", tmp_path / "run 'y'?%20 [v1]"
    write_faces_folder(source, images=24, seed=1)
    env = {**os.environ, "COLUMNS": "120", "LIDLOOP_REGISTRY": ""}
    killed = subprocess.Popen(command(source, out), env=env, stderr=subprocess.DEVNULL)
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
    done_before = steps_begun(out)

    again = subprocess.run(command(source, out), env=env, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    begun_again = steps_begun(out)[len(done_before) :]
    assert begun_again[0] == "train-2", "iteration 0 is not repeated"
    assert "iteration 0 · train: taken from the cache" in again.stderr

    summary = json.loads((out / "summary.json").read_text())
    assert [row["iteration"] for row in summary["iterations"]] == [0, 1]
    assert all(row["seconds"]["train"] > 0 and row["seconds"]["total"] > 0 for row in summary["iterations"])
    assert summary["settings"]["imgsz"] == 128
    assert (out / "report.html").stat().st_size > 10_000
    assert not any(Path(path).is_absolute() for path in summary["paths"]["predictions"])
    dataset = Dataset.open(out / summary["paths"]["dataset"])
    newest = LabelVersion.open(out / summary["paths"]["labels"])
    assert newest.version == 2
    assert len(dataset.records) == 24
    for record in dataset.records:
        first = LabelVersion.open(out / Path(summary["paths"]["dataset"]).with_name("labels")).text(record.id)
        assert newest.text(record.id).startswith(first), "human labels are never changed"
    versions = Registry(out / "registry", create=False).versions()
    assert [(v.run, v.iteration) for v in versions] == [(summary["run"], 0), (summary["run"], 1)]
    assert versions[1].parent == versions[0].version
    assert not list((out / "checkpoints").glob("*/run")), "a finished training needs no checkpoint"

    other = [*command(source, out), "--seed", "7"]
    refused = subprocess.run(other, env={**env, "TERM": "dumb"}, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "seed was 0 and is 7" in " ".join(refused.stderr.split())

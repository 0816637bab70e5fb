"""Runs of a Kubeflow host as the exporter sees them, against a mock of its API server."""

from __future__ import annotations

from pathlib import Path

import pytest

from lidloop.errors import LidloopError
from lidloop.exporter.reader import reason
from lidloop.exporter.runs_source import AllRuns
from pipelines.cli.run import register
from pipelines.kubeflow import access as kubeflow_access
from pipelines.kubeflow.host import KubeflowHost
from tests.servers.mock_kfp import running

PIPELINE = Path(__file__).parents[3] / "pipelines" / "compiled" / "refinement.yaml"


def test_states_and_end_times_of_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import typer

    monkeypatch.setattr(kubeflow_access, "TOKEN", tmp_path / "no-token")
    register(typer.Typer())
    with running() as kfp:
        source = AllRuns([f"kubeflow:{kfp.url}"])
        assert source.read().runs == []
        host = KubeflowHost.from_settings(kfp.url, pipeline=PIPELINE)
        states = ("SUCCEEDED", "FAILED", "CANCELED", "RUNNING")
        for state in states:
            identity = host.submit({"sources": ["yolo:/x"]}, run=state.lower())
            if state != "RUNNING":
                kfp.go_on(identity, state)
        found = {run.name: run for run in source.read().runs}
        assert {name: run.state for name, run in found.items()} == {
            "succeeded": "done", "failed": "failed", "canceled": "stopped", "running": "running",
        }  # fmt: skip
        assert [name for name, run in found.items() if run.ended is None] == ["running"]
        kfp.failing = [401]
        with pytest.raises(LidloopError) as refused:
            source.read()
        assert reason(refused.value) == "refused"

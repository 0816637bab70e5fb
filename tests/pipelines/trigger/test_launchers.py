"""Runs on this machine and on a host: started once, found again, and their end told truly."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lidloop.errors import LidloopError
from pipelines.trigger.kubeflow_launcher import KubeflowLauncher
from pipelines.trigger.launchers import LaunchError, LocalLauncher, RunState
from pipelines.trigger.store import Store
from pipelines.trigger.supervisor import ATTEMPTS, Supervisor
from tests.pipelines.trigger.conftest import STAND_IN, until

COMMAND = [sys.executable, str(STAND_IN)]


def starts(root: Path) -> list[str]:
    file = root / "runs" / "STARTS"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def ended(launcher: LocalLauncher, run: str) -> RunState:
    until(lambda: launcher.state(run).state != "running", 60)
    return launcher.state(run)


def test_starting_a_run_twice_runs_it_once(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, command=COMMAND)
    assert launcher.state("a").state == "starting"
    assert launcher.link("a") is None
    for _ in range(3):
        assert LocalLauncher(tmp_path, command=COMMAND).start({"epochs": 3}, run="a") == "a"
    assert launcher.state("a").state == "running"
    state = ended(launcher, "a")
    assert (state.state, state.registered) == ("succeeded", "a-registered")
    launcher.start({"epochs": 3}, run="a")
    assert starts(tmp_path) == ["a"], "one that has ended is not started again either"


def test_a_run_started_before_the_service_recorded_it_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "db", model="lidloop", cooldown=60)
    run, _ = store.add_request({"epochs": 3}, by="me", now=0)
    LocalLauncher(tmp_path, command=COMMAND).start(run.parameters, run=run.id)
    # Here it is killed: the store knows nothing of the start.
    store.close()
    store = Store(tmp_path / "db", model="lidloop", cooldown=60)
    launcher = LocalLauncher(tmp_path, command=COMMAND)
    supervisor = Supervisor(store, launcher)
    supervisor.check_runs()
    ended(launcher, run.id)
    supervisor.check_runs()
    assert [r.state for r in store.runs(limit=9)] == ["succeeded"]
    assert starts(tmp_path) == [run.id]


def test_a_run_that_outlives_its_parent_is_running_until_it_ends(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, command=COMMAND)
    launcher.start({"epochs": 8}, run="a")
    until(lambda: starts(tmp_path))
    process = json.loads((tmp_path / "control/a/process.json").read_text())
    assert Path("/proc/self/stat").exists() == bool(process["started"])
    os.kill(process["pid"], signal.SIGKILL)
    until(lambda: not launcher._reap() and not launcher._children)
    assert launcher.state("a").state == "running"
    assert ended(launcher, "a").state == "succeeded"
    assert not (tmp_path / "control/a/exit.json").exists()


def test_a_run_without_process_and_exit_status_is_lost(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, command=COMMAND)
    launcher.start({"epochs": 600}, run="a")
    until(lambda: starts(tmp_path))
    process = json.loads((tmp_path / "control/a/process.json").read_text())
    os.killpg(process["pid"], signal.SIGKILL)
    assert ended(launcher, "a").state == "lost"
    file = tmp_path / "control/a/process.json"
    file.write_text(json.dumps({**process, "pid": os.getpid()}))
    assert launcher.state("a").state == "lost", "the id is another process's now"


def test_a_missing_command_is_a_failed_run(tmp_path: Path) -> None:
    launcher = LocalLauncher(tmp_path, command=["/nowhere/lidloop"])
    launcher.start({}, run="a")
    state = ended(launcher, "a")
    assert (state.state, "status 127" in state.detail) == ("failed", True)
    assert "cannot be started" in (tmp_path / "control/a/log").read_text()


def test_lidloop_run_is_started_and_ends(tmp_path: Path) -> None:
    """``lidloop run`` itself, which finds nothing to train on: a run that trains takes too long here."""
    for needed in ("kfp", "pyarrow"):
        pytest.importorskip(needed)
    (tmp_path / "faces").mkdir()
    launcher = LocalLauncher(tmp_path / "state")
    parameters = {
        "sources": [f"ibug:{tmp_path / 'faces'}"], "iterations": 1, "epochs": 1, "device": "cpu",
        "base_weights": "yolov8n-pose.yaml", "ignore_unlabelled": False,
    }  # fmt: skip
    launcher.start(parameters, run="request-1")
    until(lambda: launcher.state("request-1").state != "running", 280)
    state = launcher.state("request-1")
    log = (tmp_path / "state/control/request-1/log").read_text()
    assert (state.state, "status 1" in state.detail) == ("failed", True), log[-2000:]
    assert str(state.registered).startswith("request-1-")
    assert "convert" in log
    assert "Traceback" not in log
    assert (tmp_path / "state/runs/request-1/logs/run.log").exists()


class Failing:
    """A launcher that cannot start runs, for a while."""

    def __init__(self, times: int) -> None:
        self.times, self.started = times, []

    def start(self, parameters: Mapping[str, Any], *, run: str) -> str:
        if self.times:
            self.times -= 1
            raise LaunchError("the host is asleep")
        self.started.append(run)
        return run

    def state(self, id: str) -> RunState:
        return RunState("running")

    def link(self, id: str) -> str | None:
        return None


@pytest.mark.parametrize(("failures", "state"), [(5, "running"), (ATTEMPTS, "failed")])
def test_failed_starts_are_retried_with_back_off(tmp_path: Path, failures: int, state: str) -> None:
    now = [0.0]
    store = Store(tmp_path / "db", model="lidloop", cooldown=60)
    launcher = Failing(failures)
    supervisor = Supervisor(store, launcher, clock=lambda: now[0])
    run, _ = store.add_request({}, by="me", now=0)
    tried = 0
    while store.active() and not launcher.started:
        before = launcher.times
        supervisor.check_runs()
        tried += before - launcher.times
        now[0] += 1
    after = store.run(run.id)
    assert after is not None
    assert (after.state, tried) == (state, failures)
    assert ("asleep" in after.detail) == (state == "failed")
    assert now[0] > 50, "not in a hurry"


class Host:
    """A stand-in for ``pipelines.kubeflow.host.KubeflowHost``."""

    def __init__(self) -> None:
        self.submitted: list[dict[str, Any]] = []
        self.now: Any = None

    def submit(self, parameters: Mapping[str, Any], *, run: str, experiment: str) -> str:
        from pipelines.kubeflow.errors import RunExists

        if any(entry["run"] == run for entry in self.submitted):
            raise RunExists(run, "id-1")
        self.submitted.append({"run": run, "experiment": experiment, "parameters": dict(parameters)})
        return "id-1"

    def run(self, id: str, *, tasks: bool = True) -> Any:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def link(self, id: str) -> str:
        return f"https://kfp.example/#/runs/details/{id}"


def test_runs_on_a_kubeflow_host() -> None:
    pytest.importorskip("kfp_server_api")
    from pipelines.kubeflow.errors import HostError, RunUnknown
    from pipelines.kubeflow.runs import Run

    host = Host()
    launcher = KubeflowLauncher(host, experiment="loop")  # type: ignore[arg-type]
    for _ in range(2):
        assert launcher.start({"sources": ["yolo:s3://b/a"], "shards": 2}, run="alert-1") == "id-1"
    (submitted,) = host.submitted
    assert (submitted["run"], submitted["experiment"]) == ("alert-1", "loop")
    assert submitted["parameters"] == {"sources": ["yolo:s3://b/a"], "shards": ["0/2", "1/2"]}
    assert launcher.link("id-1") == "https://kfp.example/#/runs/details/id-1"
    end = datetime(2026, 1, 5, tzinfo=UTC)
    for told, expected in (
        ("PENDING", RunState("running")),
        ("RUNNING", RunState("running")),
        ("CANCELING", RunState("running")),
        ("SUCCEEDED", RunState("succeeded", end.timestamp())),
        ("FAILED", RunState("failed", end.timestamp(), "out of memory")),
        ("CANCELED", RunState("failed", end.timestamp(), "out of memory")),
    ):
        host.now = Run("id-1", "alert-1", told, None, end, "out of memory", "")
        assert launcher.state("id-1") == expected
    host.now = RunUnknown("gone")
    assert launcher.state("id-1").state == "failed"
    host.now = HostError("asleep")
    with pytest.raises(LidloopError, match="asleep"):
        launcher.state("id-1")

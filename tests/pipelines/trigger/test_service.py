"""The real service over HTTP: what it starts, what it refuses, and what a stop and a kill leave of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from tests.pipelines.trigger.conftest import Service, alert, message, until

Make = Callable[..., Service]


def test_a_run_is_started_once_and_listed(make: Make) -> None:
    service = make().start()
    key = {"Idempotency-Key": "night-1"}
    first = service.ask("POST", "/v1/runs", json={"epochs": 3, "seed": 7}, headers=key)
    assert first.status_code == 202
    again = service.ask("POST", "/v1/runs", json={"epochs": 3, "seed": 7}, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    other = service.ask("POST", "/v1/runs", json={"epochs": 4}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/key-reused")
    beside = service.ask("POST", "/v1/runs", json={})
    assert (beside.status_code, beside.json()["runs"]) == (409, [first.json()["id"]])

    (run,) = service.ended()
    assert first.headers["Location"] == f"/v1/runs/{run['id']}"
    assert service.ask("GET", first.headers["Location"], key="reader").json() == run
    assert run["state"] == "succeeded"
    assert run["reason"] == "request"
    assert run["started_by"] == service.keys["people"].split("_")[1]
    assert run["link"].startswith("file:///")
    assert run["registered_as"] == f"{run['id']}-registered"
    assert service.starts == [run["id"]]
    argv = json.loads((service.place / "state/runs" / run["id"] / "run.json").read_text())["argv"]
    assert f"--source=yolo:{service.place}/data/faces" in argv
    assert {"--epochs=3", "--seed=7"} <= set(argv)

    service.ask("POST", "/v1/runs", json={"seed": 1})
    failed = service.ended(2)[0]
    assert (failed["state"], "status 1" in failed["detail"]) == ("failed", True)
    page = service.ask("GET", "/v1/runs?limit=1").json()
    assert [r["id"] for r in page["runs"]] == [failed["id"]]
    page = service.ask("GET", page["next"]).json()
    assert ([r["id"] for r in page["runs"]], page["next"]) == ([run["id"]], None)

    metrics = httpx.get(f"{service.url}/metrics").text
    for line in (
        'runs_total{outcome="started",reason="request"} 2.0',
        'runs_total{outcome="failed",reason="request"} 1.0',
        "runs_active 0.0",
    ):
        assert f"lidloop_trigger_{line}\n" in metrics
    if shutil.which("promtool"):
        linted = subprocess.run(
            ["promtool", "check", "metrics"], input=metrics, text=True, capture_output=True, check=False
        )
        assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")
    assert service.stop() == 0
    assert not any(key in service.log for key in service.keys.values())


def test_many_alerts_start_one_run_and_restarts_start_none(make: Make) -> None:
    service = make("--cooldown", "1h").start()

    def send(number: int) -> list[str]:
        storm = message(alert(feature=str(number % 20)), alert(feature="other", alertname="Other"))
        answer = service.ask("POST", "/v1/alerts", key="alertmanager", json=storm)
        assert answer.status_code == 200
        return [entry["outcome"] for entry in answer.json()["alerts"]]

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(outcome for answer in pool.map(send, range(100)) for outcome in answer)
    assert outcomes.pop("started") == 1
    assert set(outcomes) <= {"already-running", "cooling-down"}
    (run,) = service.ended()
    assert run["reason"] == "alert"
    assert run["parameters"]["epochs"] == 1
    service.stop(signal.SIGKILL)
    service.start()
    assert send(0) == ["cooling-down", "cooling-down"]
    resolved = message({**alert(), "status": "resolved"}, alert(lidloop_action="page"))
    answer = service.ask("POST", "/v1/alerts", key="alertmanager", json=resolved).json()["alerts"]
    assert [(entry["outcome"], entry["run"]) for entry in answer] == [("resolved", None), ("not-ours", None)]
    assert service.starts == [run["id"]]

    kept = service.ask("GET", "/v1/alerts?limit=500").json()["alerts"]
    assert len(kept) == 204
    assert Counter(entry["outcome"] for entry in kept)["started"] == 1
    assert {entry["run"] for entry in kept if entry["outcome"] == "cooling-down"} == {run["id"]}
    metrics = httpx.get(f"{service.url}/metrics").text
    assert 'lidloop_trigger_alerts_total{outcome="started"} 1.0\n' in metrics
    (over,) = [line for line in metrics.splitlines() if line.startswith("lidloop_trigger_cooldown_until_")]
    assert 3000 < float(over.split()[1]) - time.time() <= 3600


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl, which makes a certificate")
def test_an_alert_after_the_cool_down_starts_a_run_over_tls(make: Make, tmp_path: Path) -> None:
    files = {"-keyout": str(tmp_path / "tls.key"), "-out": str(tmp_path / "tls.crt")}
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-days", "1", *(text for pair in files.items() for text in pair)),
        ],
        check=True,
        capture_output=True,
    )
    service = make("--cooldown", "1s", "--tls-key", files["-keyout"], "--tls-cert", files["-out"])
    service.scheme = "https"
    service.start()

    def outcome() -> str:
        answer = service.ask("POST", "/v1/alerts", key="alertmanager", json=message(alert()))
        return str(answer.json()["alerts"][0]["outcome"])

    for count in (1, 2):
        until(lambda: outcome() == "started")
        service.ended(count)


def test_runs_outlive_the_service_and_are_found_again(make: Make) -> None:
    service = make().start()
    ends_meanwhile = service.ask("POST", "/v1/runs", json={"epochs": 5}).json()["id"]
    until(lambda: service.runs()[0]["state"] == "running")
    assert service.stop() == 0
    until(lambda: (service.place / "state/control" / ends_meanwhile / "exit.json").exists())
    service.start()
    assert service.ended()[0]["state"] == "succeeded"

    lasts = service.ask("POST", "/v1/runs", json={"epochs": 600}).json()["id"]
    until(lambda: service.runs()[0]["state"] == "running")
    service.stop(signal.SIGKILL)
    service.start()
    run = service.runs()[0]
    assert (run["id"], run["state"]) == (lasts, "running")
    # What stops a run: its process, which hands the signal on.
    process = json.loads((service.place / "state/control" / lasts / "process.json").read_text())
    os.kill(process["pid"], signal.SIGTERM)
    assert "was stopped" in service.ended(2)[0]["detail"]
    assert service.starts == [ends_meanwhile, lasts]


@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_a_service_killed_during_a_start_starts_one_run(make: Make, delay: float) -> None:
    service = make("--cooldown", "1h").start()
    service.ask("POST", "/v1/alerts", key="alertmanager", json=message(alert()))
    time.sleep(delay)
    service.stop(signal.SIGKILL)
    service.start()
    (run,) = service.ended()
    assert run["state"] == "succeeded"
    assert service.starts == [run["id"]], "once, and no other"


def test_a_killed_run_is_resumed(make: Make) -> None:
    service = make().start()
    id = service.ask("POST", "/v1/runs", json={"epochs": 10}).json()["id"]
    until(lambda: service.starts)
    service.stop(signal.SIGKILL)
    process = json.loads((service.place / "state/control" / id / "process.json").read_text())
    os.killpg(process["pid"], signal.SIGKILL)  # the run's whole session
    # An id that lives, and is another process's by now.
    process["pid"] = os.getpid()
    (service.place / "state/control" / id / "process.json").write_text(json.dumps(process))
    service.start()
    (run,) = service.ended()
    assert (run["id"], run["state"]) == (id, "succeeded")
    assert service.starts == [id, id], "the same run, which goes on where it was"


def test_the_state_folder_is_locked(make: Make) -> None:
    service = make().start()
    first, service.process = service.process, None
    service.start(ready=False)
    assert service.process is not None
    assert service.process.wait(30) == 1
    assert "another `lidloop trigger` uses" in " ".join(service.log.split())
    service.process = first

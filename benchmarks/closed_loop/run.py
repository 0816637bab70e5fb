"""Start all services, shift the traffic, and wait until the loop has closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.closed_loop.populations import write_populations
from benchmarks.closed_loop.timeline import Timeline
from benchmarks.closed_loop.traffic import Traffic
from benchmarks.closed_loop.watchers import (
    HOLD,
    alertmanager_command,
    ask,
    get_json,
    prometheus_command,
    require_programs,
)
from benchmarks.common import Progress, no_progress
from benchmarks.servers import Server, running
from lidloop.demo import demo_weights
from lidloop.registry.registry import Registry
from lidloop.web.api_keys import ALERTS, READ, add_key

PROGRAM: Final = str(Path(sys.executable).with_name("lidloop"))
THRESHOLD: Final = 0.25
FIRST_EPOCHS: Final = 2
WINDOW: Final = 400
"""Faces in the sliding window of the service."""

_DRIFT: Final = "version_feature:lidloop_serving_drift:psi"
_ALERT: Final = "LidloopTrafficDrift"
_STABLE_SAMPLES: Final = 10


def run(
    work: Path, *, labelled: int = 300, traffic: int = 200, hide: float = 0.4, imgsz: int = 256,
    epochs: int = 3, iterations: int = 2, per_second: float = 4.0, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Close the loop once.

    Args:
        work: an empty folder for all files.
        labelled: pictures per population to train on.
        traffic: pictures per population to send.
        hide: share of the shifted population's labels that are withheld, for the loop to grow.
        imgsz: size of the input in all runs.
        epochs, iterations: of the run that the alert starts.
        per_second: rate of pictures sent.

    Raises:
        Skipped: if Prometheus or Alertmanager is not installed.
        TimedOut: if a step of the loop does not happen in time.
    """
    require_programs()
    time = Timeline(progress)
    registry = work / "registry"
    folders = write_populations(work / "faces", labelled=labelled, traffic=traffic, hide=hide)
    time.event(
        "drawn", f"{labelled} known and {labelled} shifted pictures to train on, {traffic} of each to send"
    )
    training = {
        "base_weights": str(demo_weights()), "epochs": epochs, "imgsz": imgsz, "registry": str(registry),
        "device": "cpu", "keep_splits": True,
    }  # fmt: skip
    _first_run(work / "first", folders["known"], training | {"epochs": FIRST_EPOCHS})
    first = _champion(registry)
    time.event("first", f"a first run on the known faces: version {first['version']} is the champion")
    defaults = {
        **training, "sources": [f"yolo:{folders[name]}" for name in ("known", "shifted")],
        "iterations": iterations, "min_growth": 0.0,
    }  # fmt: skip
    with ExitStack() as stack:
        services = stack.enter_context(_services(work, registry, defaults))
        with Traffic(services.serve.port, [folders["traffic-known"]], per_second=per_second) as sent:
            try:
                report = _watch(time, services, sent, folders, registry, first)
            except BaseException:
                progress(services.logs())
                raise
    return {
        "labelled": labelled, "traffic": traffic, "hide": hide, "imgsz": imgsz, "epochs": epochs,
        "iterations": iterations, "per_second": per_second, "window": WINDOW, "threshold": THRESHOLD,
        "hold": HOLD,
        "events": time.events, "drift": time.drift, **report,
    }  # fmt: skip


@dataclass(frozen=True)
class _Services:
    """The running services, and an API key that may read the trigger's runs."""

    serve: Server
    trigger: Server
    exporter: Server
    alertmanager: Server
    prometheus: Server
    reader: str

    def logs(self) -> str:
        """The end of each service's output."""
        names = ("serve", "trigger", "exporter", "alertmanager", "prometheus")
        return "\n".join(f"--- {name}\n{getattr(self, name).log()[-2000:]}" for name in names)


@contextmanager
def _services(work: Path, registry: Path, defaults: dict[str, Any]) -> Iterator[_Services]:
    state = work / "trigger"
    state.mkdir()
    (work / "run-defaults.yaml").write_text(yaml.safe_dump(defaults))
    keys = work / "keys.json"
    reader, sender = (
        add_key(keys, name, scopes=(scope,)) for name, scope in (("reader", READ), ("alerts", ALERTS))
    )
    port = ["--port", "{port}"]
    with ExitStack() as stack:

        def start(command: list[str], ready: str = "/readyz", **environment: str) -> Server:
            return stack.enter_context(running(command, ready, environment))

        serve = start(
            [
                PROGRAM, "serve", "--model", "champion", "--registry", str(registry),
                "--audit", os.devnull, *port,
            ],
            LIDLOOP_WATCH="1", LIDLOOP_WINDOW=str(WINDOW),
        )  # fmt: skip
        trigger = start(
            [
                PROGRAM, "trigger", "--state", str(state), "--run-defaults", str(work / "run-defaults.yaml"),
                "--keys", str(keys), "--cooldown", "1h", "--every", "1", *port,
            ]
        )  # fmt: skip
        exporter = start(
            [
                PROGRAM, "exporter", "--registry", str(registry), "--runs", str(state / "runs"),
                "--interval", "2", *port,
            ]
        )  # fmt: skip
        alertmanager = start(
            alertmanager_command(work / "alertmanager", trigger=trigger.port, token=sender), "/-/ready"
        )
        targets = {
            "lidloop-serving": serve.port,
            "lidloop-trigger": trigger.port,
            "lidloop-exporter": exporter.port,
        }
        prometheus = start(
            prometheus_command(work / "prometheus", targets=targets, alertmanager=alertmanager.port),
            "/-/ready",
        )
        yield _Services(serve, trigger, exporter, alertmanager, prometheus, reader)


def _first_run(out: Path, faces: Path, training: dict[str, Any]) -> None:
    command = [
        PROGRAM, "run", "--source", f"yolo:{faces}", "--out", str(out), "--iterations", "1", "--keep-splits",
        "--base-weights", training["base_weights"], "--epochs", str(training["epochs"]),
        "--imgsz", str(training["imgsz"]), "--registry", training["registry"], "--device", training["device"],
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the first run failed: {done.stderr[-2000:]}")


def _champion(registry: Path) -> dict[str, Any]:
    """Figures of the champion for the report."""
    champion = Registry(registry, create=False).get("champion")
    return {
        "version": champion.version, "iteration": champion.iteration, "gold": dict(champion.gold),
        "gate": champion.gate, "grown": sum(split["grown"] for split in champion.labels.values()),
    }  # fmt: skip


def _gates(registry: Path) -> str:
    return json.dumps([version.gate for version in Registry(registry, create=False).versions()])


def _largest(psi: Mapping[str, float]) -> str:
    return max(psi, key=lambda name: psi[name]).replace("_", " ")


def _watch(
    time: Timeline,
    services: _Services,
    sent: Traffic,
    folders: dict[str, Path],
    registry: Path,
    first: dict[str, Any],
) -> dict[str, Any]:
    def drift() -> dict[str, float]:
        answer = ask(services.prometheus.port, _DRIFT)
        versions = sorted({row["metric"]["version"] for row in answer}, key=int)
        found = {
            row["metric"]["feature"]: float(row["value"][1])
            for row in answer
            if row["metric"]["version"] == versions[-1]
        }
        time.sample(found, versions[-1] if versions else "")
        return found

    def sampled(look: Callable[[], Any]) -> Callable[[], Any]:
        def with_drift() -> Any:
            drift()
            return look()

        return with_drift

    def stable(count: list[int]) -> bool:
        found = drift()
        count[0] = count[0] + 1 if found and max(found.values()) < THRESHOLD else 0
        return count[0] >= _STABLE_SAMPLES

    count = [0]
    time.event("traffic", "pictures of known faces arrive")
    time.wait("traffic of known faces under the threshold", 240, lambda: stable(count), every=1)
    before = dict(time.drift[-1]["psi"])
    time.event("calm", f"{WINDOW} faces: the largest PSI is {max(before.values()):.2f} ({_largest(before)})")

    sent.send([folders["traffic-known"], folders["traffic-shifted"]])
    time.event(
        "shift", "another clinic joins: every second picture is darker, its faces smaller and droopier"
    )
    time.wait(
        "a PSI over the threshold", 240, lambda: max(drift().values(), default=0.0) > THRESHOLD, every=1
    )
    time.event("drifted", f"PSI of {_largest(time.drift[-1]['psi'])} is over {THRESHOLD}")

    def firing() -> Any:
        found = get_json(services.alertmanager.port, "/api/v2/alerts", active="true")
        return [alert for alert in found if alert["labels"]["alertname"] == _ALERT]

    time.wait(f"{_ALERT} in Alertmanager", 60, sampled(firing), every=1)
    time.event("alert", f"{_ALERT} fires in Alertmanager")

    def runs() -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = get_json(services.trigger.port, "/v1/runs", token=services.reader)[
            "runs"
        ]
        return answer

    started = time.wait("a run by the trigger service", 60, sampled(runs), every=1)[0]
    time.event("run", f"its webhook reaches the trigger service, which starts run {started['id']}")

    def serving() -> bool:
        """True if another version answers; the first time it is recorded as an event."""
        if sent.versions[-1] == first["version"]:
            return False
        if not any(event["name"] == "serving" for event in time.events):
            time.event("serving", f"the service answers with version {sent.versions[-1]}")
        return True

    def ended() -> Any:
        drift()
        serving()
        return [one for one in runs() if one["state"] in ("succeeded", "failed", "lost")]

    done = time.wait("the end of the run", 1800, sampled(ended), every=1)[0]
    if done["state"] != "succeeded":
        raise RuntimeError(f"the run that the alert started failed: {done}")
    second = _champion(registry)
    time.event("trained", f"the run ends; version {second['version']} is the champion")
    if second["version"] == first["version"]:
        raise RuntimeError(f"no version of the run became champion: {_gates(registry)}")

    time.wait("the new champion in answers", 60, sampled(lambda: sent.versions[-1] == second["version"]))
    serving()
    count[0] = 0
    time.wait("the drift back under the threshold", 300, lambda: stable(count), every=1)
    after = dict(time.drift[-1]["psi"])
    time.event(
        "closed", f"the largest PSI is {max(after.values()):.2f} ({_largest(after)}): the loop is closed"
    )
    time.wait("the end of the alert", 60, lambda: not firing(), every=1)
    time.event("resolved", f"{_ALERT} is resolved; {len(runs())} run was started by all of it")
    return {
        "before": before, "after": after, "versions": sent.versions,
        "statuses": {str(status): n for status, n in sorted(sent.statuses.items())}, "runs": len(runs()),
        "first": first, "second": second,
    }  # fmt: skip

"""The real service in a process of its own, over a stand-in for ``lidloop run``."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from lidloop.web.api_keys import ALERTS, READ, START, add_key

STAND_IN = Path(__file__).with_name("stand_in_run.py")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something to be true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return found


def alert(**labels: str) -> dict[str, Any]:
    """One alert of a webhook message, firing."""
    labels = {"alertname": "LidloopLabelDrift", "lidloop_action": "iterate", "model": "lidloop"} | labels
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {},
        "startsAt": "2026-01-05T08:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": f"{hash(tuple(labels.items())) & (2**64 - 1):016x}",
    }


def message(*alerts: dict[str, Any]) -> dict[str, Any]:
    """A message of Alertmanager's webhook."""
    return {"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "t", "alerts": list(alerts)}


@dataclass
class Service:
    """A service: its folder, keys and process, which can be started again."""

    place: Path
    port: int
    keys: dict[str, str]
    options: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    scheme: str = "http"
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(
            verify=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
        )
    )

    def start(self, *, ready: bool = True) -> Service:
        command = [
            *(sys.executable, "-m", "lidloop.cli", "trigger", "--state", str(self.place / "state")),
            *("--keys", str(self.place / "keys.json"), "--run-defaults", str(self.place / "defaults.yaml")),
            *("--port", str(self.port), "--every", "0.1", "--data", str(self.place / "data")),
            *("--run-command", f"{sys.executable} {STAND_IN}", *self.options),
        ]
        environment = {k: v for k, v in os.environ.items() if k != "LIDLOOP_REGISTRY"}
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        if ready:
            until(self._is_ready, 60)
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return self.client.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(40)

    def ask(self, method: str, path: str, *, key: str | None = "people", **more: Any) -> httpx.Response:
        headers = {
            **({"Authorization": f"Bearer {self.keys[key]}"} if key else {}),
            **more.pop("headers", {}),
        }
        return self.client.request(method, self.url + path, headers=headers, **more)

    def runs(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/v1/runs").json()["runs"])

    def ended(self, count: int = 1) -> list[dict[str, Any]]:
        """The runs, once so many are there and all have ended."""

        def look() -> list[dict[str, Any]]:
            found = self.runs()
            done = len(found) == count and all(run["ended"] for run in found)
            return found if done else []

        return list(until(look))

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.place / "log").read_text()

    @property
    def starts(self) -> list[str]:
        """Names of the runs in the order in which the stand-in was started."""
        file = self.place / "state" / "runs" / "STARTS"
        return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes a service that is not started yet; its defaults last 0.1 s."""
    made: list[Service] = []

    def service(*options: str, defaults: str = "epochs: 1") -> Service:
        for name in ("data/faces", "elsewhere"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "defaults.yaml").write_text(f"sources: [yolo:data/faces]\n{defaults}\n")
        file = tmp_path / "keys.json"
        keys = {
            "people": add_key(file, "people", scopes=(START,)),
            "reader": add_key(file, "reader", scopes=(READ,)),
            "alertmanager": add_key(file, "alertmanager", scopes=(ALERTS,)),
        }
        made.append(Service(tmp_path, free_port(), keys, options))
        return made[-1]

    yield service
    for entry in made:
        if entry.process is not None and entry.process.poll() is None:
            entry.process.kill()
            entry.process.wait()

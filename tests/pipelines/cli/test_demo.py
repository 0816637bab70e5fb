"""The commands that the demo prints at its end work."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("ultralytics")
pytest.importorskip("kfp")

PROGRAM = Path(sys.executable).with_name("lidloop")


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz") as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_the_demo_ends_with_commands_that_work(tmp_path: Path) -> None:
    small = ("--images", "20", "--iterations", "1", "--epochs", "1", "--imgsz", "256")
    done = subprocess.run(
        [PROGRAM, "demo", "--out", "demo", *small], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "the starter weights screen a drawn patient:" in done.stdout
    assert "face 1 of" in done.stdout
    serve, screen = (shlex.split(line.partition(":")[2]) for line in done.stdout.splitlines()[-2:])
    assert (serve[1], screen[1]) == ("serve", "screen")
    shown = subprocess.run([*screen, "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    (answer,) = json.loads(shown.stdout)
    assert answer["faces"], answer["empty"]
    assert answer["model"]["version"] == "1"
    assert list((tmp_path / "demo" / "drawn").glob("*.png"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    server = subprocess.Popen(
        [*serve, "--port", port], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        end = time.monotonic() + 120
        while not ready(f"http://127.0.0.1:{port}"):
            assert server.poll() is None, server.stdout.read()
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0

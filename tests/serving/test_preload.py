"""Imports of a server: all in one thread at a time, and those of FHIR and DICOM beside the first requests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import preload
from tests.serving.conftest import Photo, Server, free_port, wait_ready

SERVE = """
import sys
{}
if __name__ == "__main__":  # workers import this file too
    from lidloop.cli.main import main
    sys.argv[0] = "lidloop"
    main()
"""
RACE = """
import importlib.util, threading, time

bentoml_there, mlflow_begun, fastapi_half_there = (threading.Event() for _ in range(3))

class Race:
    '''Where a thread beside the main one imports MLflow, it has half imported FastAPI, which MLflow needs, at
    the very moment when BentoML looks for it. Without such a thread nothing is held up.'''

    def find_spec(self, name, path=None, target=None):
        here = threading.current_thread() is threading.main_thread()
        if name == "mlflow" and not here:
            mlflow_begun.set()
            bentoml_there.wait(60)
        if (name, here) not in (("fastapi", False), ("serving.service", True)):
            return None
        finders, sys.meta_path = sys.meta_path, [f for f in sys.meta_path if f is not self]
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path = finders
        execute = spec.loader.exec_module

        def held_up(module):
            if here:
                import bentoml
                bentoml_there.set()
                if threading.active_count() > 1 and mlflow_begun.wait(5):
                    fastapi_half_there.wait(60)
            else:
                fastapi_half_there.set()
                time.sleep(10)
            execute(module)

        spec.loader.exec_module = held_up
        return spec

sys.meta_path.insert(0, Race())
"""
RECORDED = """
import atexit, json, os, threading, time

class Recorder:
    '''Writes down which thread begins to import which module, and when.'''

    found = []

    def find_spec(self, name, path=None, target=None):
        self.found.append((time.monotonic(), threading.current_thread().name, name))

sys.meta_path.insert(0, Recorder())
atexit.register(lambda: open(os.environ["RECORD"], "w").write(json.dumps(Recorder.found)))
"""


@pytest.fixture
def serve(tmp_path: Path) -> Any:
    """Starts ``lidloop serve`` in a process that runs other code first."""
    started: list[Server] = []

    def start(code: str, *arguments: str, **environment: str) -> Server:
        script, log, port = tmp_path / "serve_with.py", tmp_path / "log", free_port()
        script.write_text(SERVE.format(code))
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, script, "serve", *arguments, "--port", str(port)],
                env=os.environ | {"LIDLOOP_AUDIT": os.devnull} | environment,
                stdout=out, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        started.append(Server(f"http://127.0.0.1:{port}", process, log))
        wait_ready(started[-1], 120)
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()


def test_bentoml_never_meets_a_half_imported_fastapi(serve: Callable[..., Server], registry: Path) -> None:
    server = serve(RACE, "--model=champion", f"--registry={registry}", "--workers=2")
    assert server.stop(60) == 0
    assert "Traceback" not in server.log.read_text()


def test_two_threads_never_import_at_the_same_time(
    serve: Callable[..., Server], registry: Path, photo: Photo, tmp_path: Path
) -> None:
    record = tmp_path / "imports.json"
    server = serve(RECORDED, "--model=champion", f"--registry={registry}", "--watch", RECORD=str(record))
    with httpx.Client(base_url=server.url, timeout=60) as client:
        client.get("/")
        for accept in ("application/json", "application/fhir+json", "application/dicom"):
            for data, kind in ((photo.png, "image/png"), (photo.jpeg, "image/jpeg")):
                headers = {"Content-Type": kind, "Accept": accept}
                assert client.post("/v1/screen", content=data, headers=headers).status_code == 200
        assert client.get("/fhir/CodeSystem/lidloop").status_code == 200
        assert client.get("/metrics").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    imports = json.loads(record.read_text())
    threads = {thread for _, thread, _ in imports}
    assert threads == {"MainThread", "preload"}, [i for i in imports if i[1] not in ("MainThread", "preload")]
    times = [when for when, thread, _ in imports if thread == "preload"]
    beside = [i for i in imports if i[1] == "MainThread" and min(times) < i[0] < max(times)]
    assert not beside


def test_formats_are_imported_after_the_app_and_all_of_them() -> None:
    script = (
        "import sys\n"
        "import serving.app\n"
        "from serving.preload import steps\n"
        "heavy = ['pydicom', 'highdicom', 'fhir.resources.R4B.bundle']\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
        "[step() for step in steps()]\n"
        "assert all(name in sys.modules for name in heavy)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_server_answers_while_formats_are_imported_and_those_answers_wait(
    make_client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, photo: Photo
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(preload, "_started", threading.Event())
    monkeypatch.setattr(preload, "_finished", threading.Event())
    monkeypatch.setattr(preload, "_stopping", threading.Event())
    monkeypatch.setattr(preload, "steps", lambda: [lambda: go_on.wait(60)])
    client = make_client()

    def ask(accept: str) -> Any:
        headers = {"Content-Type": "image/png", "Accept": accept}
        return client.post("/v1/screen", content=photo.png, headers=headers)

    assert client.get("/readyz").status_code == 200
    assert ask("application/json").status_code == 200
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(ask("application/fhir+json")))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    go_on.set()
    waiting.join(60)
    assert answers[0].status_code == 200


def test_libraries_that_cannot_be_imported_are_logged_and_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise ImportError("no module named x")

    monkeypatch.setattr(preload, "_started", threading.Event())
    monkeypatch.setattr(preload, "_finished", threading.Event())
    monkeypatch.setattr(preload, "_stopping", threading.Event())
    monkeypatch.setattr(preload, "steps", lambda: [fails])
    preload.start()
    preload.wait()
    assert "no module named x" in caplog.text


def test_a_stop_ends_the_imports_after_the_one_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    after: list[int] = []
    for name in ("_started", "_finished", "_stopping"):
        monkeypatch.setattr(preload, name, threading.Event())
    steps = [lambda: (begun.set(), go_on.wait(60)), lambda: after.append(1)]
    monkeypatch.setattr(preload, "steps", lambda: steps)
    preload.start()
    assert begun.wait(60)
    stopping = threading.Thread(target=preload.stop)
    stopping.start()
    stopping.join(0.3)
    assert stopping.is_alive()
    go_on.set()
    stopping.join(60)
    assert not after

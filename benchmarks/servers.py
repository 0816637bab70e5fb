"""Servers as processes, a light HTTP client, and a model and a picture to measure them with."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import psutil

from benchmarks.auto_label import model_at
from lidloop.data.convert import convert
from lidloop.demo import demo_weights
from lidloop.drift import reference_profile
from lidloop.models.bundle import seal
from lidloop.synthetic import draw_face, write_faces_folder

CANTHAL_PX = 150.0
"""The demo weights were trained on faces of up to 256 pixels, and find no larger one at 640."""


def sealed_demo(place: Path, imgsz: int) -> Path:
    """Make a bundle of the demo weights with an input of ``imgsz`` pixels."""
    faces = write_faces_folder(place / "faces", images=20, seed=11, size=(240, 180), workers=1)
    dataset, labels = convert([f"yolo:{faces}"], place / "dataset", place / "labels", keep_splits=True)
    model = model_at(demo_weights(), imgsz, place / "model")
    (model / "weights.pt").unlink()  # a link, which a bundle rejects
    shutil.copyfile(demo_weights(), model / "weights.pt")
    return seal(
        model,
        place / "bundle",
        evaluation={"iteration": 0},
        profile=reference_profile(
            labels.labels(dataset), {record.id: (record.width, record.height) for record in dataset.records}
        ),
        run="benchmark",
        iteration=0,
        parent=None,
        dataset=dataset.digest,
        label_version=0,
        labels={},
    ).root


def drawn_photo(side: int) -> bytes:
    """Encode a square JPEG of one drawn face with a side of ``side`` pixels."""
    canthal = CANTHAL_PX * side / 640
    image = draw_face(seed=3, size=(side, side), canthal_px=canthal, ptosis=(0.6, 0.0)).image
    return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()


class Server:
    """A running server.

    Attributes:
        port: its port on 127.0.0.1.
        process: its main process.
        seconds: time from its start until it was ready.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes], seconds: float, log: Path) -> None:
        self.port, self.process, self.seconds, self._log = port, process, seconds, log

    @property
    def rss(self) -> int:
        """Resident memory of all its processes, in bytes."""
        top = psutil.Process(self.process.pid)
        return sum(process.memory_info().rss for process in (top, *top.children(recursive=True)))

    def log(self) -> str:
        """Its output."""
        return self._log.read_text(errors="replace")


@contextmanager
def running(command: list[str], ready: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start a server, wait until ``GET ready`` answers 200, and stop it at the end.

    Args:
        command: program and arguments; ``{port}`` is replaced by a free port.

    Raises:
        RuntimeError: if it exits, or is not ready within two minutes; contains its output.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        with log.open("wb") as out:
            start = time.perf_counter()
            process = subprocess.Popen(
                [part.replace("{port}", str(port)) for part in command],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | dict(environment or {}),
            )
        try:
            while not _answers(port, ready):
                if process.poll() is not None or time.perf_counter() - start > 120:
                    raise RuntimeError(f"{command[0]} is not ready: {log.read_text(errors='replace')}")
                time.sleep(0.01)
            yield Server(port, process, time.perf_counter() - start, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def lidloop_serve(bundle: Path) -> list[str]:
    """Command that serves a bundle."""
    program = str(Path(sys.executable).with_name("lidloop"))
    return [program, "serve", "--model", str(bundle), "--port", "{port}", "--audit", os.devnull]


def plain_serve() -> list[str]:
    """Command that starts the plain service."""
    program = str(Path(sys.executable).with_name("bentoml"))
    return [program, "serve", "benchmarks.plain_service:Plain", "--host", "127.0.0.1", "--port", "{port}"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Answer(NamedTuple):
    """Status and body of an answer, its time in seconds, and the seconds of Retry-After."""

    status: int
    body: bytes
    seconds: float
    retry_after: float


class Client:
    """Posts the same body again and again over one connection."""

    def __init__(self, port: int, path: str, body: bytes, content_type: str) -> None:
        self._port, self._path, self._body = port, path, body
        self._headers = {"Content-Type": content_type}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(self) -> Answer:
        """Send the body and read the answer."""
        start = time.perf_counter()
        self._connection.request("POST", self._path, self._body, self._headers)
        response = self._connection.getresponse()
        body = response.read()
        wait = float(response.getheader("Retry-After") or 0)
        return Answer(response.status, body, time.perf_counter() - start, wait)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def form(field: str, data: bytes) -> tuple[bytes, str]:
    """Encode a multipart form with one file; return it and its content type."""
    head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n'
    return head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n--x--\r\n", (
        "multipart/form-data; boundary=x"
    )


def throughput(make: Any, *, clients: int, seconds: float) -> dict[str, float]:
    """Measure throughput with clients that send without a pause, except for Retry-After.

    Args:
        make: returns a new ``Client``.

    Returns:
        ``per_second``: answers of 200; ``refused``: share of the other answers.
    """
    end = time.perf_counter() + seconds
    counts: list[tuple[int, int]] = []

    def work() -> None:
        client, done, refused = make(), 0, 0
        while time.perf_counter() < end:
            answer = client.post()
            if answer.status == 200:
                done += time.perf_counter() <= end
            else:
                refused += 1
                time.sleep(min(answer.retry_after, max(0.0, end - time.perf_counter())))
        client.close()
        counts.append((done, refused))

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done, refused = (sum(column) for column in zip(*counts, strict=True))
    return {"per_second": done / seconds, "refused": refused / max(1, done + refused)}

"""Pictures sent at a fixed rate, one after the other, from folders that can be changed."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

from benchmarks.servers import Client


class Traffic:
    """A client that sends pictures in a thread until its block ends.

    Attributes:
        statuses: number of answers by HTTP status.
        versions: model versions that answered, in order of their first answer.
    """

    def __init__(self, port: int, folders: list[Path], *, per_second: float) -> None:
        self._port, self._pause = port, 1 / per_second
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self.statuses: Counter[int] = Counter()
        self.versions: list[str] = []
        self.send(folders)

    def send(self, folders: list[Path]) -> None:
        """Send pictures of each folder in turn, repeatedly, from now on."""
        each = [[path.read_bytes() for path in sorted(f.glob("images/*/*.jpg"))] for f in folders]
        pictures = [picture for turn in zip(*each, strict=True) for picture in turn]
        with self._lock:
            self._pictures = pictures

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _send(self) -> None:
        due, turn = time.monotonic(), 0
        while not self._stop.is_set():
            with self._lock:
                picture = self._pictures[turn % len(self._pictures)]
            turn += 1
            client = Client(self._port, "/v1/screen", picture, "image/jpeg")
            answer = client.post()
            client.close()
            self.statuses[answer.status] += 1
            if answer.status == 200:
                version = json.loads(answer.body)["model"]["version"]
                if version not in self.versions[-1:]:
                    self.versions.append(version)
            due = max(due + self._pause, time.monotonic() - 1)  # missed requests are not sent later
            self._stop.wait(max(0.0, due - time.monotonic()))

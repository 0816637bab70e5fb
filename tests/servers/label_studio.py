"""A real Label Studio on loopback, with one user and its key."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.servers.processes import die_with_parent, free_port
from tests.tools.review_tools import LABEL_STUDIO

USER = "annotator@localhost.example"
PASSWORD = "not-a-secret"
KEY = "0123456789" * 4


class LabelStudio(NamedTuple):
    """A running server and a client with its user's key."""

    url: str
    api: httpx.Client


@contextmanager
def running(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[LabelStudio]:
    """Start a server that keeps its data in a folder, yield it when it answers, and stop it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        LABEL_STUDIO / "bin" / "label-studio", "start", "--no-browser", "--data-dir", folder / "data",
        "--internal-host", "127.0.0.1", "--port", str(port), "--username", USER, "--password", PASSWORD,
        "--user-token", KEY, "--enable-legacy-api-token",
    ]  # fmt: skip
    quiet = {"COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "",
             "FRONTEND_SENTRY_DSN": "", "HOME": str(folder)}  # fmt: skip
    log = folder / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command,
            env=os.environ | quiet | dict(environment or {}),
            stdout=out,
            stderr=out,
            preexec_fn=die_with_parent,
        )
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Token {KEY}"}, timeout=120) as api:
            deadline = time.monotonic() + 600  # it makes its database first
            while not _answers(api):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Label Studio does not answer; its log:\n{log.read_text()[-3000:]}")
                time.sleep(0.5)
            yield LabelStudio(url, api)
    finally:
        server.kill()
        server.wait()


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/api/projects/").status_code == 200
    except httpx.TransportError:
        return False

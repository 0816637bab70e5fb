"""A real Postgres for tests, on loopback, with a password: Debian's or Ubuntu's ``postgresql``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.servers.processes import free_port

PASSWORD = "p@ss%word/:"
"""With all that a URI or an ini file could trip over."""


def programs() -> Path | None:
    """Folder of ``initdb`` and ``postgres``; None where there is no Postgres."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def missing() -> str:
    """Why no server can be started here; empty where one can."""
    return "" if programs() else "no initdb: apt-get install postgresql"


@contextmanager
def running() -> Iterator[str]:
    """Start a server in a folder of its own, yield the URI of its database, and stop it."""
    found = programs()
    assert found is not None
    # Postgres refuses to run as root; Debian's package makes this user. Folders of pytest are closed to it.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="lidloop-postgres-") as temporary:
        folder = Path(temporary)
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        port = free_port()
        init = [
            found / "initdb",
            "--auth=scram-sha-256",
            "--username=lidloop",
            "--no-sync",
            "-D",
            folder / "data",
        ]
        done = subprocess.run(
            [*init, f"--pwfile={folder / 'password'}"], capture_output=True, text=True, user=user, timeout=120
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        with (folder / "log").open("wb") as log:
            command = [found / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder]
            server = subprocess.Popen([*command, "-c", "fsync=off"], user=user, stdout=log, stderr=log)
        try:
            _wait(found / "pg_isready", port, server, folder / "log")
            yield f"postgresql+psycopg://lidloop:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing is kept
            server.wait(30)


def _wait(ready: Path, port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run([ready, "-q", "-h", "127.0.0.1", "-p", str(port)], timeout=60).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Postgres does not answer; its log:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)

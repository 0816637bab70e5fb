"""A real S3 server for tests: Ceph's RADOS gateway on one monitor and one OSD in memory, on loopback only.

It needs Debian's or Ubuntu's packages ``ceph-mon ceph-osd radosgw ceph-common``, installed with
``--no-install-recommends``. Start-up takes about ten seconds. By hand: ``python -m tests.servers.rgw DIR``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from filelock import FileLock

from lidloop.files import write_atomic
from tests.servers.processes import die_with_parent, free_port, wait_for_end

PACKAGES = ("ceph-mon", "ceph-osd", "radosgw", "ceph-common")
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "monmaptool", "radosgw-admin")

# Authentication between the daemons is off: they listen on loopback, and only for a test. A gateway with STS,
# whose key must be 16 characters, answers AccessDenied to every wrong key; one without tells them apart.
CONFIG = """\
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon_port}
mon initial members = one
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
osd class load list = *
osd class default list = *
memstore device bytes = 2147483648
mon max pg per osd = 1000
mon allow pool size one = true
mon warn on pool no redundancy = false
run dir = {folder}
crash dir = {folder}/crash
log file = {folder}/$name.log
admin socket = {folder}/$name.$pid.asok
[mon.one]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
[client.plain]
ms mon client mode = crc
rgw data = {folder}/plain
rgw frontends = beast endpoint=127.0.0.1:{port}
[client.sts]
ms mon client mode = crc
rgw data = {folder}/sts
rgw frontends = beast endpoint=127.0.0.1:{sts_port}
rgw sts key = sixteen-letters-
rgw s3 auth use sts = true
"""


@dataclass(frozen=True)
class Rgw:
    """A running server and the keys of its one user."""

    folder: Path
    port: int
    sts_port: int
    access_key: str = "lidloop-test"
    secret_key: str = "not-a-secret-this-is-a-test"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sts_endpoint(self) -> str:
        """The same store through a gateway that also hands out temporary keys."""
        return f"http://127.0.0.1:{self.sts_port}"

    def admin(self, *arguments: str, json_answer: bool = True) -> Any:
        """Run ``radosgw-admin`` and return what it says."""
        command = ["radosgw-admin", "-c", str(self.folder / "ceph.conf"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return json.loads(done.stdout) if json_answer else done.stdout

    def iam(self, form: dict[str, str]) -> str:
        """Ask the gateway's IAM for what ``radosgw-admin`` cannot do."""
        from minio.credentials import Credentials
        from minio.signer import sign_v4_sts
        from minio.time import to_amz_date, utcnow

        body = urlencode(form)
        url, now = urlsplit(f"{self.sts_endpoint}/"), utcnow()
        headers = sign_v4_sts(
            method="POST",
            url=url,
            region="us-east-1",
            headers={
                "Host": url.netloc,
                "X-Amz-Date": to_amz_date(now),
                "Content-Type": "application/x-www-form-urlencoded",
            },
            credentials=Credentials(self.access_key, self.secret_key),
            content_sha256=hashlib.sha256(body.encode()).hexdigest(),
            date=now,
        )
        connection = http.client.HTTPConnection(url.netloc)
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        answer = response.read().decode()
        if response.status != 200:
            raise RuntimeError(answer)
        return answer


def missing() -> str:
    """Why no server can be started here; empty where one can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if not absent:
        return ""
    return f"no {', '.join(absent)}: apt-get install --no-install-recommends {' '.join(PACKAGES)}"


@contextmanager
def running(folder: Path, port: int = 0) -> Iterator[Rgw]:
    """Start a server in an empty folder, yield it when it answers, and stop it."""
    server = Rgw(folder, port or free_port(), free_port())
    config = folder / "ceph.conf"
    for name in ("mon", "osd", "plain", "sts", "crash"):
        (folder / name).mkdir(parents=True)
    fsid, mon_port = str(uuid.uuid4()), free_port()
    ports = {"port": server.port, "sts_port": server.sts_port, "mon_port": mon_port}
    config.write_text(CONFIG.format(fsid=fsid, folder=folder, **ports))
    daemons: list[subprocess.Popen[bytes]] = []

    def once(*command: str) -> None:
        with (folder / "setup.log").open("ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, timeout=60)

    def daemon(*command: str) -> None:
        with (folder / "daemons.log").open("ab") as log:
            command = (*command, "-c", str(config), "-f")
            daemons.append(subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent))

    try:
        address = f"[v2:127.0.0.1:{mon_port}]"
        once("monmaptool", "--create", "--fsid", fsid, "--addv", "one", address, str(folder / "monmap"))
        once("ceph-mon", "-c", str(config), "-i", "one", "--mkfs", "--monmap", str(folder / "monmap"))
        daemon("ceph-mon", "-i", "one")
        osd = str(uuid.uuid4())
        once("ceph", "-c", str(config), "--connect-timeout", "30", "osd", "new", osd)
        once("ceph-osd", "-c", str(config), "-i", "0", "--osd-uuid", osd, "--mkfs")
        daemon("ceph-osd", "-i", "0")
        daemon("radosgw", "-n", "client.plain")
        _wait(server, server.port, daemons)  # the first one makes the pools
        daemon("radosgw", "-n", "client.sts")
        _wait(server, server.sts_port, daemons)
        keys = ("--access-key", server.access_key, "--secret-key", server.secret_key)
        server.admin("user", "create", "--uid=test", "--display-name=test", *keys)
        yield server
    finally:
        for process in reversed(daemons):
            process.send_signal(signal.SIGKILL)  # nothing is kept, so nothing has to be put in order
        for process in daemons:
            process.wait()


def shared(place: Path, owner: int) -> Rgw:
    """Return the one server of several processes; the first caller starts it.

    Args:
        place: folder that all of them name; the server's files go there.
        owner: process whose end stops the server.
    """
    place.mkdir(exist_ok=True)
    about = place / "server.json"
    with FileLock(place / "lock"):
        if not about.exists():
            log = place / "start.log"
            with log.open("wb") as out:
                command = [sys.executable, "-m", "tests.servers.rgw", place / "server", "--owner", str(owner)]
                keeper = subprocess.Popen([*command, "--about", about], stdout=out, stderr=out)
            while not about.exists():
                if keeper.poll() is not None:
                    raise RuntimeError(
                        f"the gateway does not start; the end of its log:\n{log.read_text()[-3000:]}"
                    )
                time.sleep(0.1)
    values = json.loads(about.read_text())
    return Rgw(**{**values, "folder": Path(values["folder"])})


def _wait(server: Rgw, port: int, daemons: list[subprocess.Popen[bytes]], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in daemons):
            break
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        time.sleep(0.1)
    log = (server.folder / "daemons.log").read_text(errors="replace")
    raise RuntimeError(f"the gateway does not answer; the end of its log:\n{log[-3000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="an empty or new folder")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--owner", type=int, metavar="PID", help="stop when this process has ended")
    parser.add_argument("--about", type=Path, metavar="FILE", help="write ports and keys to it as JSON")
    arguments = parser.parse_args()
    if reason := missing():
        raise SystemExit(reason)
    with running(arguments.folder.resolve(), arguments.port) as server:
        print(f"AWS_ENDPOINT_URL_S3={server.endpoint} AWS_ENDPOINT_URL_STS={server.sts_endpoint}")
        print(f"AWS_ACCESS_KEY_ID={server.access_key} AWS_SECRET_ACCESS_KEY={server.secret_key}")
        print(f"process {os.getpid()}; Ctrl-C stops it", flush=True)
        if arguments.about:
            write_atomic(arguments.about, json.dumps({**asdict(server), "folder": str(server.folder)}))
        with contextlib.suppress(KeyboardInterrupt):
            if arguments.owner:
                wait_for_end(arguments.owner)
            else:
                signal.pause()


if __name__ == "__main__":
    main()

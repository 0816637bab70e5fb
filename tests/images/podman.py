"""podman and buildah with a storage and settings of their own, so that nothing of them is left.

They run as root, containers do not. Builds use the host's network and no namespaces of their own, which works
where this runs inside a container or a small virtual machine, too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = "podman buildah runc netavark aardvark-dns iptables catatonit mmdebstrap"
PROGRAMS: Final = ("podman", "buildah", "runc", "mmdebstrap")

_CONTAINERS: Final = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{folder}/libpod"
"""
_STORAGE: Final = """\
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


def missing() -> str:
    """Reason why images cannot be built here, and what to do; empty if they can."""
    if os.geteuid() != 0:
        return "building and running images needs root here: sudo make image-test"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return (
            f"{', '.join(absent)} not found; on Debian and Ubuntu: "
            f"apt-get install --no-install-recommends {PACKAGES}"
        )
    return ""


class Podman:
    """podman and buildah over one folder.

    Args:
        folder: for images, containers, caches and settings: some 35 GB for all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("graph", "run", "libpod", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        settings = {"CONTAINERS_CONF": _CONTAINERS, "CONTAINERS_STORAGE_CONF": _STORAGE}
        self._environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
        for name, text in settings.items():
            (folder / name).write_text(text.format(folder=folder))
            self._environment[name] = str(folder / name)

    def __call__(
        self, *arguments: str | Path, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run ``podman``.

        Raises:
            AssertionError: where it failed and should not, with what it said.
        """
        return self._run("podman", *arguments, check=check, timeout=timeout)

    def build(
        self,
        file: Path,
        context: Path,
        tag: str,
        *,
        target: str,
        arguments: Mapping[str, str],
        timeout: float,
    ) -> float:
        """Build an image, as a polite neighbour of whatever else runs; the seconds it took."""
        start = time.monotonic()
        self._run(
            "nice", "-n", "10", "buildah", "bud", "--layers", "--format", "docker",
            "--isolation", "chroot", "--network", "host",
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            "--target", target, "--tag", tag, "--file", file, context, timeout=timeout,
        )  # fmt: skip
        return time.monotonic() - start

    def inspect(self, tag: str) -> dict[str, Any]:
        """An image's configuration and size."""
        found: dict[str, Any] = json.loads(self("image", "inspect", tag).stdout)[0]
        return found

    def python(self, tag: str, code: str, *options: str) -> str:
        """Output of Python code in a container with a read-only file system."""
        return self("run", "--rm", *HARDENED, *options, "--entrypoint", "python3", tag, "-c", code).stdout

    @contextmanager
    def container(self, *arguments: str | Path) -> Iterator[str]:
        """Start a container, yield its id, and remove it."""
        name = self("run", "--detach", *arguments).stdout.strip()
        try:
            yield name
        finally:
            self("rm", "--force", "--time", "0", name, check=False)

    @contextmanager
    def service(self, address: str) -> Iterator[None]:
        """Serve the Docker API at ``unix://PATH``.

        Raises:
            AssertionError: where it does not come up.
        """
        words = ["podman", "system", "service", "--time=0", address]
        with subprocess.Popen(words, env=self._environment) as process:
            try:
                deadline = time.monotonic() + 20
                while not Path(address.removeprefix("unix://")).exists():
                    assert process.poll() is None, "podman's service ended"
                    assert time.monotonic() < deadline, "podman's service does not come up"
                    time.sleep(0.05)
                yield
            finally:
                process.terminate()

    def close(self) -> None:
        """Remove all that there is, and nothing that is not ours."""
        self("rm", "--all", "--force", "--time", "0", check=False)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed(mounts):
            if place.startswith(f"{self.folder}/"):
                subprocess.run(["umount", place], check=False)
        shutil.rmtree(self.folder)

    def _run(
        self, *command: str | Path, check: bool = True, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        # A session of its own: a build that takes too long is ended with all that it started.
        with subprocess.Popen(
            words, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=timeout)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if check and process.returncode:
            said = out[-2000:] + err[-4000:]
            raise AssertionError(f"{' '.join(words)}: status {process.returncode}\n{said}")
        return subprocess.CompletedProcess(words, process.returncode, out, err)


HARDENED: Final = (
    "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges",
    "--no-healthcheck",
)  # fmt: skip
"""Restricted as Pod Security wants it; not even /tmp can be written."""

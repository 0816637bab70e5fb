"""Launchers: start runs as processes on this machine, or on a Kubeflow Pipelines host.

Starting is idempotent: a run of the same name is started once, and its id finds it again in a new process. So
a service that was killed between starting a run and recording it starts it again and gets the same run.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from lidloop.errors import LidloopError
from lidloop.files import write_atomic
from pipelines.local.folder import BEGUN
from pipelines.trigger.parameters import arguments
from pipelines.trigger.runner import EXIT, JOB, LOCK, LOG, PROCESS

COMMAND: Final = (sys.executable, "-P", "-m", "lidloop.cli", "run")
"""``lidloop run`` of this installation; ``-P``: no module is imported from the folder it runs in."""

_CONFIRM: Final = 20.0  # seconds in which a new process must write its process file


class LaunchError(LidloopError):
    """A run that cannot be started, or whose state cannot be read, at the moment."""


@dataclass(frozen=True, slots=True)
class RunState:
    """State of a run.

    Attributes:
        state: ``starting``: has not begun. ``lost``: its process is gone without an exit status; starting it
            again resumes it.
        ended: Unix time; None while it is active.
        detail: reason of a failure and path of the log.
        registered: name of the run in the registry; None if unknown.
    """

    state: Literal["starting", "running", "succeeded", "failed", "lost"]
    ended: float | None = None
    detail: str = ""
    registered: str | None = None


class Launcher(Protocol):
    """Interface of launchers."""

    def start(self, parameters: Mapping[str, Any], *, run: str) -> str:
        """Start a run unless one of this name exists, and return its id.

        Args:
            parameters: as JSON values, by the names of ``RunSettings``.
            run: unique name of the run, valid as a file name.

        Raises:
            LidloopError: if it is not possible at the moment; it can be retried.
        """
        ...

    def state(self, id: str) -> RunState:
        """Return the state of a run.

        Raises:
            LidloopError: if it cannot be read at the moment.
        """
        ...

    def link(self, id: str) -> str | None:
        """Return the URL of a run's report or page; None if there is none yet."""
        ...


class LocalLauncher:
    """Starts runs on this machine, each ``lidloop run`` in its own session.

    ``ROOT/runs/NAME`` is the run folder of ``lidloop run``, ``ROOT/control/NAME`` the folder that
    ``pipelines.trigger.runner`` describes. A run is active while its processes hold a lock file; a process id
    could belong to another process by now.

    Args:
        root: the folder.
        command: started instead of ``lidloop run``, with the same options.
    """

    def __init__(self, root: Path, *, command: Sequence[str] = COMMAND) -> None:
        self._root, self._command = root.resolve(), list(command)
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, parameters: Mapping[str, Any], *, run: str) -> str:
        control, out = self._control(run), self.folder(run)
        if (control / EXIT).exists() or _is_held(control / LOCK):
            return run
        control.mkdir(parents=True, exist_ok=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [*self._command, *arguments(parameters), f"--out={out}"]
        write_atomic(control / JOB, json.dumps({"command": command, "folder": str(control)}) + "\n")
        before = _stamp(control / PROCESS)
        with (control / LOG).open("ab") as log:
            try:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", "pipelines.trigger.runner", str(control)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=control,
                    start_new_session=True,  # signals to the service do not stop the run
                )
            except OSError as error:
                raise LaunchError(f"no process can be started: {error.strerror}") from error
        self._children.append(child)
        deadline = time.monotonic() + _CONFIRM
        while _stamp(control / PROCESS) == before:
            if child.poll() is not None and _stamp(control / PROCESS) == before:
                raise LaunchError(f"the process of the run ended immediately; see {control / LOG}")
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"the run did not start within {_CONFIRM:g} seconds; is the machine overloaded?"
                )
            time.sleep(0.02)
        return run

    def state(self, id: str) -> RunState:
        self._reap()
        control, out = self._control(id), self.folder(id)
        registered = _read(out / BEGUN).get("run")
        # The lock first: a run that ends in between must not look lost.
        held = _is_held(control / LOCK)
        end = _read(control / EXIT)
        if end:
            status = end["status"]
            state: Literal["succeeded", "failed"] = "succeeded" if status == 0 else "failed"
            return RunState(state, end["ended"], "" if status == 0 else self._why(id, status), registered)
        if held:
            return RunState("running", registered=registered)
        if (out / "summary.json").exists():  # its parent process was killed
            return RunState("succeeded", (out / "summary.json").stat().st_mtime, "", registered)
        return RunState("lost" if (control / PROCESS).exists() else "starting", registered=registered)

    def link(self, id: str) -> str | None:
        report = self.folder(id) / "report.html"
        return report.as_uri() if report.exists() else None

    def folder(self, run: str) -> Path:
        """Return the folder of a run."""
        return self._root / "runs" / run

    def _control(self, run: str) -> Path:
        return self._root / "control" / run

    def _why(self, run: str, status: int) -> str:
        ended = "was stopped" if status == 130 else f"ended with {_status(status)}"
        return f"`lidloop run` {ended}; see {self._control(run) / LOG}"

    def _reap(self) -> None:
        """Collect exit statuses of ended children, which would be zombies otherwise."""
        self._children = [child for child in self._children if child.poll() is None]


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _is_held(lock: Path) -> bool:
    """True if a process holds the lock."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _stamp(path: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        stat = path.stat()
        return (stat.st_mtime_ns, stat.st_ino)
    return None


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON file that is written atomically; ``{}`` if there is none."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}

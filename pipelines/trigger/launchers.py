"""Where runs are started: as processes on this machine, or on a Kubeflow Pipelines host.

A launcher keeps nothing in memory that matters: whoever has the id of a run finds it again, and starting a
run of the same name twice starts it once. So a service that was killed between starting a run and writing
that down starts it again and has the one run.
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
"""``lidloop run`` of this very installation; ``-P``: no module is imported from the folder it runs in."""

_CONFIRM: Final = 20.0  # seconds until a new process has said that it is there


class LaunchError(LidloopError):
    """A run that could not be started, or looked after, now."""


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run is.

    Attributes:
        state: ``starting``: not begun yet. ``lost``: it was begun and its process is gone, but not how it
            ended; starting it again goes on with it.
        ended: seconds since 1970; None while it runs.
        detail: why it failed; where to look.
        registered: name of the run in the registry; None where it is not known.
    """

    state: Literal["starting", "running", "succeeded", "failed", "lost"]
    ended: float | None = None
    detail: str = ""
    registered: str | None = None


class Launcher(Protocol):
    """Starts runs and finds them again."""

    def start(self, parameters: Mapping[str, Any], *, run: str) -> str:
        """Start a run, if none of this name is there, and return its id.

        Args:
            parameters: as JSON values, by the names of ``RunSettings``.
            run: name of the run; one of a kind, good as a file's name.

        Raises:
            LidloopError: where that is not possible now; it may be tried again.
        """
        ...

    def state(self, id: str) -> RunState:
        """How a run is.

        Raises:
            LidloopError: where that cannot be found out now.
        """
        ...

    def link(self, id: str) -> str | None:
        """Where people look at a run; None where there is nothing to be looked at yet."""
        ...


class LocalLauncher:
    """Runs on this machine, each ``lidloop run`` in a session of its own.

    ``ROOT/runs/NAME`` is a run's folder as ``lidloop run`` knows it, ``ROOT/control/NAME`` what is described
    in ``pipelines.trigger.runner``. Whether a run lives is told by the lock that its processes hold, not by a
    process id, which may belong to another process by now.

    Args:
        root: the folder.
        command: what is started instead of ``lidloop run``; it gets the same options.
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
                    start_new_session=True,  # what stops the service does not stop the run
                )
            except OSError as error:
                raise LaunchError(f"no process can be started: {error.strerror}") from error
        self._children.append(child)
        deadline = time.monotonic() + _CONFIRM
        while _stamp(control / PROCESS) == before:
            if child.poll() is not None and _stamp(control / PROCESS) == before:
                raise LaunchError(f"the process of the run ended at once; see {control / LOG}")
            if time.monotonic() > deadline:
                raise LaunchError("the process of the run does not begin; is the machine overloaded?")
            time.sleep(0.02)
        return run

    def state(self, id: str) -> RunState:
        self._reap()
        control, out = self._control(id), self.folder(id)
        registered = _read(out / BEGUN).get("run")
        # The lock first: a run that ends between two looks must not seem lost.
        held = _is_held(control / LOCK)
        end = _read(control / EXIT)
        if end:
            status = end["status"]
            state: Literal["succeeded", "failed"] = "succeeded" if status == 0 else "failed"
            return RunState(state, end["ended"], "" if status == 0 else self._why(id, status), registered)
        if held:
            return RunState("running", registered=registered)
        if (out / "summary.json").exists():  # its parent was killed, it was not
            return RunState("succeeded", (out / "summary.json").stat().st_mtime, "", registered)
        return RunState("lost" if (control / PROCESS).exists() else "starting", registered=registered)

    def link(self, id: str) -> str | None:
        report = self.folder(id) / "report.html"
        return report.as_uri() if report.exists() else None

    def folder(self, run: str) -> Path:
        """The folder of a run."""
        return self._root / "runs" / run

    def _control(self, run: str) -> Path:
        return self._root / "control" / run

    def _why(self, run: str, status: int) -> str:
        ended = "was stopped" if status == 130 else f"ended with {_status(status)}"
        return f"`lidloop run` {ended}; see {self._control(run) / LOG}"

    def _reap(self) -> None:
        """Take note of ended children, which would be zombies otherwise."""
        self._children = [child for child in self._children if child.poll() is None]


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _is_held(lock: Path) -> bool:
    """Whether a process holds the lock."""
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
    """A JSON file that is written atomically; empty where there is none."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}

"""Parent process of one run on this machine: ``python -m pipelines.trigger.runner FOLDER``.

It outlives the service that started it, and records the exit status for the service's next start.
``FOLDER`` is the control folder of the run::

    job.json       the command, and the folder to run it in; written by the service
    lock           lock file, held while this process or the command lives
    process.json   process id and start time of this process; for people, since an id may be reused
    exit.json      exit status of the command, and when it ended
    log            output of both

Starting it twice is harmless: the second process finds the lock held, or ``exit.json``, and ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from lidloop.files import write_atomic

JOB: Final = "job.json"
LOCK: Final = "lock"
PROCESS: Final = "process.json"
EXIT: Final = "exit.json"
LOG: Final = "log"
_LOCK_SECONDS: Final = 2.0  # the service holds the lock for a moment whenever it checks it


def main(folder: Path) -> None:
    """Run the command of ``FOLDER/job.json`` and record its exit status."""
    with (folder / LOCK).open("a") as lock:
        if not _hold(lock.fileno()) or (folder / EXIT).exists():
            return
        signals: list[int] = []
        # Signals are kept until there is a command to forward them to.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: signals.append(number))
        job = json.loads((folder / JOB).read_text())
        about = {"pid": os.getpid(), "started": _start_time(), "begun": time.time()}
        write_atomic(folder / PROCESS, json.dumps(about) + "\n")
        status = _run(job, lock.fileno(), signals)
        write_atomic(folder / EXIT, json.dumps({"status": status, "ended": time.time()}) + "\n")


def _run(job: dict[str, Any], lock: int, signals: list[int]) -> int:
    try:
        command = subprocess.Popen(
            job["command"], stdin=subprocess.DEVNULL, cwd=job["folder"], pass_fds=(lock,)
        )
    except OSError as error:
        print(f"the command cannot be started: {error}", file=sys.stderr, flush=True)
        return 127
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: command.send_signal(number))
    for received in signals:
        command.send_signal(received)
    return command.wait()


def _hold(lock: int) -> bool:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)


def _start_time() -> str:
    """Return the start time of this process in clock ticks since boot, with the id of the boot.

    With the process id it identifies the process uniquely (proc(5), field 22 of ``stat``). Empty without
    ``/proc``.
    """
    try:
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{ticks}"
    except OSError:
        return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))

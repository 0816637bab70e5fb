"""Free ports, and child processes that end with the test run."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; for ``preexec_fn`` of ``subprocess.Popen``."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def wait_for_end(pid: int) -> None:
    """Return when a process, which need not be a child of this one, has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([process], [], [])
    finally:
        os.close(process)

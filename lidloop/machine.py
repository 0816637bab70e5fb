"""Resources of this machine."""

from __future__ import annotations

import os


def cpus() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Return the number of threads for a network on the CPU.

    It is ``OMP_NUM_THREADS``, by which users limit numerical libraries, else the number of cores. Of a list,
    with a number for each level of nested threads, the first is used; other texts are ignored.
    """
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(limit) if limit.isdecimal() and int(limit) > 0 else cpus()

"""Work on blocks of pictures side by side: one process per core, results in the order of the blocks."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from lidloop.machine import cpus

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], jobs: Iterable[T], *, processes: int) -> Iterator[R]:
    """Yield the result of each job, in the order of the jobs; few jobs and results are in memory at once.

    Args:
        work: a function of a module, since processes are started anew; not run in one if ``processes`` is 1.
        jobs: arguments, read as they are needed.
        processes: number of processes.
    """
    if processes <= 1:
        yield from map(work, jobs)
        return
    waiting: deque[Future[R]] = deque()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) > processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def processes_for(jobs: int, *, from_jobs: int) -> int:
    """Number of processes for jobs: one per core from ``from_jobs`` jobs on, else one.

    A process takes about a second to start.
    """
    return min(cpus(), jobs) if jobs >= from_jobs else 1

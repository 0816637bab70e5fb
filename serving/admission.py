"""Admission control: limits of requests that run, wait, or send their bodies; beyond them 503 at once.

A short burst may queue. A standing queue only delays every answer: once requests have waited without a pause
for ``OVERLOAD_SECONDS``, the server counts as overloaded, and admits only as many requests as keep the
network busy, until none was rejected for ``OVERLOAD_SECONDS`` (Nichols and Jacobson, Controlling Queue Delay,
2012, on good and bad queues).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from lidloop.web.problems import Problem

OVERLOAD_SECONDS: Final = 2.0
RETRY_AFTER: Final = 1


class Slot:
    """A concurrency slot, released only when the caller has left and its worker thread has finished.

    A thread cannot be stopped, so a caller that goes away leaves the slot taken.
    """

    def __init__(self) -> None:
        self._work: asyncio.Future[Any] | None = None

    def holds(self, work: asyncio.Future[Any]) -> None:
        """Keep the slot until ``work`` is done, whatever happens to the request."""
        self._work = work

    def end(self, leave: Callable[[], None]) -> None:
        """Call ``leave`` once the work is done, or at once if there is none."""
        if self._work is None or self._work.done():
            leave()
        else:
            self._work.add_done_callback(lambda _: leave())


class Admission:
    """Admission control of one process, for use in one event loop.

    Args:
        running: concurrency slots.
        queue: requests that may wait in a burst.
        steady: limit of running and waiting requests while overloaded.
        readers: limit of bodies that are being received.
        on_change: called with 1 for a request that is admitted and -1 for one that leaves.
    """

    def __init__(
        self,
        running: int,
        queue: int,
        steady: int,
        readers: int,
        *,
        on_change: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running, self._burst, self._steady = running, running + queue, steady
        self._readers = readers
        self._on_change = on_change
        self._clock = clock
        self._slots = asyncio.Semaphore(running)
        self._reading = 0
        self._inside = 0
        self._calm = clock()  # last time without a waiting request
        self._refused = -OVERLOAD_SECONDS
        self._overloaded = False

    @property
    def inside(self) -> int:
        """Number of running and waiting requests."""
        return self._inside

    @property
    def limit(self) -> int:
        """Current limit of running and waiting requests."""
        now = self._clock()
        if self._inside <= self._running:
            self._calm = now
        if self._overloaded:
            self._overloaded = now - self._refused < OVERLOAD_SECONDS
            if not self._overloaded:
                self._calm = now
        elif now - self._calm > OVERLOAD_SECONDS:
            self._overloaded, self._refused = True, now
        return self._steady if self._overloaded else self._burst

    def check(self) -> None:
        """Reject a request that would not be admitted, before its body is received.

        Raises:
            Problem: ``busy``.
        """
        if self._inside >= self.limit:
            self._refused = self._clock()
            raise _busy()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Count a body that is being received.

        Raises:
            Problem: ``busy`` at the limit.
        """
        if self._reading >= self._readers:
            raise _busy()
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Slot]:
        """Wait for a slot and hold it.

        Raises:
            Problem: ``busy`` if too many requests wait already.
        """
        self.check()
        self._count(1)
        try:
            await self._slots.acquire()
        except BaseException:
            self._count(-1)
            raise
        slot = Slot()
        try:
            yield slot
        finally:
            slot.end(self._leave)

    def _leave(self) -> None:
        self._slots.release()
        self._count(-1)

    def _count(self, change: int) -> None:
        self._inside += change
        self._on_change(change)


def _busy() -> Problem:
    return Problem(
        "busy", "more pictures than can be answered in time; try again shortly",
        headers={"Retry-After": str(RETRY_AFTER)},
    )  # fmt: skip

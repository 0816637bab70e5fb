"""How many requests are inside at a time. Nothing waits without limit: what cannot be answered in time is
refused at once, with 503 and ``Retry-After``.

A burst may queue: eight people who press a button at once all get their answers. A queue that *stands* is
another matter: it makes every answer late and none sooner. So where requests have been waiting without a
pause for ``PATIENCE`` seconds, the gate counts as overloaded and lets in only as many as keep the network
busy, until nobody has been refused for ``PATIENCE`` seconds (the distinction of Nichols and Jacobson,
Controlling Queue Delay, 2012).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from lidloop.web.problems import Problem

PATIENCE: Final = 2.0
RETRY_AFTER: Final = 1


class Turn:
    """A place at work. It is held until it is left *and* what was begun in it is over: a thread cannot be
    stopped, so whoever goes away from its work leaves the place taken."""

    def __init__(self) -> None:
        self._work: asyncio.Future[Any] | None = None

    def holds(self, work: asyncio.Future[Any]) -> None:
        """Keep the place until ``work`` is done, whatever becomes of the request."""
        self._work = work

    def end(self, leave: Callable[[], None]) -> None:
        """Call ``leave`` when nothing is at work here any more."""
        if self._work is None or self._work.done():
            leave()
        else:
            self._work.add_done_callback(lambda _: leave())


class Gate:
    """Admission of one process's requests; for use in one event loop.

    Args:
        running: requests worked on at a time.
        queue: requests that may wait in a burst.
        steady: requests inside, running or waiting, while overloaded.
        readers: bodies being received at a time.
        on_change: called with 1 for a request that goes in and -1 for one that goes out.
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
        self._calm = clock()  # when nobody was waiting last
        self._refused = -PATIENCE
        self._overloaded = False

    @property
    def inside(self) -> int:
        """Requests that run or wait."""
        return self._inside

    @property
    def limit(self) -> int:
        """How many may be inside now."""
        now = self._clock()
        if self._inside <= self._running:
            self._calm = now
        if self._overloaded:
            self._overloaded = now - self._refused < PATIENCE
            if not self._overloaded:
                self._calm = now
        elif now - self._calm > PATIENCE:
            self._overloaded, self._refused = True, now
        return self._steady if self._overloaded else self._burst

    def check(self) -> None:
        """Refuse a request that could not be let in, before its body is received.

        Raises:
            Problem: 503.
        """
        if self._inside >= self.limit:
            self._refused = self._clock()
            raise _busy()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Hold one of the places for bodies that are being received.

        Raises:
            Problem: 503 where all are taken.
        """
        if self._reading >= self._readers:
            raise _busy()
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Turn]:
        """Wait for a turn and hold it.

        Raises:
            Problem: 503 where too many wait already.
        """
        self.check()
        self._count(1)
        try:
            await self._slots.acquire()
        except BaseException:
            self._count(-1)
            raise
        turn = Turn()
        try:
            yield turn
        finally:
            turn.end(self._leave)

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

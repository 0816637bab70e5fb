"""What the requests of one process share: settings, model, gate, threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import Request

from lidloop.machine import cpus
from serving.gate import Gate
from serving.model import Model, Served
from serving.problems import Problem
from serving.settings import Settings

T = TypeVar("T")


class Runtime:
    """Shared state; lives as ``app.state.runtime``."""

    def __init__(self, settings: Settings, served: Served | None = None) -> None:
        self.settings = settings
        self.model = Model(settings, served)
        running = settings.concurrency or cpus() + 1
        self.gate = Gate(running, settings.queue, settings.steady, settings.readers)
        self._pool = ThreadPoolExecutor(running, thread_name_prefix="screen")

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking work in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def served(self) -> Served:
        """The model to answer with.

        Raises:
            Problem: 503 before there is one.
        """
        if self.model.current is None:
            raise Problem("not-ready", "no model is loaded yet", headers={"Retry-After": "1"})
        return self.model.current

    def close(self) -> None:
        """Finish what the threads are at."""
        self._pool.shutdown(wait=True)


def runtime_of(request: Request) -> Runtime:
    """The runtime of the app that a request came to."""
    runtime: Runtime = request.app.state.runtime
    return runtime

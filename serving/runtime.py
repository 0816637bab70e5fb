"""State that the requests of one process share: settings, model, admission, threads, metrics, audit log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from lidloop.machine import cpus
from lidloop.web.body import read_body
from lidloop.web.problems import Problem
from serving.access import Access
from serving.admission import Admission
from serving.audit import AuditLog
from serving.metrics import Metrics
from serving.model import Model, Served
from serving.settings import Settings

T = TypeVar("T")


class Runtime:
    """Shared state, at ``app.state.runtime``.

    Raises:
        LidloopError: for a key file, key set or audit file that cannot be used.
    """

    def __init__(self, settings: Settings, served: Served | None = None) -> None:
        self.settings: Final = settings
        running = settings.concurrency or max(2, cpus())
        steady = settings.steady or cpus() // 2 + 1
        self.metrics: Final = Metrics(window=settings.window, limit=running + settings.queue)
        self.admission: Final = Admission(
            running, settings.queue, steady, settings.readers, on_change=self.metrics.inside
        )
        self.access: Final = Access(settings)
        self.audit: Final = AuditLog(settings.audit, on_failure=self.metrics.audit_failed)
        self.model: Final = Model(settings, served, on_change=self._announce)
        self._pool: Final = ThreadPoolExecutor(running, thread_name_prefix="screen")

    def _announce(self, served: Served) -> None:
        self.metrics.serve(served.info, served.reference)

    def served(self, request: Request) -> Served:
        """Return the model for a request, which keeps it until its end.

        Raises:
            Problem: ``not-ready`` before a model is loaded.
        """
        served = self.model.current
        if served is None:
            raise Problem("not-ready", "no model is loaded yet", headers={"Retry-After": "1"})
        request.state.model = served.info
        return served

    async def authorize(self, request: Request, scope: str) -> None:
        """Authenticate the caller and check its scope.

        Raises:
            Problem: as ``Access.check``.
        """
        if self.access.may_block:
            request.state.caller = await asyncio.to_thread(self.access.check, request, scope)
        else:
            request.state.caller = self.access.check(request, scope)

    async def receive(self, request: Request, limit: int, *, codings: Sequence[str] = ()) -> bytes:
        """Receive the body of a request, unless too many are being received.

        Args:
            request: the request. limit, codings: as ``read_body`` takes them.

        Raises:
            Problem: 408, 413, 415 or 503.
        """
        self.admission.check()
        async with self.admission.reading():
            return await read_body(request, limit, self.settings.body_seconds, codings=codings)

    async def work(self, request: Request, work: Callable[[], T]) -> T:
        """Do the blocking part of a request in a worker thread, once a concurrency slot is free.

        If the answer is late or the request is cancelled, the thread goes on, since it cannot be stopped,
        and keeps its slot until it is done.

        Raises:
            Problem: ``busy`` if too many requests wait, ``late`` if the answer is not ready in time.
            ClientDisconnect: if the caller went away meanwhile.
        """
        start, limit = time.perf_counter(), self.settings.work_seconds
        try:
            async with asyncio.timeout(limit), self.admission.working() as slot:
                self.metrics.stages({"wait": time.perf_counter() - start})
                if await request.is_disconnected():
                    raise ClientDisconnect
                task = asyncio.get_running_loop().run_in_executor(self._pool, work)
                slot.holds(task)
                result = await asyncio.shield(task)
        except TimeoutError:
            raise Problem(
                "late", f"the answer was not ready within {limit:g} seconds", headers={"Retry-After": "1"}
            ) from None
        if await request.is_disconnected():
            raise ClientDisconnect
        return result

    def close(self) -> None:
        """Wait for the worker threads and close the audit log."""
        self._pool.shutdown(wait=True)
        self.audit.close()


def runtime_of(request: Request) -> Runtime:
    """Return the runtime of the app of a request."""
    runtime: Runtime = request.app.state.runtime
    return runtime

"""The thread that does what the store says is to be done: starts runs, and looks how they are.

It alone calls the launcher. A run that cannot be started is tried again, ever more rarely; one whose process
is gone without a word (a container that was stopped, a machine that lost its power) is started again, and
goes on where it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from lidloop.errors import LidloopError
from pipelines.trigger.launchers import Launcher, RunState
from pipelines.trigger.store import Run, Store

log: Final = logging.getLogger("lidloop.trigger")

ATTEMPTS: Final = 12
"""How often a run is tried to be started, or started again after it was lost, before it counts as failed."""
_FIRST: Final = 2.0
_LONGEST: Final = 300.0


class Supervisor:
    """Looks after the runs of a store.

    Args:
        store: where runs are written down.
        launcher: what starts them.
        every: seconds between two looks.
        clock: seconds since 1970.
    """

    def __init__(
        self, store: Store, launcher: Launcher, *, every: float = 2.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._launcher, self._every, self._clock = store, launcher, every, clock
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.errors = 0
        """How often the launcher failed."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience: float = 30.0) -> None:
        """End after what is being done; runs go on."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(patience)

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    @property
    def alive(self) -> bool:
        """Whether it does its work."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def look(self) -> None:
        """Do once what is to be done."""
        for run in self._store.active():
            if self._stopping.is_set():
                return
            if run.state == "running":
                self._look_at(run)
            elif run.due <= self._clock():
                self._start(run)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.look()
            except Exception:
                # It must go on for the other runs, and after a full disk; /metrics counts it.
                self.errors += 1
                log.exception("looking after runs failed")
            self._wake.wait(self._every)

    def _start(self, run: Run) -> None:
        try:
            handle = self._launcher.start(run.parameters, run=run.id)
        except LidloopError as error:
            self.errors += 1
            self._try_later(run, str(error))
            return
        self._store.started(run, handle)
        log.info("run %s is started (%s by %s)", run.id, run.reason, run.started_by)

    def _look_at(self, run: Run) -> None:
        assert run.handle is not None
        try:
            state = self._launcher.state(run.handle)
        except LidloopError as error:
            self.errors += 1
            log.warning("how run %s is cannot be found out: %s", run.id, error)
            return
        if state.state in ("lost", "starting"):
            self._try_later(run, state.detail or "its process is gone")
        elif (state.state, state.registered or run.registered) != (run.state, run.registered):
            if state.state != "running":
                log.info("run %s %s%s", run.id, state.state, f": {state.detail}" if state.detail else "")
            self._store.seen(run, state)

    def _try_later(self, run: Run, why: str) -> None:
        if run.attempts + 1 >= ATTEMPTS:
            log.error("run %s is given up: %s", run.id, why)
            self._store.seen(run, RunState("failed", self._clock(), f"given up: {why}"))
            return
        wait = min(_FIRST * 2.0**run.attempts, _LONGEST)
        log.warning("run %s: %s; trying again in %.0f s", run.id, why, wait)
        self._store.put_off(run, detail=why, due=self._clock() + wait)

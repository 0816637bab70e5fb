"""Supervisor thread: starts the runs of the store and checks their state.

Only this thread calls the launcher to start runs. A failed start is retried with exponential back-off. A run
whose process is gone without an exit status (a stopped container, a power cut) is started again and resumes.
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
"""Attempts to start a run, also after it was lost, before it counts as failed."""
_FIRST_WAIT: Final = 2.0
_LONGEST_WAIT: Final = 300.0


class Supervisor:
    """Starts and checks the runs of a store.

    Args:
        store: the database.
        launcher: starts them.
        every: seconds between two checks.
        clock: Unix time.
    """

    def __init__(
        self, store: Store, launcher: Launcher, *, every: float = 2.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._launcher, self._every, self._clock = store, launcher, every, clock
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.errors = 0
        """Number of errors of the launcher."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float = 30.0) -> None:
        """Stop the thread after its current step, within ``seconds``; runs go on."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)

    def wake(self) -> None:
        """Check the runs now."""
        self._wake.set()

    @property
    def alive(self) -> bool:
        """True while the thread runs and is not being stopped."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def check_runs(self) -> None:
        """Start due runs and check active ones, once."""
        for run in self._store.active():
            if self._stopping.is_set():
                return
            if run.state == "running":
                self._check(run)
            elif run.due <= self._clock():
                self._start(run)

    def _watch(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.check_runs()
            except Exception:
                # The thread must go on for the other runs, also after a full disk; /metrics counts the error.
                self.errors += 1
                log.exception("checking the runs failed")
            self._wake.wait(self._every)

    def _start(self, run: Run) -> None:
        try:
            handle = self._launcher.start(run.parameters, run=run.id)
        except LidloopError as error:
            self.errors += 1
            self._retry_later(run, str(error))
            return
        self._store.started(run, handle)
        log.info("run %s is started (%s by %s)", run.id, run.reason, run.started_by)

    def _check(self, run: Run) -> None:
        assert run.handle is not None
        try:
            state = self._launcher.state(run.handle)
        except LidloopError as error:
            self.errors += 1
            log.warning("the state of run %s cannot be read: %s", run.id, error)
            return
        if state.state in ("lost", "starting"):
            self._retry_later(run, state.detail or "its process is gone")
        elif (state.state, state.registered or run.registered) != (run.state, run.registered):
            if state.state != "running":
                log.info("run %s %s%s", run.id, state.state, f": {state.detail}" if state.detail else "")
            self._store.set_state(run, state)

    def _retry_later(self, run: Run, why: str) -> None:
        if run.attempts + 1 >= ATTEMPTS:
            log.error("run %s is given up: %s", run.id, why)
            self._store.set_state(run, RunState("failed", self._clock(), f"given up: {why}"))
            return
        wait = min(_FIRST_WAIT * 2.0**run.attempts, _LONGEST_WAIT)
        log.warning("run %s: %s; retrying in %.0f s", run.id, why, wait)
        self._store.postpone(run, detail=why, due=self._clock() + wait)

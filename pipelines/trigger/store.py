"""Database of the service: runs and alerts, in one SQLite file.

The decision that an alert starts a run, and the row of that run, are one transaction: of many alerts at once,
in any number of threads, one starts it, and a service that is killed at any moment has either the run, in
state ``starting``, or nothing.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from lidloop.errors import LidloopError
from pipelines.trigger.cooldown import LastRun, Outcome, decide
from pipelines.trigger.launchers import RunState
from pipelines.trigger.webhook import Alert

ACTIVE: Final = ("starting", "running")
"""States of a run that has not ended."""
REASONS: Final = ("request", "alert")
KEPT: Final = 10_000
"""Number of alerts that are kept; older ones are only counted."""

_FORMAT: Final = 1
_TABLES: Final = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    model TEXT NOT NULL,
    reason TEXT NOT NULL,
    started_by TEXT NOT NULL,
    parameters TEXT NOT NULL,
    created REAL NOT NULL,
    state TEXT NOT NULL,
    handle TEXT,
    ended REAL,
    detail TEXT NOT NULL DEFAULT '',
    registered TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL DEFAULT 0,
    idempotency_key TEXT,
    request TEXT,
    UNIQUE (started_by, idempotency_key)
);
CREATE TABLE alerts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    received REAL NOT NULL,
    fingerprint TEXT NOT NULL,
    name TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    status TEXT NOT NULL,
    grouped TEXT NOT NULL,
    outcome TEXT NOT NULL,
    run TEXT
);
CREATE TABLE outcomes (outcome TEXT PRIMARY KEY, alerts INTEGER NOT NULL);
"""


class Busy(Exception):
    """The largest number of active runs is reached; ``runs`` has their ids."""

    def __init__(self, runs: Sequence[str]) -> None:
        super().__init__(", ".join(runs))
        self.runs = list(runs)


class KeyReused(Exception):
    """An Idempotency-Key that was used for another request."""


@dataclass(frozen=True, slots=True)
class Run:
    """A requested run.

    Attributes:
        number: in the order of the requests.
        id: its name.
        model: registered name of the model that it is for.
        reason: ``request`` or ``alert``.
        started_by: id of the key, or ``local``.
        parameters: as JSON values.
        created, ended: Unix times; ``ended`` is None while it is active.
        state: ``starting``, ``running``, ``succeeded`` or ``failed``.
        handle: id of the launcher; None before it was started.
        detail: reason of a failure or of a delayed start.
        registered: name in the registry; None if unknown.
        attempts: number of failed starts and losses. due: Unix time of the next attempt.
    """

    number: int
    id: str
    model: str
    reason: Literal["request", "alert"]
    started_by: str
    parameters: dict[str, Any]
    created: float
    state: Literal["starting", "running", "succeeded", "failed"]
    handle: str | None
    ended: float | None
    detail: str
    registered: str | None
    attempts: int
    due: float


_RUN: Final = ", ".join(Run.__slots__)


class Store:
    """The database. Methods may be called from any thread.

    Args:
        path: the file; created if it does not exist.
        model: registered name of the model of this service.
        cooldown: in seconds.
        most: largest number of active runs.

    Raises:
        LidloopError: for a file of another format, or one that cannot be opened.
    """

    def __init__(self, path: Path, *, model: str, cooldown: float, most: int = 1) -> None:
        self.model, self.cooldown, self.most = model, cooldown, most
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            with self._writing():
                found = self._db.execute("PRAGMA user_version").fetchone()[0]
                if found == 0:
                    for statement in _TABLES.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version={_FORMAT}")
        except sqlite3.Error as error:
            raise LidloopError(f"the state {path} cannot be used: {error}") from error
        if found not in (0, _FORMAT):
            raise LidloopError(f"{path} has format {found}; this lidloop knows {_FORMAT}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def add_request(
        self, parameters: Mapping[str, Any], *, by: str, now: float, key: str | None = None, request: str = ""
    ) -> tuple[Run, bool]:
        """Add a run that a caller requests; return it, and True if it existed already.

        Args:
            parameters: parameters of the run, checked.
            by: id of the caller.
            now: Unix time.
            key: the caller's Idempotency-Key.
            request: digest of the request.

        Raises:
            KeyReused: if ``key`` was used for another request.
            Busy: if the largest number of active runs is reached.
        """
        with self._writing():
            if key is not None:
                row = self._db.execute(
                    f"SELECT {_RUN}, request FROM runs WHERE started_by = ? AND idempotency_key = ?",  # noqa: S608
                    (by, key),
                ).fetchone()
                if row is not None:
                    if row["request"] != request:
                        raise KeyReused
                    return _run(row), True
            active = [run.id for run in self.active()]
            if len(active) >= self.most:
                raise Busy(active)
            return self._add(parameters, reason="request", by=by, now=now, key=key, request=request), False

    def record_alerts(
        self, alerts: Iterable[Alert], parameters: Mapping[str, Any], *, by: str, now: float
    ) -> list[tuple[Alert, Outcome, str | None]]:
        """Decide the outcomes of alerts and store them.

        Args:
            alerts: alerts of one message.
            parameters: parameters of a run that an alert starts.
            by: id of the sender.
            now: Unix time.

        Returns:
            Each alert, its outcome, and the run that it started or that prevents a start.
        """
        answers = []
        with self._writing():
            running = self.active()
            newest = self.newest()
            for alert in alerts:
                outcome = decide(
                    firing=alert.firing,
                    labels=alert.labels,
                    model=self.model,
                    running=len(running) >= self.most,
                    last=_last(newest),
                    now=now,
                    cooldown=self.cooldown,
                )
                if outcome is Outcome.STARTED:
                    newest = self._add(parameters, reason="alert", by=by, now=now)
                    running = [*running, newest]
                run = _run_of(outcome, newest, running)
                self._note(alert, outcome, run, now)
                answers.append((alert, outcome, run))
            self._db.execute(
                "DELETE FROM alerts WHERE number <= (SELECT max(number) FROM alerts) - ?", (KEPT,)
            )
        return answers

    def active(self) -> list[Run]:
        """Return the active runs, the oldest first."""
        return self._select("WHERE state IN ('starting', 'running') ORDER BY number")

    def newest(self) -> Run | None:
        """Return the newest run of the model."""
        found = self._select("WHERE model = ? ORDER BY number DESC LIMIT 1", self.model)
        return found[0] if found else None

    def run(self, id: str) -> Run | None:
        """Return a run; None for an unknown id."""
        found = self._select("WHERE id = ?", id)
        return found[0] if found else None

    def runs(self, *, limit: int, before: int | None = None) -> list[Run]:
        """Return runs, the newest first, before the one with the number ``before``."""
        return self._select("WHERE number < ? ORDER BY number DESC LIMIT ?", before or 2**62, limit)

    def alerts(self, *, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """Return alerts and their outcomes, the newest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM alerts WHERE number < ? ORDER BY number DESC LIMIT ?",
                (before or 2**62, limit),
            )
            return [dict(row) for row in rows]

    def started(self, run: Run, handle: str) -> None:
        """Record that the launcher has started a run."""
        self._update(run, "state = 'running', handle = ?, detail = ''", handle)

    def postpone(self, run: Run, *, detail: str, due: float) -> None:
        """Schedule the next attempt to start a run."""
        self._update(run, "state = 'starting', attempts = attempts + 1, detail = ?, due = ?", detail, due)

    def set_state(self, run: Run, state: RunState) -> None:
        """Store the state of a run; ``lost`` and ``starting`` are for the caller to handle."""
        self._update(
            run,
            "state = ?, ended = ?, detail = ?, registered = coalesce(?, registered)",
            state.state, state.ended, state.detail, state.registered,
        )  # fmt: skip

    def counts(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        """Return the number of runs by reason and state, and of alerts by outcome."""
        with self._lock:
            runs = self._db.execute("SELECT reason, state, count(*) FROM runs GROUP BY reason, state")
            by_state = {(reason, state): number for reason, state, number in runs}
            return by_state, dict(map(tuple, self._db.execute("SELECT outcome, alerts FROM outcomes")))

    def _add(
        self,
        parameters: Mapping[str, Any],
        *,
        reason: str,
        by: str,
        now: float,
        key: str | None = None,
        request: str = "",
    ) -> Run:
        when = datetime.fromtimestamp(now, UTC)
        id = f"{reason}-{when:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
        self._db.execute(
            "INSERT INTO runs (id, model, reason, started_by, parameters, created, state, idempotency_key, "
            "request) VALUES (?, ?, ?, ?, ?, ?, 'starting', ?, ?)",
            (id, self.model, reason, by, json.dumps(dict(parameters)), now, key, request),
        )
        return self._select("WHERE id = ?", id)[0]

    def _note(self, alert: Alert, outcome: Outcome, run: str | None, now: float) -> None:
        self._db.execute(
            "INSERT INTO alerts (received, fingerprint, name, starts_at, status, grouped, outcome, run) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(now, alert.fingerprint, alert.name, alert.starts_at),
                *("firing" if alert.firing else "resolved", alert.group, outcome.value, run),
            ),
        )
        self._db.execute(
            "INSERT INTO outcomes VALUES (?, 1) ON CONFLICT (outcome) DO UPDATE SET alerts = alerts + 1",
            (outcome.value,),
        )

    def _update(self, run: Run, assignment: str, *values: Any) -> None:
        with self._writing():
            self._db.execute(f"UPDATE runs SET {assignment} WHERE id = ?", (*values, run.id))  # noqa: S608

    def _select(self, clause: str, *values: Any) -> list[Run]:
        with self._lock:
            return [_run(row) for row in self._db.execute(f"SELECT {_RUN} FROM runs {clause}", values)]  # noqa: S608

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Exclusive write transaction."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _run(row: sqlite3.Row) -> Run:
    values = {name: row[name] for name in Run.__slots__}
    return Run(**{**values, "parameters": json.loads(row["parameters"])})


def _last(run: Run | None) -> LastRun | None:
    return None if run is None else LastRun(run.created, run.ended)


def _run_of(outcome: Outcome, newest: Run | None, running: Sequence[Run]) -> str | None:
    """Return the id of the run that an outcome refers to."""
    if outcome is Outcome.ALREADY_RUNNING:
        return running[-1].id
    if outcome in (Outcome.STARTED, Outcome.COOLING_DOWN) and newest is not None:
        return newest.id
    return None

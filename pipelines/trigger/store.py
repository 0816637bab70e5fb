"""What the service must not forget: its runs, and what came of every alert. One SQLite file.

Whether an alert starts a run is decided in the very transaction that writes the run down, so that of many
alerts at once, in however many threads, one starts it; and a service that is killed at any moment has either
the run, in state ``starting``, or nothing.
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
"""Alerts that are remembered; of older ones only their number is."""

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
    """As many runs are running as may; ``runs`` has their ids."""

    def __init__(self, runs: Sequence[str]) -> None:
        super().__init__(", ".join(runs))
        self.runs = list(runs)


class KeyReused(Exception):
    """An Idempotency-Key that was used for another request."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was asked for.

    Attributes:
        number: in the order in which they were asked for.
        id: its name.
        model: registered name of the model that it is for.
        reason: ``request`` or ``alert``.
        started_by: id of the key, or ``local``.
        parameters: as JSON values.
        created, ended: seconds since 1970; ``ended`` is None while it runs.
        state: ``starting``, ``running``, ``succeeded`` or ``failed``.
        handle: the launcher's id of it; None until it was started.
        detail: why it failed, or why it is not started yet.
        registered: its name in the registry, where that is known.
        attempts: how often its start was tried in vain, or it was lost. due: when the next is due.
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
    """The file. Every method may be called from any thread.

    Args:
        path: made where it is not there.
        model: registered name of the model whose runs are started here.
        cooldown: in seconds.
        most: runs that may run at a time.

    Raises:
        LidloopError: for a file of another format, or one that cannot be used.
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
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def ask(
        self, parameters: Mapping[str, Any], *, by: str, now: float, key: str | None = None, request: str = ""
    ) -> tuple[Run, bool]:
        """Write down a run that a caller asks for, and return it, and whether it was there already.

        Args:
            parameters: checked.
            by: who asks.
            now: seconds since 1970.
            key: the caller's Idempotency-Key.
            request: digest of what is asked for.

        Raises:
            KeyReused: where ``key`` came with another request.
            Busy: where as many runs are running as may.
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

    def hear(
        self, alerts: Iterable[Alert], parameters: Mapping[str, Any], *, by: str, now: float
    ) -> list[tuple[Alert, Outcome, str | None]]:
        """Decide what comes of alerts and write it down.

        Args:
            alerts: of one message.
            parameters: of a run that an alert starts.
            by: who sent them.
            now: seconds since 1970.

        Returns:
            Each alert, its outcome, and the run that it started, or that runs or cools down already.
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
                run = _about(outcome, newest, running)
                self._note(alert, outcome, run, now)
                answers.append((alert, outcome, run))
            self._db.execute(
                "DELETE FROM alerts WHERE number <= (SELECT max(number) FROM alerts) - ?", (KEPT,)
            )
        return answers

    def active(self) -> list[Run]:
        """Runs that have not ended, the oldest first."""
        return self._select("WHERE state IN ('starting', 'running') ORDER BY number")

    def newest(self) -> Run | None:
        """The newest run of the model."""
        found = self._select("WHERE model = ? ORDER BY number DESC LIMIT 1", self.model)
        return found[0] if found else None

    def run(self, id: str) -> Run | None:
        """A run; None where there is none of this id."""
        found = self._select("WHERE id = ?", id)
        return found[0] if found else None

    def runs(self, *, limit: int, before: int | None = None) -> list[Run]:
        """Runs, the newest first, before the one with the number ``before``."""
        return self._select("WHERE number < ? ORDER BY number DESC LIMIT ?", before or 2**62, limit)

    def alerts(self, *, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """What came of alerts, the newest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM alerts WHERE number < ? ORDER BY number DESC LIMIT ?",
                (before or 2**62, limit),
            )
            return [dict(row) for row in rows]

    def started(self, run: Run, handle: str) -> None:
        """The launcher has the run."""
        self._update(run, "state = 'running', handle = ?, detail = ''", handle)

    def put_off(self, run: Run, *, detail: str, due: float) -> None:
        """A run is to be started, again, when it is ``due``."""
        self._update(run, "state = 'starting', attempts = attempts + 1, detail = ?, due = ?", detail, due)

    def seen(self, run: Run, state: RunState) -> None:
        """A run is in this state; ``lost`` and ``starting`` are for the caller to act on."""
        self._update(
            run,
            "state = ?, ended = ?, detail = ?, registered = coalesce(?, registered)",
            state.state, state.ended, state.detail, state.registered,
        )  # fmt: skip

    def counts(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        """How many runs there are by reason and state, and how many alerts had each outcome."""
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
        """A transaction that no other process or thread writes beside."""
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


def _about(outcome: Outcome, newest: Run | None, running: Sequence[Run]) -> str | None:
    """The run that an outcome is about."""
    if outcome is Outcome.ALREADY_RUNNING:
        return running[-1].id
    if outcome in (Outcome.STARTED, Outcome.COOLING_DOWN) and newest is not None:
        return newest.id
    return None

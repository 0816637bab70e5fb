"""Runs, tasks and schedules of a Kubeflow Pipelines host as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import kfp_server_api as api

ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
"""Final states of a run. The others are PENDING, RUNNING, CANCELING and PAUSED."""


@dataclass(frozen=True)
class Task:
    """One attempt of one step of a run. A step that KFP took from its cache is SKIPPED.

    Attributes:
        name: name of the task in the pipeline, such as ``train`` or ``train-2``.
        state: a state as of a run.
        pod: name of its pod; empty if unknown.
        error: message of Kubernetes if it failed or cannot start, with the step's own error; else empty.
    """

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    pod: str
    error: str


@dataclass(frozen=True)
class Run:
    """A run on a host. Its tasks are there if they were requested."""

    id: str
    name: str
    state: str
    created: datetime | None
    ended: datetime | None
    error: str
    link: str
    tasks: tuple[Task, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """A recurring run on a host. ``cron`` has six fields; the first is the second."""

    id: str
    name: str
    cron: str
    enabled: bool


def read_run(run: api.V2beta1Run, link: str) -> Run:
    """Convert the host's description of a run; its tasks are read by ``pipelines.kubeflow.workflow``."""
    return Run(
        id=run.run_id,
        name=run.display_name or "",
        state=run.state or "PENDING",
        created=_time(run.created_at),
        ended=_time(run.finished_at),
        error=_said(run.error),
        link=link,
    )


def read_schedule(recurring: api.V2beta1RecurringRun) -> Schedule:
    """Convert the host's description of a recurring run."""
    clock = recurring.trigger.cron_schedule if recurring.trigger else None
    return Schedule(
        id=recurring.recurring_run_id,
        name=recurring.display_name or "",
        cron=clock.cron if clock else "",
        enabled=(recurring.mode or recurring.status) in ("ENABLE", "ENABLED"),
    )


def unnumbered(task: str) -> str:
    """Return a task's name without the number that KFP adds to the second task of a component."""
    head, _, tail = task.rpartition("-")
    return head if head and tail.isdigit() else task


def _said(error: Any) -> str:
    return str(error.message or "") if error else ""


def _time(value: datetime | None) -> datetime | None:
    """A time; None for the year 1970, which the host writes for no time."""
    return None if value is None or value.year <= 1970 else value

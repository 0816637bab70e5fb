"""What a Kubeflow Pipelines host tells of runs and schedules, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import kfp_server_api as api

ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
"""States of a run that it does not leave by itself. The others are PENDING, RUNNING, CANCELING and PAUSED."""

_STEP: Final = "executor"  # what KFP calls the node in which a step's own container runs


@dataclass(frozen=True)
class Task:
    """One step of a run.

    Attributes:
        name: of the task in the pipeline, such as ``train`` or ``train-2``.
        state: as of a run.
        pod: name of the pod it runs in; empty where none is known.
        error: why it failed, in the host's words; empty where it did not.
    """

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    pod: str
    error: str


@dataclass(frozen=True)
class Run:
    """A run on a host. Its tasks are there when it was asked for by its id."""

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
    """A recurring run on a host. ``cron`` has six fields, the first are seconds."""

    id: str
    name: str
    cron: str
    enabled: bool


def read_run(run: api.V2beta1Run, link: str) -> Run:
    """A run as the host describes it."""
    details = run.run_details.task_details if run.run_details else None
    return Run(
        id=run.run_id,
        name=run.display_name or "",
        state=run.state or "PENDING",
        created=_time(run.created_at),
        ended=_time(run.finished_at),
        error=_said(run.error),
        link=link,
        tasks=tuple(_tasks(details or ())),
    )


def read_schedule(recurring: api.V2beta1RecurringRun) -> Schedule:
    """A recurring run as the host describes it."""
    clock = recurring.trigger.cron_schedule if recurring.trigger else None
    return Schedule(
        id=recurring.recurring_run_id,
        name=recurring.display_name or "",
        cron=clock.cron if clock else "",
        enabled=(recurring.mode or recurring.status) in ("ENABLE", "ENABLED"),
    )


def unnumbered(task: str) -> str:
    """A task's name without the number that KFP adds to the second of its kind."""
    head, _, tail = task.rpartition("-")
    return head if head and tail.isdigit() else task


def _tasks(details: Sequence[api.V2beta1PipelineTaskDetail]) -> Iterator[Task]:
    """The steps, in the order in which they began, without the drivers and groups around them.

    A step is a node ``executor``. Its name is that of the node that has it below itself.
    """
    above: dict[str, api.V2beta1PipelineTaskDetail] = {}
    for detail in details:
        for child in detail.child_tasks or ():
            above.update({name: detail for name in (child.task_id, child.pod_name) if name})

    def owner(detail: api.V2beta1PipelineTaskDetail) -> str:
        for _ in details:
            parent = above.get(detail.task_id) or above.get(detail.pod_name)
            if detail.display_name != _STEP or parent is None:
                break
            detail = parent
        return str(detail.display_name)

    steps = [detail for detail in details if detail.display_name == _STEP]
    for detail in sorted(
        steps, key=lambda d: (d.start_time is None, d.start_time and d.start_time.timestamp())
    ):
        yield Task(
            name=owner(detail),
            state=detail.state or "PENDING",
            started=_time(detail.start_time),
            ended=_time(detail.end_time),
            pod=detail.pod_name or "",
            error=_said(detail.error),
        )


def _said(error: Any) -> str:
    return str(error.message or "") if error else ""


def _time(value: datetime | None) -> datetime | None:
    """The host writes the year 1970 where there is no time."""
    return None if value is None or value.year <= 1970 else value

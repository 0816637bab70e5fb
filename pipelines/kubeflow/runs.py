"""Runs, tasks and schedules of a Kubeflow Pipelines host as plain values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import kfp_server_api as api

ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
"""Final states of a run. The others are PENDING, RUNNING, CANCELING and PAUSED."""

_EXECUTOR: Final = re.compile(r"executor(\(\d+\))?")  # KFP's name of the nodes of a step's own container


@dataclass(frozen=True)
class Task:
    """One attempt of one step of a run. A step that KFP took from its cache is SKIPPED.

    Attributes:
        name: name of the task in the pipeline, such as ``train`` or ``train-2``.
        state: a state as of a run.
        pod: name of its pod; empty if unknown.
        error: message of the host if it failed; else empty.
    """

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    pod: str
    error: str


@dataclass(frozen=True)
class Run:
    """A run on a host. It has its tasks if it was requested by its id."""

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
    """Convert the host's description of a run."""
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


def _tasks(details: Sequence[api.V2beta1PipelineTaskDetail]) -> Iterator[Task]:
    """The attempts of the steps in order of their start, without KFP's own nodes.

    A step ``train`` is a group of that name around a pod ``executor``. With retries there is a node
    ``executor`` between them, and pods ``executor(0)``, ``executor(1)``. Nodes name their children by Argo's
    node name; a pod's name contains only the last part of it.
    """
    nodes = {_key(detail.pod_name): detail for detail in details if detail.pod_name}
    above: dict[int, api.V2beta1PipelineTaskDetail] = {}
    tried: set[int] = set()
    for detail in details:
        for child in detail.child_tasks or ():
            below = nodes.get(_key(child.pod_name or ""))
            if below is not None and _EXECUTOR.fullmatch(below.display_name or ""):
                above[id(below)] = detail
                if _EXECUTOR.fullmatch(detail.display_name or ""):
                    tried.add(id(detail))

    def owner(detail: api.V2beta1PipelineTaskDetail) -> str:
        for _ in range(3):  # pod, retry node, group
            if not _EXECUTOR.fullmatch(detail.display_name) or id(detail) not in above:
                break
            detail = above[id(detail)]
        return str(detail.display_name)

    pods = [d for d in details if _EXECUTOR.fullmatch(d.display_name or "") and id(d) not in tried]
    for pod in sorted(pods, key=lambda d: (d.start_time is None, d.start_time and d.start_time.timestamp())):
        yield Task(
            name=owner(pod),
            state=pod.state or "PENDING",
            started=_time(pod.start_time),
            ended=_time(pod.end_time),
            pod=pod.pod_name or "",
            error=_said(pod.error),
        )


def _key(name: str) -> str:
    """The number at the end, which the names of a node and of its pod share."""
    return name.rpartition("-")[2]


def _said(error: Any) -> str:
    return str(error.message or "") if error else ""


def _time(value: datetime | None) -> datetime | None:
    """A time; None for the year 1970, which the host writes for no time."""
    return None if value is None or value.year <= 1970 else value

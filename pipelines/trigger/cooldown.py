"""Cool-down: decides which alerts start a run, so that a storm of alerts starts one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ACTION: Final = "lidloop_action"
ITERATE: Final = "iterate"
"""Value of the label ``lidloop_action`` on alerts that may start a run."""


class Outcome(StrEnum):
    """Outcome of an alert."""

    STARTED = "started"
    COOLING_DOWN = "cooling-down"
    ALREADY_RUNNING = "already-running"
    NOT_OURS = "not-ours"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of a model: Unix times of its start and its end; the end is None while it is active."""

    started: float
    ended: float | None


def until(last: LastRun | None, cooldown: float) -> float | None:
    """Return the Unix time at which the cool-down ends; None if no run was started.

    It counts from the end of the run, so that a run longer than the cool-down is not followed by another at
    once: the effect of the new model must have time to show. While the run is active, it counts from its
    start.
    """
    return None if last is None else (last.started if last.ended is None else last.ended) + cooldown


def decide(
    *,
    firing: bool,
    labels: Mapping[str, str],
    model: str,
    running: bool,
    last: LastRun | None,
    now: float,
    cooldown: float,
) -> Outcome:
    """Return the outcome of one alert.

    Args:
        firing: True if it fires, False if it is resolved.
        labels: labels of the alert. Without the label ``model`` it concerns the model of this service.
        model: registered name of that model.
        running: True if the largest number of active runs is reached.
        last: newest run of the model, also one that a caller started.
        now: Unix time.
        cooldown: in seconds.
    """
    if labels.get(ACTION) != ITERATE or labels.get("model", model) != model:
        return Outcome.NOT_OURS
    if not firing:
        return Outcome.RESOLVED
    if running:
        return Outcome.ALREADY_RUNNING
    over = until(last, cooldown)
    return Outcome.STARTED if over is None or now >= over else Outcome.COOLING_DOWN

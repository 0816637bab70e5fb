"""Whether an alert starts a run: a storm of them starts one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ACTION: Final = "lidloop_action"
ITERATE: Final = "iterate"
"""Value of the label ``lidloop_action`` on alerts that may start a run."""


class Outcome(StrEnum):
    """What came of an alert."""

    STARTED = "started"
    COOLING_DOWN = "cooling-down"
    ALREADY_RUNNING = "already-running"
    NOT_OURS = "not-ours"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of a model: when it was started and when it ended, in seconds since 1970; None for one
    that has not ended."""

    started: float
    ended: float | None


def until(last: LastRun | None, cooldown: float) -> float | None:
    """When the cool-down after a run is over, in seconds since 1970; None where no run was started.

    It counts from the run's end, so that a run longer than the cool-down is not followed by another at once:
    what the new model changes must have time to be seen. While the run lasts, from its start.
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
    """What comes of one alert.

    Args:
        firing: whether it fires; else it is resolved.
        labels: of the alert. Without the label ``model`` it is about the model whose runs are started here.
        model: registered name of that model.
        running: whether as many runs are running as may.
        last: newest run of the model, whoever started it.
        now: seconds since 1970.
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

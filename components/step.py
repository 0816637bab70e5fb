"""Frame of every step: logging with the step's name, duration, and errors as one log line.

A step's log lines look like ``lidloop [train 2] INFO epoch 3 of 10 …``. The local runner parses them out of
the output of KFP.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from components.termination import report
from lidloop.errors import SYSTEM_ERRORS, LidloopError, cause

_LINE: Final = re.compile(r"lidloop \[(?P<step>\w+)(?: (?P<iteration>\d+))?\] (?P<level>[A-Z]+) (?P<text>.*)")


class Line(NamedTuple):
    """One log line of a step. ``iteration`` is None for a step outside the iterations."""

    step: str
    iteration: int | None
    level: str
    text: str


def parse_line(line: str) -> Line | None:
    """Parse a step's log line; None if the line is not one."""
    match = _LINE.search(line)
    if match is None:
        return None
    iteration = match["iteration"]
    return Line(match["step"], None if iteration is None else int(iteration), match["level"], match["text"])


@dataclass
class Step:
    """A running step."""

    name: str
    iteration: int | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Wall time since the start of the step, in seconds."""
        return round(time.monotonic() - self.started, 2)

    def progress(self, things: str, *, every: float = 2.0) -> Callable[[int, int], None]:
        """Return a callback for ``(done, total)`` that logs every ``every`` seconds at most."""
        said = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= every or done == total:
                said = now
                logging.getLogger("lidloop").info("%d of %d %s", done, total, things)

        return report


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(super().format(record).split())


@contextmanager
def step(name: str, iteration: int | None = None) -> Iterator[Step]:
    """Run the block as a step.

    The library's log goes to stderr with the step's name in front. An error becomes one line of the log, and
    the termination message of a Kubernetes container. A ``LidloopError`` and a system error (no space, no
    permission) end the process with status 1 and without a stack trace.
    """
    log = logging.getLogger("lidloop")
    handler = logging.StreamHandler(sys.stderr)
    label = name if iteration is None else f"{name} {iteration}"
    handler.setFormatter(_OneLine(f"lidloop [{label}] %(levelname)s %(message)s"))
    before = (log.level, log.propagate)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # KFP sets the root logger to INFO
    try:
        yield Step(name, iteration)
    except LidloopError as error:
        _fail(log, error, str(error))
        raise SystemExit(1) from error
    except SYSTEM_ERRORS as error:
        _fail(log, error, cause(error))
        raise SystemExit(1) from error
    except Exception as error:
        _fail(log, error, str(error))
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


def _fail(log: logging.Logger, error: Exception, text: str) -> None:
    """Log an error as one line, and leave it as the container's termination message."""
    line = f"{type(error).__name__}: {' '.join(text.split())}"
    log.error("%s", line)
    report(line)


def carry_steps(before: Path | None, iteration: int | None, **seconds: float | None) -> list[dict[str, Any]]:
    """Return the durations in the record ``before`` (a JSON file, or None), then those of ``seconds``."""
    carried: list[dict[str, Any]] = [] if before is None else json.loads(before.read_text())["steps"]
    new = [
        {"step": name, "iteration": iteration, "seconds": float(value)}
        for name, value in seconds.items()
        if value is not None
    ]
    return [*carried, *new]


def inference(device: str, shard: int) -> tuple[Literal["onnxruntime", "torch"], str]:
    """Return the backend and device that predict a shard, for the ``device`` of training.

    Shards are assigned to the GPUs in turn. Without a GPU, ONNX Runtime on the CPU is the fastest backend.
    """
    if device == "cpu":
        return "onnxruntime", "cpu"
    try:
        import torch
    except ModuleNotFoundError:  # an image without torch
        return "onnxruntime", "cpu"
    if not torch.cuda.is_available():
        return "onnxruntime", "cpu"
    gpus = [gpu.strip() for gpu in device.split(",") if gpu.strip()] or ["0"]
    return "torch", gpus[shard % len(gpus)]


def plain_number(text: str) -> int | float:
    """Parse a number in JSON: KFP writes the integer 4 as ``4.0`` when it formats a parameter."""
    value = float(text)
    return int(value) if value.is_integer() else value

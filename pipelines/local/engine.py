"""Execution of a compiled pipeline on this machine: worker process, its events, log and signals."""

from __future__ import annotations

import fcntl
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

from components.step import Line, parse_line
from lidloop.errors import LidloopError
from lidloop.files import write_atomic
from pipelines.local.containers import Containers
from pipelines.local.view import View

LOG: Final = Path("logs") / "run.log"
TIMINGS: Final = "timings.json"
TIMED_AS: Final = {"auto_label": "autolabel", "nms_filter": "filter"}
"""Steps with another name in ``summary.json``."""

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_EXCEPTION: Final = re.compile(r"[A-Za-z_.]*(Error|Exception|Exit|Interrupt)\b")
_GRACE_PERIOD: Final = 10.0  # seconds between SIGTERM and SIGKILL after Ctrl-C


class RunError(LidloopError):
    """A run that failed, cannot start, or was interrupted."""


class Interrupted(RunError):
    """A run that Ctrl-C or SIGTERM interrupted."""


@dataclass
class StepRecord:
    """One step of a run, its status and duration.

    ``seconds`` is the duration in this start (0 for a cached step), ``took`` the duration when the step ran.
    ``outputs`` are its outputs by name: paths of artifacts, values of parameters.
    """

    step: str
    iteration: int | None
    shard: str | None
    status: str  # running | done | cached
    seconds: float = 0.0
    took: float | None = None
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name of the step for messages."""
        return self.step if self.iteration is None else f"{self.step}, iteration {self.iteration}"


@contextmanager
def locked(out: Path) -> Iterator[int]:
    """Lock a run's folder with a lock file against a second run. Yields the lock's file descriptor.

    Raises:
        RunError: if another run uses the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("a+", encoding="utf-8", errors="replace") as file:
        deadline = time.monotonic() + 2.0  # the worker of a killed runner holds the lock for a moment
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    raise RunError(
                        f"another run (process {file.read().strip() or 'unknown'}) uses {out}; "
                        "wait for its end, or give another --out"
                    ) from None
                time.sleep(0.1)
        file.seek(0)
        if not re.fullmatch(r"\d*", file.read(32)):
            raise RunError(f"{out}/.lock is not that of a lidloop run; give another --out")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def execute(
    pipeline: Path,
    arguments: Mapping[str, Any],
    out: Path,
    *,
    lock: int,
    view: View,
    containers: Containers | None = None,
) -> list[StepRecord]:
    """Run a compiled pipeline in ``out`` and wait for its end.

    Finished steps of an earlier start with the same arguments are taken from ``out/cache``. KFP's log is
    appended to ``out/logs/run.log``; ``out/timings.json`` is updated after every step.

    Args:
        pipeline: compiled YAML.
        arguments: parameters of the pipeline.
        out: folder of the run, ``locked`` by the caller.
        lock: descriptor of that lock; the worker inherits it, so that it holds while either process lives.
        view: progress output.
        containers: containers of the steps; without, steps are processes of this machine.

    Raises:
        RunError: if a step fails; the message names the step and the cause.
        Interrupted: after Ctrl-C or SIGTERM.
    """
    (out / LOG).parent.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    job = {
        "pipeline": str(pipeline),
        "arguments": dict(arguments),
        "pipeline_root": str(out / "steps"),
        "cache_root": str(out / "cache"),
        "events": writing,
        "containers": None if containers is None else asdict(containers),
    }
    with (out / LOG).open("a", encoding="utf-8") as log, os.fdopen(reading, "rb", buffering=0) as events:
        log.write(f"==== {time.strftime('%Y-%m-%d %H:%M:%S')} start, process {os.getpid()}\n")
        try:
            worker = subprocess.Popen(
                [sys.executable, "-m", "pipelines.local.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(writing, lock),
                start_new_session=True,
                # Safe path: a folder `pipelines` in the working directory must not hide this package.
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1", "COLUMNS": "100"},
            )
        finally:
            os.close(writing)
        following = _Progress(out, view, log)
        with _stopping(worker) as stop:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write((json.dumps(job) + "\n").encode())
            worker.stdin.flush()
            _pump({events: following.event, worker.stdout: following.output})
            status = worker.wait()
        if stop.signal is not None:
            raise Interrupted(
                f"stopped by {signal.Signals(stop.signal).name} {following.position()}; "
                "finished steps are kept: the same command resumes the run"
            )
        if status != 0 or not following.finished:
            raise RunError(following.failure(status))
    return following.records


class _Stop:
    signal: int | None = None


@contextmanager
def _stopping(worker: subprocess.Popen[bytes]) -> Iterator[_Stop]:
    """End the worker's process group on Ctrl-C or SIGTERM, and at the end of the block."""
    stop = _Stop()

    def end(number: int) -> None:
        if worker.poll() is None:
            os.killpg(worker.pid, number)

    def on_signal(number: int, frame: FrameType | None) -> None:
        again = stop.signal is not None
        stop.signal = number
        end(signal.SIGKILL if again else signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, _GRACE_PERIOD)

    def on_alarm(number: int, frame: FrameType | None) -> None:
        end(signal.SIGKILL)

    handlers = {signal.SIGINT: on_signal, signal.SIGTERM: on_signal, signal.SIGALRM: on_alarm}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        end(signal.SIGKILL)
        worker.wait()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _pump(streams: Mapping[IO[bytes], Any]) -> None:
    """Pass every line of the streams to its reader until all streams have ended."""
    rest = {stream.fileno(): b"" for stream in streams}
    with selectors.DefaultSelector() as selector:
        for stream, reader in streams.items():
            selector.register(stream.fileno(), selectors.EVENT_READ, reader)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                *lines, rest[key.fd] = (rest[key.fd] + data).split(b"\n")
                if not data:
                    selector.unregister(key.fd)
                    lines = [rest[key.fd]] if rest[key.fd] else []
                for line in lines:
                    key.data(line.decode(errors="replace"))


class _Progress:
    """State of a run, from the events and output of its worker."""

    def __init__(self, out: Path, view: View, log: IO[str]) -> None:
        self.out, self.view, self.log = out, view, log
        self.records: list[StepRecord] = []
        self.finished = False
        self.errors: list[Line] = []
        self.error = ""
        self._took = _earlier(out / TIMINGS)

    def event(self, line: str) -> None:
        event = json.loads(line)
        kind = event.pop("event")
        if kind in ("start", "cached"):
            record = StepRecord(event["step"], event["iteration"], event["shard"], "running")
            self.records.append(record)
            self.view.started(record.step, record.iteration, record.shard, kind == "cached")
        if kind in ("done", "cached"):
            record = self._running(event)
            record.status, record.seconds, record.outputs = kind, event["seconds"], event["outputs"]
            key = (record.step, record.iteration, record.shard)
            record.took = record.seconds if kind == "done" else self._took.get(key)
            self._write_timings()
            self.view.ended(record.step, record.iteration, record.shard, record.seconds, kind == "cached")
        elif kind == "failed":
            self.error = event["error"]
        elif kind == "finished":
            self.finished = True
            self._write_timings()

    def output(self, line: str) -> None:
        plain = _COLOUR.sub("", line).rstrip()
        said = parse_line(plain)
        self.log.write((plain if said is None else plain.lstrip()) + "\n")
        self.log.flush()
        if said is None:
            return
        if said.level in ("ERROR", "CRITICAL"):
            self.errors.append(said)
        self.view.said(said.step, said.iteration, said.level, said.text)

    def position(self) -> str:
        """Position of the run, in words."""
        running = [r.label for r in self.records if r.status == "running"]
        return f"in step {running[0]}" if running else "between two steps"

    def failure(self, status: int) -> str:
        """Message of a failed run: step, cause and log file."""
        failed = [r for r in self.records if r.status == "running"]
        where = self.out / LOG
        if not failed:
            why = _COLOUR.sub("", self.error) or f"the process that runs the steps ended with status {status}"
            return f"the pipeline failed: {why}; whole log: {where}"
        step = failed[0]
        for line in reversed(self.errors):
            matching = [r for r in failed if (r.step, r.iteration) == (line.step, line.iteration)]
            if matching:
                step, why = matching[0], line.text
                break
        else:
            why = self._last_exception() or "its process ended without an error message (out of memory?)"
        return f"step {step.label}, failed: {why.rstrip('.')}; whole log: {where}"

    def _last_exception(self) -> str:
        """Exception at the end of the log, of a step that died before it could log its error."""
        self.log.flush()
        for line in reversed((self.out / LOG).read_text(encoding="utf-8").splitlines()[-200:]):
            text = line.strip()
            if text.startswith("===="):
                break
            if _EXCEPTION.match(text) and "Inner task failed" not in text:
                return text
        return ""

    def _running(self, event: Mapping[str, Any]) -> StepRecord:
        wanted = tuple(event[key] for key in ("step", "iteration", "shard"))
        return next(
            r for r in self.records if (r.step, r.iteration, r.shard) == wanted and r.status == "running"
        )

    def _write_timings(self) -> None:
        timed = [r for r in self.records if r.took is not None]
        if not self.finished:
            # Keep the durations of an earlier start for steps that this start has not reached yet.
            reached = {(r.step, r.iteration, r.shard) for r in timed}
            timed += [
                StepRecord(*key, "cached", took=t) for key, t in self._took.items() if key not in reached
            ]
        rows = [
            {
                "step": TIMED_AS.get(r.step, r.step),
                "iteration": r.iteration,
                "shard": r.shard,
                "seconds": r.took,
                "cached": r.status == "cached",
                "seconds_now": r.seconds,
            }
            for r in timed
        ]
        write_atomic(self.out / TIMINGS, json.dumps({"steps": rows}, indent=1) + "\n")


def _earlier(path: Path) -> dict[tuple[str, int | None, str | None], float]:
    """Durations of the steps in an earlier start."""
    if not path.exists():
        return {}
    names = {timed: step for step, timed in TIMED_AS.items()}
    rows = json.loads(path.read_text())["steps"]
    return {(names.get(r["step"], r["step"]), r["iteration"], r["shard"]): r["seconds"] for r in rows}

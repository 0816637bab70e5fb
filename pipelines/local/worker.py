"""Worker process of a local run: KFP executes the compiled pipeline and its steps below it.

The worker leads a process group, so that all processes of a step can be killed at once: by the runner on
Ctrl-C, or by the worker itself if the runner died. Its standard output is KFP's log; events go to the runner
as JSON lines through a pipe.

``pipelines.local.engine`` starts it: the job is one JSON line on standard input, which stays open for as long
as the runner lives.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.kfp_import import import_kfp

import_kfp()

from kfp import components, dsl, local  # noqa: E402
from kfp.local import cache  # noqa: E402


class StepFailed(Exception):
    """An earlier step failed, so this one does not start."""


@dataclass
class _Open:
    thread: int
    started: float
    what: dict[str, Any]


class ReportingCache(cache.LocalCache):
    """KFP's cache of finished steps that also reports start and end of every step.

    KFP reads the cache just before a step starts and writes it just after the step succeeded. KFP continues
    with steps that do not depend on a failed one; this cache stops them, because the run has failed already.
    """

    def __init__(self, cache_root: str, events: int) -> None:
        super().__init__(cache_root)
        self._events = events
        self._open: dict[str, _Open] = {}
        self._told = threading.Lock()

    def compute_key(self, component_name: str, *args: Any, **kwargs: Any) -> str:
        key: str = super().compute_key(component_name, *args, **kwargs)
        arguments = kwargs["arguments"]
        iteration = arguments.get("iteration")
        what = {
            "step": re.sub(r"-\d+$", "", component_name.removeprefix("comp-")).replace("-", "_"),
            "iteration": None if iteration is None else int(iteration),  # KFP hands numbers on as floats
            "shard": arguments.get("shard"),
        }
        me = threading.get_ident()
        main = me == threading.main_thread().ident
        with self._told:
            failed = [o.what for o in self._open.values() if main or o.thread == me]
            if failed:
                raise StepFailed(failed[0]["step"])
            self._open[key] = _Open(me, time.monotonic(), what)
        return key

    def get(self, key: str) -> dict[str, Any] | None:
        outputs: dict[str, Any] | None = super().get(key)
        if outputs is None:
            self.tell({"event": "start", **self._open[key].what})
        else:
            self._end(key, "cached", outputs)
        return outputs

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        super().put(key, outputs)
        self._end(key, "done", outputs)

    def failed(self) -> bool:
        """Return True if a step started and did not end."""
        return bool(self._open)

    def tell(self, event: dict[str, Any]) -> None:
        """Send an event to the runner."""
        with suppress(BrokenPipeError):  # the runner died; _end_with_runner ends the group
            os.write(self._events, (json.dumps(event) + "\n").encode())

    def _end(self, key: str, event: str, outputs: dict[str, Any]) -> None:
        with self._told:
            ended = self._open.pop(key)
        seconds = 0.0 if event == "cached" else round(time.monotonic() - ended.started, 3)
        places = {name: _place(value) for name, value in outputs.items()}
        self.tell({"event": event, **ended.what, "seconds": seconds, "outputs": places})


def _place(value: Any) -> Any:
    return value.uri if isinstance(value, dsl.Artifact) else value


def _runner(containers: dict[str, Any] | None) -> Any:
    if containers is None:
        return local.SubprocessRunner(use_venv=False)
    from pipelines.local.containers import Containers, runner

    return runner(Containers(**containers))


def _end_with_runner() -> None:
    sys.stdin.read()  # returns when the runner is dead
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> int:
    """Run the job given on standard input; return 0 if every step succeeded."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_runner, daemon=True).start()
    warnings.filterwarnings("ignore", message="You may be attemping to run a task")
    local.init(
        _runner(job["containers"]),
        pipeline_root=job["pipeline_root"],
        enable_caching=True,
        cache_root=job["cache_root"],
    )
    journal = ReportingCache(job["cache_root"], job["events"])
    cache.get_local_cache = lambda: journal
    try:
        pipeline = components.load_component_from_text(Path(job["pipeline"]).read_text())
        pipeline(**job["arguments"])
    except Exception as error:
        if not journal.failed():  # else the step has logged its error, and the stack is only KFP's
            traceback.print_exc()
        journal.tell({"event": "failed", "error": f"{type(error).__name__}: {error}"})
        return 1
    journal.tell({"event": "finished"})
    return 0


if __name__ == "__main__":
    sys.exit(main())

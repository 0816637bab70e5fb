"""The process in which KFP runs a compiled pipeline, and every step below it.

It is a process of its own, and leads a process group, so that whatever a step starts can be ended at once:
by the runner on Ctrl-C, or by itself where the runner died. Its standard output is KFP's log; what the runner
needs to know goes as JSON lines through a pipe.

Run by ``pipelines.local.run.engine``: the job comes as one JSON line on standard input, which then stays
open for as
long as the runner lives.
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
    """A step before this one failed: what comes after need not start."""


@dataclass
class _Open:
    thread: int
    started: float
    what: dict[str, Any]


class Journal(cache.LocalCache):
    """KFP's cache of finished steps, which also tells of every step what became of it.

    KFP asks the cache just before a step starts and stores into it just after the step ended well, so this is
    where to see a step go by. KFP goes on with whatever does not depend on a failed step; hours of training
    behind a failed registration help nobody, so the journal stops that.
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
        """Whether a step began and did not end."""
        return bool(self._open)

    def tell(self, event: dict[str, Any]) -> None:
        """Send one event to the runner."""
        with suppress(BrokenPipeError):  # the runner is gone, and the thread that waits for that ends all
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
    sys.stdin.read()  # returns when the runner is dead, however it died
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> int:
    """Run the job given on standard input; 0 where every step ended well."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_runner, daemon=True).start()
    warnings.filterwarnings("ignore", message="You may be attemping to run a task")
    local.init(
        _runner(job["containers"]),
        pipeline_root=job["pipeline_root"],
        enable_caching=True,
        cache_root=job["cache_root"],
    )
    journal = Journal(job["cache_root"], job["events"])
    cache.get_local_cache = lambda: journal
    try:
        pipeline = components.load_component_from_text(Path(job["pipeline"]).read_text())
        pipeline(**job["arguments"])
    except Exception as error:
        if not journal.failed():  # else the step has said why, and this stack is all KFP's
            traceback.print_exc()
        journal.tell({"event": "failed", "error": f"{type(error).__name__}: {error}"})
        return 1
    journal.tell({"event": "finished"})
    return 0


if __name__ == "__main__":
    sys.exit(main())

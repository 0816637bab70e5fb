"""Launcher for a Kubeflow Pipelines host."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pipelines.settings import shard_names
from pipelines.trigger.launchers import RunState

if TYPE_CHECKING:
    from pipelines.kubeflow.host import KubeflowHost

FIXED: Final = {
    "iterations": "is fixed where the pipeline is compiled",
    "gpus": "is fixed where the pipeline is compiled",
}
"""Parameters that a run on a host cannot have, with the reason."""

_FAILED: Final = frozenset({"FAILED", "CANCELED", "SKIPPED"})


class KubeflowLauncher:
    """Starts the pipeline on a host and finds its runs there by their names.

    Args:
        host: the host.
        experiment: the experiment of the runs.
    """

    def __init__(self, host: KubeflowHost, *, experiment: str) -> None:
        self._host, self._experiment = host, experiment

    def start(self, parameters: Mapping[str, Any], *, run: str) -> str:
        from pipelines.kubeflow.errors import RunExists

        try:
            return self._host.submit(pipeline_parameters(parameters), run=run, experiment=self._experiment)
        except RunExists as there:
            return there.id

    def state(self, id: str) -> RunState:
        from pipelines.kubeflow.errors import RunUnknown

        try:
            run = self._host.run(id, tasks=False)
        except RunUnknown:
            return RunState("failed", time.time(), "the host no longer has the run")
        ended = run.ended.timestamp() if run.ended else time.time()
        if run.state == "SUCCEEDED":
            return RunState("succeeded", ended)
        if run.state in _FAILED:
            return RunState("failed", ended, run.error or f"the host says {run.state}")
        return RunState("running")

    def link(self, id: str) -> str | None:
        return self._host.link(id)


def pipeline_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the parameters of a run to those of the pipeline, where shards are a list of names."""
    made = {name: value for name, value in parameters.items() if name not in FIXED}
    if "shards" in made:
        made["shards"] = list(shard_names(made["shards"]))
    return made

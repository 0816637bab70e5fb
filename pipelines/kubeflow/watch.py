"""States of the runs on a Kubeflow Pipelines host for ``lidloop exporter``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from lidloop.exporter.figures import RunRecord, RunsReading
from pipelines.kubeflow.host import KubeflowHost

STATES: Final = {"SUCCEEDED": "done", "SKIPPED": "done", "FAILED": "failed", "CANCELED": "stopped"}
"""The host's final states and the exporter's names for them; in all other states a run is running."""
SETTINGS: Final = ("token_file", "cookies_file", "ca_file", "namespace")
_NEWEST: Final = 50


class KubeflowRuns:
    """Reader of the newest runs of the loop's experiment, for ``lidloop.exporter.places.OPENERS``."""

    def __init__(self, host: str, environment: Mapping[str, str] = os.environ) -> None:
        """Configure the host; nothing is sent yet.

        Args:
            host: as of ``KubeflowHost.from_settings``; empty takes ``KF_PIPELINES_ENDPOINT``.
            environment: variables ``LIDLOOP_KFP_…`` for files and namespace, as for ``lidloop submit``.

        Raises:
            LidloopError: for an invalid address or an unreadable file.
        """
        given = {name: environment[f"LIDLOOP_KFP_{name.upper()}"] for name in SETTINGS
                 if environment.get(f"LIDLOOP_KFP_{name.upper()}")}  # fmt: skip
        self._host = KubeflowHost.from_settings(host, **given)

    def read(self) -> RunsReading:
        """Request the runs.

        Raises:
            HostError: if the host does not answer.
        """
        runs = self._host.runs(limit=_NEWEST)
        return RunsReading(
            [
                RunRecord(
                    run.name, STATES.get(run.state, "running"), run.ended.timestamp() if run.ended else None
                )
                for run in runs
            ]
        )

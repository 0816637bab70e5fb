"""The runs of a Kubeflow Pipelines host for ``lidloop exporter``: which work, and how the others ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from lidloop.exporter.figures import RunRecord, RunsReading
from pipelines.kubeflow.host import KubeflowHost

STATES: Final = {"SUCCEEDED": "done", "SKIPPED": "done", "FAILED": "failed", "CANCELED": "stopped"}
"""States of the host in which a run has ended, and what the exporter calls them. In all others it works."""
SETTINGS: Final = ("token_file", "cookies_file", "ca_file", "namespace")
_NEWEST: Final = 50


class KubeflowRuns:
    """The newest runs of the loop's experiment, for ``lidloop.exporter.places.OPENERS``."""

    def __init__(self, host: str, environment: Mapping[str, str] = os.environ) -> None:
        """Describe the host; it is not asked yet.

        Args:
            host: as ``KubeflowHost.from_settings`` takes it; empty takes ``KF_PIPELINES_ENDPOINT``.
            environment: names the files and the namespace as for ``lidloop submit``: ``LIDLOOP_KFP_…``.

        Raises:
            LidloopError: for an address or file that cannot be used.
        """
        given = {name: environment[f"LIDLOOP_KFP_{name.upper()}"] for name in SETTINGS
                 if environment.get(f"LIDLOOP_KFP_{name.upper()}")}  # fmt: skip
        self._host = KubeflowHost.from_settings(host, **given)

    def read(self) -> RunsReading:
        """Ask it now.

        Raises:
            HostError: where it does not answer.
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

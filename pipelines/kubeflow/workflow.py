"""Tasks of a run, read from the Argo workflow that Kubeflow Pipelines keeps of it.

The tasks that the API v2beta1 returns name neither their pod nor the cause of a failure (2.15 to 2.17). The
workflow, which the API v1beta1 returns, does.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pipelines.kubeflow.errors import HostError
from pipelines.kubeflow.runs import Task

_EXECUTOR: Final = "executor"  # KFP's name of the node of a step's own container, in the group of the step
_STATES: Final = {
    "Pending": "PENDING", "Running": "RUNNING", "Succeeded": "SUCCEEDED", "Failed": "FAILED",
    "Error": "FAILED", "Skipped": "SKIPPED", "Omitted": "SKIPPED",
}  # fmt: skip
_WITHOUT_ERROR: Final = ("SUCCEEDED", "SKIPPED")


def read_tasks(manifest: str) -> tuple[Task, ...]:
    """Return every attempt of every step, in order of their start; of KFP's own pods only those that failed.

    Args:
        manifest: the workflow as JSON; empty before Argo has begun.

    Raises:
        HostError: if the manifest cannot be read.
    """
    if not manifest:
        return ()
    try:
        workflow = json.loads(manifest)
        nodes = _nodes(workflow.get("status") or {})
        found = [_task(workflow, node, nodes) for node in nodes.values() if _is_shown(node)]
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, binascii.Error) as error:
        raise HostError(f"the host's record of the workflow cannot be read: {error!r}") from error
    return tuple(
        sorted(found, key=lambda task: (task.started is None, task.started and task.started.timestamp()))
    )


def _nodes(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Nodes by id. Argo stores them compressed if they are more than a MB."""
    if status.get("compressedNodes"):
        unpacked: dict[str, dict[str, Any]] = json.loads(
            gzip.decompress(base64.b64decode(status["compressedNodes"]))
        )
        return unpacked
    return dict(status.get("nodes") or {})


def _is_shown(node: Mapping[str, Any]) -> bool:
    """True for the attempts of steps, and for other pods that failed: KFP's drivers."""
    if _without_number(node["displayName"]) == _EXECUTOR:
        return bool(node["type"] != "Retry")  # a node around the attempts
    return bool(node["type"] == "Pod" and _state(node) == "FAILED")


def _task(workflow: Mapping[str, Any], node: Mapping[str, Any], nodes: Mapping[str, Any]) -> Task:
    group = nodes.get(node.get("boundaryID", ""))
    is_step = _without_number(node["displayName"]) == _EXECUTOR
    state = _state(node)
    return Task(
        name=_without_number((group if is_step and group else node)["displayName"]),
        state=state,
        started=_time(node.get("startedAt")),
        ended=_time(node.get("finishedAt")),
        pod=_pod(workflow, node) if node["type"] == "Pod" else "",
        error="" if state in _WITHOUT_ERROR else str(node.get("message") or ""),
    )


def _state(node: Mapping[str, Any]) -> str:
    return _STATES.get(str(node.get("phase") or "Pending"), "PENDING")


def _without_number(name: str) -> str:
    """A node's name without the number of its attempt: ``train(0)`` is ``train``."""
    return re.sub(r"\(\d+\)$", "", name)


def _pod(workflow: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Name of a node's pod, which Argo makes of the workflow, the template and the end of the node's id."""
    metadata = workflow["metadata"]
    form = (metadata.get("annotations") or {}).get("workflows.argoproj.io/pod-name-format")
    if form == "v1":
        return str(node["id"])
    return f"{metadata['name']}-{node['templateName']}-{node['id'].rpartition('-')[2]}"


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

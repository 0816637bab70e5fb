from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.kubeflow.errors import HostError
from pipelines.kubeflow.workflow import read_tasks


def node(number: int, title: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"loop-{number}", "name": title, "displayName": title, "type": "Pod", "phase": "Succeeded",
        "templateName": "system-container-impl", "boundaryID": "", **more,
    }  # fmt: skip


def manifest(*nodes: dict[str, Any], compressed: bool = False, **metadata: Any) -> str:
    by_id = {entry["id"]: entry for entry in nodes}
    status: dict[str, Any] = {"nodes": by_id}
    if compressed:
        status = {"compressedNodes": base64.b64encode(gzip.compress(json.dumps(by_id).encode())).decode()}
    return json.dumps({"metadata": {"name": "loop", **metadata}, "status": status})


GROUP = node(1, "train(0)", type="DAG")
STEP = node(
    2, "executor(0)", boundaryID="loop-1", phase="Failed", message="main: Error (exit code 1): no face",
    startedAt="2026-01-05T03:00:00Z", finishedAt="2026-01-05T03:00:09Z",
)  # fmt: skip


@pytest.mark.parametrize("compressed", [False, True])
def test_a_step_has_its_name_pod_times_and_error(compressed: bool) -> None:
    around = node(3, "executor", type="Retry", boundaryID="loop-1")
    (task,) = read_tasks(manifest(GROUP, around, STEP, compressed=compressed))
    assert (task.name, task.state, task.pod) == ("train", "FAILED", "loop-system-container-impl-2")
    assert task.error == "main: Error (exit code 1): no face"
    assert task.started == datetime(2026, 1, 5, 3, tzinfo=UTC)
    assert task.ended == datetime(2026, 1, 5, 3, 0, 9, tzinfo=UTC)


def test_without_retries_there_are_no_numbers() -> None:
    (task,) = read_tasks(manifest(GROUP | {"displayName": "train"}, STEP | {"displayName": "executor"}))
    assert task.name == "train"


def test_a_pod_that_waits_says_for_what() -> None:
    waiting = STEP | {"phase": "Pending", "message": "Unschedulable: insufficient cpu", "startedAt": None}
    (task,) = read_tasks(manifest(GROUP, waiting))
    assert (task.state, task.error, task.started) == ("PENDING", "Unschedulable: insufficient cpu", None)


def test_a_cached_step_has_neither_pod_nor_error() -> None:
    cached = STEP | {"type": "Skipped", "phase": "Skipped", "message": "when 'true != false' evaluated false"}
    (task,) = read_tasks(manifest(GROUP, cached))
    assert (task.state, task.pod, task.error) == ("SKIPPED", "", "")


def test_of_the_other_pods_only_failed_ones_are_shown() -> None:
    drivers = node(4, "train-driver(0)"), node(5, "convert-driver(0)", phase="Error", message="no metadata")
    (task,) = read_tasks(manifest(*drivers))
    assert (task.name, task.state, task.error) == ("convert-driver", "FAILED", "no metadata")


def test_pods_of_an_old_argo_are_named_as_their_nodes() -> None:
    annotations = {"workflows.argoproj.io/pod-name-format": "v1"}
    (task,) = read_tasks(manifest(GROUP, STEP, annotations=annotations))
    assert task.pod == "loop-2"


@pytest.mark.parametrize("text", ["", '{"metadata": {"name": "loop"}}'])
def test_a_run_that_has_not_begun_has_no_tasks(text: str) -> None:
    assert read_tasks(text) == ()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"metadata": {}, "status": {"nodes": {"a": {}}}}', '{"status": {"compressedNodes": "?"}}'],
)
def test_a_broken_record_is_an_error(text: str) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        read_tasks(text)

from __future__ import annotations

import copy
from typing import Any

import pytest

from components.kserve.readiness import of_canary, of_stable, weight_of
from components.kserve.state import SOURCE, Model

MODEL = Model("2", "s3://b/2")
ITEM: dict[str, Any] = {
    "metadata": {"name": "s", "generation": 5},
    "status": {
        "observedGeneration": 5,
        "conditions": [{"type": "Ready", "status": "True"}],
        "canaryStatuses": [{"name": "v2", "ready": True, "trafficPercent": 10}],
    },
}
DEPLOYMENT: dict[str, Any] = {
    "metadata": {"name": "s-v2-predictor", "generation": 3},
    "spec": {"replicas": 3, "template": {"metadata": {"annotations": {SOURCE: MODEL.uri}}}},
    "status": {"observedGeneration": 3, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3},
}
ROUTE: dict[str, Any] = {"spec": {"rules": [{"backendRefs": [{"name": "s-v2-predictor", "weight": 10}]}]}}
BLOCKED = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"message": "no such bucket"}}


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(base)
    place = made
    *keys, last = path.split("/")
    for key in keys:
        place = place[key]
    place[last] = value
    return made


def test_a_complete_rollout_is_ready() -> None:
    assert of_stable(ITEM, DEPLOYMENT, MODEL).ready
    assert of_canary(ITEM, DEPLOYMENT, ROUTE, MODEL, 10).ready


@pytest.mark.parametrize(
    ("item", "deployment", "text", "why"),
    [
        (changed(ITEM, "status", {}), DEPLOYMENT, "KServe has not", "a new InferenceService"),
        (changed(ITEM, "metadata/generation", 6), DEPLOYMENT, "KServe has not", "Ready is outdated"),
        (ITEM, None, "waiting for KServe", "no Deployment yet"),
        (
            ITEM,
            changed(DEPLOYMENT, "spec/template/metadata", {}),
            "waiting for KServe",
            "Deployment of another model",
        ),
        (
            ITEM,
            changed(DEPLOYMENT, "metadata/generation", 4),
            "Deployment controller",
            "its status is outdated",
        ),
        (ITEM, changed(DEPLOYMENT, "status/updatedReplicas", 1), "1 of 3 new pods", "old pods still run"),
        (ITEM, changed(DEPLOYMENT, "status/replicas", 4), "3 of 3 new pods", "an old pod still terminates"),
        (
            ITEM,
            changed(DEPLOYMENT, "status/availableReplicas", 2),
            "2 of 3 new pods",
            "one pod is not ready yet",
        ),
        (
            changed(ITEM, "status/conditions", []),
            DEPLOYMENT,
            "no condition Ready",
            "no condition at all",
        ),
    ],
)
def test_an_incomplete_rollout_is_not_ready(item: Any, deployment: Any, text: str, why: str) -> None:
    progress = of_stable(item, deployment, MODEL)
    assert not progress.ready, why
    assert text in progress.text
    assert not progress.failed


@pytest.mark.parametrize(
    ("item", "deployment", "failed", "why"),
    [
        (changed(ITEM, "status/modelStatus", BLOCKED), changed(DEPLOYMENT, "status/updatedReplicas", 1),
         "no such bucket", "KServe reports it"),
        (changed(ITEM, "status/modelStatus", BLOCKED),
         changed(DEPLOYMENT, "spec/template/metadata/annotations", {SOURCE: "s3://b/1"}), "", "the old one"),
        (changed(ITEM, "status/modelStatus", {"transitionStatus": "InProgress"}),
         changed(DEPLOYMENT, "status/updatedReplicas", 1), "", "the model is still loading"),
        (ITEM, changed(DEPLOYMENT, "status/conditions",
                       [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]),
         "deadline", "Kubernetes reports it"),
    ],
)  # fmt: skip
def test_a_failure_is_reported_with_its_reason(item: Any, deployment: Any, failed: str, why: str) -> None:
    progress = of_stable(item, deployment, MODEL)
    assert not progress.ready
    assert (failed in progress.failed) if failed else not progress.failed, why


@pytest.mark.parametrize(
    ("item", "route", "percent", "ready", "why"),
    [
        (changed(ITEM, "status/canaryStatuses", []), ROUTE, 10, False, "KServe has no status of it"),
        (ITEM, None, 10, False, "no route"),
        (ITEM, changed(ROUTE, "spec/rules", []), 10, False, "the route does not name it"),
        (ITEM, ROUTE, 20, False, "another share"),
        (ITEM, None, 0, True, "without a share no route is needed"),
    ],
)
def test_a_canary_is_ready_when_the_route_gives_it_its_share(
    item: Any, route: Any, percent: int, ready: bool, why: str
) -> None:
    assert of_canary(item, DEPLOYMENT, route, MODEL, percent).ready is ready, why


def test_a_backend_without_a_weight_has_weight_one() -> None:
    assert weight_of({"spec": {"rules": [{"backendRefs": [{"name": "a"}]}]}}, "a") == 1
    assert weight_of(ROUTE, "a") is None

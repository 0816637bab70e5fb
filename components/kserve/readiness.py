"""Readiness of a model from the status of its InferenceService, Deployment and HTTPRoute. Pure.

The condition ``Ready`` of an InferenceService is not enough: while a Deployment is replaced, its old pods
keep the condition true. So the Deployment is checked too, like ``kubectl rollout status`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from components.kserve.state import SOURCE, Model, Object, canary_name

_FAILED: Final = ("BlockedByFailedLoad", "InvalidSpec")


class Progress(NamedTuple):
    """Result of one check: readiness, a text for users, and the reason if it cannot become ready."""

    ready: bool
    text: str
    failed: str = ""


def of_stable(item: Object, deployment: Object | None, model: Model) -> Progress:
    """Check the stable predictor."""
    status = item.get("status") or {}
    if _behind(item):
        return Progress(False, "KServe has not processed the change yet")
    failure = _failure(status.get("modelStatus"), deployment, model)
    rolled = _rollout(deployment, model.uri)
    if not rolled.ready:
        return rolled._replace(failed=rolled.failed or failure)
    ready = _condition(status, "Ready")
    if ready.get("status") == "True":
        return Progress(True, rolled.text)
    why = ready.get("message") or ready.get("reason") or "no condition Ready"
    return Progress(False, f"the InferenceService is not ready: {why}", failure)


def of_canary(
    item: Object, deployment: Object | None, route: Object | None, model: Model, percent: int
) -> Progress:
    """Check a canary; with a share of the traffic, also the weight in its route."""
    if _behind(item):
        return Progress(False, "KServe has not processed the change yet")
    statuses = (item.get("status") or {}).get("canaryStatuses") or []
    mine: Mapping[str, Any] = next((s for s in statuses if s["name"] == canary_name(model)), {})
    failure = _failure(mine.get("modelStatus"), deployment, model)
    rolled = _rollout(deployment, model.uri)
    if not rolled.ready:
        return rolled._replace(failed=rolled.failed or failure)
    if not mine.get("ready"):
        return Progress(False, "KServe does not report the canary as ready yet", failure)
    if percent and weight_of(route, str((deployment or {})["metadata"]["name"])) != percent:
        return Progress(
            False,
            "no HTTPRoute gives the canary its share (KServe creates one with its Gateway API on)",
        )
    return Progress(True, rolled.text)


def weight_of(route: Object | None, service: str) -> int | None:
    """Return the weight of a Service in an HTTPRoute; None if the route does not name it."""
    for rule in ((route or {}).get("spec") or {}).get("rules", []):
        for backend in rule.get("backendRefs", []):
            if backend["name"] == service:
                return int(backend.get("weight", 1))
    return None


def _behind(item: Object) -> bool:
    seen = (item.get("status") or {}).get("observedGeneration")
    return seen is None or seen < item["metadata"].get("generation", 0)


def _rollout(deployment: Object | None, uri: str) -> Progress:
    if deployment is None or _source(deployment) != uri:
        return Progress(False, "waiting for KServe to change the Deployment")
    wanted = deployment["spec"].get("replicas", 1)
    status: Mapping[str, Any] = deployment.get("status") or {}
    counts = [int(status.get(key) or 0) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return Progress(False, "waiting for the Deployment controller")
    if _condition(status, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return Progress(
            False,
            "the Deployment is stuck",
            "the new pods did not become ready within the Deployment's deadline",
        )
    text = f"{min(counts[0], counts[2])} of {wanted} new pods ready"
    return Progress(counts[0] >= wanted and counts[1] == counts[0] and counts[2] == counts[1], text)


def _failure(status: Mapping[str, Any] | None, deployment: Object | None, model: Model) -> str:
    """Reason why KServe cannot load a model; until the Deployment changes, it is about the old model."""
    if not status or deployment is None or _source(deployment) != model.uri:
        return ""
    if status.get("transitionStatus") not in _FAILED:
        return ""
    last = status.get("lastFailureInfo") or {}
    return str(last.get("message") or last.get("reason") or status["transitionStatus"])


def _source(deployment: Object) -> str:
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(SOURCE, ""))


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions") or [] if c.get("type") == kind), {})

"""Pods that come of rendered objects: of Deployments and their kin, and of KServe's pair of objects."""

from __future__ import annotations

from typing import Any, Final

from tests.manifests.render import Object, one

CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")

STORAGE_INITIALIZER: Final[Object] = {
    "name": "storage-initializer",
    "image": "kserve/storage-initializer:v0.21.0",
    "resources": {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "100m", "memory": "100Mi"},
    },
    "volumeMounts": [{"name": "kserve-provision-location", "mountPath": "/mnt/models"}],
}
"""The init container that KServe 0.21 adds for a ``storageUri``: it sets no security context of its own."""


def pods(objects: list[Object]) -> dict[str, Object]:
    """Pods (``{"metadata", "spec"}``) by kind and name of the object they come of.

    KServe's are as its controller makes them: the runtime's container and volumes, the predictor's other
    fields; without the init container (``kserve_pod`` adds it).
    """
    found = {}
    for item in objects:
        key = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            found[key] = item["spec"]["template"]
        elif item["kind"] == "CronJob":
            found[key] = item["spec"]["jobTemplate"]["spec"]["template"]
        elif item["kind"] == "Pod":
            found[key] = item
        elif item["kind"] == "InferenceService":
            found[key] = kserve_pod(objects)
    return found


def kserve_pod(objects: list[Object], initializer: Object | None = None) -> Object:
    """The pod that KServe makes in Standard mode of a ServingRuntime and an InferenceService.

    Args:
        objects: rendered objects with one of each.
        initializer: container that fetches the model; none for a model on a claim.
    """
    runtime = one(objects, "ServingRuntime")["spec"]
    predictor = one(objects, "InferenceService")["spec"]["predictor"]
    passed = (
        "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "securityContext",
        "terminationGracePeriodSeconds", "topologySpreadConstraints", "nodeSelector", "tolerations",
        "affinity", "priorityClassName",
    )  # fmt: skip
    spec: Object = {key: predictor[key] for key in passed if key in predictor}
    spec["containers"] = runtime["containers"]
    spec["volumes"] = [*runtime.get("volumes", []), {"name": "kserve-provision-location", "emptyDir": {}}]
    spec["imagePullSecrets"] = runtime.get("imagePullSecrets", [])
    if initializer is not None:
        spec["initContainers"] = [initializer]
    labels = {**predictor.get("labels", {}), "serving.kserve.io/inferenceservice": "x"}
    return {"metadata": {"labels": labels}, "spec": spec}


def containers(spec: Object) -> list[Object]:
    """All containers of a pod's spec."""
    return [container for key in CONTAINERS for container in spec.get(key) or []]


def env(container: Object) -> dict[str, Any]:
    """Environment of a container: values, or ``valueFrom`` objects."""
    return {e["name"]: e["value"] if "value" in e else e["valueFrom"] for e in container.get("env", [])}

"""Minimal InferenceService and ServingRuntime for a cluster without the Helm chart.

The chart adds network policies, disruption budgets, scaling and monitoring.
"""

from __future__ import annotations

from typing import Any

from components.kserve.state import API_VERSION, CONTAINER, KIND, Model, Object, State, document
from lidloop import __version__

IMAGE = f"lidloop/serving:{__version__}"
_POD = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def serving_runtime(name: str, namespace: str, *, keys: str, image: str = IMAGE) -> dict[str, Any]:
    """Return the ServingRuntime, the server's container.

    Args:
        keys: name of the Secret whose entry ``keys`` holds the API keys.
    """
    variables = {
        "HOME": "/tmp",  # noqa: S108 - in the container, in memory
        "LIDLOOP_MODEL": "/mnt/models",
        "LIDLOOP_HOST": "0.0.0.0",  # noqa: S104 - in the pod, behind its keys
        "LIDLOOP_PORT": "8080",
        "LIDLOOP_KEYS": "/etc/lidloop/keys/keys",
    }
    container = {
        "name": CONTAINER,
        "image": image,
        "command": ["lidloop", "serve"],
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "startupProbe": _probe("/readyz", 2, 2, 60),
        "readinessProbe": _probe("/readyz", 5, 2, 2),
        "livenessProbe": _probe("/livez", 10, 5, 3),
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "securityContext": _CONTAINER,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container, in memory
            {"name": "keys", "mountPath": "/etc/lidloop/keys", "readOnly": True},
        ],
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "supportedModelFormats": [{"name": "lidloop", "version": "1", "autoSelect": False}],
            "protocolVersions": ["v2"],
            "multiModel": False,
            "containers": [container],
            "volumes": [
                {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
                {"name": "keys", "secret": {"secretName": keys, "defaultMode": 0o440}},
            ],
        },
    }


def inference_service(
    name: str, namespace: str, model: Model, *, service_account: str = "default", replicas: int = 1
) -> dict[str, Any]:
    """Return the InferenceService, in Standard mode, for the ServingRuntime of the same name.

    Args:
        service_account: ServiceAccount whose Secrets hold the object store's keys in KServe's format.
        replicas: number of pods.
    """
    bare: Object = {"metadata": {"name": name, "namespace": namespace}}
    wanted = document(bare, State(model))
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "none",
        **wanted["metadata"]["annotations"],
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {
            "predictor": {
                "minReplicas": replicas,
                "maxReplicas": replicas,
                "deploymentStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "serviceAccountName": service_account,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": _POD,
                "model": {
                    "modelFormat": {"name": "lidloop", "version": "1"},
                    "protocolVersion": "v2",
                    "runtime": name,
                    **wanted["spec"]["predictor"]["model"],
                },
            }
        },
    }


def _probe(path: str, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }

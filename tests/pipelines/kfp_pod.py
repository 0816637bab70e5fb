"""The pod that Kubeflow Pipelines makes of a compiled step: a sketch of its driver, which is written in Go.

What it takes from the compiled step is here; the launcher, and the volumes that KFP adds for itself, are not.
"""

from __future__ import annotations

from typing import Any

# What KFP's compiler sets on every container of a step, whatever the pipeline says.
PLATFORM = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(container: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the Pod of a compiled container and its ``KubernetesExecutorConfig``."""
    given = container["resources"]
    limits = {"cpu": given["resourceCpuLimit"], "memory": given["resourceMemoryLimit"]}
    if accelerator := given.get("accelerator"):
        limits[accelerator["resourceType"]] = accelerator["resourceCount"]
    environment: list[dict[str, Any]] = [dict(entry) for entry in container.get("env", [])]
    for secret in config.get("secretAsEnv", []):
        for key in secret["keyToEnv"]:
            reference = {
                "name": secret["secretName"],
                "key": key["secretKey"],
                "optional": secret["optional"],
            }
            environment.append({"name": key["envVar"], "valueFrom": {"secretKeyRef": reference}})
    for entry in config.get("fieldPathAsEnv", []):
        source = {"fieldRef": {"fieldPath": entry["fieldPath"]}}
        environment.append({"name": entry["name"], "valueFrom": source})
    volumes, mounts = [], []
    for entry in config.get("emptyDirMounts", []):
        empty = {key: entry[key] for key in ("medium", "sizeLimit") if key in entry}
        volumes.append({"name": entry["volumeName"], "emptyDir": empty})
        mounts.append({"name": entry["volumeName"], "mountPath": entry["mountPath"]})
    for entry in config.get("pvcMount", []):
        volumes.append({"name": entry["constant"], "persistentVolumeClaim": {"claimName": entry["constant"]}})
        mounts.append({"name": entry["constant"], "mountPath": entry["mountPath"]})
    for entry in config.get("configMapAsVolume", []):
        volumes.append({"name": entry["configMapName"], "configMap": {"name": entry["configMapName"]}})
        mounts.append({"name": entry["configMapName"], "mountPath": entry["mountPath"]})
    user = config["securityContext"]
    main = {
        "name": "main",
        "image": container["image"],
        "imagePullPolicy": config["imagePullPolicy"],
        "command": container["command"],
        "args": container["args"],
        "env": environment,
        "resources": {
            "requests": {"cpu": given["resourceCpuRequest"], "memory": given["resourceMemoryRequest"]},
            "limits": limits,
        },
        "volumeMounts": mounts,
        "securityContext": {
            **PLATFORM,
            "runAsUser": int(user["runAsUser"]),
            "runAsGroup": int(user["runAsGroup"]),
            "runAsNonRoot": user["runAsNonRoot"],
        },
    }
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(config["activeDeadlineSeconds"]),
        "containers": [main],
        "volumes": volumes,
        "nodeSelector": config.get("nodeSelector", {}).get("labels", {}),
        "tolerations": config.get("tolerations", []),
        "imagePullSecrets": [{"name": entry["secretName"]} for entry in config.get("imagePullSecret", [])],
    }
    metadata = {"name": "step", "labels": config["podMetadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

"""The checker refuses the pods that "restricted" refuses, and admits those that it admits."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.manifests.pod_security import restricted
from tests.manifests.render import Object

GOOD: Object = {
    "metadata": {},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "a",
                "image": "a:1",
                "ports": [{"containerPort": 8080}],
                "livenessProbe": {"httpGet": {"path": "/livez", "port": 8080}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "keys", "secret": {"secretName": "k"}}],
    },
}


def pod(path: str = "", value: Any = None) -> Object:
    """The good pod with one field set, or taken out where the value is None."""
    made = copy.deepcopy(GOOD)
    if path:
        *way, last = path.split(".")
        node: Any = made
        for step in way:
            node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
        if value is None:
            del node[last]
        elif isinstance(node, list):
            node.append(value)
        else:
            node[last] = value
    return made


C = "spec.containers.0."
CONTEXT = C + "securityContext."


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("spec.hostNetwork", True, "sees the node's traffic"),
        ("spec.hostPID", True, "sees the node's processes"),
        ("spec.hostIPC", True, "shares the node's memory"),
        ("spec.volumes.9", {"name": "h", "hostPath": {"path": "/"}}, "reads the node's disk"),
        ("spec.volumes.9", {"name": "n", "nfs": {"server": "s", "path": "/"}}, "no volume of these kinds"),
        ("spec.securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}], "a sysctl of the node"),
        ("spec.securityContext.runAsUser", 0, "root, said of the pod"),
        ("spec.securityContext.runAsNonRoot", None, "may be root"),
        ("spec.securityContext.runAsNonRoot", False, "may be root, and says so"),
        ("spec.securityContext.seccompProfile", None, "no seccomp profile"),
        ("spec.securityContext.seccompProfile", {"type": "Unconfined"}, "seccomp off"),
        ("spec.securityContext.windowsOptions", {"hostProcess": True}, "a process of the Windows node"),
        ("spec.securityContext.appArmorProfile", {"type": "Unconfined"}, "AppArmor off"),
        ("spec.securityContext.seLinuxOptions", {"type": "spc_t"}, "SELinux type outside the four"),
        ("spec.securityContext.seLinuxOptions", {"user": "system_u"}, "SELinux user set"),
        (
            "metadata.annotations",
            {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"},
            "AppArmor off by annotation",
        ),
        (CONTEXT + "privileged", True, "privileged"),
        (CONTEXT + "allowPrivilegeEscalation", None, "escalation is the default"),
        (CONTEXT + "allowPrivilegeEscalation", True, "escalation"),
        (CONTEXT + "capabilities", None, "capabilities of the runtime's default"),
        (CONTEXT + "capabilities", {"drop": ["NET_RAW"]}, "most capabilities kept"),
        (CONTEXT + "capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "a capability added"),
        (CONTEXT + "runAsUser", 0, "root, said of the container"),
        (CONTEXT + "runAsNonRoot", False, "the container's word goes before the pod's"),
        (CONTEXT + "seccompProfile", {"type": "Unconfined"}, "the container's profile goes before the pod's"),
        (CONTEXT + "procMount", "Unmasked", "all of /proc"),
        (C + "ports", [{"containerPort": 1, "hostPort": 1}], "a port of the node"),
        (C + "livenessProbe", {"tcpSocket": {"host": "10.0.0.1", "port": 1}}, "the kubelet probes others"),
        (C + "lifecycle", {"preStop": {"httpGet": {"host": "x", "port": 1}}}, "the kubelet calls others"),
        ("spec.initContainers", [{"name": "i", "image": "i:1"}], "init containers count"),
        ("spec.ephemeralContainers", [{"name": "e", "image": "e:1"}], "ephemeral containers count"),
    ],
)
def test_pods_that_must_fail(path: str, value: Any, reason: str) -> None:
    assert restricted(pod(path, value)), reason


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("", None, "the good pod"),
        (
            CONTEXT + "capabilities",
            {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            "the one that may be added",
        ),
        (CONTEXT + "runAsNonRoot", True, "said twice"),
        (CONTEXT + "seccompProfile", {"type": "Localhost", "localhostProfile": "p"}, "a profile of its own"),
        (
            "spec.securityContext.sysctls",
            [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
            "a safe sysctl",
        ),
        ("spec.securityContext.seLinuxOptions", {"type": "container_t", "level": "s0"}, "an SELinux level"),
        ("spec.volumes.9", {"name": "c", "csi": {"driver": "d"}}, "a CSI volume"),
    ],
)
def test_pods_that_must_pass(path: str, value: Any, reason: str) -> None:
    assert restricted(pod(path, value)) == [], reason

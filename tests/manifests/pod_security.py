"""The Pod Security Standard "restricted", as of Kubernetes 1.34, with "baseline" as part of it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.manifests.pods import CONTAINERS
from tests.manifests.render import Object

VOLUMES: Final = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
    "secret",
}  # fmt: skip
SYSCTLS: Final = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}  # fmt: skip
SELINUX: Final = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def restricted(pod: Object) -> list[str]:
    """Return what the level "restricted" forbids in a pod (``{"metadata", "spec"}``)."""
    spec = pod["spec"]
    found = [*_pod(pod), *_shared("pod", spec.get("securityContext") or {})]
    for kind in CONTAINERS:
        for container in spec.get(kind) or []:
            found += _container(container, spec.get("securityContext") or {})
    return found


def _pod(pod: Object) -> Iterator[str]:
    spec = pod["spec"]
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"pod: {key}"
    for volume in spec.get("volumes") or []:
        for kind in set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']}: {kind}"
    for sysctl in (spec.get("securityContext") or {}).get("sysctls") or []:
        if sysctl["name"] not in SYSCTLS:
            yield f"pod: sysctl {sysctl['name']}"
    for key, value in ((pod.get("metadata") or {}).get("annotations") or {}).items():
        if key.startswith("container.apparmor.security.beta.kubernetes.io/") and not (
            value in ("", "runtime/default") or value.startswith("localhost/")
        ):
            yield f"pod: AppArmor {value}"


def _shared(where: str, context: Object) -> Iterator[str]:
    """Return the violations in fields that pods and containers share."""
    if context.get("runAsUser") == 0:
        yield f"{where}: runAsUser 0"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield f"{where}: hostProcess"
    profile = (context.get("appArmorProfile") or {}).get("type")
    if profile not in (None, "RuntimeDefault", "Localhost"):
        yield f"{where}: AppArmor {profile}"
    linux = context.get("seLinuxOptions") or {}
    if linux.get("type", "") not in SELINUX or linux.get("user") or linux.get("role"):
        yield f"{where}: SELinux"
    seccomp = (context.get("seccompProfile") or {}).get("type")
    if seccomp not in (None, "RuntimeDefault", "Localhost"):
        yield f"{where}: seccomp {seccomp}"


def _container(container: Object, pod: Object) -> Iterator[str]:
    name, context = container["name"], container.get("securityContext") or {}
    yield from _shared(name, context)
    if context.get("privileged"):
        yield f"{name}: privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if context.get("procMount") not in (None, "Default"):
        yield f"{name}: procMount"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield f"{name}: capabilities are not dropped"
    for capability in set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"{name}: adds {capability}"
    # A container's own word goes before the pod's.
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield f"{name}: runAsNonRoot is not true"
    if not (context.get("seccompProfile") or pod.get("seccompProfile")):
        yield f"{name}: no seccomp profile"
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield f"{name}: hostPort"
    for handler in _handlers(container):
        if any((handler.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield f"{name}: a probe or hook of another host"


def _handlers(container: Object) -> list[Any]:
    hooks = container.get("lifecycle") or {}
    probes = (container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup"))
    return [h for h in (*probes, hooks.get("preStop"), hooks.get("postStart")) if h]

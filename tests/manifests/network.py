"""Connections that NetworkPolicies allow: an interpreter of their rules, for tests.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.manifests.render import Object

Labels = Mapping[str, str]


@dataclass(frozen=True)
class End:
    """A pod, or an address outside.

    Attributes:
        namespace: of the pod. labels: of the pod. address: of an end that is no pod.
    """

    namespace: str = ""
    labels: Labels = field(default_factory=dict)
    address: str = ""


def allowed(policies: list[Object], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """True if egress of the source pod and ingress of the target pod allow a connection."""
    ways = (("Egress", source, target), ("Ingress", target, source))
    return all(_allowed(policies, kind, pod, peer, port, protocol) for kind, pod, peer in ways)


def _allowed(policies: list[Object], kind: str, pod: End, peer: End, port: int, protocol: str) -> bool:
    if pod.address:
        return True
    spec = [
        p["spec"] for p in policies
        if p["kind"] == "NetworkPolicy"
        and p["metadata"]["namespace"] == pod.namespace
        and kind in _types(p["spec"])
        and matches(p["spec"]["podSelector"], pod.labels)
    ]  # fmt: skip
    if not spec:
        return True  # a pod that no policy selects is open
    ends, rules = ("to", "egress") if kind == "Egress" else ("from", "ingress")
    return any(
        _port(rule.get("ports"), port, protocol) and _peer(rule.get(ends), peer, pod.namespace)
        for policy in spec
        for rule in policy.get(rules) or []
    )


def _types(spec: Object) -> list[str]:
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _port(ports: list[Object] | None, port: int, protocol: str) -> bool:
    return not ports or any(
        p.get("protocol", "TCP") == protocol
        and p.get("port", port) <= port <= p.get("endPort", p.get("port", port))
        for p in ports
    )


def _peer(peers: list[Object] | None, peer: End, home: str) -> bool:
    return not peers or any(_one(p, peer, home) for p in peers)


def _one(rule: Object, peer: End, home: str) -> bool:
    if "ipBlock" in rule:
        if not peer.address:
            return False
        address = ipaddress.ip_address(peer.address)
        excepted = any(address in ipaddress.ip_network(e) for e in rule["ipBlock"].get("except") or [])
        return address in ipaddress.ip_network(rule["ipBlock"]["cidr"]) and not excepted
    if peer.address:
        return False
    named = {"kubernetes.io/metadata.name": peer.namespace}
    here = (
        matches(rule["namespaceSelector"], named) if "namespaceSelector" in rule else peer.namespace == home
    )
    return here and matches(rule.get("podSelector") or {}, peer.labels)


def matches(selector: Object, labels: Labels) -> bool:
    """True if a label selector matches; an empty one matches all."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(k) == v for k, v in wanted.items()) and all(
        _expression(e, labels) for e in selector.get("matchExpressions") or []
    )


def _expression(expression: Object, labels: Labels) -> bool:
    key, operator = expression["key"], expression["operator"]
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    return (labels.get(key) in expression["values"]) == (operator == "In")

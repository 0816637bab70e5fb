"""The reading of NetworkPolicies agrees with Kubernetes' documentation."""

from __future__ import annotations

import pytest

from tests.manifests.network import End, allowed
from tests.manifests.render import Object

WEB = End("shop", {"app": "web"})
DB = End("shop", {"app": "db"})
OTHER = End("other", {"app": "web"})
OUT = End(address="192.0.2.7")
ANYWHERE: Object = {"namespaceSelector": {}}


def policy(**spec: object) -> Object:
    """A policy in the namespace shop."""
    return {"kind": "NetworkPolicy", "metadata": {"namespace": "shop"}, "spec": {"podSelector": {}, **spec}}


@pytest.mark.parametrize(
    ("spec", "source", "target", "port", "expected", "reason"),
    [
        ({"podSelector": {"matchLabels": {"app": "x"}}}, OTHER, DB, 1, True, "no policy selects it: open"),
        ({"policyTypes": ["Ingress"]}, OTHER, DB, 1, False, "selected, and no rule"),
        ({"policyTypes": ["Ingress"]}, DB, OUT, 1, True, "the way out is another matter"),
        ({"policyTypes": ["Egress"]}, DB, OUT, 1, False, "no way out"),
        ({"policyTypes": ["Egress"]}, OTHER, DB, 1, True, "the way in is another matter"),
        ({"ingress": [{}]}, OTHER, DB, 1, True, "an empty rule lets all in"),
        ({"ingress": [{"from": []}]}, OTHER, DB, 1, True, "so does one with an empty list"),
        ({"ingress": [{"from": [{"podSelector": {}}]}]}, WEB, DB, 1, True, "pods of the same namespace"),
        ({"ingress": [{"from": [{"podSelector": {}}]}]}, OTHER, DB, 1, False, "and of no other"),
        ({"ingress": [{"from": [ANYWHERE]}]}, OTHER, DB, 1, True, "any namespace"),
        (
            {"ingress": [{"from": [{**ANYWHERE, "podSelector": {"matchLabels": {"app": "z"}}}]}]},
            OTHER, DB, 1, False, "both selectors of one peer must match",
        ),
        ({"ingress": [{"from": [ANYWHERE]}]}, OUT, DB, 1, False, "an address is no namespace"),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]}, OUT, DB, 1, True, "in the block"),
        (
            {"ingress": [{"from": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.7/32"]}}]}]},
            OUT, DB, 1, False, "excepted",
        ),
        ({"ingress": [{"ports": [{"port": 5432}]}]}, WEB, DB, 5432, True, "this port"),
        ({"ingress": [{"ports": [{"port": 5432}]}]}, WEB, DB, 22, False, "no other port"),
        ({"ingress": [{"ports": [{"port": 5432, "protocol": "UDP"}]}]}, WEB, DB, 5432, False, "no TCP"),
        ({"ingress": [{"ports": [{"port": 1, "endPort": 9}]}]}, WEB, DB, 5, True, "in the range"),
        (
            {"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]},
             "policyTypes": ["Ingress"]},
            OTHER, DB, 1, True, "not selected by an expression",
        ),
    ],
)  # fmt: skip
def test_connections(spec: Object, source: End, target: End, port: int, expected: bool, reason: str) -> None:
    assert allowed([policy(**spec)], source, target, port) is expected, reason


def test_policies_add_up() -> None:
    closed = policy(policyTypes=["Ingress", "Egress"])
    opened = policy(ingress=[{"from": [{"namespaceSelector": {}}]}], policyTypes=["Ingress"])
    assert allowed([closed, opened], OTHER, DB, 1)
    assert not allowed([closed, opened], DB, OUT, 1)

"""templates/networkpolicy.yaml and the policies of all components: only named connections are allowed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.manifests.network import End, allowed
from tests.manifests.pods import pods
from tests.manifests.render import ROOT, Object, kustomize, one, template

DNS = End("kube-system", {"k8s-app": "kube-dns"})
GATEWAY = End("envoy-gateway-system", {"app": "envoy"})
PIPELINE = End("kubeflow", {"app": "step"})
PROMETHEUS = End("monitoring", {"app": "prometheus"})
OTHER = End("default", {"app": "anything"})
STORE, DATABASE, ISSUER = (End(address=a) for a in ("192.0.2.10", "192.0.2.20", "192.0.2.30"))
INTERNET = End(address="203.0.113.9")
METADATA = End(address="169.254.169.254")
KFP = End("kubeflow", {"app": "ml-pipeline"})
PEERS = [DNS, GATEWAY, PIPELINE, PROMETHEUS, OTHER, STORE, DATABASE, ISSUER, INTERNET, METADATA]
PORTS = [("TCP", p) for p in (22, 53, 80, 443, 5000, 5432, 6443, 8080, 8090, 8888, 9090, 9108, 9109)] + [
    ("UDP", 53),
    ("UDP", 443),
]


def end(objects: list[Object], key: str) -> End:
    """A pod of the release as an endpoint."""
    return End("lidloop", pods(objects)[key]["metadata"]["labels"])


def connections(objects: list[Object], pod: End) -> dict[str, set[tuple[str, int]]]:
    """All allowed connections between a pod and the peers, in both directions, by the peer's location."""
    policies = [*objects, *kustomize(ROOT / "k8s" / "base")]
    found: dict[str, set[tuple[str, int]]] = {}
    for peer in PEERS:
        for protocol, port in PORTS:
            name = peer.namespace or peer.address
            if allowed(policies, peer, pod, port, protocol) and not peer.address:
                found.setdefault(f"from {name}", set()).add((protocol, port))
            if allowed(policies, pod, peer, port, protocol):
                found.setdefault(f"to {name}", set()).add((protocol, port))
    return found


NAME_SERVICE = {("TCP", 53), ("UDP", 53)}


def test_connections_of_serving_on_kserve() -> None:
    objects = template("production")
    assert connections(objects, end(objects, "InferenceService/lidloop-serving")) == {
        "from envoy-gateway-system": {("TCP", 8080)},
        "from monitoring": {("TCP", 9109)},
        "to kube-system": NAME_SERVICE,
        "to 192.0.2.10": {("TCP", 443)},
        "to 192.0.2.30": {("TCP", 443)},
    }


def test_connections_of_the_registry() -> None:
    objects = template("production")
    assert connections(objects, end(objects, "Deployment/lidloop-registry")) == {
        "from kubeflow": {("TCP", 5000)},
        "to kube-system": NAME_SERVICE,
        "to 192.0.2.10": {("TCP", 443)},
        "to 192.0.2.20": {("TCP", 5432)},
    }


def test_connections_of_the_trigger() -> None:
    objects = template("production")
    trigger = end(objects, "Deployment/lidloop-trigger")
    assert connections(objects, trigger) == {
        "from monitoring": {("TCP", 8090)},
        "to kube-system": NAME_SERVICE,
    }
    assert allowed(objects, trigger, KFP, 8888)
    assert not allowed(objects, trigger, KFP, 8887)
    clinic = {"networkPolicy": {"triggerFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]}}
    assert allowed(template("production"), PROMETHEUS, trigger, 8090)
    assert not allowed(
        template("production", {"monitoring": {"enabled": False, "alertmanager": {"enabled": False}}}),
        PROMETHEUS,
        trigger,
        8090,
    )
    assert (
        len(one(template("production", clinic), "NetworkPolicy", "lidloop-trigger")["spec"]["ingress"]) == 2
    )


def test_connections_of_the_exporter() -> None:
    objects = template("production")
    exporter, registry = (end(objects, f"Deployment/lidloop-{name}") for name in ("exporter", "registry"))
    assert connections(objects, exporter) == {
        "from monitoring": {("TCP", 9108)},
        "to kube-system": NAME_SERVICE,
    }
    assert allowed(objects, exporter, registry, 5000)
    assert allowed(objects, exporter, KFP, 8888)
    assert not allowed(template("production", {"exporter": {"pipelines": False}}), exporter, KFP, 8888)
    assert not allowed(objects, end(objects, "Deployment/lidloop-trigger"), registry, 5000)


def test_exporter_reaches_an_external_registry_and_the_object_store() -> None:
    changes: dict[str, Any] = {
        "exporter": {"registry": {"uri": "https://mlflow.example.org"}, "runs": ["s3://lidloop/pipelines"]},
        "networkPolicy": {"registry": {"to": [{"ipBlock": {"cidr": "192.0.2.30/32"}}]}},
    }
    objects = template("production", changes)
    exporter, registry = (end(objects, f"Deployment/lidloop-{name}") for name in ("exporter", "registry"))
    assert connections(objects, exporter) == {
        "from monitoring": {("TCP", 9108)},
        "to kube-system": NAME_SERVICE,
        "to 192.0.2.10": {("TCP", 443)},
        "to 192.0.2.30": {("TCP", 443)},
    }
    assert not allowed(objects, exporter, registry, 5000)


def test_serving_from_a_claim_has_no_connections() -> None:
    """A bundle on a claim and keys from a file need no name service."""
    changes: dict[str, Any] = {
        "serving": {"model": {"uri": "pvc://models/7"}},
        "networkPolicy": {"servingFrom": []},
    }
    objects = template("kserve-less", changes)
    assert connections(objects, end(objects, "Deployment/lidloop-serving")) == {}


def test_pods_without_a_policy_are_denied_everything() -> None:
    labels = {"app.kubernetes.io/name": "lidloop", "app.kubernetes.io/instance": "lidloop"}
    pod = End("lidloop", labels)
    alone = template("production")
    assert not any(allowed(alone, p, pod, 8080) or allowed(alone, pod, p, 443) for p in PEERS)


def test_serving_and_registry_do_not_reach_each_other() -> None:
    objects = template("production")
    serving = end(objects, "InferenceService/lidloop-serving")
    registry = end(objects, "Deployment/lidloop-registry")
    assert not allowed(objects, serving, registry, 5000)
    assert not allowed(objects, registry, serving, 8080)


@pytest.mark.parametrize("values", ["production", "kserve-less"])
def test_policies_can_be_switched_off(values: str) -> None:
    objects = template(values, {"networkPolicy": {"enabled": False}})
    assert "NetworkPolicy" not in {o["kind"] for o in objects}

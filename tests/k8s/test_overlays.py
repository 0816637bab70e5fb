"""k8s/: every overlay builds, matches the schemas of Kubernetes, and has quota for its values file."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cluster_file import read_cluster
from tests.manifests.hygiene import breaches
from tests.manifests.network import End, allowed
from tests.manifests.pods import STORAGE_INITIALIZER, pods
from tests.manifests.render import ROOT, Object, kustomize, one, template
from tests.manifests.schemas import KUBERNETES, errors
from tests.manifests.style import slips

K8S = ROOT / "k8s"
OVERLAYS = sorted(path.parent.name for path in (K8S / "overlays").glob("*/kustomization.yaml"))

every = pytest.mark.parametrize("overlay", OVERLAYS)


def build(overlay: str) -> list[Object]:
    """Objects of an overlay."""
    return kustomize(K8S / "overlays" / overlay)


def test_overlays_exist() -> None:
    assert OVERLAYS == ["laptop", "production"]


@every
def test_objects_match_the_schemas_of_kubernetes(overlay: str) -> None:
    for item in build(overlay):
        for version in KUBERNETES:
            assert errors(item, version) == []


@every
def test_objects_follow_the_project_rules(overlay: str) -> None:
    assert breaches(build(overlay)) == []


@every
def test_namespace_enforces_restricted(overlay: str) -> None:
    labels = one(build(overlay), "Namespace")["metadata"]["labels"]
    prefix = "pod-security.kubernetes.io/"
    assert {k: labels[prefix + k] for k in ("enforce", "audit", "warn")} == dict.fromkeys(
        ("enforce", "audit", "warn"), "restricted"
    )
    assert labels[prefix + "enforce-version"] == "v" + KUBERNETES[0]


@every
def test_all_traffic_is_denied(overlay: str) -> None:
    objects = build(overlay)
    pod, other = End("lidloop", {"any": "pod"}), End("default", {"a": "b"})
    for port in (53, 443, 8080):
        assert not allowed(objects, other, pod, port)
        assert not allowed(objects, pod, End(address="203.0.113.9"), port)
        assert not allowed(objects, pod, End("lidloop", {"x": "y"}), port)


@every
def test_quota_forbids_node_ports_and_load_balancers(overlay: str) -> None:
    hard = one(build(overlay), "ResourceQuota", "lidloop")["spec"]["hard"]
    assert (hard["services.nodeports"], hard["services.loadbalancers"]) == ("0", "0")


@every
def test_training_has_lower_priority_than_serving(overlay: str) -> None:
    classes = {o["metadata"]["name"]: o for o in build(overlay) if o["kind"] == "PriorityClass"}
    training, serving = classes["lidloop-training"], classes["lidloop-serving"]
    assert training["value"] < 0 < serving["value"]
    assert training["preemptionPolicy"] == "Never"
    assert (
        one(template("production"), "InferenceService")["spec"]["predictor"]["priorityClassName"] in classes
    )


@every
def test_gpu_quota(overlay: str) -> None:
    objects = build(overlay)
    quota = one(objects, "ResourceQuota", "lidloop-gpus")
    assert quota["metadata"]["namespace"] == "kubeflow"
    # A quota of CPU or memory would reject KFP's own pods.
    assert set(quota["spec"]["hard"]) == {"requests.nvidia.com/gpu"}
    assert one(objects, "ResourceQuota", "lidloop")["spec"]["hard"]["requests.nvidia.com/gpu"] == "0"


@every
def test_cluster_settings_fit_the_overlay(overlay: str) -> None:
    """The settings of the compiled pipeline match the overlay's quota, nodes and object store."""
    settings = read_cluster(K8S / "overlays" / overlay / "cluster.yaml")
    quota = one(build(overlay), "ResourceQuota", "lidloop-gpus")["spec"]["hard"]["requests.nvidia.com/gpu"]
    assert settings.accelerator == "nvidia.com/gpu"
    assert max(settings.gpus, settings.shards * settings.label_gpus) <= int(quota)
    if settings.gpus:
        assert settings.gpu_nodes == {"nvidia.com/gpu.present": "true"}, "as GPU feature discovery sets it"
        assert [(t.key, t.effect) for t in settings.gpu_tolerations] == [("nvidia.com/gpu", "NoSchedule")]
    launcher = yaml.safe_load(one(build(overlay), "ConfigMap", "kfp-launcher")["data"]["providers"])
    store = launcher["s3"]["default"]
    scheme = "http" if store["disableSSL"] else "https"
    assert settings.store_endpoint.split("://")[0] == scheme
    assert settings.store_endpoint.split("://")[1].split(":")[0] == store["endpoint"].split(":")[0]
    assert settings.store_region == store["region"]


@every
def test_settings_of_the_kfp_launcher(overlay: str) -> None:
    """Keys and types that KFP's launcher reads."""
    launcher = one(build(overlay), "ConfigMap", "kfp-launcher")
    assert launcher["metadata"]["namespace"] == "kubeflow"
    assert launcher["data"]["defaultPipelineRoot"].startswith("s3://")
    providers = yaml.safe_load(launcher["data"]["providers"])
    assert set(providers) == {"s3"}
    [default] = providers["s3"].values()
    assert set(default) == {"endpoint", "region", "disableSSL", "forcePathStyle", "credentials"}
    assert "://" not in default["endpoint"]
    assert isinstance(default["disableSSL"], bool)
    credentials = default["credentials"]
    assert credentials["fromEnv"] is False
    assert set(credentials["secretRef"]) == {"secretName", "accessKeyKey", "secretKeyKey"}


def test_laptop_overlay_opens_seaweedfs_to_serving() -> None:
    """KFP denies other namespaces access to SeaweedFS."""
    objects = [*build("laptop"), *template("minimal")]
    serving = End("lidloop", pods(objects)["InferenceService/lidloop-serving"]["metadata"]["labels"])
    store = End("kubeflow", {"app": "seaweedfs"})
    closed: Object = {
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "kubeflow"},
        "spec": {"podSelector": {"matchLabels": {"app": "seaweedfs"}}, "policyTypes": ["Ingress"]},
    }
    assert allowed([closed, *objects], serving, store, 8333)
    assert not allowed([closed, *objects], serving, store, 9333)
    assert not allowed([closed, *template("minimal")], serving, store, 8333)


@every
def test_overlay_opens_the_kfp_api_to_trigger_and_exporter_only(overlay: str) -> None:
    """KFP denies other namespaces access to its API."""
    closed: Object = {
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "kubeflow"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]},
    }
    chart = template("production")
    objects = [closed, *build(overlay), *chart]
    api = End("kubeflow", {"app": "ml-pipeline"})
    found = {key: End("lidloop", pod["metadata"]["labels"]) for key, pod in pods(chart).items()}
    reaching = {key for key, pod in found.items() if allowed(objects, pod, api, 8888)}
    assert reaching == {"Deployment/lidloop-trigger", "Deployment/lidloop-exporter"}
    trigger = found["Deployment/lidloop-trigger"]
    assert not allowed(objects, trigger, api, 8887)
    assert not allowed([closed, *chart], trigger, api, 8888)


UNITS = {
    "": 1,
    "m": Fraction(1, 1000),
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
}


def amount(quantity: Any) -> Fraction:
    """A quantity of Kubernetes as a number."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(quantity))
    assert match is not None, quantity
    return Fraction(match[1]) * UNITS[match[2]]


def need(spec: Object, kind: str, what: str) -> Fraction:
    """Resources of a pod: the sum of its containers, or its largest init container if that is more."""
    sums = [amount(c["resources"][kind][what]) for c in spec["containers"]]
    first = [amount(c["resources"][kind][what]) for c in spec.get("initContainers", [])]
    return max(sum(sums, Fraction(0)), *first, Fraction(0))


@pytest.mark.parametrize(
    ("overlay", "values", "serving"),
    [("production", "production", 12), ("laptop", "minimal", 1), ("laptop", "kserve-less", 2)],
)
def test_quota_suffices(overlay: str, values: str, serving: int) -> None:
    """For the maximum number of serving pods, one more during a rollout, and the other components."""
    objects = template(values)
    found = pods(objects)
    hard = one(build(overlay), "ResourceQuota", "lidloop")["spec"]["hard"]
    counts = {key: serving + 1 if "serving" in key else 1 for key in found}
    for pod in found.values():
        if pod["spec"]["containers"][0]["name"] == "kserve-container":
            pod["spec"]["initContainers"] = [STORAGE_INITIALIZER]
    for kind in ("requests", "limits"):
        for what in ("cpu", "memory"):
            wanted = sum(need(pod["spec"], kind, what) * counts[key] for key, pod in found.items())
            assert wanted <= amount(hard[f"{kind}.{what}"]), f"{kind} of {what}"
    assert sum(counts.values()) <= int(hard["pods"])


@every
def test_containers_stay_below_the_limit_range(overlay: str) -> None:
    [limit] = one(build(overlay), "LimitRange")["spec"]["limits"]
    for values in ("production", "kserve-less", "minimal"):
        for pod in pods(template(values)).values():
            for what in ("cpu", "memory"):
                assert need(pod["spec"], "limits", what) <= amount(limit["max"][what])


@pytest.mark.parametrize("path", sorted(K8S.rglob("*.yaml")), ids=lambda path: str(path.relative_to(K8S)))
def test_yaml_style(path: Path) -> None:
    assert slips(path) == []

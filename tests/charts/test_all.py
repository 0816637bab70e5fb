"""Checks of every object that the chart renders, with every values file and in every mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.hygiene import breaches
from tests.manifests.pod_security import restricted
from tests.manifests.pods import STORAGE_INITIALIZER, kserve_pod, pods
from tests.manifests.render import CHART, ROOT, VALUES, kinds, run, template
from tests.manifests.schemas import KUBERNETES, errors
from tests.manifests.style import slips

HPA = {"serving": {"autoscaling": {"kind": "hpa", "metricsAdapter": True}}}
KEDA = {"serving": {"autoscaling": {"kind": "keda", "prometheus": "http://prometheus:9090"}}}
ROUTE = {
    "serving": {
        "ingress": {"enabled": False},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["a.example.org"]},
    }
}
CLAIM = {"serving": {"model": {"uri": "pvc://models/lidloop/3"}}}
MONITORED: dict[str, Any] = {
    "monitoring": {
        "enabled": True,
        "labels": {"release": "monitoring"},
        "rules": {"enabled": True, "alertLabels": {"team": "eyes"}},
        "dashboards": {"enabled": True},
        "alertmanager": {"enabled": True, "secret": "s"},
    }
}
TOKENS: dict[str, Any] = {
    "deploy": {"enabled": True},
    "pipelines": {"serviceAccountToken": True, "namespace": "eyes"},
    "trigger": {
        "persistence": {"storageClassName": "fast", "size": "2Gi"},
    },
    "exporter": {"runs": ["s3://lidloop/pipelines"]},
}
EXTERNAL: dict[str, Any] = {
    "pipelines": {"tokenSecret": "kfp", "caConfigMap": "ca"},
    "registry": {"enabled": False},
    "trigger": {
        "persistence": {"existingClaim": "state"},
    },
    "exporter": {"registry": {"uri": "https://mlflow.example.org"}},
    "networkPolicy": {"registry": {"to": [{"ipBlock": {"cidr": "192.0.2.40/32"}}]}},
}
PLACED: dict[str, Any] = {
    part: {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "priorityClassName": "high",
        "podAnnotations": {"a": "b"},
        "serviceAccountAnnotations": {"c": "d"},
    }
    for part in ("serving", "registry", "trigger", "exporter")
}
EXTRAS = {
    "imagePullSecrets": [{"name": "pull"}],
    "commonLabels": {"team": "eyes"},
    "objectStore": {"caConfigMap": "ca"},
    "registry": {
        "ingress": {"enabled": True, "host": "r.example.org", "tlsSecret": "t", "annotations": {"a": "b"}}
    },
}
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in VALUES),
    ("kserve-less", HPA),
    ("kserve-less", KEDA),
    ("kserve-less", ROUTE),
    ("kserve-less", CLAIM),
    ("kserve-less", MONITORED),
    ("kserve-less", TOKENS),
    ("kserve-less", EXTERNAL),
    ("kserve-less", PLACED),
    ("kserve-less", EXTRAS),
    ("production", {"serving": {"autoscaling": {"kind": "hpa"}}}),
    ("production", {"serving": {"autoscaling": {"kind": ""}}}),
    ("production", CLAIM),
    ("production", PLACED),
    ("production", EXTRAS),
]
WITHOUT_SCHEMA = {"ScaledObject", "HTTPRoute", "AlertmanagerConfig"}
"""Custom kinds without an available schema; the tests of their templates check their fields."""
CUSTOM = {"InferenceService", "ServingRuntime", "PodMonitor", "ServiceMonitor", "PrometheusRule"}

every = pytest.mark.parametrize(("values", "changes"), CASES)


@pytest.mark.parametrize("values", VALUES)
def test_helm_lint_passes(values: str) -> None:
    assert "0 chart(s) failed" in run("helm", "lint", "--strict", "--values", VALUES[values], CHART).stdout


@every
def test_objects_match_the_schemas_of_kubernetes(values: str, changes: dict[str, Any]) -> None:
    """Of Kubernetes 1.34 to 1.36; custom resources too if LIDLOOP_CRDS has their schemas."""
    wrong, unseen = [], set()
    for item in template(values, changes):
        for version in KUBERNETES:
            found = errors(item, version)
            if found is None:
                unseen.add(item["kind"])
            wrong += found or []
    assert not wrong
    assert unseen <= WITHOUT_SCHEMA | CUSTOM


@every
def test_custom_resources_match_their_crds(values: str, changes: dict[str, Any], crds: str) -> None:
    unseen = {item["kind"] for item in template(values, changes) if errors(item, "1.36") is None}
    assert unseen <= WITHOUT_SCHEMA, crds


@every
def test_pods_satisfy_restricted_pod_security(values: str, changes: dict[str, Any]) -> None:
    found = pods(template(values, changes))
    assert found
    assert {where: wrong for where, pod in found.items() if (wrong := restricted(pod))} == {}


@every
def test_objects_follow_the_project_rules(values: str, changes: dict[str, Any]) -> None:
    assert breaches(template(values, changes)) == []


@every
def test_roles_grant_only_the_listed_permissions(values: str, changes: dict[str, Any]) -> None:
    """No ServiceAccount of the chart mounts a token."""
    objects = template(values, changes)
    granted = {name for name in kinds(objects) if name[0].endswith(("Role", "Binding"))}
    assert granted <= {
        (kind, name)
        for kind in ("Role", "RoleBinding")
        for name in ("lidloop-deploy", "lidloop-trigger", "lidloop-exporter")
    }
    for role in (o for o in objects if o["kind"] == "Role"):
        for rule in role["rules"]:
            assert set(rule["verbs"]) <= {"get", "list", "create", "patch"}
            assert not {"", "rbac.authorization.k8s.io"} & set(rule["apiGroups"])
            assert "*" not in (*rule["resources"], *rule["apiGroups"])
    accounts = [o for o in objects if o["kind"] == "ServiceAccount"]
    assert accounts
    assert all(o["automountServiceAccountToken"] is False for o in accounts)


@every
def test_names_and_labels_are_uniform_and_unique(values: str, changes: dict[str, Any]) -> None:
    """All objects are in the release's namespace, except Roles for a profile of Kubeflow."""
    objects = template(values, changes, release="a", namespace="b")
    assert len(kinds(objects)) == len(objects)
    for item in objects:
        meta = item["metadata"]
        assert meta["name"].startswith("a-lidloop")
        # Kubeflow Pipelines checks the permissions of a caller in the profile of the run.
        profile = item["kind"] in ("Role", "RoleBinding") and meta["name"] != "a-lidloop-deploy"
        assert meta["namespace"] == ("eyes" if profile else "b")
        assert meta["labels"]["app.kubernetes.io/instance"] == "a"
        for key, value in changes.get("commonLabels", {}).items():
            assert meta["labels"][key] == value


def test_kserve_pod_satisfies_restricted_only_with_the_patch() -> None:
    """The patch of k8s/kserve changes KServe's storage initialiser, which would be rejected."""
    objects = template("production")
    assert {w.split(":")[0] for w in restricted(kserve_pod(objects, STORAGE_INITIALIZER))} == {
        "storage-initializer"
    }
    patch = yaml.safe_load((ROOT / "k8s" / "kserve" / "storage-initializer.yaml").read_text())
    patched = {**STORAGE_INITIALIZER, **patch["spec"]["container"]}
    assert restricted(kserve_pod(objects, patched)) == []


def test_lengthened_names_stay_within_63_characters() -> None:
    """KServe appends ``-predictor``."""
    objects = template("production", {"fullnameOverride": "l" * 40}, release="r" * 50)
    for kind, name in kinds(objects):
        longer = f"{name}-predictor" if kind == "InferenceService" else name
        assert len(longer) <= 63, (kind, name)


@pytest.mark.parametrize(
    "path", sorted(p for p in CHART.rglob("*.yaml") if "templates" not in p.parts), ids=lambda path: path.name
)
def test_yaml_style(path: Path) -> None:
    assert slips(path) == []


def test_every_template_has_tests() -> None:
    """A test module in the folder of the same name names the template in its first line.

    Checks and NetworkPolicies are tested together: test_values.py, templates/test_networkpolicy.py.
    """
    here = Path(__file__).parent / "templates"
    missing = []
    for file in sorted((CHART / "templates").rglob("*.yaml")):
        folder = here / file.parent.relative_to(CHART / "templates")
        heads = [test.read_text().splitlines()[0] for test in folder.glob("test_*.py")]
        together = file.name in ("checks.yaml", "networkpolicy.yaml")
        if not together and not any(file.name in head for head in heads):
            missing.append(str(file.relative_to(CHART)))
    assert missing == []

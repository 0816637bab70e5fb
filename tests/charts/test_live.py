"""The chart and k8s/ against a live API server: server-side dry runs, and an installation.

LIDLOOP_TEST_KUBECONFIG names the kubeconfig of a test cluster: a namespace is created there and removed.
Kinds whose CustomResourceDefinitions are not installed there are skipped.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.test_all import CASES
from tests.manifests.render import CHART, ROOT, VALUES, Object, kustomize, run, template

VARIABLE = "LIDLOOP_TEST_KUBECONFIG"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no kubeconfig of a cluster to test on"
    ),
]


@pytest.fixture(scope="module")
def kubeconfig() -> Path:
    """The kubeconfig."""
    return Path(os.environ[VARIABLE])


@pytest.fixture(scope="module")
def kinds(kubeconfig: Path) -> set[str]:
    """Kinds that the cluster serves."""
    said = run("kubectl", "--kubeconfig", kubeconfig, "api-resources", "--no-headers").stdout
    return {line.split()[-1] for line in said.splitlines()}


@pytest.fixture(scope="module")
def namespace(kubeconfig: Path) -> Iterator[str]:
    """A namespace with a random name that enforces "restricted", as in k8s/base."""
    name = f"lidloop-test-{secrets.token_hex(4)}"
    base = kustomize(ROOT / "k8s" / "base")
    made = next(o for o in base if o["kind"] == "Namespace")
    made["metadata"]["name"] = name
    run("kubectl", "--kubeconfig", kubeconfig, "create", "-f", "-", input=yaml.safe_dump(made))
    yield name
    run("kubectl", "--kubeconfig", kubeconfig, "delete", "namespace", name, "--wait=false")


def apply(kubeconfig: Path, objects: list[Object]) -> str:
    """Apply objects as a server-side dry run that rejects unknown fields, and return the warnings."""
    arguments = ("--kubeconfig", kubeconfig, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
    return run("kubectl", *arguments, input=yaml.safe_dump_all(objects)).stderr


@pytest.mark.parametrize(("values", "changes"), CASES)
def test_server_accepts_the_chart(
    values: str, changes: dict[str, Any], kubeconfig: Path, kinds: set[str], namespace: str
) -> None:
    objects = template(values, changes, namespace=namespace)
    known = [o for o in objects if o["kind"] in kinds]
    for item in known:
        item["metadata"]["namespace"] = namespace  # profiles of Kubeflow do not exist here
    assert {o["kind"] for o in known} >= {"NetworkPolicy", "ServiceAccount"}
    assert "Warning" not in apply(kubeconfig, known), "Pod Security warns about pods that it would reject"


@pytest.mark.parametrize("values", VALUES)
def test_helm_install_passes(values: str, kubeconfig: Path, kinds: set[str], namespace: str) -> None:
    missing = {o["kind"] for o in template(values)} - kinds
    if missing:
        pytest.skip(f"the cluster has no {', '.join(sorted(missing))}")
    arguments = ("--kubeconfig", kubeconfig, "--namespace", namespace, "--values", VALUES[values])
    said = run("helm", "install", "lidloop", CHART, "--dry-run=server", *arguments).stdout
    assert "is not a diagnosis" in said


@pytest.mark.parametrize("overlay", ["laptop", "production"])
def test_server_accepts_the_overlays(overlay: str, kubeconfig: Path, namespace: str) -> None:
    """In the test's namespace, because a dry run creates none."""
    objects = kustomize(ROOT / "k8s" / "overlays" / overlay)
    for item in objects:
        if "namespace" in item["metadata"]:
            item["metadata"]["namespace"] = namespace
    assert "Warning" not in apply(kubeconfig, objects)


def test_pods_are_admitted_and_uninstalling_leaves_the_database(kubeconfig: Path, namespace: str) -> None:
    """Controllers make every pod of the chart under "restricted"; only the trigger's volume stays."""
    where = ("--kubeconfig", kubeconfig, "--namespace", namespace)
    run("helm", "install", "lidloop", CHART, *where, "--values", VALUES["kserve-less"])
    try:
        wanted = {"lidloop-exporter": 1, "lidloop-registry": 1, "lidloop-serving": 2, "lidloop-trigger": 1}
        deadline = time.monotonic() + 60
        while (made := replicas(where)) != wanted and time.monotonic() < deadline:
            time.sleep(1)
        assert made == wanted, run("kubectl", *where, "get", "events").stdout
    finally:
        run("helm", "uninstall", "lidloop", *where, "--wait")
    kinds = "deployments,services,persistentvolumeclaims,serviceaccounts,roles,rolebindings,networkpolicies"
    left = run("kubectl", *where, "get", kinds, "--output", "name").stdout.split()
    assert left == ["persistentvolumeclaim/lidloop-trigger", "serviceaccount/default"]


def replicas(where: tuple[str | Path, ...]) -> dict[str, int]:
    """Numbers of pods that the controllers have made, by Deployment."""
    found = json.loads(run("kubectl", *where, "get", "deployments", "--output", "json").stdout)["items"]
    return {item["metadata"]["name"]: item["status"].get("replicas", 0) for item in found}

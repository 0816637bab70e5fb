"""The chart and k8s/ against a live API server: everything is admitted, and nothing is kept (dry runs).

LIDLOOP_TEST_KUBECONFIG names a kubeconfig of a cluster to write to: a namespace is made there and removed.
Kinds whose CustomResourceDefinitions are not installed there are left out, by name.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.test_all import CASES
from tests.manifests.render import CHART, ROOT, VALUES, Object, kustomize, run, template

VARIABLE = "LIDLOOP_TEST_KUBECONFIG"

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} names no kubeconfig of a cluster to test on"
)


@pytest.fixture(scope="module")
def kubeconfig() -> Path:
    """The kubeconfig."""
    return Path(os.environ[VARIABLE])


@pytest.fixture(scope="module")
def kinds(kubeconfig: Path) -> set[str]:
    """Kinds that the cluster knows."""
    said = run("kubectl", "--kubeconfig", kubeconfig, "api-resources", "--no-headers").stdout
    return {line.split()[-1] for line in said.splitlines()}


@pytest.fixture(scope="module")
def namespace(kubeconfig: Path) -> Iterator[str]:
    """A namespace that enforces "restricted", as k8s/base makes it, under a name of its own."""
    name = f"lidloop-test-{secrets.token_hex(4)}"
    base = kustomize(ROOT / "k8s" / "base")
    made = next(o for o in base if o["kind"] == "Namespace")
    made["metadata"]["name"] = name
    run("kubectl", "--kubeconfig", kubeconfig, "create", "-f", "-", input=yaml.safe_dump(made))
    yield name
    run("kubectl", "--kubeconfig", kubeconfig, "delete", "namespace", name, "--wait=false")


def apply(kubeconfig: Path, objects: list[Object]) -> str:
    """Ask the server whether it would take objects, unknown fields refused; what it warned of."""
    arguments = ("--kubeconfig", kubeconfig, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
    return run("kubectl", *arguments, input=yaml.safe_dump_all(objects)).stderr


@pytest.mark.parametrize(("values", "changes"), CASES)
def test_the_server_takes_the_chart(
    values: str, changes: dict[str, Any], kubeconfig: Path, kinds: set[str], namespace: str
) -> None:
    objects = template(values, changes, namespace=namespace)
    known = [o for o in objects if o["kind"] in kinds]
    for item in known:
        item["metadata"]["namespace"] = namespace  # profiles of Kubeflow are not made here
    assert {o["kind"] for o in known} >= {"NetworkPolicy", "ServiceAccount"}
    assert "Warning" not in apply(kubeconfig, known), "Pod Security warns of pods that it would refuse"


@pytest.mark.parametrize("values", VALUES)
def test_helm_installs_it(values: str, kubeconfig: Path, kinds: set[str], namespace: str) -> None:
    missing = {o["kind"] for o in template(values)} - kinds
    if missing:
        pytest.skip(f"the cluster has no {', '.join(sorted(missing))}")
    arguments = ("--kubeconfig", kubeconfig, "--namespace", namespace, "--values", VALUES[values])
    said = run("helm", "install", "lidloop", CHART, "--dry-run=server", *arguments).stdout
    assert "is not a diagnosis" in said


@pytest.mark.parametrize("overlay", ["laptop", "production"])
def test_the_server_takes_the_overlays(overlay: str, kubeconfig: Path, namespace: str) -> None:
    """In the test's namespace: a dry run makes no namespace that the others could be in."""
    objects = kustomize(ROOT / "k8s" / "overlays" / overlay)
    for item in objects:
        if "namespace" in item["metadata"]:
            item["metadata"]["namespace"] = namespace
    assert "Warning" not in apply(kubeconfig, objects)

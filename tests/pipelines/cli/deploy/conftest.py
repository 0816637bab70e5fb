"""`lidloop deploy` against a mock of the Kubernetes API server, and a real one if a kubeconfig is given.

A stand-in plays KServe's controller. The object store is a folder under an s3:// name; tests with a real S3
server are elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

import lidloop.storage
from components.kserve.api import ROUTES, SERVICES
from lidloop.models.bundle import seal
from lidloop.registry.registry import Registry
from lidloop.storage.local import LocalStore
from pipelines.cli.run import register
from tests.pipelines.cli.deploy.helpers import MODELS, NAME, ROOT
from tests.servers import kube_api
from tests.servers.kserve import KServe, Place

VARIABLE = "LIDLOOP_TEST_KUBECONFIG"


class Bucket(LocalStore):
    """A folder in place of a bucket."""

    def __init__(self, root: Path, address: str) -> None:
        super().__init__(root)
        self.address = address

    def __str__(self) -> str:
        return self.address

    def at(self, key: str) -> Bucket:
        return Bucket(self.root / key, f"{self.address}/{key}")


@pytest.fixture(scope="module")
def registry(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry of three versions; version 2 is the champion."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "registry").mkdir()
    shutil.copyfile(migrated, folder / "registry" / "mlflow.db")
    known = Registry(folder / "registry")
    for iteration in range(3):
        model = folder / f"model-{iteration}"
        model.mkdir()
        (model / "model.onnx").write_bytes(b"onnx %d" % iteration)
        (model / "weights.pt").write_bytes(b"weights")
        (model / "training.json").write_text(json.dumps({"iteration": iteration, "imgsz": 320}))
        arguments: dict[str, Any] = {
            "evaluation": {"iteration": iteration, "gold": {"overall": {"faces": 9, "nme_mean": 0.04}}},
            "profile": {}, "run": "r", "iteration": iteration, "dataset": "d" * 64,
            "label_version": iteration, "labels": {}, "parent": str(iteration) if iteration else None,
        }  # fmt: skip
        known.register(seal(model, folder / f"bundle-{iteration}", **arguments), run="r", iteration=iteration)
    known.promote("2", reason="a test")
    return folder / "registry"


@pytest.fixture(scope="module")
def chart_made() -> dict[str, Any]:
    """The InferenceService as the chart makes it, with a route from outside, serving version 1."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": {
            "name": NAME, "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {
            "predictor": {
                "minReplicas": 3, "maxReplicas": 3,
                "labels": {"app.kubernetes.io/component": "serving"},
                "model": {
                    "modelFormat": {"name": "lidloop", "version": "1"}, "protocolVersion": "v2",
                    "runtime": NAME, "storageUri": f"{MODELS}/1",
                    "env": [{"name": "LIDLOOP_MODEL_VERSION", "value": "1"}],
                },
            }
        },
    }  # fmt: skip


@pytest.fixture
def api() -> Iterator[kube_api.KubeApi]:
    with kube_api.running() as server:
        yield server


@pytest.fixture
def mock(api: kube_api.KubeApi, tmp_path: Path) -> Place:
    """A namespace on the mock."""
    config = api.kubeconfig(tmp_path / "kubeconfig")
    return Place(_client(config), "lidloop", config)


@pytest.fixture(scope="module")
def live_server() -> tuple[Any, Path, bool]:
    """Return an administrator's client of the real server, its kubeconfig, and True if it has HTTPRoutes."""
    import kubernetes

    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} names no kubeconfig of a cluster to test on")
    config = Path(os.environ[VARIABLE])
    client = _client(config)
    groups = {group.name for group in kubernetes.client.ApisApi(client).get_api_versions().groups}
    return client, config, ROUTES[0].split("/")[2] in groups


@pytest.fixture
def live(live_server: tuple[Any, Path, bool], tmp_path: Path) -> Iterator[Place]:
    """Yield a namespace of the real server; the deployer has the Role of docs/DEPLOY.md."""
    import kubernetes

    client, config, has_routes = live_server
    core, rbac = kubernetes.client.CoreV1Api(client), kubernetes.client.RbacAuthorizationV1Api(client)
    namespace = f"lidloop-test-{secrets.token_hex(4)}"
    core.create_namespace({"metadata": {"name": namespace}})
    try:
        core.create_namespaced_service_account(namespace, {"metadata": {"name": "deployer"}})
        text = (ROOT / "docs" / "DEPLOY.md").read_text()
        role = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
        rbac.create_namespaced_role(namespace, role)
        subject = {"kind": "ServiceAccount", "name": "deployer", "namespace": namespace}
        reference = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": role["metadata"]["name"],
        }
        binding = {"metadata": {"name": "deployer"}, "roleRef": reference, "subjects": [subject]}
        rbac.create_namespaced_role_binding(namespace, binding)
        token = core.create_namespaced_service_account_token("deployer", namespace, {"spec": {}}).status.token
        own = yaml.safe_load(config.read_text())
        context = next(c for c in own["contexts"] if c["name"] == own["current-context"])["context"]
        own["users"] = [{"name": "deployer", "user": {"token": token}}]
        context |= {"user": "deployer", "namespace": namespace}
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(own))
        yield Place(client, namespace, tmp_path / "kubeconfig", has_routes)
    finally:
        core.delete_namespace(namespace)


@pytest.fixture(params=["mock", "live"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of the two API servers."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def kserve(place: Place, chart_made: dict[str, Any]) -> Iterator[KServe]:
    """Yield the running stand-in, with the chart's InferenceService serving version 1."""
    place.call("POST", SERVICES, body=chart_made)
    with KServe(place).running() as standin:
        yield standin


@pytest.fixture
def lidloop_(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs `lidloop deploy …` in a namespace."""
    app = typer.Typer()
    register(app)
    monkeypatch.setattr(lidloop.storage, "open_store", lambda address: Bucket(tmp_path / "bucket", address))
    monkeypatch.setattr("components.kserve.rollout.EVERY", 0.02)

    def run(place: Place, *words: str, timeout: float = 20) -> Result:
        arguments = ["deploy", *words, "--kubeconfig", str(place.kubeconfig)]
        if words[:1] != ("status",) and "--help" not in words:
            arguments += ["--timeout", str(timeout)]
        environment = {"LIDLOOP_MODELS": MODELS, "LIDLOOP_REGISTRY": str(registry), "COLUMNS": "200"}
        return CliRunner().invoke(app, arguments, env=environment)

    return run


def _client(config: Path) -> Any:
    import kubernetes

    settings = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(config), client_configuration=settings)
    return kubernetes.client.ApiClient(settings)


@pytest.fixture
def ready(mock: Place, chart_made: dict[str, Any]) -> Iterator[KServe]:
    """Like ``kserve``, on the mock only: for failures that a real server does not produce on demand."""
    mock.call("POST", SERVICES, body=chart_made)
    with KServe(mock).running() as standin:
        yield standin

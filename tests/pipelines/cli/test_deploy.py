"""`lidloop deploy` against a mock of the Kubernetes API server, and a real one if a kubeconfig is given.

A stand-in plays KServe's controller. The object store is a folder under an s3:// name; tests with a real S3
server are elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

pytest.importorskip("mlflow")
kubernetes = pytest.importorskip("kubernetes")

import lidloop.storage  # noqa: E402
from components.kserve.api import ROUTES, SERVICES  # noqa: E402
from components.kserve.state import PREFIX  # noqa: E402
from lidloop.errors import LidloopError  # noqa: E402
from lidloop.models.bundle import seal  # noqa: E402
from lidloop.registry.registry import Registry  # noqa: E402
from lidloop.storage.local import LocalStore  # noqa: E402
from pipelines.cli.run import register  # noqa: E402
from tests.servers import kube_api  # noqa: E402
from tests.servers.kserve import KServe, Place  # noqa: E402

VARIABLE = "LIDLOOP_TEST_KUBECONFIG"
ROOT = Path(__file__).parents[3]
MODELS = "s3://hospital/models/lidloop"
NAME = "lidloop-serving"


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
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry of three versions; version 2 is the champion."""
    folder = tmp_path_factory.mktemp("registry")
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
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} names no kubeconfig of a cluster to test on")
    config = Path(os.environ[VARIABLE])
    client = _client(config)
    groups = {group.name for group in kubernetes.client.ApisApi(client).get_api_versions().groups}
    return client, config, ROUTES[0].split("/")[2] in groups


@pytest.fixture
def live(live_server: tuple[Any, Path, bool], tmp_path: Path) -> Iterator[Place]:
    """Yield a namespace of the real server; the deployer has the Role of docs/DEPLOY.md."""
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
    settings = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(config), client_configuration=settings)
    return kubernetes.client.ApiClient(settings)


def done(result: Result) -> str:
    """Return the output of a command that succeeded."""
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def refused(result: Result) -> str:
    """Return the message of a command that failed with a LidloopError."""
    assert isinstance(result.exception, LidloopError), (result.output, result.exception)
    return str(result.exception)


def serves(place: Place) -> dict[str, Any]:
    """Return address and version of the InferenceService's model, and its canary."""
    spec = place.service()["spec"]
    notes = place.service()["metadata"]["annotations"]
    model = spec["predictor"]["model"]
    found = {"uri": model["storageUri"].removeprefix(MODELS), "version": notes.get(PREFIX + "version")}
    if spec.get("canary"):
        entry = spec["canary"][0]
        found["canary"] = (
            entry["predictor"]["model"]["storageUri"].removeprefix(MODELS), entry["trafficPercent"]
        )  # fmt: skip
    return found


def test_deploy_changes_the_model_and_no_other_field(
    place: Place, kserve: KServe, lidloop_: Callable[..., Result], registry: Path, tmp_path: Path
) -> None:
    before = place.service()
    said = done(lidloop_(place))
    assert f"version 2: pushed to {MODELS}/2" in said
    assert "version 2 serves" in said
    item = place.service()
    version = Registry(registry).get("2")
    assert item["metadata"]["annotations"][PREFIX + "digest"] == version.bundle
    assert (tmp_path / "bucket" / "2" / "bundle.json").is_file()
    model = item["spec"]["predictor"].pop("model")
    assert model.pop("env") == [{"name": "LIDLOOP_MODEL_VERSION", "value": "2"}]
    was = before["spec"]["predictor"].pop("model")
    assert was.pop("env") == [{"name": "LIDLOOP_MODEL_VERSION", "value": "1"}]
    assert model == was | {"storageUri": f"{MODELS}/2"}
    assert item["spec"] == before["spec"], "all else is the chart's"
    assert item["metadata"]["labels"] == before["metadata"]["labels"]
    assert item["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"


def test_deploying_the_served_model_again_changes_nothing(
    place: Place, kserve: KServe, lidloop_: Callable[..., Result]
) -> None:
    done(lidloop_(place))
    before = place.service()["metadata"]
    said = done(lidloop_(place, "--json"))
    assert "is in the store already" in said
    assert json.loads(said[said.index("{") :])["changed"] is False
    assert place.service()["metadata"]["generation"] == before["generation"]
    assert place.service()["metadata"]["annotations"] == before["annotations"]


def test_deploying_the_model_of_the_chart_changes_nothing(
    place: Place, kserve: KServe, lidloop_: Callable[..., Result]
) -> None:
    assert "version 1 serves already" in done(lidloop_(place, "--version", "1"))
    assert place.service()["metadata"]["generation"] == 1


def test_canary_promote_rollback(place: Place, kserve: KServe, lidloop_: Callable[..., Result]) -> None:
    share = 10 if place.has_routes else 0
    done(lidloop_(place))
    said = done(lidloop_(place, "--version", "3", "--canary", str(share)))
    assert f"{NAME}-v3-predictor" in said
    assert serves(place) == {"uri": "/2", "version": "2", "canary": ("/3", share)}
    entry = place.service()["spec"]["canary"][0]["predictor"]
    assert entry["model"]["runtime"] == NAME
    assert entry["model"]["env"] == [{"name": "LIDLOOP_MODEL_VERSION", "value": "3"}]
    if place.has_routes:
        backends = place.call("GET", ROUTES, f"{NAME}-predictor")["spec"]["rules"][0]["backendRefs"]
        assert {b["name"]: b["weight"] for b in backends} == {
            f"{NAME}-predictor": 90,
            f"{NAME}-v3-predictor": 10,
        }
        done(lidloop_(place, "--version", "3", "--canary", "50"))
        assert serves(place)["canary"] == ("/3", 50)
    assert "a canary, version 3, runs" in refused(lidloop_(place, "--version", "1"))
    assert "canary, " in done(lidloop_(place, "status"))
    assert "version 3 serves; its canary is gone" in done(lidloop_(place, "promote"))
    assert serves(place) == {"uri": "/3", "version": "3"}
    assert "version 2 serves again" in done(lidloop_(place, "rollback"))
    assert "version 1 serves again" in done(lidloop_(place, "rollback"))
    assert "no model before version 1" in refused(lidloop_(place, "rollback"))
    assert serves(place) == {"uri": "/1", "version": "1"}


def test_a_canary_is_rolled_back(place: Place, kserve: KServe, lidloop_: Callable[..., Result]) -> None:
    before = place.service()
    done(lidloop_(place, "--canary", "0"))
    assert "the canary, version 2, is gone; version 1 serves" in done(lidloop_(place, "rollback"))
    after = place.service()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"], (
        "unchanged, so no pod restarts"
    )


@pytest.mark.parametrize("words", [(), ("--canary", "0")], ids=["deploy", "canary"])
def test_a_model_that_does_not_become_ready_is_undone(
    words: tuple[str, ...], place: Place, kserve: KServe, lidloop_: Callable[..., Result]
) -> None:
    before = place.service()
    kserve.never.add(f"{MODELS}/2")
    said = refused(lidloop_(place, *words, timeout=1))
    assert "version 2 did not become ready (0 of 1 new pods ready, after 1 s)" in said
    assert "version 1 serves as before" in said
    after = place.service()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]


def test_a_model_that_cannot_be_loaded_is_undone_at_once(
    place: Place, kserve: KServe, lidloop_: Callable[..., Result]
) -> None:
    kserve.broken[f"{MODELS}/2"] = "the bundle's digest is wrong"
    said = refused(lidloop_(place, timeout=60))
    assert "version 2 did not become ready (the bundle's digest is wrong); version 1 serves" in said
    assert serves(place) == {"uri": "/1", "version": None}


def test_a_promotion_that_fails_leaves_the_canary(
    place: Place, kserve: KServe, lidloop_: Callable[..., Result]
) -> None:
    done(lidloop_(place, "--canary", "0"))
    kserve.never.add(f"{MODELS}/2")
    refused(lidloop_(place, "promote", timeout=1))
    assert serves(place) == {"uri": "/1", "version": None, "canary": ("/2", 0)}


def test_a_dry_run_shows_the_difference_and_changes_nothing(
    place: Place, kserve: KServe, lidloop_: Callable[..., Result], tmp_path: Path
) -> None:
    before = place.service()["metadata"]["generation"]
    said = done(lidloop_(place, "--dry-run"))
    assert f"-      storageUri: {MODELS}/1" in said
    assert f"+      storageUri: {MODELS}/2" in said
    assert f"+    {PREFIX}version: '2'" in said
    assert "managedFields" not in said
    assert place.service()["metadata"]["generation"] == before
    assert not (tmp_path / "bucket").exists(), "nothing is pushed"
    assert "nothing would change" in done(lidloop_(place, "--dry-run", "--version", "1"))


def test_without_an_inference_service_nothing_is_pushed(
    mock: Place, lidloop_: Callable[..., Result], tmp_path: Path
) -> None:
    said = refused(lidloop_(mock))
    assert f"there is no InferenceService {NAME} in namespace lidloop" in said
    assert "--create" in said
    assert not (tmp_path / "bucket").exists()
    assert "--keys-secret" in refused(lidloop_(mock, "--create"))


def test_create_makes_runtime_and_service_once(mock: Place, lidloop_: Callable[..., Result]) -> None:
    words = ("--create", "--keys-secret", "lidloop-keys", "--service-account", "lidloop-serving")
    assert "+kind: ServingRuntime" in done(lidloop_(mock, *words, "--dry-run"))
    assert mock.service() is None
    with KServe(mock).running():
        assert "at the new InferenceService" in done(lidloop_(mock, *words))
        item = mock.service()
        assert item["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
        runtime = mock.call("GET", ("/apis/serving.kserve.io/v1alpha1", "servingruntimes"), NAME)
        container = runtime["spec"]["containers"][0]
        assert container["name"] == "kserve-container"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert runtime["spec"]["protocolVersions"] == ["v2"]
        assert "version 2 serves already" in done(lidloop_(mock, *words))
        assert "version 3 serves" in done(lidloop_(mock, "--version", "3"))
        assert serves(mock) == {"uri": "/3", "version": "3"}


def test_a_canary_gets_its_share_when_it_is_ready(
    api: kube_api.KubeApi,
    mock: Place,
    ready: KServe,
    lidloop_: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares: list[tuple[int, bool]] = []
    apply = api.apply

    def noting(key: Any, body: Any, *rest: Any) -> Any:
        there = api.objects.get((key[0], "deployments", f"{NAME}-v2-predictor"))
        answer = apply(key, body, *rest)
        shares.append((body["spec"]["canary"][0]["trafficPercent"], there is not None))
        return answer

    monkeypatch.setattr(api, "apply", noting)
    done(lidloop_(mock, "--canary", "10"))
    assert shares == [(0, False), (10, True)]


def test_a_canary_without_a_route_is_undone(
    mock: Place, chart_made: dict[str, Any], lidloop_: Callable[..., Result]
) -> None:
    mock.call("POST", SERVICES, body=chart_made)
    standin = KServe(mock, no_routes=True)
    with standin.running():
        said = refused(lidloop_(mock, "--canary", "10", timeout=1))
    assert "no HTTPRoute gives the canary its share" in said
    assert serves(mock) == {"uri": "/1", "version": None}


def test_a_canary_share_of_a_cluster_local_service_is_rejected(
    mock: Place, chart_made: dict[str, Any], lidloop_: Callable[..., Result]
) -> None:
    labels = {"networking.kserve.io/visibility": "cluster-local"}
    mock.call("POST", SERVICES, body=chart_made | {"metadata": {**chart_made["metadata"], "labels": labels}})
    assert "labelled cluster-local" in refused(lidloop_(mock, "--canary", "10"))


@pytest.fixture
def ready(mock: Place, chart_made: dict[str, Any]) -> Iterator[KServe]:
    """Like ``kserve``, on the mock only: for failures that a real server does not produce on demand."""
    mock.call("POST", SERVICES, body=chart_made)
    with KServe(mock).running() as standin:
        yield standin


@pytest.mark.parametrize(
    ("verb", "resource", "why"),
    [
        ("get", "inferenceservices", "the service cannot be read"),
        ("patch", "inferenceservices", "the service cannot be changed"),
        ("get", "deployments", "readiness cannot be read"),
    ],
)
def test_missing_permissions_change_nothing(
    verb: str, resource: str, why: str, api: kube_api.KubeApi, mock: Place, chart_made: dict[str, Any],
    lidloop_: Callable[..., Result],
) -> None:  # fmt: skip
    mock.call("POST", SERVICES, body=chart_made)
    api.forbidden = {(verb, resource)}
    said = refused(lidloop_(mock))
    assert f"User cannot {verb} it" in said
    assert "docs/DEPLOY.md has the Role" in said
    api.forbidden = set()
    assert serves(mock) == {"uri": "/1", "version": None}, why


def test_an_unreachable_api_server_is_named(
    mock: Place, tmp_path: Path, lidloop_: Callable[..., Result]
) -> None:
    config = yaml.safe_load(mock.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    mock.kubeconfig.write_text(yaml.safe_dump(config))
    assert "the API server http://127.0.0.1:1 cannot be reached" in refused(lidloop_(mock))


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda api, config: api.kubeconfig(config, token="wrong"), "(401)"),
        (lambda api, config: api.absent.add("inferenceservices"), "KServe is not installed"),
        (lambda api, config: setattr(api, "broken", 9), "cannot answer now"),
        (lambda api, config: config.write_text("clusters: ["), "no cluster is configured"),
        (lambda api, config: config.unlink(), "no cluster is configured"),
    ],
    ids=["wrong token", "no KServe", "503", "broken kubeconfig", "no kubeconfig"],
)
def test_errors_of_cluster_and_kubeconfig_are_named(
    prepare: Any, message: str, api: kube_api.KubeApi, mock: Place, lidloop_: Callable[..., Result]
) -> None:
    prepare(api, mock.kubeconfig)
    assert message in refused(lidloop_(mock))


def test_waiting_survives_a_restart_of_the_api_server(
    api: kube_api.KubeApi,
    mock: Place,
    ready: KServe,
    lidloop_: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change was applied: a restart of the server must not end the wait."""
    apply = api.apply

    def then_away(*arguments: Any) -> Any:
        answer = apply(*arguments)
        api.broken = 3
        return answer

    monkeypatch.setattr(api, "apply", then_away)
    assert "cannot answer now" in done(lidloop_(mock))
    assert serves(mock)["uri"] == "/2"


def test_an_api_server_that_stays_away_is_reported(
    api: kube_api.KubeApi,
    mock: Place,
    ready: KServe,
    lidloop_: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apply = api.apply

    def then_away(*arguments: Any) -> Any:
        answer = apply(*arguments)
        api.broken = 10**9
        return answer

    monkeypatch.setattr(api, "apply", then_away)
    said = refused(lidloop_(mock, timeout=1))
    api.broken = 0
    assert "version 2 did not become ready" in said
    assert "the change could not be undone: the API server cannot answer now" in said


def test_fields_of_another_manager_need_force(
    mock: Place, chart_made: dict[str, Any], lidloop_: Callable[..., Result]
) -> None:
    mock.call("POST", SERVICES, body=chart_made, manager="argocd-controller")
    with KServe(mock).running():
        said = refused(lidloop_(mock))
        assert "argocd-controller sets the model" in said
        assert serves(mock) == {"uri": "/1", "version": None}
        done(lidloop_(mock, "--force"))
        assert serves(mock) == {"uri": "/2", "version": "2"}


def test_a_status_that_changes_meanwhile_is_no_conflict(
    api: kube_api.KubeApi, mock: Place, ready: KServe, lidloop_: Callable[..., Result]
) -> None:
    api.touches = 3
    done(lidloop_(mock))
    assert serves(mock) == {"uri": "/2", "version": "2"}


def test_a_concurrent_deployment_is_reported_and_not_undone(
    api: kube_api.KubeApi,
    mock: Place,
    ready: KServe,
    lidloop_: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another client changes the object between the change and the wait."""
    apply = api.apply

    def overtaken(key: Any, *arguments: Any) -> Any:
        answer = apply(key, *arguments)
        api.merge(key, {"spec": {"predictor": {"model": {"storageUri": f"{MODELS}/9"}}}}, "")
        return answer

    monkeypatch.setattr(api, "apply", overtaken)
    assert "was changed by another client" in refused(lidloop_(mock))
    assert serves(mock)["uri"] == "/9"


def test_fields_changed_by_a_webhook_are_reported(
    api: kube_api.KubeApi,
    mock: Place,
    ready: KServe,
    lidloop_: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server answers with another model than applied, as a mutating webhook may."""
    apply = api.apply

    def other(key: Any, body: Any, *rest: Any) -> Any:
        body["spec"]["predictor"]["model"]["storageUri"] = f"{MODELS}/1"
        return apply(key, body, *rest)

    monkeypatch.setattr(api, "apply", other)
    assert "did not keep the applied fields" in refused(lidloop_(mock))


def test_annotations_are_ignored_after_helm_resets_the_model(
    mock: Place, ready: KServe, lidloop_: Callable[..., Result]
) -> None:
    done(lidloop_(mock))
    values = {"storageUri": f"{MODELS}/1", "env": [{"name": "LIDLOOP_MODEL_VERSION", "value": "1"}]}
    mock.call("PATCH", SERVICES, NAME, {"spec": {"predictor": {"model": values}}})
    said = json.loads(done(lidloop_(mock, "status", "--json")))
    assert said["stable"] == {"version": "1", "uri": f"{MODELS}/1", "digest": ""}
    assert said["earlier"] == []
    done(lidloop_(mock))
    assert serves(mock) == {"uri": "/2", "version": "2"}


def test_an_old_kserve_has_no_canary(
    api: kube_api.KubeApi,
    mock: Place,
    ready: KServe,
    lidloop_: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def old(*_: Any) -> Any:
        raise kube_api.Refused(
            500, "", "failed to create typed patch object: .spec.canary: field not declared in schema"
        )

    monkeypatch.setattr(api, "apply", old)
    assert "KServe 0.20" in refused(lidloop_(mock, "--canary", "10"))


def test_address_and_version_are_checked(mock: Place, ready: KServe, lidloop_: Callable[..., Result]) -> None:
    assert "KServe reads models from s3://" in refused(lidloop_(mock, "--models", "runs/models"))
    assert "no version '9'" in refused(lidloop_(mock, "--version", "9"))


def test_the_deploy_step(
    registry: Path, ready: KServe, mock: Place, lidloop_: Callable[..., Result], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The component runs as in a pod, with a kubeconfig instead of the pod's own access."""
    from components.deploy import deploy

    monkeypatch.setenv("KUBECONFIG", str(mock.kubeconfig))
    record = SimpleNamespace(path=str(tmp_path / "record.json"))
    given = {"registry": str(registry), "models": MODELS, "service": NAME, "namespace": "lidloop"}
    deploy.python_func(**given, record=record)
    made = json.loads(Path(record.path).read_text())
    assert (made["stable"]["version"], made["changed"]) == ("2", True)
    assert "lidloop [deploy] INFO version 2 serves" in capsys.readouterr().err
    deploy.python_func(**given, record=record)
    assert json.loads(Path(record.path).read_text())["changed"] is False
    with pytest.raises(SystemExit):
        deploy.python_func(**given | {"service": "another"}, record=record)
    assert "ERROR DeployError: there is no InferenceService another" in capsys.readouterr().err

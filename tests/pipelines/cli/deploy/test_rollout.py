"""Deploy, canary, promote and roll back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

pytest.importorskip("mlflow")
pytest.importorskip("kubernetes")

from components.kserve.api import ROUTES, SERVICES
from components.kserve.state import PREFIX
from lidloop.registry.registry import Registry
from tests.pipelines.cli.deploy.helpers import MODELS, NAME, done, refused, serves
from tests.servers import kube_api
from tests.servers.kserve import KServe, Place


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

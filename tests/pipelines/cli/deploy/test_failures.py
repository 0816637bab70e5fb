"""Missing permissions, unreachable servers and concurrent changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

pytest.importorskip("mlflow")
pytest.importorskip("kubernetes")

from components.kserve.api import SERVICES
from tests.pipelines.cli.deploy.helpers import MODELS, done, refused, serves
from tests.servers import kube_api
from tests.servers.kserve import KServe, Place


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

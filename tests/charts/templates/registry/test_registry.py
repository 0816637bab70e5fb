"""templates/registry: configmap.yaml, deployment.yaml, ingress.yaml, service.yaml, serviceaccount.yaml."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest

from tests.manifests.pods import env
from tests.manifests.render import CHART, Object, one, template


def pod(changes: dict[str, Any] | None = None) -> Object:
    """Spec of the registry's pod."""
    spec: Object = one(template("production", changes), "Deployment", "lidloop-registry")["spec"]["template"][
        "spec"
    ]
    return spec


def test_registry_requires_authentication() -> None:
    [server] = pod()["containers"]
    assert server["command"] == ["mlflow", "server"]
    assert server["args"][:2] == ["--app-name", "basic-auth"]
    variables = env(server)
    for name, key in (
        ("MLFLOW_AUTH_ADMIN_USERNAME", "username"),
        ("MLFLOW_AUTH_ADMIN_PASSWORD", "password"),
        ("MLFLOW_FLASK_SERVER_SECRET_KEY", "session-key"),
    ):
        assert variables[name] == {"secretKeyRef": {"name": "lidloop-registry-admin", "key": key}}


def test_database_and_artifact_settings() -> None:
    spec = pod()
    [migrate], [server] = spec["initContainers"], spec["containers"]
    uri = {"secretKeyRef": {"name": "lidloop-registry-database", "key": "uri"}}
    assert env(migrate)["MLFLOW_BACKEND_STORE_URI"] == uri
    assert env(migrate)["LIDLOOP_AUTH_DATABASE"] == uri
    assert env(server)["MLFLOW_BACKEND_STORE_URI"] == uri
    assert env(server)["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://lidloop/registry"
    assert env(server)["MLFLOW_SERVE_ARTIFACTS"] == "true"
    assert env(server)["AWS_ENDPOINT_URL"] == "https://s3.example.org"
    assert env(migrate)["LIDLOOP_DEFAULT_PERMISSION"] == "NO_PERMISSIONS"
    assert env(migrate)["MLFLOW_AUTH_CONFIG_PATH"] == env(server)["MLFLOW_AUTH_CONFIG_PATH"]
    assert migrate["image"] == server["image"]


def test_separate_database_of_users() -> None:
    [migrate] = pod({"registry": {"database": {"authKey": "users"}}})["initContainers"]
    assert env(migrate)["LIDLOOP_AUTH_DATABASE"]["secretKeyRef"]["key"] == "users"


def test_migration_has_no_store_keys_and_server_has_no_script() -> None:
    spec = pod()
    assert not [name for name in env(spec["initContainers"][0]) if name.startswith("AWS_")]
    assert "prepare" not in {m["name"] for m in spec["containers"][0]["volumeMounts"]}


def test_password_file_is_in_memory() -> None:
    [volume] = [v for v in pod()["volumes"] if v["name"] == "auth"]
    assert volume["emptyDir"]["medium"] == "Memory"


def test_registry_runs_once() -> None:
    spec = one(template("production"), "Deployment", "lidloop-registry")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_script_is_the_file_of_the_chart() -> None:
    data = one(template("production"), "ConfigMap", "lidloop-registry")["data"]
    assert data["prepare.py"].strip() == (CHART / "files" / "prepare.py").read_text().strip()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("lidloop-registry.lidloop.svc", True),
        ("lidloop-registry.lidloop.svc.cluster.local:80", True),
        ("lidloop-registry:5000", True),
        ("127.0.0.1:5000", True),
        ("registry.example.org", True),
        ("more.example.org", True),
        ("evil.example.org", False),
        ("lidloop-registry.other.svc", False),
    ],
)
def test_accepted_hosts(host: str, expected: bool) -> None:
    changes = {
        "registry": {
            "allowedHosts": ["more.example.org"],
            "ingress": {"enabled": True, "host": "registry.example.org", "tlsSecret": "t"},
        }
    }
    hosts = env(pod(changes)["containers"][0])["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert any(fnmatch.fnmatch(host, given) for given in hosts) is expected


def test_service_and_ingress_lead_to_the_pod() -> None:
    changes = {"registry": {"ingress": {"enabled": True, "host": "r.example.org", "tlsSecret": "t"}}}
    objects = template("production", changes)
    service = one(objects, "Service", "lidloop-registry")
    pod = one(objects, "Deployment", "lidloop-registry")["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    ingress = one(objects, "Ingress", "lidloop-registry")["spec"]
    assert ingress["tls"] == [{"hosts": ["r.example.org"], "secretName": "t"}]
    [path] = ingress["rules"][0]["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/", "Prefix")


def test_private_ca_of_the_object_store() -> None:
    [server] = pod()["containers"]
    assert env(server)["AWS_CA_BUNDLE"] == "/etc/lidloop/ca/ca.crt"
    assert "/etc/lidloop/ca" in {m["mountPath"] for m in server["volumeMounts"]}
    [plain] = pod({"objectStore": {"caConfigMap": ""}})["containers"]
    assert "AWS_CA_BUNDLE" not in env(plain)


def test_private_ca_of_postgres() -> None:
    spec = pod({"registry": {"database": {"caConfigMap": "pg"}}})
    for container in (*spec["initContainers"], *spec["containers"]):
        assert "/etc/lidloop/database-ca" in {m["mountPath"] for m in container["volumeMounts"]}
    assert {"name": "database-ca", "configMap": {"name": "pg"}} in spec["volumes"]
    assert "database-ca" not in str(pod())


def test_minimal_values_have_no_registry() -> None:
    assert not [o for o in template("minimal") if "registry" in o["metadata"]["name"]]

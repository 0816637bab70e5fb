"""The registry's pod as rendered by the chart, executed as local processes: init container, server, exporter.

The database is Postgres and the object store a real S3 server if their programs are installed, else files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from lidloop.errors import RegistryError
from lidloop.models.bundle import Bundle
from lidloop.registry.registry import Registry
from tests.manifests.process import Pod
from tests.manifests.render import CHART, ROOT, one, template
from tests.servers import postgres
from tests.servers.processes import free_port
from tests.servers.rclone import Rclone
from tests.servers.rgw import Rgw

pytest.importorskip("flask_wtf", reason="MLflow's authentication is not installed")

ENDPOINT = "https://s3.example.org"
ADMIN = ("admin", "correct horse battery")
NOT_PROTECTED = re.compile(r"/health|/version|/static.*|/favicon.*|/(ajax-)?api/3\.0/mlflow/server-info")
"""Routes without authentication, which reveal nothing of the registry's content."""


@pytest.fixture(scope="module")
def pod(
    tmp_path_factory: pytest.TempPathFactory,
    object_store: Rgw | Rclone,
    store_keys: dict[str, str],
) -> Iterator[Pod]:
    """The registry's pod and its database."""
    folder = tmp_path_factory.mktemp("registry")
    changes = {
        "objectStore": {"endpoint": object_store.endpoint},
        "registry": {
            "artifacts": "s3://registry/bundles",
            "workers": 1,
            "auth": {"defaultPermission": "NO_PERMISSIONS"},
        },
    }
    objects = template("kserve-less", changes)
    spec = one(objects, "Deployment", "lidloop-registry")["spec"]["template"]["spec"]
    moved = {"0.0.0.0": "127.0.0.1", "5000": str(free_port())}
    with postgres.running() if not postgres.missing() else nullcontext(f"sqlite:///{folder}/store.db") as uri:
        secrets = {
            "lidloop-registry-database": {"uri": uri},
            "lidloop-registry-admin": {"username": ADMIN[0], "password": ADMIN[1], "session-key": "k" * 32},
            "lidloop-s3": store_keys,
        }
        made = Pod(spec, secrets, folder, moved)
        script = one(objects, "ConfigMap", "lidloop-registry")["data"]["prepare.py"]
        (folder / "prepare" / "prepare.py").write_text(script)
        yield made


@pytest.fixture(scope="module")
def prepared(pod: Pod) -> Pod:
    """The pod after its init container."""
    [migrate] = pod.spec["initContainers"]
    done = pod.run(migrate)
    assert done.returncode == 0, done.stderr
    return pod


LIST_ROUTES = """
import json, sys
from mlflow.server import app as flask
from mlflow.server.auth import create_app

found = set()
for route in create_app().routes:
    found |= {(method, route.path) for method in getattr(route, "methods", None) or ()}
found |= {(method, rule.rule) for rule in flask.url_map.iter_rules() for method in rule.methods}
json.dump(sorted(found), sys.stdout)
"""
"""Script that lists every route of MLflow's server with authentication: FastAPI's and Flask's."""


@pytest.fixture(scope="module")
def listing(prepared: Pod) -> subprocess.Popen[str]:
    """Process that lists the routes while the server starts; it has a database of users of its own."""
    settings = prepared.folder / "listing.ini"
    settings.write_text(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{settings}.db\n")
    environment = prepared.environment(prepared.spec["containers"][0]) | {
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
    }
    return subprocess.Popen(
        [sys.executable, "-c", LIST_ROUTES],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def url(prepared: Pod, listing: subprocess.Popen[str]) -> Iterator[str]:
    """URL of the server."""
    with prepared.serving(prepared.spec["containers"][0], int(prepared.moved["5000"])) as address:
        yield address


@pytest.fixture(scope="module")
def routes(listing: subprocess.Popen[str], url: str) -> list[tuple[str, str]]:
    """Method and path of every route, with a value for each parameter."""
    out, said = listing.communicate(timeout=120)
    assert listing.returncode == 0, said
    found = [(method, re.sub(r"<[^>]*>|\{[^}]*\}", "1", path)) for method, path in json.loads(out)]
    return [(method, path) for method, path in found if method not in ("HEAD", "OPTIONS")]


def test_auth_settings_are_readable_by_their_owner_only(prepared: Pod) -> None:
    path = prepared.folder / "auth" / "auth.ini"
    assert path.stat().st_mode & 0o777 == 0o600


def test_database_password_is_in_no_command_line_and_no_log(prepared: Pod) -> None:
    uri = prepared.secrets["lidloop-registry-database"]["uri"]
    for container in (*prepared.spec["initContainers"], *prepared.spec["containers"]):
        assert not any(uri in word for word in prepared.command(container))
    if "@" in uri:
        done = prepared.run(prepared.spec["initContainers"][0])  # a restart of the pod
        assert done.returncode == 0, done.stderr
        assert postgres.PASSWORD not in done.stdout + done.stderr
        assert uri.split(":")[2].split("@")[0] not in done.stdout + done.stderr


def test_every_route_requires_credentials(url: str, routes: list[tuple[str, str]]) -> None:
    assert len(routes) > 200
    with httpx.Client(base_url=url, timeout=30) as client:
        answers = {(m, p): client.request(m, p).status_code for m, p in routes}
        wrong = {(m, p): client.request(m, p, auth=("admin", "wrong")).status_code for m, p in routes[::20]}
    opened = {path for (_, path), status in answers.items() if status != 401}
    assert {path for path in opened if not NOT_PROTECTED.fullmatch(path)} == set()
    assert {path for (_, path), status in wrong.items() if status != 401} <= opened


def test_unknown_host_header_is_rejected(url: str) -> None:
    """Protection against DNS rebinding."""
    path = "/api/2.0/mlflow/registered-models/search"
    assert httpx.get(url + path, auth=ADMIN, headers={"Host": "evil.example.org"}).status_code == 403
    assert (
        httpx.get(url + path, auth=ADMIN, headers={"Host": "lidloop-registry.lidloop.svc"}).status_code == 200
    )


KUBECTL = """
kubectl() {
    case "$*" in
    *"get secret"*) printf %s "$PASSWORD" | base64 ;;
    *"create secret generic lidloop-registry-"*) printf '%s\\n' "$@" ;;
    esac
}
"""
"""Replacement of kubectl: prints the administrator's password, and the arguments of created Secrets."""


@pytest.fixture(scope="module")
def users(url: str) -> dict[str, dict[str, str]]:
    """Users of the registry, created with permissions by the commands of docs/INSTALL.md."""
    for program in ("bash", "curl", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"docs/INSTALL.md needs {program}, which is not here")
    text = (ROOT / "docs" / "INSTALL.md").read_text()
    [section] = re.findall(r"^## \d+\. Users of the registry\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    blocks = "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    script = "set -eu\n" + KUBECTL + blocks.replace("http://127.0.0.1:5000", url)
    environment = {**os.environ, "PASSWORD": ADMIN[1]}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, str]] = {}
    for line in done.stdout.splitlines():
        if line.startswith("lidloop-registry-"):
            found[line] = made = {}
        elif line.startswith("--from-literal="):
            key, _, content = line.removeprefix("--from-literal=").partition("=")
            made[key] = content
    return found


def test_client_registers_promotes_and_downloads_a_version(
    users: dict[str, dict[str, str]],
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seal_model: Callable[[Path], Bundle],
) -> None:
    """As the user of runs, without a key of the object store."""
    model = tmp_path / "model"
    model.mkdir()
    for name in ("model.onnx", "weights.pt"):
        (model / name).write_bytes(name.encode())
    for name, content in users["lidloop-registry-user"].items():
        monkeypatch.setenv(name, content)
    registry = Registry(url)
    made = seal_model(model)
    version = registry.register(made, run="r", iteration=0)
    registry.promote(version.version, reason="a test")
    assert Registry(url).get("champion").model == made.model_digest
    assert Registry(url).download("champion", tmp_path / "out").digest == made.digest


def test_exporter_reads_the_registry_with_a_read_only_user(
    pod: Pod, users: dict[str, dict[str, str]], url: str, tmp_path: Path
) -> None:
    reader = users["lidloop-registry-reader"]
    changes = {"exporter": {"pipelines": False}}
    spec = one(template("kserve-less", changes), "Deployment", "lidloop-exporter")["spec"]["template"]["spec"]
    [container] = spec["containers"]
    port = free_port()
    moved = {
        "--registry=http://lidloop-registry.lidloop.svc": f"--registry={url}",
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=9108": f"--port={port}",
    }
    exporter = Pod(spec, users, tmp_path, moved)
    with exporter.serving(container, port) as address:
        for kind in ("livenessProbe", "startupProbe"):
            assert httpx.get(address + container[kind]["httpGet"]["path"]).status_code == 200
        metrics = httpx.get(f"{address}/metrics").text
    assert 'lidloop_exporter_source_up{source="registry"} 1.0' in metrics
    assert "lidloop_champion_info{" in metrics
    create = f"{url}/api/2.0/mlflow/registered-models/set-tag"
    body = {"name": "lidloop", "key": "a", "value": "b"}
    assert httpx.post(create, json=body, auth=(reader["username"], reader["password"])).status_code == 403


def test_client_without_a_password_is_rejected(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD", raising=False)
    with pytest.raises(RegistryError):
        Registry(url).versions()


def test_unreachable_database_fails_without_showing_the_password(pod: Pod, tmp_path: Path) -> None:
    """The init container exits with 1, so Kubernetes restarts it."""
    uri = f"postgresql+psycopg://u:{'hidden'}@127.0.0.1:{free_port()}/d?connect_timeout=2"
    script = (
        "import runpy, mlflow.store.db.utils as u\n"
        "u.MAX_RETRY_COUNT = 1  # of ten, which take minutes\n"
        f"runpy.run_path({str(CHART / 'files' / 'prepare.py')!r}, run_name='__main__')"
    )
    environment = pod.environment(pod.spec["initContainers"][0]) | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "the registry's database cannot be migrated" in done.stderr
    assert "hidden" not in done.stderr
    assert not (tmp_path / "auth.ini").exists()

"""The trigger's pod as rendered by the chart, executed as a local process with a mock of Kubeflow Pipelines.

Keys, parameters, alerts, and the backup and restore of docs/INSTALL.md.
"""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lidloop.web.api_keys import ALERTS, READ, START, add_key
from pipelines.kubeflow.host import KubeflowHost
from tests.manifests.process import Pod
from tests.manifests.render import ROOT, one, template
from tests.servers.mock_kfp import MockKfp, running
from tests.servers.processes import free_port

SOURCE = "ibug:s3://lidloop/raw/afw"
STATE = "/var/lib/lidloop"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """API keys by scope, and the content of the file with their hashes."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    made = {scope: add_key(path, scope, scopes=(scope,)) for scope in (START, READ, ALERTS)}
    return {**made, "file": path.read_text()}


@pytest.fixture(scope="module")
def kfp() -> Iterator[MockKfp]:
    """Mock of Kubeflow Pipelines with an uploaded pipeline."""
    with running() as mock:
        host = KubeflowHost.from_settings(mock.url)
        host.upload(ROOT / "pipelines" / "compiled" / "refinement.yaml", version="1")
        yield mock


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, str], kfp: MockKfp) -> Pod:
    """The pod."""
    parameters = {"sources": [SOURCE], "epochs": 30}
    changes = {"trigger": {"parameters": parameters}, "pipelines": {"host": kfp.url}}
    objects = template("production", changes)
    spec = one(objects, "Deployment", "lidloop-trigger")["spec"]["template"]["spec"]
    moved = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=8090": f"--port={free_port()}"}
    folder = tmp_path_factory.mktemp("trigger")
    for mount in spec["containers"][0]["volumeMounts"]:
        moved |= {
            word: word.replace(mount["mountPath"], str(folder / mount["name"]))
            for word in spec["containers"][0]["args"]
            if f"={mount['mountPath']}" in word
        }
    made = Pod(spec, {"lidloop-trigger-keys": {"keys": keys["file"]}}, folder, moved)
    given = one(objects, "ConfigMap", "lidloop-trigger")["data"]["parameters.json"]
    (folder / "parameters" / "parameters.json").write_text(given)
    return made


@pytest.fixture(scope="module")
def url(pod: Pod) -> Iterator[str]:
    """URL of the trigger."""
    port = int(pod.moved["--port=8090"].partition("=")[2])
    with pod.serving(pod.spec["containers"][0], port) as address:
        yield address


def bearer(key: str) -> dict[str, str]:
    """The Authorization header with a key, as Alertmanager sends it."""
    return {"Authorization": f"Bearer {key}"}


MESSAGE: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}/{namespace="lidloop"}:{}',
    "status": "firing",
    "receiver": "lidloop/lidloop-trigger/trigger",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "LidloopTrafficDrift",
                "lidloop_action": "iterate",
                "model": "lidloop",
                "namespace": "lidloop",
            },
            "annotations": {},
            "startsAt": "2026-01-05T03:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": "0123456789abcdef",
        }
    ],
}


def test_probes_and_metrics_need_no_key(pod: Pod, url: str) -> None:
    [container] = pod.spec["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert httpx.get(url + container[probe]["httpGet"]["path"]).status_code == 200
    assert "lidloop_trigger_" in httpx.get(f"{url}/metrics").text


def test_repeated_alert_starts_one_run_with_the_charts_parameters(
    url: str, keys: dict[str, str], kfp: MockKfp
) -> None:
    where = one(template("production"), "AlertmanagerConfig")["spec"]["receivers"][0]["webhookConfigs"][0][
        "url"
    ]
    path = url + "/" + where.split("/", 3)[3]
    assert httpx.post(path, json=MESSAGE).status_code == 401
    assert httpx.post(path, json=MESSAGE, headers=bearer(keys[START])).status_code == 403
    for _ in range(3):
        assert httpx.post(path, json=MESSAGE, headers=bearer(keys[ALERTS])).status_code == 200
    deadline = time.monotonic() + 60
    while not kfp.runs and time.monotonic() < deadline:
        time.sleep(0.1)
    [run] = kfp.runs.values()
    given = run["runtime_config"]["parameters"]
    assert given["sources"] == [SOURCE]
    assert given["epochs"] == 30
    assert given["registry"] == "http://lidloop-registry.lidloop.svc"
    listed = httpx.get(f"{url}/v1/runs", headers=bearer(keys[READ])).json()["runs"]
    assert [entry["reason"] for entry in listed] == ["alert"]


def commands(word: str) -> list[str]:
    """Python programs in docs/INSTALL.md that run in the trigger's pod and contain a word."""
    text = (ROOT / "docs" / "INSTALL.md").read_text().replace("\\\n", " ")
    start = "kubectl -n lidloop exec "
    found = []
    for part in text.split(start)[1:]:
        words = shlex.split(part.split("```")[0], comments=True)
        place = words.index("-c") if "-c" in words[:8] else None
        if place is not None and "deployment/lidloop-trigger" in words and word in words[place + 1]:
            found.append(words[place + 1])
    return found


def test_backup_and_restore_of_a_running_trigger(pod: Pod, url: str, keys: dict[str, str]) -> None:
    listed = httpx.get(f"{url}/v1/runs", headers=bearer(keys[READ])).json()
    assert listed["runs"]
    vacuum, read = commands("VACUUM")[0], commands("stdout")[0]
    [restore] = commands("stdin")

    def execute(program: str, **options: Any) -> bytes:
        here = program.replace("/tmp/", f"{pod.folder}/tmp/").replace(STATE, f"{pod.folder}/state")
        done = subprocess.run([sys.executable, "-c", here], capture_output=True, timeout=60, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    execute(vacuum)
    backup = execute(read)
    assert backup.startswith(b"SQLite format 3")
    with sqlite3.connect(pod.folder / "state" / "trigger.db") as lost:
        lost.execute("DELETE FROM runs")
    assert httpx.get(f"{url}/v1/runs", headers=bearer(keys[READ])).json()["runs"] == []
    execute(restore, input=backup)
    assert httpx.get(f"{url}/v1/runs", headers=bearer(keys[READ])).json() == listed
    assert list((pod.folder / "tmp").glob("*.db")) == []

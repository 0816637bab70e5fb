"""docs/INSTALL.md: names existing paths, values, Secrets, scopes, versions and addresses."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
import yaml

from lidloop.web.api_keys import ALERTS, READ, START
from pipelines.cluster import REGISTRY_NAMES
from pipelines.cluster_file import read_cluster
from tests.manifests.cli import root
from tests.manifests.pods import STORAGE_INITIALIZER
from tests.manifests.render import CHART, ROOT, VALUES, one, template

TEXT = (ROOT / "docs" / "INSTALL.md").read_text()
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")


def test_paths_exist() -> None:
    named = set(re.findall(r"(?<![\w/])(?:charts|k8s|pipelines)/[\w./-]*\w", TEXT))
    assert len(named) > 8
    assert {path for path in named if not (ROOT / path).exists()} == set()
    assert set(re.findall(r"values-([\w-]+)\.yaml", TEXT)) <= set(VALUES)


def test_commands_of_lidloop_exist() -> None:
    lines = re.findall(r"(?:^|\$\()lidloop ([a-z][\w-]*)(?: ([a-z][\w-]*))?([^)\n]*)", SHELL, re.MULTILINE)
    assert len(lines) >= 12
    for first, second, rest in lines:
        command = root().commands[first]
        if isinstance(command, typer.core.TyperGroup):
            command = command.commands[second]
        options = {name for parameter in command.params for name in parameter.opts}
        assert set(re.findall(r"(--[\w-]+)", rest)) <= options, (first, second)


def test_scopes_exist() -> None:
    named = set(re.findall(r"--scope (\S+)", SHELL))
    assert named == {START, READ, ALERTS}


def has_value(path: str) -> bool:
    """True if the chart has a value with this path."""
    node = yaml.safe_load((CHART / "values.yaml").read_text())
    for key in path.split("."):
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def test_values_exist() -> None:
    top = "|".join(yaml.safe_load((CHART / "values.yaml").read_text()))
    named = set(re.findall(rf"(?:`|--set )((?:{top})\.[\w.]*\w)", TEXT))
    assert len(named) > 20
    assert [path for path in named if not has_value(path)] == []


def secrets(part: Any) -> set[str]:
    """Names of all Secrets that objects refer to."""
    if isinstance(part, list):
        return set().union(*map(secrets, part))
    if not isinstance(part, dict):
        return set()
    found = {part["secretName"]} if "secretName" in part else set()
    for key in ("secretKeyRef", "credentials"):
        found |= {part[key]["name"]} if key in part else set()
    if part.get("kind") == "ServiceAccount":
        found |= {entry["name"] for entry in part.get("secrets", [])}
    return found.union(*map(secrets, part.values()))


@pytest.mark.parametrize("values", VALUES)
def test_every_secret_is_created(values: str) -> None:
    named = secrets(template(values))
    assert len(named) > 1
    for name in named:
        assert re.search(rf"-n (lidloop|\$N) create secret (generic|tls) {name} ", SHELL), name


@pytest.mark.parametrize("overlay", ["laptop", "production"])
def test_every_secret_of_runs_is_created(overlay: str) -> None:
    settings = read_cluster(ROOT / "k8s" / "overlays" / overlay / "cluster.yaml")
    for name in (settings.store_secret, settings.registry_secret):
        assert re.search(rf"-n (kubeflow|\$N) create secret generic {name} ", SHELL), name


def test_keys_of_secrets_match_the_chart() -> None:
    text = yaml.safe_dump_all([*template("production"), *template("minimal")])
    assert set(re.findall(r"--from-literal=([\w-]+)=", SHELL)) == {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "uri", "username", "password", "session-key", "key",
        *REGISTRY_NAMES,
    }  # fmt: skip
    for key in ("AWS_ACCESS_KEY_ID", "uri", "username", "password", "session-key", "/etc/lidloop/keys/keys"):
        assert key in text, key


def test_versions_match_the_chart() -> None:
    image = yaml.safe_load((CHART / "values.yaml").read_text())["registry"]["image"]
    assert f"`{image['repository']}:{image['tag']}`" in TEXT
    kserve = STORAGE_INITIALIZER["image"].split(":v")[1]
    assert f"| KServe | {kserve} |" in TEXT
    assert TEXT.count(f"--version v{kserve}") == 2


def test_addresses_match_the_chart() -> None:
    registry = one(template("production"), "Service", "lidloop-registry")
    assert registry["spec"]["ports"][0]["port"] == 80
    for overlay in ("laptop", "production"):
        settings = read_cluster(ROOT / "k8s" / "overlays" / overlay / "cluster.yaml")
        assert settings.registry == f"http://{registry['metadata']['name']}.lidloop.svc"
    for name in ("trigger", "exporter", "registry"):
        service_port = one(template("production"), "Service", f"lidloop-{name}")["spec"]["ports"][0]["port"]
        assert re.search(rf"service/lidloop-{name} \d+:{service_port}\b", SHELL), name
    service = one(template("minimal"), "InferenceService")["metadata"]["name"]
    assert f"inferenceservice/{service}" in SHELL
    assert f"service/{service}-predictor" in SHELL

"""docs/INSTALL.md: what it names is there."""

from __future__ import annotations

import re

import pytest
import typer
import yaml

from lidloop.cli import app
from pipelines import commands as pipeline_commands
from serving import commands as serving_commands
from tests.manifests.pods import STORAGE_INITIALIZER
from tests.manifests.render import CHART, ROOT, VALUES, one, template

TEXT = (ROOT / "docs" / "INSTALL.md").read_text()
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")


def test_paths_are_there() -> None:
    named = set(re.findall(r"(?<![\w/])(?:charts|k8s|pipelines)/[\w./-]*\w", TEXT))
    assert len(named) > 8
    assert {path for path in named if not (ROOT / path).exists()} == set()
    assert set(re.findall(r"values-([\w-]+)\.yaml", TEXT)) <= set(VALUES)


def test_commands_of_lidloop_exist() -> None:
    whole = typer.Typer()
    for group in app.registered_groups:
        whole.add_typer(group.typer_instance, name=group.name)  # type: ignore[arg-type]
    for command in app.registered_commands:
        whole.registered_commands.append(command)
    pipeline_commands.register(whole)
    serving_commands.register(whole)
    root = typer.main.get_command(whole)
    assert isinstance(root, typer.core.TyperGroup)
    lines = re.findall(r"^lidloop ([a-z][\w-]*)(?: ([a-z][\w-]*))?(.*)$", SHELL, re.MULTILINE)
    assert len(lines) >= 4
    for first, second, rest in lines:
        command = root.commands[first]
        if isinstance(command, typer.core.TyperGroup):
            command = command.commands[second]
        options = {name for parameter in command.params for name in parameter.opts}
        assert set(re.findall(r"(--[\w-]+)", rest)) <= options, (first, second)


def test_values_that_are_set_exist() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    sections = "serving|registry|monitoring|networkPolicy|objectStore"
    named = set(re.findall(rf"(?:`|--set )((?:{sections})\.[\w.]*\w)", TEXT)) - {"monitoring.labels.release"}
    assert len(named) > 5
    for path in named:
        node = values
        for key in path.split("."):
            assert isinstance(node, dict), path
            assert key in node, path
            node = node[key]


@pytest.mark.parametrize("values", VALUES)
def test_every_secret_is_made(values: str) -> None:
    text = yaml.safe_dump_all(template(values))
    named = set(re.findall(r"lidloop-(?:keys|s3|registry-(?:database|admin))\b", text))
    assert named
    for name in named:
        assert f"secret generic {name} " in SHELL, name


def test_keys_of_secrets_agree() -> None:
    text = yaml.safe_dump_all([*template("production"), *template("minimal")])
    assert set(re.findall(r"--from-literal=([\w-]+)=", SHELL)) == {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "uri", "username", "password", "session-key"
    }  # fmt: skip
    for key in ("AWS_ACCESS_KEY_ID", "uri", "username", "password", "session-key", "/etc/lidloop/keys/keys"):
        assert key in text, key


def test_versions_agree() -> None:
    image = yaml.safe_load((CHART / "values.yaml").read_text())["registry"]["image"]
    assert f"`{image['repository']}:{image['tag']}`" in TEXT
    kserve = STORAGE_INITIALIZER["image"].split(":v")[1]
    assert f"| KServe | {kserve} |" in TEXT
    assert TEXT.count(f"--version v{kserve}") == 2


def test_addresses_agree() -> None:
    registry = one(template("production"), "Service", "lidloop-registry")
    assert registry["spec"]["ports"][0]["port"] == 80
    assert f"`http://{registry['metadata']['name']}.lidloop.svc`" in TEXT
    service = one(template("minimal"), "InferenceService")["metadata"]["name"]
    assert f"inferenceservice/{service}" in SHELL
    assert f"service/{service}-predictor" in SHELL

"""templates/monitoring/alertmanagerconfig.yaml: which alerts reach the trigger, according to amtool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.render import Object, one, template


def config(changes: dict[str, Any] | None = None) -> Object:
    """The rendered AlertmanagerConfig."""
    return one(template("production", changes), "AlertmanagerConfig", "lidloop-trigger")


def as_operator_makes_it(found: Object, namespace: str = "lidloop") -> Object:
    """Alertmanager configuration that the operator makes of it, below a receiver of the hospital.

    The operator prefixes names and adds a matcher for the namespace.
    """
    [receiver], route = found["spec"]["receivers"], found["spec"]["route"]
    [hook] = receiver["webhookConfigs"]
    matchers = [f'{m["name"]}{m["matchType"]}"{m["value"]}"' for m in route["matchers"]]
    return {
        "route": {
            "receiver": "people",
            "routes": [
                {
                    "receiver": "trigger",
                    "matchers": [f'namespace="{namespace}"', *matchers],
                    "continue": True,
                    "group_by": route["groupBy"],
                    "group_wait": route["groupWait"],
                    "group_interval": route["groupInterval"],
                    "repeat_interval": route["repeatInterval"],
                },
                {"receiver": "people", "matchers": ['severity=~"page|ticket"']},
            ],
        },
        "receivers": [
            {"name": "people"},
            {
                "name": "trigger",
                "webhook_configs": [
                    {
                        "url": hook["url"],
                        "send_resolved": hook["sendResolved"],
                        "http_config": {
                            "follow_redirects": hook["httpConfig"]["followRedirects"],
                            "authorization": {"type": "Bearer", "credentials": "key"},
                        },
                    }
                ],
            },
        ],
    }


@pytest.fixture(scope="module")
def amtool_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for amtool."""
    path = tmp_path_factory.mktemp("alertmanager") / "config.yaml"
    path.write_text(yaml.safe_dump(as_operator_makes_it(config())))
    return path


@pytest.mark.prometheus("amtool")
@pytest.mark.parametrize(
    ("labels", "receivers", "reason"),
    [
        ("lidloop_action=iterate severity=ticket namespace=lidloop", ["trigger", "people"], "drift"),
        ("severity=page namespace=lidloop", ["people"], "other alerts go to people only"),
        ("lidloop_action=iterate severity=ticket namespace=other", ["people"], "of another installation"),
        ("lidloop_action=other severity=ticket namespace=lidloop", ["people"], "another action"),
    ],
)
def test_alert_is_routed_to(amtool_config: Path, labels: str, receivers: list[str], reason: str) -> None:
    command = ["amtool", "config", "routes", "test", f"--config.file={amtool_config}", *labels.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().split(",") == receivers, reason


@pytest.mark.prometheus("amtool")
def test_amtool_accepts_the_configuration(amtool_config: Path) -> None:
    done = subprocess.run(
        ["amtool", "check-config", amtool_config], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_webhook_url_and_credentials() -> None:
    objects = template("production", {"trigger": {"service": {"port": 80}}})
    found = one(objects, "AlertmanagerConfig")
    [hook] = found["spec"]["receivers"][0]["webhookConfigs"]
    assert hook["url"] == "http://lidloop-trigger.lidloop.svc/v1/alerts"
    assert hook["httpConfig"]["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": "lidloop-trigger-alertmanager", "key": "key"},
    }
    assert hook["httpConfig"]["followRedirects"] is False, "a redirect would send the key elsewhere"


def test_fields_exist_in_the_custom_resource() -> None:
    """No schema is available; these are the fields of operator 0.93 (v1alpha1)."""
    spec = config()["spec"]
    assert set(spec) == {"route", "receivers"}
    assert set(spec["route"]) <= {
        "receiver", "groupBy", "groupWait", "groupInterval", "repeatInterval", "matchers", "continue"
    }  # fmt: skip
    assert all(set(m) == {"name", "matchType", "value"} for m in spec["route"]["matchers"])
    assert spec["route"]["receiver"] in {r["name"] for r in spec["receivers"]}


def test_operator_selects_it_by_label() -> None:
    assert config()["metadata"]["labels"]["release"] == "monitoring"
    assert not [o for o in template("kserve-less") if o["kind"] == "AlertmanagerConfig"]

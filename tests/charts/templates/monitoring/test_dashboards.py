"""templates/monitoring/dashboards.yaml: the dashboards of files/dashboards with the installation's links."""

from __future__ import annotations

import json

import pytest

from tests.manifests.render import CHART, Object, one, template

EXAMPLE = "https://lidloop.example.org"
RUNBOOKS = "https://git.example.org/lidloop/docs/runbooks"
FILES = {path.stem: path for path in sorted((CHART / "files" / "dashboards").glob("*.json"))}


def configmaps(changes: dict[str, object] | None = None) -> dict[str, Object]:
    """ConfigMaps of dashboards, by the dashboard's name."""
    prefix = "lidloop-dashboard-"
    found = template("production", {"monitoring": {"dashboards": changes or {}}})
    return {
        o["metadata"]["name"].removeprefix(prefix): o
        for o in found
        if o["kind"] == "ConfigMap" and o["metadata"]["name"].startswith(prefix)
    }


def test_one_configmap_per_dashboard() -> None:
    assert set(FILES) == {"labels", "models", "serving"}
    assert set(configmaps()) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_content_is_unchanged_except_links(name: str) -> None:
    """Also Grafana's own templates in double braces."""
    [(file, content)] = configmaps()[name]["data"].items()
    assert file == f"lidloop-{name}.json"
    there = FILES[name].read_text()
    assert content.strip() == there.replace(f"{EXAMPLE}/runbooks", RUNBOOKS).strip()
    assert json.loads(content)["uid"]
    assert len(content.encode()) < 1 << 20, "the limit of a ConfigMap is 1 MiB"


@pytest.mark.parametrize("name", FILES)
def test_links_are_replaced(name: str) -> None:
    """They are constants of the dashboard; the registry's default is its Ingress."""
    links = {"runbooks": "https://w.example.org/r/", "runs": "https://s3.example.org/runs"}
    ingress = {"enabled": True, "host": "mlflow.example.org", "tlsSecret": "t"}
    objects = template("production", {"monitoring": {"links": links}, "registry": {"ingress": ingress}})
    [content] = one(objects, "ConfigMap", f"lidloop-dashboard-{name}")["data"].values()
    constants = {
        v["name"]: v["query"] for v in json.loads(content)["templating"]["list"] if v["type"] == "constant"
    }
    assert constants == {
        "runbooks": "https://w.example.org/r",
        "runs": "https://s3.example.org/runs",
        "registry": "https://mlflow.example.org",
    }
    assert EXAMPLE not in content


def test_sidecar_selects_them_by_label() -> None:
    for item in configmaps().values():
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["annotations"] == {"grafana_folder": "lidloop"}
    changed = configmaps({"labels": {"dashboards": "eyes"}, "annotations": {"grafana_folder": None}})
    for item in changed.values():
        assert item["metadata"]["labels"]["dashboards"] == "eyes"
        assert "annotations" not in item["metadata"]


def test_dashboards_are_off_by_default() -> None:
    names = {o["metadata"]["name"] for o in template("kserve-less")}
    assert not {name for name in names if "dashboard" in name}

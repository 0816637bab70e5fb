"""templates/monitoring/dashboards.yaml: the dashboards of files/dashboards, with links of one's own."""

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


def test_one_for_each() -> None:
    assert set(FILES) == {"labels", "models", "serving"}
    assert set(configmaps()) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_content(name: str) -> None:
    """Byte for byte, also what Grafana fills in, in double braces."""
    [(file, content)] = configmaps()[name]["data"].items()
    assert file == f"lidloop-{name}.json"
    there = FILES[name].read_text()
    assert content.strip() == there.replace(f"{EXAMPLE}/runbooks", RUNBOOKS).strip()
    assert json.loads(content)["uid"]
    assert len(content.encode()) < 1 << 20, "a ConfigMap takes 1 MiB"


@pytest.mark.parametrize("name", FILES)
def test_links(name: str) -> None:
    """Constants of the dashboard, which its links are made of; the registry's is its Ingress."""
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


def test_found_by_grafanas_sidecar() -> None:
    for item in configmaps().values():
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["annotations"] == {"grafana_folder": "lidloop"}
    changed = configmaps({"labels": {"dashboards": "eyes"}, "annotations": {"grafana_folder": None}})
    for item in changed.values():
        assert item["metadata"]["labels"]["dashboards"] == "eyes"
        assert "annotations" not in item["metadata"]


def test_off_by_default() -> None:
    names = {o["metadata"]["name"] for o in template("kserve-less")}
    assert not {name for name in names if "dashboard" in name}

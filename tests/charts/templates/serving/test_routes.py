"""templates/serving/ingress.yaml and httproute.yaml: which paths are published."""

from __future__ import annotations

import pytest

from serving.app import create_app
from serving.settings import Settings
from tests.manifests.render import Object, one, template

INTERNAL = {"/metrics", "/livez", "/readyz"}
HTTP_ROUTE = {
    "serving": {
        "ingress": {"enabled": False},
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "gateway", "namespace": "gateways", "sectionName": "https"}],
            "hostnames": ["ptosis.example.org"],
        },
    }
}


def ingress_paths() -> list[tuple[str, str]]:
    """Paths of the Ingress, and their types."""
    [rule] = one(template("kserve-less"), "Ingress")["spec"]["rules"]
    return [(p["path"], p["pathType"]) for p in rule["http"]["paths"]]


def route_paths() -> list[tuple[str, str]]:
    """Paths of the HTTPRoute, and their types in the Ingress' words."""
    [rule] = one(template("kserve-less", HTTP_ROUTE), "HTTPRoute")["spec"]["rules"]
    types = {"PathPrefix": "Prefix", "Exact": "Exact"}
    return [(m["path"]["value"], types[m["path"]["type"]]) for m in rule["matches"]]


def reaches(paths: list[tuple[str, str]], path: str) -> bool:
    """True if a path is published."""
    return any(
        path == given or (kind == "Prefix" and path.startswith(given.rstrip("/") + "/"))
        for given, kind in paths
    )


@pytest.mark.parametrize("paths", [ingress_paths, route_paths])
def test_all_routes_except_metrics_and_probes_are_published(paths: object) -> None:
    assert callable(paths)
    given = paths()
    routes = {str(route.path) for route in create_app(Settings()).routes}  # type: ignore[attr-defined]
    assert routes >= INTERNAL
    assert {route for route in routes if not reaches(given, route)} == INTERNAL


def test_ingress_uses_tls() -> None:
    spec = one(template("kserve-less"), "Ingress")["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"hosts": ["ptosis.example.org"], "secretName": "ptosis-tls"}]
    assert [rule["host"] for rule in spec["rules"]] == ["ptosis.example.org"]


def test_http_route_leads_to_the_service() -> None:
    objects = template("kserve-less", HTTP_ROUTE)
    spec = one(objects, "HTTPRoute")["spec"]
    service = one(objects, "Service", "lidloop-serving")
    assert set(spec) == {"parentRefs", "hostnames", "rules"}
    assert spec["parentRefs"] == HTTP_ROUTE["serving"]["httpRoute"]["parentRefs"]
    [backend] = spec["rules"][0]["backendRefs"]
    assert backend == {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}


def test_ingress_leads_to_the_service() -> None:
    objects = template("kserve-less")
    service = one(objects, "Service", "lidloop-serving")
    backends: list[Object] = [
        p["backend"]["service"] for p in one(objects, "Ingress")["spec"]["rules"][0]["http"]["paths"]
    ]
    expected = {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}
    assert all(backend == expected for backend in backends)


def test_ingress_accepts_the_largest_body() -> None:
    """A picture of ``body_bytes`` as base64 in the JSON of the Open Inference Protocol."""
    annotations = one(template("kserve-less"), "Ingress")["metadata"]["annotations"]
    mebibytes = int(annotations["nginx.ingress.kubernetes.io/proxy-body-size"].removesuffix("m"))
    assert mebibytes << 20 > Settings().body_bytes * 4 // 3 + (1 << 20)

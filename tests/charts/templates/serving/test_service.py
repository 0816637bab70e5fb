"""templates/serving/service.yaml."""

from __future__ import annotations

from tests.manifests.render import one, template


def test_service_selects_the_pod() -> None:
    objects = template("kserve-less", {"serving": {"service": {"port": 8000, "annotations": {"a": "b"}}}})
    service = one(objects, "Service", "lidloop-serving")
    pod = one(objects, "Deployment", "lidloop-serving")["spec"]["template"]
    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    here = [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]]
    http, metrics = (port["name"] for port in pod["spec"]["containers"][0]["ports"])
    assert here == [(8000, http), (9109, metrics)]
    assert service["metadata"]["annotations"] == {"a": "b"}


def test_no_service_on_kserve() -> None:
    names = {o["metadata"]["name"] for o in template("production") if o["kind"] == "Service"}
    assert "lidloop-registry" in names
    assert "lidloop-serving" not in names

"""values.schema.json and the checks refuse wrong values, and say what to do."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.manifests.render import CHART, VALUES, RenderError, template

BOTH = {"jwksUrl": "https://i.example.org/keys", "jwksConfigMap": "c"}
INGRESS = {"enabled": True, "host": "h", "tlsSecret": "t"}


@cache
def schema() -> Draft7Validator:
    """The chart's schema, itself checked."""
    content = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(content)
    return Draft7Validator(content)


def changed(path: str = "", value: Any = None) -> Any:
    """The chart's own values with one of them set."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    *way, last = path.split(".")
    node = values
    for key in way:
        node = node[key]
    if path:
        node[last] = value
    return values


def places(values: Any) -> set[str]:
    """Where the schema finds something wrong; for an unknown key, its own place."""
    found = set()
    for error in schema().iter_errors(values):
        where = [str(part) for part in error.absolute_path]
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            unknown = set(error.instance) - set(error.schema.get("properties", {}))
            found |= {".".join([*where, key]) for key in unknown}
        else:
            found.add(".".join(where))
    return found


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("servng", {}, "a slip at the top"),
        ("serving.replcas", 2, "a slip inside"),
        ("serving.enabled", "yes", "not a boolean"),
        ("serving.mode", "knative", "no such mode"),
        ("serving.replicas", 0, "no pod serves nobody"),
        ("serving.replicas", "2", "a string is no number"),
        ("serving.replicas", 1.5, "half a pod"),
        ("serving.image.tag", "latest", "a tag that moves"),
        ("registry.image.tag", "main", "a tag that moves"),
        ("serving.image.tag", "a b", "not a tag"),
        ("serving.image.digest", "sha256:12", "a digest cut short"),
        ("serving.image.repository", "", "no image"),
        ("serving.image.repository", "https://r.example.org/a", "an image is no URL"),
        ("serving.image.pullPolicy", "Sometimes", "no such policy"),
        ("serving.model.uri", "runs:/1/bundle", "KServe and the init container fetch s3:// and pvc:// only"),
        ("serving.model.uri", "s3://bucket", "a bucket is no bundle"),
        ("serving.model.uri", "s3://bucket/a?endpoint=http://h", "KServe knows no parameters"),
        ("serving.model.uri", "file:///mnt/models", "a path of a node"),
        ("serving.model.size", "much", "not a quantity"),
        ("serving.access.keys", "abc", "keys are never values"),
        ("serving.access.keysSecret", "My_Keys", "not an object's name"),
        ("serving.access.jwt.jwksUrl", "http://i.example.org/keys", "a key set in clear could be anybody's"),
        ("serving.settings.host", "127.0.0.1", "the chart decides that"),
        ("serving.settings.keys", "/tmp/keys", "access is not a side matter"),
        ("serving.settings.no_such", 1, "no such setting"),
        ("serving.settings.conf", 2, "a score of at most 1"),
        ("serving.settings.queue", 0, "the server wants more than 0"),
        ("serving.settings.backend", "torch", "no such backend"),
        ("serving.resources", {"requests": {"cpu": 1, "memory": "1Gi"}}, "limits are always said"),
        ("serving.resources.limits", {"cpu": "2"}, "so is memory"),
        ("serving.resources.limits", {"cpu": "2", "memory": "lots"}, "not a quantity"),
        ("serving.autoscaling.kind", "vpa", "no such scaler"),
        ("serving.autoscaling.cpuPercent", 0, "an aim of nothing"),
        ("serving.autoscaling.prometheus", "prometheus:9090", "not a URL"),
        ("serving.disruptionBudget.maxUnavailable", 0, "no node could ever be drained"),
        ("serving.disruptionBudget.maxUnavailable", "100%", "no budget at all"),
        ("serving.drainSeconds", -1, "no time before now"),
        ("serving.service.port", 70000, "no such port"),
        ("serving.ingress.host", "https://a.example.org", "a host is no URL"),
        ("serving.httpRoute.parentRefs", [{"namespace": "x"}], "a gateway has a name"),
        ("serving.nodeSelector", {"a": 1}, "labels are strings"),
        ("serving.spreadOver", ["a", "a"], "twice the same"),
        ("registry.database.uri", "postgresql://u:p@h/d", "passwords are never values"),
        ("registry.database.password", "p", "passwords are never values"),
        ("registry.auth.password", "p", "passwords are never values"),
        ("registry.auth.enabled", False, "the registry is never open"),
        ("registry.auth.defaultPermission", "ADMIN", "no such permission"),
        ("registry.artifacts", "/mnt/artifacts", "a folder of one pod"),
        ("registry.allowedHosts", ["*"], "every host: DNS rebinding"),
        ("registry.replicas", 2, "one server migrates"),
        ("objectStore.secretKey", "abc", "keys are never values"),
        ("objectStore.endpoint", "s3.example.org", "not a URL"),
        ("networkPolicy.servingFrom", [{}], "everybody"),
        ("networkPolicy.servingFrom", [{"cidr": "10.0.0.0/8"}], "not a peer"),
        ("networkPolicy.objectStore.port", "https", "a number"),
        ("monitoring.interval", "30", "no unit"),
        ("monitoring.links.runbooks", 'https://w.example.org/"}', "it goes into JSON"),
        ("monitoring.alertmanager.key", "a/b", "a key of a Secret has no slash"),
        ("monitoring.alertmanager.credentials", "abc", "keys are never values"),
        ("monitoring.rules.alertLabels", {"a": 1}, "labels are strings"),
        ("steps.image.tag", "latest", "a tag that moves"),
        ("trigger.replicas", 2, "one knows which runs there are"),
        ("trigger.keys", "abc", "keys are never values"),
        ("trigger.cooldown", "six hours", "not a duration"),
        ("trigger.cooldown", "0h", "a storm of alerts would start a storm of runs"),
        ("trigger.data", ["/mnt/faces"], "a folder of one pod"),
        ("trigger.parameters", {"epochs": {"a": 1}}, "no parameter is an object"),
        ("pipelines.host", "", "no host"),
        ("pipelines.token", "abc", "tokens are never values"),
        ("trigger.persistence.size", "much", "not a quantity"),
        ("exporter.registry.password", "p", "passwords are never values"),
        ("exporter.runs", ["/runs"], "a folder of one pod"),
        ("deploy.serviceAccount.name", "", "nobody"),
        ("fullnameOverride", "Lidloop", "not an object's name"),
        ("imagePullSecrets", ["pull"], "objects with a name, as in Kubernetes"),
    ],
)
def test_wrong_values(path: str, value: Any, reason: str) -> None:
    found = places(changed(path, value))
    assert found, reason
    assert {place for place in found if not place.startswith(path)} == set(), "refused for another reason"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("serving.resources.limits", {"cpu": 2, "memory": "2Gi", "nvidia.com/gpu": 1}, "a GPU"),
        ("serving.model.uri", "pvc://models/lidloop/7", "a claim"),
        ("serving.image.registry", "r.example.org:5000/eyes", "a registry with port and path"),
        ("networkPolicy.servingFrom", [{"namespaceSelector": {}}], "every namespace, but said"),
        ("global", {"anything": 1}, "Helm's own"),
        ("trigger.parameters", {"sources": ["ibug:s3://b/a"], "epochs": 3, "conf": 0.7}, "as in JSON"),
    ],
)
def test_right_values(path: str, value: Any, reason: str) -> None:
    assert places(changed(path, value)) == set(), reason


def test_helm_itself_holds_values_to_the_schema() -> None:
    with pytest.raises(RenderError, match="replcas"):
        template("minimal", {"serving": {"replcas": 2}})


def test_every_object_is_closed() -> None:
    """Nothing unknown is taken anywhere, but where a value is a structure of Kubernetes itself."""
    whole = schema().schema
    assert isinstance(whole, dict)
    loose = []

    def look(part: Any, where: str) -> None:
        if isinstance(part, list):
            for k, item in enumerate(part):
                look(item, f"{where}/{k}")
        if not isinstance(part, dict):
            return
        if part.get("type") == "object" and "additionalProperties" not in part:
            loose.append(where)
        for key, item in part.items():
            look(item, f"{where}/{key}")

    look(whole, "#")
    own = ("affinity", "tolerations/items", "peers/items/properties", "parentRefs/items", "properties/global")
    assert [where for where in loose if not any(name in where for name in own)] == []


def test_defaults_and_values_files_fit() -> None:
    assert places(changed()) == set()
    for path in VALUES.values():
        assert places(yaml.safe_load(path.read_text())) == set(), path.name


def test_values_files_name_only_what_is_in_values_yaml() -> None:
    known = set(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    for path in VALUES.values():
        given = set(leaves(yaml.safe_load(path.read_text())))
        strange = {key for key in given if not any(key == k or key.startswith(k + ".") for k in known)}
        assert not strange, path.name


def leaves(values: Any, prefix: str = "") -> list[str]:
    """Paths of all values that are no mappings, or empty ones."""
    if not isinstance(values, dict) or not values:
        return [prefix]
    return [
        leaf for key, value in values.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else key)
    ]


@pytest.mark.parametrize(
    ("values", "changes", "said"),
    [
        (None, {}, "serving.model.uri is missing"),
        (None, {}, "serving.access is missing: without it the server answers on loopback only"),
        (None, {}, "registry.database.secret is missing"),
        (None, {}, "registry.auth.secret is missing"),
        (None, {}, "registry.artifacts is missing"),
        (None, {"serving": {"enabled": False}, "registry": {"enabled": False}}, "nothing to install"),
        ("minimal", {"serving": {"access": {"keysSecret": ""}}}, "Set serving.access.keysSecret"),
        ("minimal", {"serving": {"access": {"jwt": {"issuer": "i"}}}}, "needs issuer, audience and one of"),
        (
            "minimal",
            {"serving": {"access": {"jwt": {**BOTH, "issuer": "i", "audience": "a"}}}},
            "needs issuer, audience and one of",
        ),
        ("minimal", {"serving": {"ingress": INGRESS}}, "KServe makes its own route"),
        ("minimal", {"serving": {"autoscaling": {"metricsAdapter": True}}}, "needs kind=keda"),
        ("minimal", {"serving": {"autoscaling": {"kind": "keda"}}}, "autoscaling.prometheus is missing"),
        ("minimal", {"serving": {"autoscaling": {"min": 7}}}, "is more than serving.autoscaling.max"),
        ("minimal", {"networkPolicy": {"objectStore": {"to": []}}}, "the bundle comes from an object store"),
        ("kserve-less", {"serving": {"ingress": {"tlsSecret": ""}}}, "do not travel in clear"),
        ("kserve-less", {"serving": {"httpRoute": {"enabled": True}}}, "needs parentRefs and hostnames"),
        ("kserve-less", {"registry": {"ingress": {"enabled": True, "host": "h"}}}, "passwords do not travel"),
        ("kserve-less", {"networkPolicy": {"database": {"to": []}}}, "keeps its tables in Postgres"),
        ("kserve-less", {"networkPolicy": {"objectStore": {"to": []}}}, "the registry keeps bundles"),
        ("production", {"networkPolicy": {"identityProvider": {"to": []}}}, "jwksUrl is fetched from there"),
        ("production", {"trigger": {"keysSecret": ""}}, "the trigger is never open"),
        ("production", {"trigger": {"enabled": False}}, "set trigger.enabled=true"),
        (
            "production",
            {"pipelines": {"tokenSecret": "t", "serviceAccountToken": True}},
            "exclude each other",
        ),
        ("production", {"pipelines": {"serviceAccountToken": True}}, "namespace is missing"),
        ("production", {"networkPolicy": {"pipelines": {"to": []}}}, "runs are started and watched there"),
        ("production", {"exporter": {"registry": {"secret": ""}}}, "a user of the registry who may read"),
        ("production", {"registry": {"enabled": False}}, "this release has no registry to read"),
        (
            "production",
            {"exporter": {"registry": {"uri": "https://m.example.org"}}},
            "networkPolicy.registry.to is missing",
        ),
        ("production", {"monitoring": {"alertmanager": {"secret": ""}}}, "that Alertmanager shows"),
        (
            "kserve-less",
            {
                "registry": {"enabled": False},
                "serving": {"enabled": False},
                "exporter": {"registry": {"uri": "http://m"}, "runs": ["s3://bucket/runs"]},
                "networkPolicy": {"objectStore": {"to": []}},
            },
            "the exporter reads runs from an object store",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(values: str | None, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RenderError) as error:
        template(values, changes)
    assert said in str(error.value)


def test_all_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(RenderError) as error:
        template()
    assert str(error.value).count("\n- ") == 7

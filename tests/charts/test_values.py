"""values.schema.json and the chart's checks reject wrong values with a helpful message."""

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
    """Validator of the chart's schema, which is itself validated."""
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


def invalid_paths(values: Any) -> set[str]:
    """Paths of invalid values; for an unknown key, its own path."""
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
        ("servng", {}, "unknown key at the top"),
        ("serving.replcas", 2, "unknown nested key"),
        ("serving.enabled", "yes", "not a boolean"),
        ("serving.mode", "knative", "no such mode"),
        ("serving.replicas", 0, "at least one pod"),
        ("serving.replicas", "2", "a string instead of a number"),
        ("serving.replicas", 1.5, "not an integer"),
        ("serving.image.tag", "latest", "a mutable tag"),
        ("registry.image.tag", "main", "a mutable tag"),
        ("serving.image.tag", "a b", "not a tag"),
        ("serving.image.digest", "sha256:12", "a truncated digest"),
        ("serving.image.repository", "", "no image"),
        ("serving.image.repository", "https://r.example.org/a", "a URL instead of an image"),
        ("serving.image.pullPolicy", "Sometimes", "no such policy"),
        ("serving.model.uri", "runs:/1/bundle", "KServe and the init container fetch s3:// and pvc:// only"),
        ("serving.model.uri", "s3://bucket", "a bucket without a prefix"),
        ("serving.model.uri", "s3://bucket/a?endpoint=http://h", "KServe does not support parameters"),
        ("serving.model.uri", "file:///mnt/models", "a path of a node"),
        ("serving.model.size", "much", "not a quantity"),
        ("serving.access.keys", "abc", "keys must be in Secrets"),
        ("serving.access.keysSecret", "My_Keys", "not an object's name"),
        ("serving.access.jwt.jwksUrl", "http://i.example.org/keys", "a key set must be fetched over https"),
        ("serving.settings.host", "127.0.0.1", "set by the chart"),
        ("serving.settings.keys", "/tmp/keys", "set by serving.access"),
        ("serving.settings.no_such", 1, "no such setting"),
        ("serving.settings.conf", 2, "a score of at most 1"),
        ("serving.settings.queue", 0, "the server wants more than 0"),
        ("serving.settings.trusted_proxies", "gateway", "not an address"),
        ("serving.settings.proxy_header", "X-Client", "no such header"),
        ("serving.settings.backend", "torch", "no such backend"),
        ("serving.resources", {"requests": {"cpu": 1, "memory": "1Gi"}}, "limits are required"),
        ("serving.resources.limits", {"cpu": "2"}, "memory is required"),
        ("serving.resources.limits", {"cpu": "2", "memory": "lots"}, "not a quantity"),
        ("serving.autoscaling.kind", "vpa", "no such scaler"),
        ("serving.autoscaling.cpuPercent", 0, "a target of 0"),
        ("serving.autoscaling.prometheus", "prometheus:9090", "not a URL"),
        ("serving.disruptionBudget.maxUnavailable", 0, "would block every node drain"),
        ("serving.disruptionBudget.maxUnavailable", "100%", "would allow every eviction"),
        ("serving.drainSeconds", -1, "negative"),
        ("serving.service.port", 70000, "no such port"),
        ("serving.ingress.host", "https://a.example.org", "a URL instead of a host"),
        ("serving.httpRoute.parentRefs", [{"namespace": "x"}], "the name is required"),
        ("serving.nodeSelector", {"a": 1}, "labels are strings"),
        ("serving.spreadOver", ["a", "a"], "duplicate"),
        ("registry.database.uri", "postgresql://u:p@h/d", "passwords must be in Secrets"),
        ("registry.database.password", "p", "passwords must be in Secrets"),
        ("registry.auth.password", "p", "passwords must be in Secrets"),
        ("registry.auth.enabled", False, "authentication cannot be switched off"),
        ("registry.auth.defaultPermission", "ADMIN", "no such permission"),
        ("registry.artifacts", "/mnt/artifacts", "a folder of a single pod"),
        ("registry.allowedHosts", ["*"], "every host would allow DNS rebinding"),
        ("registry.replicas", 2, "only one server may run migrations"),
        ("objectStore.secretKey", "abc", "keys must be in Secrets"),
        ("objectStore.endpoint", "s3.example.org", "not a URL"),
        ("networkPolicy.servingFrom", [{}], "an empty peer matches everybody"),
        ("networkPolicy.servingFrom", [{"cidr": "10.0.0.0/8"}], "not a peer"),
        ("networkPolicy.objectStore.port", "https", "a number"),
        ("monitoring.interval", "30", "no unit"),
        ("monitoring.links.runbooks", 'https://w.example.org/"}', "it is inserted into JSON"),
        ("monitoring.alertmanager.key", "a/b", "a key of a Secret has no slash"),
        ("monitoring.alertmanager.credentials", "abc", "keys must be in Secrets"),
        ("monitoring.rules.alertLabels", {"a": 1}, "labels are strings"),
        ("steps.image.tag", "latest", "a mutable tag"),
        ("trigger.replicas", 2, "the state is in one pod"),
        ("trigger.keys", "abc", "keys must be in Secrets"),
        ("trigger.cooldown", "six hours", "not a duration"),
        ("trigger.cooldown", "0h", "every alert would start a run"),
        ("trigger.data", ["/mnt/faces"], "a folder of a single pod"),
        ("trigger.parameters", {"epochs": {"a": 1}}, "parameters are no objects"),
        ("pipelines.host", "", "no host"),
        ("pipelines.token", "abc", "tokens must be in Secrets"),
        ("trigger.persistence.size", "much", "not a quantity"),
        ("exporter.registry.password", "p", "passwords must be in Secrets"),
        ("exporter.runs", ["/runs"], "a folder of a single pod"),
        ("deploy.serviceAccount.name", "", "the name is required"),
        ("fullnameOverride", "Lidloop", "not an object's name"),
        ("imagePullSecrets", ["pull"], "objects with a name, as in Kubernetes"),
    ],
)
def test_schema_rejects_wrong_values(path: str, value: Any, reason: str) -> None:
    found = invalid_paths(changed(path, value))
    assert found, reason
    assert {place for place in found if not place.startswith(path)} == set(), "rejected for another reason"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("serving.resources.limits", {"cpu": 2, "memory": "2Gi", "nvidia.com/gpu": 1}, "a GPU"),
        ("serving.model.uri", "pvc://models/lidloop/7", "a claim"),
        ("serving.image.registry", "r.example.org:5000/eyes", "a registry with port and path"),
        ("networkPolicy.servingFrom", [{"namespaceSelector": {}}], "every namespace, explicitly"),
        ("global", {"anything": 1}, "values of Helm itself"),
        ("trigger.parameters", {"sources": ["ibug:s3://b/a"], "epochs": 3, "conf": 0.7}, "as in JSON"),
    ],
)
def test_schema_accepts_right_values(path: str, value: Any, reason: str) -> None:
    assert invalid_paths(changed(path, value)) == set(), reason


def test_helm_validates_values_by_the_schema() -> None:
    with pytest.raises(RenderError, match="replcas"):
        template("minimal", {"serving": {"replcas": 2}})


def test_schema_rejects_unknown_keys_everywhere() -> None:
    """Except in values that are structures of Kubernetes itself."""
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


def test_defaults_and_values_files_match_the_schema() -> None:
    assert invalid_paths(changed()) == set()
    for path in VALUES.values():
        assert invalid_paths(yaml.safe_load(path.read_text())) == set(), path.name


def test_values_files_use_only_documented_values() -> None:
    known = set(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))
    for path in VALUES.values():
        given = set(leaves(yaml.safe_load(path.read_text())))
        strange = {key for key in given if not any(key == k or key.startswith(k + ".") for k in known)}
        assert not strange, path.name


def leaves(values: Any, prefix: str = "") -> list[str]:
    """Paths of all values that are not mappings, or are empty mappings."""
    if not isinstance(values, dict) or not values:
        return [prefix]
    return [
        leaf for key, value in values.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else key)
    ]


@pytest.mark.parametrize(
    ("values", "changes", "named"),
    [
        (None, {}, "serving.model.uri is missing"),
        (None, {}, "serving.access is missing"),
        (None, {}, "registry.database.secret is missing"),
        (None, {}, "registry.auth.secret is missing"),
        (None, {}, "registry.artifacts is missing"),
        (None, {"serving": {"enabled": False}, "registry": {"enabled": False}}, "nothing to install"),
        ("minimal", {"serving": {"access": {"keysSecret": ""}}}, "serving.access.keysSecret"),
        ("minimal", {"serving": {"access": {"jwt": {"issuer": "i"}}}}, "serving.access.jwt needs"),
        (
            "minimal",
            {"serving": {"access": {"jwt": {**BOTH, "issuer": "i", "audience": "a"}}}},
            "serving.access.jwt needs",
        ),
        ("minimal", {"serving": {"ingress": INGRESS}}, "serving.kserve.clusterLocal=false"),
        ("minimal", {"serving": {"autoscaling": {"metricsAdapter": True}}}, "kind=keda"),
        ("minimal", {"serving": {"autoscaling": {"kind": "keda"}}}, "autoscaling.prometheus is missing"),
        ("minimal", {"serving": {"autoscaling": {"min": 7}}}, "serving.autoscaling.min is larger"),
        ("minimal", {"networkPolicy": {"objectStore": {"to": []}}}, "bundle is downloaded"),
        ("kserve-less", {"serving": {"ingress": {"tlsSecret": ""}}}, "serving.ingress needs host"),
        ("kserve-less", {"serving": {"httpRoute": {"enabled": True}}}, "needs parentRefs and hostnames"),
        (
            "kserve-less",
            {"registry": {"ingress": {"enabled": True, "host": "h"}}},
            "registry.ingress needs host and tlsSecret",
        ),
        ("kserve-less", {"networkPolicy": {"database": {"to": []}}}, "networkPolicy.database.to is missing"),
        ("kserve-less", {"networkPolicy": {"objectStore": {"to": []}}}, "registry stores bundles"),
        (
            "production",
            {"networkPolicy": {"identityProvider": {"to": []}}},
            "networkPolicy.identityProvider.to is missing",
        ),
        ("production", {"trigger": {"keysSecret": ""}}, "trigger.keysSecret is missing"),
        ("production", {"trigger": {"enabled": False}}, "set trigger.enabled=true"),
        (
            "production",
            {"pipelines": {"tokenSecret": "t", "serviceAccountToken": True}},
            "pipelines.tokenSecret and pipelines.serviceAccountToken exclude",
        ),
        ("production", {"pipelines": {"serviceAccountToken": True}}, "pipelines.namespace is missing"),
        ("production", {"networkPolicy": {"pipelines": {"to": []}}}, "networkPolicy.pipelines.to is missing"),
        ("production", {"exporter": {"registry": {"secret": ""}}}, "exporter.registry.secret is missing"),
        ("production", {"registry": {"enabled": False}}, "exporter.registry.uri is missing"),
        (
            "production",
            {"exporter": {"registry": {"uri": "https://m.example.org"}}},
            "networkPolicy.registry.to is missing",
        ),
        ("production", {"monitoring": {"alertmanager": {"secret": ""}}}, "alertmanager.secret is missing"),
        (
            "kserve-less",
            {
                "registry": {"enabled": False},
                "serving": {"enabled": False},
                "exporter": {"registry": {"uri": "http://m"}, "runs": ["s3://bucket/runs"]},
                "networkPolicy": {"objectStore": {"to": []}},
            },
            "exporter reads runs",
        ),
    ],
)  # fmt: skip
def test_checks_name_the_missing_value(values: str | None, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(RenderError) as error:
        template(values, changes)
    assert named in str(error.value)


def test_checks_list_all_errors_at_once() -> None:
    with pytest.raises(RenderError) as error:
        template()
    assert str(error.value).count("\n- ") == 7

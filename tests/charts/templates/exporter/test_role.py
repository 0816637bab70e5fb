"""templates/exporter: role.yaml, rolebinding.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from tests.manifests.render import one, template

PROFILE: dict[str, Any] = {"pipelines": {"serviceAccountToken": True, "namespace": "eyes"}}


def test_role_allows_reading_runs_of_one_profile() -> None:
    objects = template("production", PROFILE)
    role, binding = (one(objects, kind, "lidloop-exporter") for kind in ("Role", "RoleBinding"))
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "eyes"
    [rule] = role["rules"]
    assert rule["apiGroups"] == ["pipelines.kubeflow.org"]
    assert set(rule["resources"]) == {"runs", "experiments"}
    assert set(rule["verbs"]) == {"get", "list"}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    [subject] = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == ("lidloop-exporter", "lidloop")


@pytest.mark.parametrize("changes", [{}, {**PROFILE, "exporter": {"pipelines": False}}])
def test_no_role_without_profile_or_pipelines(changes: dict[str, Any]) -> None:
    kinds = {
        o["kind"] for o in template("production", changes) if o["metadata"]["name"] == "lidloop-exporter"
    }
    assert not kinds & {"Role", "RoleBinding"}

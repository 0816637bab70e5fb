"""templates/deploy: role.yaml, rolebinding.yaml."""

from __future__ import annotations

import re

import yaml

from tests.manifests.render import ROOT, one, template


def test_role_equals_the_documented_one() -> None:
    """tests/pipelines runs `lidloop deploy` with the documented Role."""
    text = (ROOT / "docs" / "DEPLOY.md").read_text()
    [documented] = [
        found
        for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        if (found := yaml.safe_load(block))["kind"] == "Role"
    ]
    role = one(template("production"), "Role", "lidloop-deploy")
    assert role["rules"] == documented["rules"]
    assert role["metadata"]["namespace"] == "lidloop"


def test_role_is_bound_to_the_service_account_of_pipeline_steps() -> None:
    changes = {"deploy": {"serviceAccount": {"name": "default-editor", "namespace": "team"}}}
    for given, expected in (({}, ("pipeline-runner", "kubeflow")), (changes, ("default-editor", "team"))):
        binding = one(template("production", given), "RoleBinding", "lidloop-deploy")
        assert binding["roleRef"]["name"] == "lidloop-deploy"
        [subject] = binding["subjects"]
        assert (subject["kind"], subject["name"], subject["namespace"]) == ("ServiceAccount", *expected)


def test_role_is_off_by_default() -> None:
    assert not {o["kind"] for o in template("kserve-less")} & {"Role", "RoleBinding"}

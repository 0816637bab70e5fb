"""templates/trigger: role.yaml, rolebinding.yaml, serviceaccount.yaml."""

from __future__ import annotations

from tests.charts.templates.trigger.test_trigger import PROFILE
from tests.manifests.render import one, template


def test_role_allows_starting_and_reading_runs_of_one_profile() -> None:
    """Not stopping or deleting them."""
    objects = template("production", PROFILE)
    role = one(objects, "Role", "lidloop-trigger")
    assert role["metadata"]["namespace"] == "eyes"
    verbs = {what: set(rule["verbs"]) for rule in role["rules"] for what in rule["resources"]}
    assert verbs == {
        "runs": {"get", "list", "create"},
        "experiments": {"get", "list", "create"},
        "pipelines": {"get", "list"},
        "pipelines/versions": {"get", "list"},
    }
    assert {group for rule in role["rules"] for group in rule["apiGroups"]} == {"pipelines.kubeflow.org"}
    binding = one(objects, "RoleBinding", "lidloop-trigger")
    assert binding["metadata"]["namespace"] == "eyes"
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    [subject] = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == ("lidloop-trigger", "lidloop")


def test_no_role_without_profiles() -> None:
    names = {o["metadata"]["name"] for o in template("production") if o["kind"] in ("Role", "RoleBinding")}
    assert names == {"lidloop-deploy"}

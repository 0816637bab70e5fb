"""templates/trigger: role.yaml, rolebinding.yaml, serviceaccount.yaml."""

from __future__ import annotations

from tests.charts.templates.trigger.test_trigger import PROFILE
from tests.manifests.render import one, template


def test_what_kubeflow_asks_about_it() -> None:
    """Runs of one profile: seen and started, never ended or removed."""
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


def test_nothing_where_kubeflow_asks_nothing() -> None:
    names = {o["metadata"]["name"] for o in template("production") if o["kind"] in ("Role", "RoleBinding")}
    assert names == {"lidloop-deploy"}

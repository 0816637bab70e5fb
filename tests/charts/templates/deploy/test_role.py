"""templates/deploy: role.yaml, rolebinding.yaml."""

from __future__ import annotations

from tests.manifests.render import one, template


def test_inferenceservices_of_one_namespace_and_no_deleting() -> None:
    role = one(template("production"), "Role", "lidloop-deploy")
    assert role["metadata"]["namespace"] == "lidloop"
    [rule] = role["rules"]
    assert rule["apiGroups"] == ["serving.kserve.io"]
    assert rule["resources"] == ["inferenceservices"]
    assert set(rule["verbs"]) == {"get", "list", "watch", "create", "patch"}


def test_for_the_steps_of_pipelines() -> None:
    changes = {"deploy": {"serviceAccount": {"name": "default-editor", "namespace": "team"}}}
    for given, expected in (({}, ("pipeline-runner", "kubeflow")), (changes, ("default-editor", "team"))):
        binding = one(template("production", given), "RoleBinding", "lidloop-deploy")
        assert binding["roleRef"]["name"] == "lidloop-deploy"
        [subject] = binding["subjects"]
        assert (subject["kind"], subject["name"], subject["namespace"]) == ("ServiceAccount", *expected)


def test_off_by_default() -> None:
    assert not {o["kind"] for o in template("kserve-less")} & {"Role", "RoleBinding"}

"""templates/serving/serviceaccount.yaml."""

from __future__ import annotations

from tests.manifests.render import one, template


def test_account_without_kserve_has_no_token_and_no_secrets() -> None:
    account = one(template("kserve-less"), "ServiceAccount", "lidloop-serving")
    assert account["automountServiceAccountToken"] is False
    assert "secrets" not in account


def test_annotations_for_a_cloud_identity() -> None:
    changes = {"objectStore": {"secret": ""}, "serving": {"serviceAccountAnnotations": {"role": "r"}}}
    account = one(template("production", changes), "ServiceAccount", "lidloop-serving")
    assert account["metadata"]["annotations"] == {"role": "r"}
    assert "secrets" not in account

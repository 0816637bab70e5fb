"""templates/NOTES.txt, rendered by a template of a copied chart: Helm prints it only with a cluster."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.manifests.render import CHART, one, template

SHOW = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data:
  notes: {{ include "notes" . | quote }}
"""


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chart that renders its notes into a ConfigMap."""
    copy = tmp_path_factory.mktemp("chart") / "lidloop"
    shutil.copytree(CHART, copy)
    notes = copy / "templates" / "NOTES.txt"
    (copy / "templates" / "_notes.tpl").write_text('{{ define "notes" }}' + notes.read_text() + "{{ end }}")
    (copy / "templates" / "notes.yaml").write_text(SHOW)
    return copy


def notes(chart: Path, values: str, changes: dict[str, Any] | None = None) -> str:
    """The notes after an installation."""
    return str(one(template(values, changes, chart=chart), "ConfigMap", "notes")["data"]["notes"])


def test_notes_on_kserve(chart: Path) -> None:
    text = notes(chart, "production")
    assert "Serving s3://lidloop/models/lidloop/7 (version 7)" in text
    assert "inferenceservice/lidloop-serving" in text
    assert "service/lidloop-serving-predictor 8080:80" in text
    assert "Bearer $TOKEN" in text
    assert "http://lidloop-registry.lidloop.svc\n" in text
    assert "is not a diagnosis" in text


def test_notes_of_trigger_and_exporter(chart: Path) -> None:
    text = notes(chart, "production", {"trigger": {"service": {"port": 81}}})
    assert "service/lidloop-trigger 8090:81" in text
    assert "http://lidloop-exporter.lidloop.svc:9108/metrics" in text
    assert "trigger" not in notes(chart, "minimal")
    assert "metrics" not in notes(chart, "minimal")


def test_notes_without_kserve(chart: Path) -> None:
    text = notes(chart, "kserve-less", {"serving": {"service": {"port": 8000}}})
    assert "deployment/lidloop-serving" in text
    assert "service/lidloop-serving 8080:8000" in text
    assert "Bearer $KEY" in text


def test_notes_warn_about_an_empty_network_policy(chart: Path) -> None:
    said = "networkPolicy.servingFrom is empty"
    assert said in notes(chart, "minimal")
    assert said not in notes(chart, "production")
    assert "registry" not in notes(chart, "minimal").lower()

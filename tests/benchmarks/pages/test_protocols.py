from __future__ import annotations

import json
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.codesystem import CodeSystem

from benchmarks.common import DOCS
from benchmarks.pages.protocols import protocols_page
from serving.protocols import codes
from serving.protocols.dicom.header import CLASSES, SYNTAXES


def test_the_examples_are_a_valid_bundle_and_a_report(tmp_path: Path) -> None:
    page, system, example, report = (path.read_text() for path in protocols_page(tmp_path))
    bundle = Bundle.model_validate_json(example)
    assert {entry.resource.get_resource_type() for entry in bundle.entry} >= {
        "DiagnosticReport", "Observation", "Device",
    }  # fmt: skip
    assert "CONTAINER Imaging Measurement Report" in report
    for line in ("Laterality = Right (24028007, SCT)", "Laterality = Left (7771000, SCT)"):
        assert line in report
    assert CodeSystem.model_validate_json(system).count == len(codes.DEFINITIONS)
    assert [path.read_text() for path in protocols_page(tmp_path)] == [page, system, example, report]


@pytest.mark.parametrize(
    ("stored", "known"),
    [
        ("PROTOCOLS.md", [f"| `{value}` | {codes.local(value).meaning} |" for value in codes.DEFINITIONS]),
        ("PROTOCOLS.md", [f"`{uid}`" for uid in (*CLASSES, *SYNTAXES)]),
        ("protocols/code-system.json", [json.dumps(text) for text in codes.DEFINITIONS.values()]),
    ],
    ids=["local codes", "DICOM", "code system"],
)
def test_stored_pages_have_every_code(stored: str, known: list[str]) -> None:
    """Lengths in the stored examples depend on the machine, so that they are not compared."""
    text = (DOCS / stored).read_text()
    assert [code for code in known if code not in text] == []

"""The page about FHIR and DICOM: its examples are real answers, its tables the code's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.codesystem import CodeSystem

from benchmarks.pages.protocols import protocols_page
from serving.protocols import codes
from serving.protocols.dicom.photograph import CLASSES, SYNTAXES

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_holds_a_bundle_and_a_report(tmp_path: Path) -> None:
    page = protocols_page(tmp_path).read_text()
    example = page.split("```json\n")[1].split("\n```")[0]
    bundle = Bundle.model_validate_json(example)
    assert {entry.resource.get_resource_type() for entry in bundle.entry} == {
        "DiagnosticReport", "Observation", "Device",
    }  # fmt: skip
    report = page.split("```\n")[-2]
    assert "CONTAINER Imaging Measurement Report" in report
    for line in ("Laterality = Right (24028007, SCT)", "Laterality = Left (7771000, SCT)"):
        assert line in report
    stored = (tmp_path / "protocols" / "code-system.json").read_text()
    assert CodeSystem.model_validate_json(stored).count == len(codes.DEFINITIONS)
    again = protocols_page(tmp_path).read_text()
    assert again == page


@pytest.mark.parametrize(
    ("kept", "known"),
    [
        ("PROTOCOLS.md", [f"| `{value}` | {codes.local(value).meaning} |" for value in codes.DEFINITIONS]),
        ("PROTOCOLS.md", [f"`{uid}`" for uid in (*CLASSES, *SYNTAXES)]),
        ("protocols/code-system.json", [json.dumps(text) for text in codes.DEFINITIONS.values()]),
    ],
    ids=["local codes", "DICOM", "code system"],
)
def test_what_is_kept_under_docs_knows_every_code(kept: str, known: list[str]) -> None:
    """Figures in the examples may be those of another day; ``make docs`` makes them anew."""
    text = (DOCS / kept).read_text()
    assert [code for code in known if code not in text] == []

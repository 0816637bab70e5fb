"""Screenings as FHIR bundles: valid R4B, codes and sides, absent values, subjects and references."""

from __future__ import annotations

import ast
import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints
from xml.etree import ElementTree

import numpy as np
import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.codesystem import CodeSystem
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pages.protocols import drawn_screening
from lidloop.errors import LidloopError
from lidloop.screening.measurements import DIFFERENCES, LENGTHS, NOTICE, Flag, Length, Reason, Scale
from lidloop.screening.reasons import KINDS
from lidloop.screening.screen import Screening
from serving.protocols import codes, fhir
from serving.protocols.fhir_types import subject_reference
from tests.properties import examples

if TYPE_CHECKING:
    from starlette.testclient import TestClient

REQUEST = "0b7c4a8e-3f6d-4c1b-9a52-6d1f0e7b8c93"
WHEN = datetime(2026, 1, 5, 10, 15, tzinfo=UTC)
_, DRAWN = drawn_screening()
FACE = DRAWN.faces[0]
LOCAL = codes.SYSTEMS[codes.LOCAL]


def bundle(screening: Screening = DRAWN, **options: Any) -> dict[str, Any]:
    """Write a bundle and parse its JSON."""
    made = fhir.bundle(screening, request_id=REQUEST, issued=WHEN, **options)
    text = made.model_dump_json()
    Bundle.model_validate_json(text)
    return json.loads(text)


def of_kind(answer: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in answer["entry"]]
    return [resource for resource in found if resource["resourceType"] == kind]


def the(answer: dict[str, Any], code: str, side: str | None = None) -> dict[str, Any]:
    """The only Observation with a code and an eye."""
    site = None if side is None else codes.EYES[side].value
    (found,) = [
        o
        for o in of_kind(answer, "Observation")
        if code in [c["code"] for c in o["code"]["coding"]]
        and (site is None or o["bodySite"]["coding"][0]["code"] == site)
    ]
    return found


def components(observation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {c["code"]["coding"][0]["code"]: c for c in observation["component"]}


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def with_face(**changes: Any) -> Screening:
    return replace(DRAWN, faces=(replace(FACE, **changes),))


def withheld(side: str, name: str, reason: Reason) -> Screening:
    eye = FACE.eyes[side]
    lengths = {key: value for key, value in eye.lengths.items() if key != name}
    ratio = None if name in ("pfh", "width") else eye.height_to_width
    changed = replace(eye, lengths=lengths, withheld={name: reason}, height_to_width=ratio)
    return with_face(eyes={**FACE.eyes, side: changed})


WITHOUT_SCALE = with_face(
    scale=None,
    eyes={
        side: replace(eye, lengths={name: Length(length.px) for name, length in eye.lengths.items()})
        for side, eye in FACE.eyes.items()
    },
    differences={name: Length(length.px) for name, length in FACE.differences.items()},
)
NONE = with_face(flag=Flag("none", (), ()))
EMPTY = replace(DRAWN, faces=())
TWO = replace(DRAWN, faces=(FACE, NONE.faces[0]))
SCREENINGS = {
    "flagged": DRAWN,
    "not flagged": NONE,
    "undetermined": with_face(flag=Flag("undetermined", (), (Reason("not-judged", "MRD1 is not known"),))),
    "withheld": withheld("OS", "mrd1", Reason("no-pupil", "the pupil is not known")),
    "without a scale": WITHOUT_SCALE,
    "limited": with_face(problems=(Reason("blurred", "the eyes are not sharp"),)),
    "mirrored": drawn_screening(mirrored=True)[1],
    "no face": EMPTY,
    "two faces": TWO,
}


@pytest.mark.parametrize("screening", SCREENINGS.values(), ids=SCREENINGS)
def test_bundles_are_valid_and_references_resolve(screening: Screening) -> None:
    answer = bundle(screening, subject="Patient/7", study_uid="1.2.3")
    assert answer["type"] == "collection"
    places = [entry["fullUrl"] for entry in answer["entry"]]
    assert len(set(places)) == len(places)
    for place in places:
        uuid.UUID(place.removeprefix("urn:uuid:"))
    referenced = {part["reference"] for part in walk(answer) if str(part.get("reference")).startswith("urn:")}
    assert referenced <= set(places)
    results = [
        r["reference"] for report in of_kind(answer, "DiagnosticReport") for r in report.get("result", [])
    ]
    observations = [e["fullUrl"] for e in answer["entry"] if e["resource"]["resourceType"] == "Observation"]
    assert results == observations
    assert len(of_kind(answer, "DiagnosticReport")) == max(1, len(screening.faces))
    assert len(of_kind(answer, "Device")) == 1


@pytest.mark.parametrize("screening", SCREENINGS.values(), ids=SCREENINGS)
def test_codes_systems_and_units_are_well_formed(screening: Screening) -> None:
    """Check enumerated codes, because fhir.resources checks structure only and accepts any code."""
    answer = bundle(screening, study_uid="1.2.3")
    for resource in [answer, *(entry["resource"] for entry in answer["entry"])]:
        fields = get_fhir_model_class(resource["resourceType"]).model_fields
        for name, value in resource.items():
            allowed = (fields[name].json_schema_extra or {}).get("enum_values") if name in fields else None
            if allowed:
                assert value in allowed, f"{resource['resourceType']}.{name} = {value}"
    for part in walk(answer):
        if {"system", "code"} <= set(part):
            assert part["system"] in codes.SYSTEMS.values()
            assert FORM[part["system"]].fullmatch(part["code"]), part
            if part["system"] == LOCAL:
                assert part["code"] in codes.DEFINITIONS
        if "value" in part and "unit" in part:
            assert part["system"] == "http://unitsofmeasure.org"
            assert np.isfinite(float(part["value"]))


FORM = {
    "http://snomed.info/sct": re.compile(r"\d{6,18}"),
    "http://loinc.org": re.compile(r"\d{1,7}-\d"),
    "http://unitsofmeasure.org": re.compile(r"mm|deg|1|\{pixels\}"),
    LOCAL: re.compile(r"[a-z0-9-]{1,16}"),
    "http://terminology.hl7.org/CodeSystem/observation-category": re.compile("imaging"),
    "http://terminology.hl7.org/CodeSystem/v2-0074": re.compile("IMG"),
    "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation": re.compile("POS|NEG|IND"),
    "http://terminology.hl7.org/CodeSystem/data-absent-reason": re.compile("unknown"),
}


def verhoeff(number: str) -> bool:
    """True if the check digit of a SNOMED CT identifier is right (release guide, appendix B)."""
    multiply = [[(i + j) % 5 if i < 5 and j < 5 else 0 for j in range(10)] for i in range(10)]
    for i in range(10):
        for j in range(10):
            if i < 5 and j < 5:
                multiply[i][j] = (i + j) % 5
            elif i < 5:
                multiply[i][j] = 5 + (i + j) % 5
            elif j < 5:
                multiply[i][j] = 5 + (i - j) % 5
            else:
                multiply[i][j] = (i - j) % 5
    turn = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    for _ in range(6):
        turn.append([turn[1][turn[-1][k]] for k in range(10)])
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = multiply[check][turn[place % 8][int(digit)]]
    return check == 0


def mod_10(code: str) -> bool:
    """True if the check digit of a LOINC code is right (users' guide, appendix C)."""
    digits, check = code.split("-")
    odd = str(int("".join(digits[::-1][::2][::-1])) * 2)
    total = sum(map(int, odd)) + sum(map(int, digits[::-1][1::2]))
    return (10 - total % 10) % 10 == int(check)


def test_check_digits_of_all_standard_codes() -> None:
    """A mistyped digit would be another concept, or none."""
    known = [value for value in vars(codes).values() if isinstance(value, codes.Code)]
    known += [c for group in (codes.EYES, codes.LATERALITY, codes.PFH_OF_SIDE) for c in group.values()]
    assert [c.value for c in known if c.scheme == "SCT" and not verhoeff(c.value)] == []
    assert [c.value for c in known if c.scheme == "LN" and not mod_10(c.value)] == []
    assert not verhoeff("11934001")
    assert not mod_10("79855-4")


@pytest.mark.parametrize(
    ("side", "loinc", "eye"), [("OD", "79855-3", "18944008"), ("OS", "79856-1", "8966001")]
)
def test_pfh_has_the_loinc_code_of_its_side(side: str, loinc: str, eye: str) -> None:
    observation = the(bundle(), loinc)
    length = FACE.eyes[side].lengths["pfh"]
    assert observation["valueQuantity"] == {
        "value": round(length.mm, 2), "unit": "mm", "system": "http://unitsofmeasure.org", "code": "mm",
    }  # fmt: skip
    assert observation["bodySite"]["coding"][0]["code"] == eye
    parts = components(observation)
    assert parts["371884006"]["valueQuantity"]["value"] == round(length.mm_error, 2)
    assert parts["371884006"]["valueQuantity"]["code"] == "mm"
    assert parts["length-px"]["valueQuantity"]["value"] == round(length.px, 2)
    assert parts["scale-method"]["valueCodeableConcept"]["coding"][0]["code"] == "scale-iris"
    assert observation["method"]["coding"][0]["code"] == length.method


def test_every_length_of_both_eyes_has_an_observation() -> None:
    answer = bundle()
    for side, eye in FACE.eyes.items():
        for name in LENGTHS:
            observation = the(answer, codes.of_length(name).value, side)
            assert observation["valueQuantity"]["value"] == round(eye.lengths[name].mm, 2)
        assert the(answer, "height-to-width", side)["valueQuantity"]["code"] == "1"
    for name in DIFFERENCES:
        observation = the(answer, codes.of_difference(name).value)
        assert observation["valueQuantity"]["value"] == round(FACE.differences[name].mm, 2)


def test_a_mirrored_picture_swaps_the_sides_and_has_a_note() -> None:
    mirrored, plain = bundle(SCREENINGS["mirrored"]), bundle()
    drooping = the(plain, "79855-3")["valueQuantity"]["value"]
    assert the(mirrored, "79856-1")["valueQuantity"]["value"] == drooping
    (report,) = of_kind(mirrored, "DiagnosticReport")
    assert "mirrored" in report["conclusion"]
    assert "left eye" in report["conclusionCode"][0]["text"]


def test_withheld_lengths_have_a_data_absent_reason() -> None:
    observation = the(bundle(SCREENINGS["withheld"]), "mrd1", "OS")
    assert "valueQuantity" not in observation
    absent = observation["dataAbsentReason"]
    assert [c["code"] for c in absent["coding"]] == ["unknown", "no-pupil"]
    assert absent["text"] == "the pupil is not known"
    assert "valueQuantity" in the(bundle(SCREENINGS["withheld"]), "mrd1", "OD")


def test_a_reason_without_a_code_is_a_text() -> None:
    observation = the(bundle(withheld("OD", "pfh", Reason("brand-new", "something else"))), "79855-3")
    assert [c["code"] for c in observation["dataAbsentReason"]["coding"]] == ["unknown"]
    assert observation["dataAbsentReason"]["text"] == "something else"


def test_without_a_scale_there_are_pixels_and_no_millimetres() -> None:
    observation = the(bundle(WITHOUT_SCALE), "79855-3")
    assert "valueQuantity" not in observation
    assert [c["code"] for c in observation["dataAbsentReason"]["coding"]] == ["unknown", "no-scale"]
    assert set(components(observation)) == {"length-px"}


@pytest.mark.parametrize(
    ("flag", "interpretation", "site", "suspected"),
    [
        (Flag("none", (), ()), "NEG", None, None),
        (Flag("suspicious", ("OD",), ()), "POS", "18944008", "right eye"),
        (Flag("functional", ("OS",), ()), "POS", "8966001", "left eye"),
        (Flag("suspicious", ("OD", "OS"), ()), "POS", "40638003", "right eye and left eye"),
        (Flag("undetermined", (), ()), "IND", None, None),
    ],
)
def test_flag_observation_and_conclusion_code(
    flag: Flag, interpretation: str, site: str | None, suspected: str | None
) -> None:
    answer = bundle(with_face(flag=flag))
    observation = the(answer, "ptosis-flag")
    assert observation["valueCodeableConcept"]["coding"][0]["code"] == flag.level
    assert observation["interpretation"][0]["coding"][0]["code"] == interpretation
    assert observation["note"][-1]["text"] == NOTICE
    assert observation.get("bodySite", {}).get("coding", [{}])[0].get("code") == site
    (report,) = of_kind(answer, "DiagnosticReport")
    assert "not a diagnosis" in report["conclusion"]
    if suspected is None:
        assert "conclusionCode" not in report
    else:
        (concept,) = report["conclusionCode"]
        assert concept["coding"][0]["code"] == "11934000"
        assert concept["text"].startswith("Suspected")
        assert concept["text"].endswith(suspected)


def test_all_resources_are_preliminary() -> None:
    answer = bundle(TWO)
    for resource in of_kind(answer, "DiagnosticReport") + of_kind(answer, "Observation"):
        assert resource["status"] == "preliminary"


@pytest.mark.parametrize(
    ("screening", "named"), [(DRAWN, True), (EMPTY, True), (TWO, False)], ids=["one", "none", "two"]
)
def test_the_subject_is_left_out_with_several_faces(screening: Screening, named: bool) -> None:
    answer = bundle(screening, subject="Patient/7")
    for resource in of_kind(answer, "DiagnosticReport") + of_kind(answer, "Observation"):
        assert ("subject" in resource) == named
    if not named:
        for index, report in enumerate(of_kind(answer, "DiagnosticReport")):
            assert report["conclusion"].startswith(f"Face {index + 1} of 2")
            assert "the given subject is left out" in report["conclusion"]


def test_there_is_no_subject_without_a_given_one() -> None:
    assert not [part for part in walk(bundle()) if "subject" in part]


def test_without_a_face_the_report_gives_the_reason_and_no_observations() -> None:
    answer = bundle(EMPTY)
    (report,) = of_kind(answer, "DiagnosticReport")
    assert report["conclusion"] == f"{EMPTY.empty} {NOTICE}"
    assert "result" not in report
    assert of_kind(answer, "Observation") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/7", {"reference": "Patient/7"}),
        ("https://ehr.example/fhir/Patient/a-1", {"reference": "https://ehr.example/fhir/Patient/a-1"}),
        (f"urn:uuid:{REQUEST}", {"reference": f"urn:uuid:{REQUEST}"}),
        (
            "https://ehr.example/mrn|12 345",
            {"identifier": {"system": "https://ehr.example/mrn", "value": "12 345"}},
        ),
        ("urn:oid:1.2.36.146|9", {"identifier": {"system": "urn:oid:1.2.36.146", "value": "9"}}),
    ],
)
def test_accepted_subjects(text: str, expected: dict[str, Any]) -> None:
    (report,) = of_kind(bundle(subject=text), "DiagnosticReport")
    assert report["subject"] == {**expected, "type": "Patient"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("7", "says not of what"),
        ("Practitioner/7", "no patient"),
        ("Patient/7/_history/1", "a version"),
        ("Patient/" + "x" * 65, "longer than an id may be"),
        ("mrn|7", "the system is no URI"),
        ("urn:x|", "no value"),
        ("urn:x| ", "a blank value"),
        ("urn:x|a|b", "two bars"),
        ("urn:x|a\nb", "a line break"),
        ("javascript:alert(1)", "no reference"),
        ("https://ehr.example/mrn|" + "9" * 300, "endless"),
    ],
)
def test_invalid_subjects_are_rejected(text: str, reason: str) -> None:
    with pytest.raises(LidloopError, match="subject must be") as caught:
        bundle(subject=text)
    assert not text.strip() or text not in str(caught.value), reason


@examples(100)
@given(st.text(max_size=60) | st.builds("{}:{}|{}".format, *[st.text(max_size=20)] * 3))
def test_any_text_is_a_valid_reference_or_rejected(text: str) -> None:
    try:
        reference = subject_reference(text)
    except LidloopError:
        return
    DiagnosticReport.model_validate({"status": "preliminary", "code": {"text": "x"}, "subject": reference})


def test_the_study_of_a_dicom_picture_is_referenced() -> None:
    answer = bundle(study_uid="1.2.840.1")
    expected = {
        "type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"},
    }  # fmt: skip
    (report,) = of_kind(answer, "DiagnosticReport")
    assert report["imagingStudy"] == [expected]
    assert all(observation["derivedFrom"][0] == expected for observation in of_kind(answer, "Observation"))


def test_the_device_names_the_model_and_versions() -> None:
    (device,) = of_kind(bundle(software="9.9"), "Device")
    assert device["deviceName"] == [{"name": "lidloop", "type": "model-name"}]
    assert {v["type"]["text"]: v["value"] for v in device["version"]} == {
        "model version": "7", "iteration": "3", "SHA-256 of the network": "5f" * 32, "lidloop": "9.9",
    }  # fmt: skip
    unversioned = replace(DRAWN, model=replace(DRAWN.model, version=None))
    (device,) = of_kind(bundle(unversioned), "Device")
    assert "model version" not in [v["type"]["text"] for v in device["version"]]


def test_ids_are_derived_from_the_request_id() -> None:
    first, again = (fhir.bundle(DRAWN, request_id=REQUEST, issued=WHEN).model_dump_json() for _ in range(2))
    assert first == again
    other = fhir.bundle(DRAWN, request_id=str(uuid.uuid4()), issued=WHEN).model_dump_json()
    urls = [{entry["fullUrl"] for entry in json.loads(text)["entry"]} for text in (first, other)]
    assert not urls[0] & urls[1]


def test_a_transaction_creates_every_resource_once() -> None:
    answer = json.loads(
        fhir.bundle(DRAWN, request_id=REQUEST, issued=WHEN, kind="transaction").model_dump_json()
    )
    assert answer["type"] == "transaction"
    for entry in answer["entry"]:
        resource, request = entry["resource"], entry["request"]
        (identifier,) = resource["identifier"]
        assert (request["method"], request["url"]) == ("POST", resource["resourceType"])
        assert request["ifNoneExist"] == f"identifier={identifier['system']}|{identifier['value']}"
    assert not [entry for entry in bundle()["entry"] if "request" in entry]
    first, other = (
        [r["identifier"] for r in of_kind(bundle(**options), "Device")]
        for options in ({}, {"software": "another version"})
    )
    assert first != other


def test_every_resource_has_an_identifier_and_a_narrative() -> None:
    for entry in bundle()["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] != "Device":
            assert resource["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": entry["fullUrl"]}]
        text = resource["text"]
        assert text["status"] == "generated"
        root = ElementTree.fromstring(text["div"])
        assert root.tag == "{http://www.w3.org/1999/xhtml}div"
        assert "".join(root.itertext()).strip()
    length = FACE.eyes["OD"].lengths["pfh"].mm
    assert f"{length:.2f} mm" in the(bundle(), "79855-3")["text"]["div"]


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (None, None),
        (datetime(2026, 1, 4, 9, 15), "2026-01-04"),
        (datetime(2026, 1, 4, 9, 15, tzinfo=timezone(timedelta(hours=2))), "2026-01-04T09:15:00+02:00"),
    ],
)
def test_the_effective_time_is_the_acquisition_time(taken: datetime | None, expected: str | None) -> None:
    answer = bundle(taken=taken)
    for resource in of_kind(answer, "DiagnosticReport") + of_kind(answer, "Observation"):
        assert resource.get("effectiveDateTime") == expected


def test_times_keep_their_time_zone() -> None:
    there = WHEN.astimezone(timezone(timedelta(hours=-7)))
    answer = json.loads(fhir.bundle(DRAWN, request_id=REQUEST, issued=there).model_dump_json())
    assert datetime.fromisoformat(answer["timestamp"]) == WHEN
    with pytest.raises(ValueError, match="time zone"):
        fhir.bundle(DRAWN, request_id=REQUEST, issued=WHEN.replace(tzinfo=None))


def test_a_request_id_that_is_not_a_uuid_is_rejected() -> None:
    with pytest.raises(ValueError, match="UUID"):
        fhir.bundle(DRAWN, request_id="7", issued=WHEN)


def test_values_are_never_negative_zero() -> None:
    answer = bundle(with_face(differences={"pfh": Length(-0.001, -0.0004, 0.1)}))
    assert str(the(answer, "pfh-diff")["valueQuantity"]["value"]) in ("0.0", "0")


def test_the_code_system_defines_every_local_code() -> None:
    made = fhir.code_system().model_dump_json()
    system = json.loads(made)
    CodeSystem.model_validate_json(made)
    assert system["url"] == LOCAL
    assert system["count"] == len(system["concept"]) == len(codes.DEFINITIONS)
    assert all(concept["display"] and concept["definition"] for concept in system["concept"])


def test_local_codes_fit_into_dicom() -> None:
    """DICOM limits: 16 characters of SH, 64 of LO, and a valid UID."""
    for value in codes.DEFINITIONS:
        assert len(value) <= 16
        assert len(codes.local(value).meaning) <= 64
    assert re.fullmatch(r"2\.25\.\d{1,39}", codes.LOCAL_OID)


def test_every_method_scale_and_flag_level_has_a_code() -> None:
    for method in get_args(get_type_hints(Length)["method"]):
        assert codes.local(method)
    for method in get_args(get_type_hints(Scale)["method"]):
        assert codes.of_scale(method)
    for level in get_args(get_type_hints(Flag)["level"]):
        assert codes.local(level)
        assert codes.INTERPRETATION[level]


def test_every_reason_has_a_code() -> None:
    calls = [
        node
        for file in (Path(codes.__file__).parents[2] / "lidloop").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reason"
    ]
    found = {call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)}
    assert found | {"no-scale"} == KINDS.keys()
    assert all(codes.of_reason(code) is not None and len(code) <= 16 for code in found)


def test_the_code_system_over_http(client: TestClient) -> None:
    response = client.get("/fhir/CodeSystem/lidloop")
    assert response.headers["content-type"] == fhir.MEDIA_TYPE
    system = CodeSystem.model_validate_json(response.text)
    assert (system.id, system.url, system.content) == ("lidloop", codes.SYSTEMS[codes.LOCAL], "complete")
    assert {concept.code for concept in system.concept} == set(codes.DEFINITIONS)


def test_a_fhir_answer_over_http(client: TestClient, photo: Any) -> None:
    headers = {"Accept": fhir.MEDIA_TYPE, "Content-Type": "image/jpeg"}
    response = client.post("/v1/screen", content=photo.jpeg, headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == fhir.MEDIA_TYPE
    Bundle.model_validate_json(response.text)
    answer = response.json()
    assert answer["identifier"]["value"] == f"urn:uuid:{response.headers['x-request-id']}"
    drooping, other = (the(answer, code)["valueQuantity"]["value"] for code in ("79855-3", "79856-1"))
    assert drooping < other
    plain = client.post("/v1/screen", content=photo.jpeg, headers={"Content-Type": "image/jpeg"}).json()
    assert drooping == plain["faces"][0]["eyes"]["OD"]["pfh"]["mm"]
    (report,) = of_kind(answer, "DiagnosticReport")
    assert "subject" not in report


def test_the_subject_is_a_form_field(client: TestClient, photo: Any) -> None:
    form = {"files": {"image": photo.jpeg}, "headers": {"Accept": fhir.MEDIA_TYPE}}
    response = client.post("/v1/screen", data={"subject": "Patient/7"}, **form)
    assert response.status_code == 200, response.text
    (report,) = of_kind(response.json(), "DiagnosticReport")
    assert report["subject"]["reference"] == "Patient/7"
    refused = client.post("/v1/screen", data={"subject": "who knows"}, **form)
    assert (refused.status_code, refused.json()["parameter"]) == (400, "subject")
    assert "who knows" not in refused.text

"""Screenings as DICOM Comprehensive SR: sides, values and units as pydicom and highdicom read them."""

from __future__ import annotations

import functools
import io
import logging
import re
import uuid
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom
from pydicom.sr.coding import Code

from benchmarks.pages.protocols import dicom_photograph, drawn_screening
from lidloop.screening.measurements import DIFFERENCES, LENGTHS, NOTICE, Flag, Length, Reason
from lidloop.screening.screen import Screening
from serving.protocols import codes
from serving.protocols.dicom.photograph import DicomPicture, read
from serving.protocols.dicom.structured_report import MEDIA_TYPE, ReportError, report
from tests.properties import examples

if TYPE_CHECKING:
    from starlette.testclient import TestClient

REQUEST = "0b7c4a8e-3f6d-4c1b-9a52-6d1f0e7b8c93"
WHEN = datetime(2026, 1, 5, 10, 15, 30, tzinfo=UTC)
_, DRAWN = drawn_screening()
PIXELS = np.zeros((4, 6, 3), np.uint8)
FACE = DRAWN.faces[0]
SECRET = "Secretname"


def photograph(**attributes: Any) -> DicomPicture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read(dicom_photograph(PIXELS, **attributes))


PHOTOGRAPH = photograph()


def made(
    screening: Screening = DRAWN, picture: DicomPicture | None = PHOTOGRAPH, **options: Any
) -> pydicom.FileDataset:
    """Write a report and parse its bytes; without arguments always the same report, written once."""
    plain = screening is DRAWN and picture is PHOTOGRAPH and not options
    return pydicom.dcmread(io.BytesIO(_usual() if plain else _written(screening, picture, **options)))


def _written(screening: Screening, picture: DicomPicture | None, **options: Any) -> bytes:
    return report(screening, picture, **{"request_id": REQUEST, "issued": WHEN} | options)


@functools.cache
def _usual() -> bytes:
    return _written(DRAWN, PHOTOGRAPH)


def groups(document: Dataset) -> dict[str, Any]:
    """Measurement groups by tracking identifier, as highdicom reads them."""
    content = highdicom.sr.ComprehensiveSR.from_dataset(document).content
    return {group.tracking_identifier: group for group in content.get_image_measurement_groups()}


def evaluations(group: Any) -> dict[str, str]:
    return {e.name.value: e.value.value for e in group.get_qualitative_evaluations()}


def comments(group: Any) -> list[str]:
    items = highdicom.sr.utils.find_content_items(group[0], name=dicom.DCM.Comment)
    return [item.TextValue for item in items]


def with_face(**changes: Any) -> Screening:
    return replace(DRAWN, faces=(replace(FACE, **changes),))


WITHOUT_SCALE = with_face(
    scale=None,
    eyes={
        side: replace(eye, lengths={name: Length(length.px) for name, length in eye.lengths.items()})
        for side, eye in FACE.eyes.items()
    },
    differences={},
)
EMPTY = replace(DRAWN, faces=())


@pytest.mark.parametrize(
    ("side", "laterality"), [("OD", Code("24028007", "SCT", "Right")), ("OS", Code("7771000", "SCT", "Left"))]
)
def test_lengths_of_an_eye_have_laterality_millimetres_and_error_band(side: str, laterality: Code) -> None:
    group = groups(made())[side]
    (site,) = group.finding_sites
    assert site.value == Code("81745001", "SCT", "Eye")
    assert site.laterality == laterality
    found = {measurement.name.value: measurement for measurement in group.get_measurements()}
    pfh = {"OD": "79855-3", "OS": "79856-1"}[side]
    assert set(found) == {pfh, "width", "mrd1", "mrd2", "brow-lid", "height-to-width"}
    for name in LENGTHS:
        measurement = found[pfh if name == "pfh" else codes.of_length(name).value]
        length = FACE.eyes[side].lengths[name]
        assert measurement.value == round(length.mm, 2)
        assert measurement.unit == Code("mm", "UCUM", "mm")
        assert measurement.method.value == length.method
        (band,) = highdicom.sr.utils.find_content_items(
            measurement[0], name=Code("371884006", "SCT", "+/-, range of measurement uncertainty")
        )
        assert band.value == round(length.mm_error, 2)
        assert band.unit == Code("mm", "UCUM", "mm")
    assert found[pfh].name.scheme_designator == "LN"
    assert found["mrd1"].name.scheme_designator == codes.LOCAL
    assert found["height-to-width"].unit.value == "1"


def test_differences_and_flag_are_in_the_group_of_both_eyes() -> None:
    group = groups(made())["face"]
    assert group.finding_sites[0].laterality == Code("51440002", "SCT", "Right and left")
    found = {measurement.name.value: measurement.value for measurement in group.get_measurements()}
    assert found == {
        codes.of_difference(name).value: round(FACE.differences[name].mm, 2) for name in DIFFERENCES
    }
    coded = [(e.name.value, e.value.value) for e in group.get_qualitative_evaluations()]
    assert coded == [
        ("ptosis-flag", FACE.flag.level),
        ("picture-quality", "usable"),
        *(("flag-reason", reason.code) for reason in FACE.flag.reasons),
    ]
    assert comments(group)[-1] == NOTICE


@pytest.mark.parametrize("flagged", [(), ("OD",), ("OS",), ("OD", "OS")])
def test_ptosis_is_suspected_on_flagged_sides_only(flagged: tuple[Any, ...]) -> None:
    found = groups(made(with_face(flag=Flag("suspicious" if flagged else "none", flagged, ()))))
    for side in ("OD", "OS"):
        expected = {"11934000": "415684004"} if side in flagged else {}
        assert evaluations(found[side]) == expected


def test_withheld_lengths_are_comments_without_a_number() -> None:
    eye = FACE.eyes["OS"]
    lengths = {name: value for name, value in eye.lengths.items() if name != "mrd1"}
    changed = replace(eye, lengths=lengths, withheld={"mrd1": Reason("no-pupil", "the pupil is not known")})
    group = groups(made(with_face(eyes={**FACE.eyes, "OS": changed})))["OS"]
    assert "mrd1" not in [measurement.name.value for measurement in group.get_measurements()]
    assert comments(group) == ["Margin reflex distance 1 (MRD1) is withheld: the pupil is not known"]


def test_without_a_scale_lengths_are_pixels_and_have_no_loinc_code() -> None:
    group = groups(made(WITHOUT_SCALE))["OD"]
    found = {measurement.name.value: measurement for measurement in group.get_measurements()}
    assert "79855-3" not in found
    assert found["pfh"].value == round(FACE.eyes["OD"].lengths["pfh"].px, 2)
    assert found["pfh"].unit == Code("{pixels}", "UCUM", "pixels")


def test_a_mirrored_picture_has_a_comment() -> None:
    assert codes.MIRRORED in comments(groups(made(drawn_screening(mirrored=True)[1]))["face"])


def test_the_algorithm_is_the_served_model() -> None:
    def says(group: Any) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for code, key in (("111001", "name"), ("111003", "version"), ("111002", "parameters")):
            items = highdicom.sr.utils.find_content_items(group[0], name=Code(code, "DCM", ""))
            found[key] = [item.TextValue for item in items]
        return found

    for group in groups(made()).values():
        found = says(group)
        assert found["name"] == ["lidloop"]
        assert found["version"] == ["7"]
        assert found["parameters"][:2] == ["iteration 3", f"SHA-256 of the network {'5f' * 32}"]
        assert re.fullmatch(r"Iris: 0\.\d{6} mm per pixel ± \d\.\d %", found["parameters"][2])
    unversioned = replace(DRAWN, model=replace(DRAWN.model, version=None))
    assert says(groups(made(unversioned))["OD"])["version"] == ["iteration 3"]


def test_the_document_is_a_preliminary_measurement_report() -> None:
    document = made()
    assert document.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert document.Modality == "SR"
    assert document.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag) == (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip
    (scheme,) = document.CodingSchemeIdentificationSequence
    assert (scheme.CodingSchemeDesignator, scheme.CodingSchemeUID) == (codes.LOCAL, codes.LOCAL_OID)


def test_the_report_is_in_the_study_of_the_picture_and_references_it() -> None:
    document = made()
    assert document.StudyInstanceUID == "2.25.102"
    assert document.SeriesInstanceUID != "2.25.103"
    assert (document.PatientID, str(document.PatientName)) == ("EXAMPLE-1", "Drawn^Face")
    assert (document.StudyDate, document.AccessionNumber) == ("20260105", "A-1")
    evidence = highdicom.sr.ComprehensiveSR.from_dataset(document).get_evidence()
    assert evidence == [("2.25.102", "2.25.103", "2.25.101", "1.2.840.10008.5.1.4.1.1.77.1.4")]
    for group in groups(document).values():
        (image,) = group.source_images
        assert image.referenced_sop_instance_uid == "2.25.101"


def test_a_picture_that_is_not_dicom_has_no_patient_and_no_reference() -> None:
    document = made(picture=None)
    for keyword in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
    ):
        assert keyword in document
        assert not document[keyword].value
    assert "CurrentRequestedProcedureEvidenceSequence" not in document
    assert "PertinentOtherEvidenceSequence" not in document
    assert not [element for element in document.iterall() if element.keyword == "ReferencedSOPSequence"]
    assert groups(document)["OD"].source_images == []
    assert made(picture=None, request_id=str(uuid.uuid4())).StudyInstanceUID != document.StudyInstanceUID


@pytest.mark.parametrize("picture", [PHOTOGRAPH, None], ids=["DICOM", "other"])
def test_a_picture_without_a_face_gets_a_report_with_the_reason(picture: DicomPicture | None) -> None:
    (group,) = groups(made(EMPTY, picture)).values()
    assert evaluations(group) == {"ptosis-flag": "undetermined"}
    assert group.get_measurements() == []
    assert comments(group) == [EMPTY.empty, NOTICE]


def test_several_faces_are_rejected() -> None:
    """The report would put measurements of other people into a patient's record."""
    with pytest.raises(ReportError, match="2 faces"):
        report(replace(DRAWN, faces=(FACE, FACE)), PHOTOGRAPH, request_id=REQUEST, issued=WHEN)


def test_patient_names_of_all_scripts_are_kept() -> None:
    """The source is in ISO 2022, the report in UTF-8, which can also encode the ± of comments."""
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    picture = photograph(
        SpecificCharacterSet=["ISO 2022 IR 6", "ISO 2022 IR 87"], PatientName=name, StudyDescription="顔",
    )  # fmt: skip
    document = made(picture=picture)
    assert str(document.PatientName) == name
    assert document.StudyDescription == "顔"
    assert any("±" in text for text in comments(groups(document)["face"]))


def test_uids_are_derived_from_the_request_id() -> None:
    first, again, other = made(), made(), made(request_id=str(uuid.uuid4()))
    assert report(DRAWN, PHOTOGRAPH, request_id=REQUEST, issued=WHEN) == report(
        DRAWN, PHOTOGRAPH, request_id=REQUEST, issued=WHEN
    )
    assert first.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID == again.SeriesInstanceUID != other.SeriesInstanceUID
    own = {first.SOPInstanceUID, first.SeriesInstanceUID, first.file_meta.MediaStorageSOPInstanceUID}
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{0,38}", uid) for uid in own)


@pytest.mark.parametrize(
    ("offset", "date", "time", "kept"),
    [
        ("+0530", "20260105", "154530", True),
        ("-1100", "20260104", "231530", True),
        (SECRET[:5], None, None, False),
        ("+9900", None, None, False),
    ],
)
def test_times_are_in_the_time_zone_of_the_source(
    offset: str, date: str | None, time: str | None, kept: bool
) -> None:
    document = made(picture=photograph(TimezoneOffsetFromUTC=offset))
    assert ("TimezoneOffsetFromUTC" in document) == kept
    if kept:
        assert (document.ContentDate, document.ContentTime.split(".")[0]) == (date, time)
        assert document.TimezoneOffsetFromUTC == offset


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientSex", "U", ""),
        ("PatientSex", "F", "F"),
        ("PatientBirthDate", "around 1960", ""),
        ("StudyDate", SECRET, ""),
        ("StudyTime", "late", ""),
        ("PatientName", "Mononym", "Mononym"),
        ("PatientID", None, ""),
        ("StudyDate", None, ""),
        ("PatientID", "x" * 80, ""),
    ],
)
def test_only_valid_attributes_are_repeated(keyword: str, value: str | None, expected: str) -> None:
    assert str(made(picture=photograph(**{keyword: value}))[keyword].value or "") == expected


def test_a_missing_modality_does_not_prevent_a_report() -> None:
    assert groups(made(picture=photograph(Modality=None)))["OD"].source_images


@examples(20)
@given(
    st.dictionaries(
        st.sampled_from(
            ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate",
             "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "IssuerOfPatientID",
             "Modality", "StudyDescription", "TimezoneOffsetFromUTC"]
        ),
        st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=70),
        max_size=4,
    )
)  # fmt: skip
def test_any_header_values_give_a_report(attributes: dict[str, str]) -> None:
    picture = photograph(SpecificCharacterSet="ISO_IR 100", **attributes)
    assert groups(made(EMPTY, picture))


def test_patient_data_is_not_in_logs_or_warnings(caplog: pytest.LogCaptureFixture) -> None:
    """Also after another library has reset the filters of warnings."""
    picture = photograph(
        PatientName=SECRET, PatientID=SECRET * 9, StudyTime=SECRET, PatientBirthDate=SECRET,
        PatientSex=SECRET, ReferringPhysicianName=SECRET * 9, StudyID=SECRET * 9,
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        report(DRAWN, picture, request_id=REQUEST, issued=WHEN)
    assert SECRET not in caplog.text
    assert [str(warning.message) for warning in caught] == []


def test_invalid_times_and_request_ids_are_rejected() -> None:
    with pytest.raises(ValueError, match="time zone"):
        report(DRAWN, None, request_id=REQUEST, issued=WHEN.replace(tzinfo=None))
    with pytest.raises(ValueError, match="UUID"):
        report(DRAWN, None, request_id="7", issued=WHEN)


def test_a_dicom_photograph_gets_a_report_over_http(client: TestClient, photo: Any) -> None:
    headers = {"Accept": MEDIA_TYPE, "Content-Type": "application/dicom"}
    response = client.post("/v1/screen", content=dicom_photograph(photo.image), headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    document = pydicom.dcmread(io.BytesIO(response.content))
    assert (document.PatientID, document.StudyInstanceUID) == ("EXAMPLE-1", "2.25.102")
    pfh = {
        side: next(
            m.value for m in groups(document)[side].get_measurements() if m.name.scheme_designator == "LN"
        )
        for side in ("OD", "OS")
    }
    assert pfh["OD"] < pfh["OS"]


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_other_photographs_get_a_report_without_a_patient_over_http(
    client: TestClient, photo: Any, kind: str
) -> None:
    headers = {"Accept": MEDIA_TYPE, "Content-Type": f"image/{kind}"}
    response = client.post("/v1/screen", content=getattr(photo, kind), headers=headers)
    assert response.status_code == 200, response.text
    document = pydicom.dcmread(io.BytesIO(response.content))
    assert not document.PatientID
    assert set(groups(document)) == {"OD", "OS", "face"}


def test_two_faces_are_rejected_over_http(client: TestClient, photo: Any) -> None:
    twice = np.ascontiguousarray(np.hstack([photo.image, photo.image]))
    headers = {"Accept": MEDIA_TYPE, "Content-Type": "application/dicom"}
    response = client.post("/v1/screen", content=dicom_photograph(twice), headers=headers)
    assert (response.status_code, response.json()["type"]) == (422, "/problems/several-faces")
    one = client.post("/v1/screen", content=dicom_photograph(twice), headers=headers, params={"max_faces": 1})
    assert one.status_code == 422

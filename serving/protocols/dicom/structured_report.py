"""Write a screening as a DICOM Comprehensive SR: a Measurement Report (PS3.16, TID 1500) of one face.

There is a measurement group per eye, with the laterality of its finding site, and one of both eyes. Groups
have lengths in millimetres (in pixels without a scale) with method and error band, evaluations for the flag
and the quality of the picture, the model as algorithm, and comments that name withheld lengths and their
reasons. The report is ``PRELIMINARY`` and ``UNVERIFIED``.

**Patient.** A report belongs to one patient. For a DICOM picture it repeats the attributes of patient and
study, forms a new series of that study and references the picture. For any other picture the patient
attributes are empty (DICOM's value for unknown), the study is new and nothing is referenced; the archive has
to assign it to a patient. A picture with several faces gets no report, because only one of them can be the
patient.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from lidloop import __version__
from lidloop.errors import LidloopError
from lidloop.screening.measurements import (
    DIFFERENCES,
    LENGTHS,
    NOTICE,
    SIDES,
    EyeMeasurement,
    FaceMeasurement,
    Length,
    Reason,
    Scale,
    Side,
)
from lidloop.screening.screen import ModelInfo, Screening
from serving.protocols import codes
from serving.protocols.codes import Code
from serving.protocols.dicom.attributes import valid_attributes
from serving.protocols.dicom.header import CLASSES
from serving.protocols.dicom.photograph import DicomPicture, disable_pydicom_logging

if TYPE_CHECKING:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import AlgorithmIdentification, Measurement, MeasurementReport, QualitativeEvaluation
    from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group
    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code as DicomCode

MEDIA_TYPE: Final = "application/dicom"
MAKER: Final = "lidloop"
SERIES_NUMBER: Final = 990
"""High, so that viewers sort it after the series of a camera."""

_EMPTY_WHERE_MISSING: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


class _Context(NamedTuple):
    """Values that all groups of a report share; ``source`` is None if the picture did not come as DICOM."""

    screening: Screening
    source: Dataset | None
    request_id: str


class ReportError(LidloopError):
    """The screening has several faces, so that it cannot be the report of one patient."""


class IdentifierError(LidloopError):
    """The identifiers of the DICOM file are missing or not valid, so that a report cannot reference it."""


def report(
    screening: Screening,
    picture: DicomPicture | None,
    *,
    request_id: str,
    issued: datetime,
    software: str = __version__,
) -> bytes:
    """Write a screening as a DICOM file (PS3.10, Explicit VR Little Endian).

    Args:
        screening: result of one picture.
        picture: the screened picture; None if it did not come as DICOM.
        request_id: UUID of the request, from which all UIDs are derived.
        issued: time of the report, with a time zone. It is written in the picture's Timezone Offset From UTC
            if it has one, else in the time zone of this machine.
        software: version of this software.

    Returns:
        Content of the file.

    Raises:
        ReportError: the screening has several faces.
        IdentifierError: identifiers of the picture are missing or not valid.
        ValueError: the request id is not a UUID, or the time has no time zone.
    """
    if issued.tzinfo is None:
        raise ValueError("issued needs a time zone")
    if screening.found > 1:
        raise ReportError(
            f"{screening.found} faces were found, but a DICOM report has one patient: send a picture of the "
            "patient alone"
        )
    if picture is not None and picture.invalid:
        raise IdentifierError(
            f"no DICOM report can reference this DICOM file, because these attributes are missing or not "
            f"valid UIDs: {', '.join(picture.invalid)}; ask for JSON"
        )
    request_id = str(uuid.UUID(request_id))
    disable_pydicom_logging()
    from highdicom.sr import ComprehensiveSR
    from pydicom.valuerep import DT

    source = _source(picture, request_id)
    local_time = _local_time(issued, source)
    name, source.PatientName = source.PatientName, ""  # highdicom warns of a name without ^, with its value
    document = ComprehensiveSR(
        evidence=[source],
        content=_content(_Context(screening, None if picture is None else source, request_id))[0],
        series_instance_uid=_uid(request_id, "series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=_uid(request_id, "instance"),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=_fit(screening.model.name, 64),
        software_versions=_fit(software, 64),
        device_serial_number=_fit(screening.model.digest, 64),
        series_description="Ptosis screening, not a diagnosis",
        is_complete=True,
        is_final=False,
        is_verified=False,
        content_date=local_time.date(),
        content_time=local_time.time(),
        specific_character_set="ISO_IR 192",
        coding_schemes=[_coding_scheme()],
    )
    document.PatientName = name
    document.InstanceCreationDate = document.ContentDate
    document.InstanceCreationTime = document.ContentTime
    for equipment in document.ContributingEquipmentSequence:  # highdicom writes the current time
        equipment.ContributionDateTime = DT(local_time.strftime("%Y%m%d%H%M%S"))
    if "TimezoneOffsetFromUTC" in source:
        document.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC
    if picture is None:
        del document.CurrentRequestedProcedureEvidenceSequence  # type 1C: no instances
    out = io.BytesIO()
    document.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _coding_scheme() -> CodingSchemeIdentificationItem:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    item = CodingSchemeIdentificationItem(
        codes.LOCAL, name="Codes of lidloop", version=codes.LOCAL_VERSION, responsible_organization=MAKER
    )
    item.CodingSchemeUID = codes.LOCAL_OID  # highdicom sets it for registered schemes only
    return item


def _source(picture: DicomPicture | None, request_id: str) -> Dataset:
    """Patient, study and instance that a report references; empty and with new UIDs without a picture."""
    from pydicom.dataset import Dataset

    source = Dataset()
    if picture is None:
        source.SOPClassUID = next(iter(CLASSES))
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(source, keyword, _uid(request_id, "source", keyword))
    else:
        source.update(valid_attributes(picture.header))
    for keyword in _EMPTY_WHERE_MISSING:
        if keyword not in source:
            setattr(source, keyword, "")
    if "Modality" not in source:
        source.Modality = "OT"
    return source


def _local_time(issued: datetime, source: Dataset) -> datetime:
    """Convert to the source's offset from UTC if it has one, else to this machine's time zone."""
    if "TimezoneOffsetFromUTC" in source:
        return issued.astimezone(datetime.strptime(source.TimezoneOffsetFromUTC, "%z").tzinfo)
    return issued.astimezone()


def _content(context: _Context) -> MeasurementReport:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes as dicom

    model = context.screening.model
    device = DeviceObserverIdentifyingAttributes(
        uid=_uid("model", model.digest), name=MAKER, manufacturer_name=MAKER, model_name=model.name,
        serial_number=model.digest,
    )  # fmt: skip
    observer = ObserverContext(observer_type=dicom.DCM.Device, observer_identifying_attributes=device)
    if context.screening.faces:
        face = context.screening.faces[0]
        groups = [*(_eye_group(context, face, side) for side in SIDES), _face_group(context, face)]
    else:
        groups = [_empty_group(context)]
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=_code(codes.PHOTOGRAPHY),
        imaging_measurements=groups,
        referenced_images=None if context.source is None else [context.source],
    )


def _eye_group(context: _Context, face: FaceMeasurement, side: Side) -> Group:
    eye = face.eyes[side]
    measurements = [_eye_length(eye, name) for name in LENGTHS if name in eye.lengths]
    if eye.height_to_width is not None:
        ratio = round(eye.height_to_width, 4)
        measurements.append(_number(codes.local("height-to-width"), ratio, codes.RATIO))
    suspected = [_evaluation(codes.PTOSIS, codes.SUSPECTED)] if side in face.flag.sides else []
    withheld = [
        f"{codes.of_length(name).meaning} is withheld: {reason.text}" for name, reason in eye.withheld.items()
    ]
    return _group(context, side, codes.LATERALITY[side], measurements, suspected, withheld)


def _face_group(context: _Context, face: FaceMeasurement) -> Group:
    differences = [
        _length(codes.of_difference(name), codes.of_difference(name), face.differences[name])
        for name in DIFFERENCES
        if name in face.differences
    ]
    quality = codes.local("limited" if face.problems else "usable")
    evaluations = [
        _evaluation(codes.local("ptosis-flag"), codes.local(face.flag.level)),
        _evaluation(codes.local("picture-quality"), quality),
        *_coded("flag-reason", face.flag.reasons),
        *_coded("picture-problem", face.problems),
    ]
    reasons = (*face.flag.reasons, *face.problems, *context.screening.warnings)
    comments = list(dict.fromkeys(reason.text for reason in reasons))
    if context.screening.mirrored:
        comments.append(codes.MIRRORED)
    return _group(context, "face", codes.BILATERAL, differences, evaluations, [*comments, NOTICE])


def _coded(name: str, reasons: Sequence[Reason]) -> list[QualitativeEvaluation]:
    """An evaluation with the code of each reason; its sentence is a comment."""
    return [_evaluation(codes.local(name), code) for code in codes.of_reasons(reasons)]


def _empty_group(context: _Context) -> Group:
    flag = _evaluation(codes.local("ptosis-flag"), codes.local("undetermined"))
    warnings = [reason.text for reason in context.screening.warnings]
    return _group(context, "picture", None, [], [flag], [str(context.screening.empty), *warnings, NOTICE])


def _group(
    context: _Context,
    name: str,
    laterality: Code | None,
    measurements: list[Measurement],
    evaluations: list[QualitativeEvaluation],
    comments: list[str],
) -> Group:
    """Build a measurement group (TID 1501); comments follow the measurements."""
    from highdicom.sr import (
        FindingSite,
        MeasurementsAndQualitativeEvaluations,
        RelationshipTypeValues,
        SourceImageForMeasurementGroup,
        TextContentItem,
        TrackingIdentifier,
    )
    from pydicom.sr.codedict import codes as dicom

    screening, source, request_id = context
    scale = screening.faces[0].scale if screening.faces else None
    images = None
    if source is not None:
        images = [SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=_uid(request_id, "group", name), identifier=name),
        algorithm_id=_algorithm(screening.model, scale),
        finding_sites=None if laterality is None else [FindingSite(_code(codes.EYE), _code(laterality))],
        measurements=measurements,
        qualitative_evaluations=evaluations,
        source_images=images,
    )
    for text in comments:
        item = TextContentItem(dicom.DCM.Comment, text, RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(item)
    return group


def _algorithm(model: ModelInfo, scale: Scale | None) -> AlgorithmIdentification:
    from highdicom.sr import AlgorithmIdentification

    parameters = [f"iteration {model.iteration}", f"SHA-256 of the network {model.digest}"]
    if scale is not None:
        parameters.append(
            f"{codes.of_scale(scale.method).meaning}: {scale.mm_per_px:.6f} mm per pixel "
            f"± {100 * scale.relative_error:.1f} %"
        )
    version = f"iteration {model.iteration}" if model.version is None else model.version
    return AlgorithmIdentification(name=model.name, version=version, parameters=parameters)


def _eye_length(eye: EyeMeasurement, name: str) -> Measurement:
    local = codes.of_length(name)
    return _length(codes.PFH_OF_SIDE[eye.side] if name == "pfh" else local, local, eye.lengths[name])


def _length(name: Code, name_in_pixels: Code, length: Length) -> Measurement:
    """A length in millimetres with its error band, or in pixels under a name that implies no unit."""
    method = codes.local(length.method)
    if length.mm is None:
        return _number(name_in_pixels, round(length.px, 2), codes.PIXELS, method)
    return _number(name, round(length.mm, 2), codes.MM, method, length.mm_error)


def _number(
    name: Code, value: float, unit: Code, method: Code | None = None, error: float | None = None
) -> Measurement:
    """A measurement (TID 300). The error band is a NUM of CID 225 in the unit of the value.

    It is built here because the template of highdicom writes it without a unit.
    """
    from highdicom.sr import Measurement, MeasurementProperties, NumContentItem, RelationshipTypeValues

    properties = None
    if error is not None:
        properties = MeasurementProperties()
        properties.append(
            NumContentItem(
                _code(codes.UNCERTAINTY),
                round(error, 2),
                _code(unit),
                None,
                RelationshipTypeValues.HAS_PROPERTIES,
            )
        )
    return Measurement(
        name=_code(name),
        value=value + 0.0,  # no negative zero
        unit=_code(unit),
        method=None if method is None else _code(method),
        properties=properties,
    )


def _evaluation(name: Code, value: Code) -> QualitativeEvaluation:
    from highdicom.sr import QualitativeEvaluation

    return QualitativeEvaluation(name=_code(name), value=_code(value))


def _code(code: Code) -> DicomCode:
    from pydicom.sr.coding import Code as DicomCode

    return DicomCode(code.value, code.scheme, code.meaning)


def _uid(*parts: str) -> str:
    """UID derived from the parts (PS3.5, B.2: a UUID as one component under 2.25)."""
    return f"2.25.{codes.name_uuid('dicom', *parts).int}"


def _fit(text: str, length: int) -> str:
    """Shorten a text and replace characters that an LO attribute must not contain."""
    return "".join(c if c.isprintable() else " " for c in text).replace("\\", "/")[:length].strip()

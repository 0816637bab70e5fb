"""Write a screening as FHIR R4B: a Bundle of DiagnosticReports, their Observations and the Device.

Per face there is one DiagnosticReport (``preliminary``), and an Observation for every length of both eyes,
for ratios and differences, for the quality of the picture and for the flag. A withheld length is an
Observation with a ``dataAbsentReason``. Millimetres are ``valueQuantity`` in UCUM ``mm``; error band, length
in pixels and origin of the scale are components.

With several faces it is not known which one is the patient: no report has a subject, and every conclusion
says so. A finding is *suspected*: ``conclusionCode`` is present only with a flag, and its text says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from lidloop import __version__
from lidloop.screening.measurements import (
    DIFFERENCES,
    LENGTHS,
    NOTICE,
    SIDES,
    EyeMeasurement,
    FaceMeasurement,
    Flag,
    Length,
    Reason,
    Scale,
    Side,
)
from lidloop.screening.screen import ModelInfo, Screening
from serving.protocols import codes
from serving.protocols.fhir_types import (
    Json,
    absent,
    component,
    concept,
    date_time,
    identifier,
    quantity,
    resource_urn,
    study_reference,
    subject_reference,
)
from serving.protocols.narrative import narrative

if TYPE_CHECKING:
    from fhir.resources.R4B.bundle import Bundle
    from fhir.resources.R4B.codesystem import CodeSystem

MEDIA_TYPE: Final = "application/fhir+json"
CODE_SYSTEM: Final = "lidloop"
"""Logical id of the local code system on this server."""

BundleKind = Literal["collection", "transaction"]

_SIDE_WORDS: Final[dict[Side, str]] = {"OD": "right eye", "OS": "left eye"}
_NO_SCALE: Final = Reason("no-scale", "the number of millimetres per pixel is not known")


class _Context(NamedTuple):
    """Values that the resources of one face share.

    Attributes:
        screening: result of the picture.
        request_id: UUID of the request.
        issued: time of the report, with a time zone.
        subject: Reference to the patient; None if it is not known.
        subject_given: True if the request has a subject.
        study: Reference to the study; None if the picture did not come as DICOM.
        effective: date and time of the photograph; None if it is not known.
        transaction: True if entries have the request that stores them.
        face_index: index of the face among those found.
    """

    screening: Screening
    request_id: str
    issued: str
    subject: Json | None
    subject_given: bool
    study: Json | None
    effective: str | None
    transaction: bool
    face_index: int = 0


def bundle(
    screening: Screening,
    *,
    request_id: str,
    issued: datetime,
    subject: str | None = None,
    study_uid: str | None = None,
    taken: datetime | None = None,
    kind: BundleKind = "collection",
    software: str = __version__,
) -> Bundle:
    """Write a screening as a Bundle.

    Args:
        screening: result of one picture.
        request_id: UUID of the request, from which the ids of all resources are derived.
        issued: time of the report, with a time zone.
        subject: patient, in a form that ``subject_reference`` accepts. Written only if at most one face was
            found.
        study_uid: Study Instance UID, if the picture came as DICOM.
        taken: acquisition time. Without a time zone only its date is written, because FHIR requires a zone
            with a time.
        kind: ``collection``, or ``transaction``, which a FHIR server can store. Entries of a transaction are
            conditional creates (``ifNoneExist``), so a repeated one is stored once.
        software: version of this software.

    Raises:
        LidloopError: the subject has none of the accepted forms.
        ValueError: the request id is not a UUID, or ``issued`` has no time zone.
    """
    from fhir.resources.R4B.bundle import Bundle

    if issued.tzinfo is None:
        raise ValueError("issued needs a time zone")
    request_id = str(uuid.UUID(request_id))
    patient = None if subject is None else subject_reference(subject)
    context = _Context(
        screening,
        request_id,
        issued.isoformat(timespec="milliseconds"),
        subject=patient if screening.found <= 1 else None,
        subject_given=patient is not None,
        study=None if study_uid is None else study_reference(study_uid),
        effective=None if taken is None else date_time(taken),
        transaction=kind == "transaction",
    )
    entries: list[Json] = []
    for index in range(max(1, len(screening.faces))):
        entries += _face_entries(context._replace(face_index=index))
    device = _device(screening.model, software)
    entries.append(_with_request(context, {"fullUrl": _device_urn(request_id), "resource": device}))
    return Bundle.model_validate(
        {
            "resourceType": "Bundle",
            "type": kind,
            "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{request_id}"},
            "timestamp": context.issued,
            "entry": entries,
        }
    )


def code_system() -> CodeSystem:
    """Local code system as a FHIR CodeSystem, with the definitions of all codes."""
    from fhir.resources.R4B.codesystem import CodeSystem

    return CodeSystem.model_validate(
        {
            "resourceType": "CodeSystem",
            "id": CODE_SYSTEM,
            "url": codes.SYSTEMS[codes.LOCAL],
            "version": codes.LOCAL_VERSION,
            "name": "LidloopCodes",
            "title": "Codes of lidloop",
            "status": "active",
            "experimental": False,
            "description": "Measurements of eyelids in photographs and a screening flag, where neither LOINC "
            "nor SNOMED CT has a code.",
            "caseSensitive": True,
            "content": "complete",
            "count": len(codes.DEFINITIONS),
            "concept": [
                {"code": value, "display": codes.local(value).meaning, "definition": definition}
                for value, definition in codes.DEFINITIONS.items()
            ],
        }
    )


def _face_entries(context: _Context) -> list[Json]:
    """Entries of one face, the report first; without a face, a report that gives the reason."""
    face = context.screening.faces[context.face_index] if context.screening.faces else None
    observations = [] if face is None else _observations(face, context)
    report: Json = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [concept(codes.DIAGNOSTIC_IMAGING)],
        "code": concept(codes.local("ptosis-screening")),
        "effectiveDateTime": context.effective,
        "issued": context.issued,
        "subject": context.subject,
        "imagingStudy": None if context.study is None else [context.study],
        "result": [{"reference": entry["fullUrl"]} for entry in observations] or None,
        "conclusion": _conclusion(face, context),
        "conclusionCode": [_suspected(face.flag)] if face is not None and face.flag.sides else None,
    }
    return [_entry(context, "report", report), *observations]


def _observations(face: FaceMeasurement, context: _Context) -> list[Json]:
    lengths = [
        _entry(context, f"{side}-{name}", _length(face.eyes[side], name, face.scale, context))
        for side in SIDES
        for name in LENGTHS
    ]
    ratios = [
        _entry(context, f"{side}-ratio", _ratio(face.eyes[side], context))
        for side in SIDES
        if face.eyes[side].height_to_width is not None
    ]
    differences = [
        _entry(context, f"difference-{name}", _difference(face.differences[name], name, face.scale, context))
        for name in DIFFERENCES
        if name in face.differences
    ]
    used = [entry for entry in lengths if "dataAbsentReason" not in entry["resource"]] + differences
    return [
        *lengths,
        *ratios,
        *differences,
        _entry(context, "quality", _quality(face, context)),
        _entry(context, "flag", _flag(face.flag, used, context)),
    ]


def _length(eye: EyeMeasurement, name: str, scale: Scale | None, context: _Context) -> Json:
    side = eye.side
    kinds = [codes.of_length(name)]
    if name == "pfh":
        kinds.insert(0, codes.PFH_OF_SIDE[side])
    body: Json = {"code": concept(*kinds), "bodySite": concept(codes.EYES[side])}
    if name in eye.withheld:
        body["dataAbsentReason"] = absent(eye.withheld[name])
    else:
        body |= _measured(eye.lengths[name], scale)
    return _observation(context, body)


def _difference(length: Length, name: str, scale: Scale | None, context: _Context) -> Json:
    body = {"code": concept(codes.of_difference(name)), "bodySite": concept(codes.BOTH_EYES)}
    return _observation(context, body | _measured(length, scale))


def _measured(length: Length, scale: Scale | None) -> Json:
    """Value, method and components of a length; without millimetres a ``dataAbsentReason`` for the value."""
    body: Json = {"method": concept(codes.local(length.method))}
    components: list[Json] = []
    if length.mm is None:
        body["dataAbsentReason"] = absent(_NO_SCALE)
    else:
        body["valueQuantity"] = quantity(length.mm, codes.MM)
        if length.mm_error is not None:
            components.append(component(codes.UNCERTAINTY, length.mm_error, codes.MM))
    components.append(component(codes.local("length-px"), length.px, codes.PIXELS))
    if length.mm is not None and scale is not None:
        value = concept(codes.of_scale(scale.method))
        components.append({"code": concept(codes.local("scale-method")), "valueCodeableConcept": value})
    body["component"] = components
    return body


def _ratio(eye: EyeMeasurement, context: _Context) -> Json:
    body = {
        "code": concept(codes.local("height-to-width")),
        "bodySite": concept(codes.EYES[eye.side]),
        "valueQuantity": quantity(eye.height_to_width or 0.0, codes.RATIO, digits=4),
    }
    return _observation(context, body)


def _quality(face: FaceMeasurement, context: _Context) -> Json:
    body: Json = {
        "code": concept(codes.local("picture-quality")),
        "valueCodeableConcept": concept(codes.local("limited" if face.problems else "usable")),
        "component": [
            component(codes.local("head-roll"), face.roll, codes.DEGREES),
            component(codes.local("yaw-proxy"), face.yaw, codes.RATIO, digits=3),
        ],
    }
    notes = [reason.text for reason in face.problems]
    if context.screening.mirrored:
        notes.append(codes.MIRRORED)
    body["component"] += _coded("picture-problem", face.problems)
    if notes:
        body["note"] = [{"text": text} for text in notes]
    return _observation(context, body)


def _coded(name: str, reasons: Sequence[Reason]) -> list[Json]:
    """A component with the code of each reason; its sentence is a note."""
    return [
        {"code": concept(codes.local(name)), "valueCodeableConcept": concept(code)}
        for code in codes.of_reasons(reasons)
    ]


def _flag(flag: Flag, used: list[Json], context: _Context) -> Json:
    body: Json = {
        "code": concept(codes.local("ptosis-flag")),
        "valueCodeableConcept": concept(codes.local(flag.level)),
        "interpretation": [concept(codes.INTERPRETATION[flag.level])],
        "note": [{"text": text} for text in (*(reason.text for reason in flag.reasons), NOTICE)],
    }
    if flag.reasons:
        body["component"] = _coded("flag-reason", flag.reasons)
    if flag.sides:
        site = codes.EYES[flag.sides[0]] if len(flag.sides) == 1 else codes.BOTH_EYES
        body["bodySite"] = concept(site)
    return _observation(context, body, sources=[{"reference": entry["fullUrl"]} for entry in used])


def _conclusion(face: FaceMeasurement | None, context: _Context) -> str:
    screening = context.screening
    warnings = [_sentence(reason) for reason in screening.warnings]
    if face is None:
        return " ".join([str(screening.empty), *warnings, NOTICE])
    sentences = []
    if screening.found > 1:
        x1, y1, x2, y2 = (round(float(v)) for v in face.face.box)
        sentences.append(
            f"Face {context.face_index + 1} of {screening.found}, at x {x1} to {x2} and y {y1} to {y2} "
            "pixels. With several faces in a picture it is not known which one is the patient"
            + ("; the given subject is left out." if context.subject_given else ".")
        )
    level = codes.local(face.flag.level).meaning.lower()
    where = " and ".join(_SIDE_WORDS[side] for side in face.flag.sides)
    sentences.append(f"Screening flag: {level}{f', {where}; ptosis is suspected' if where else ''}.")
    sentences += [_sentence(reason) for reason in (*face.flag.reasons, *face.problems)]
    sentences = list(dict.fromkeys([*sentences, *warnings]))
    if screening.mirrored:
        sentences.append(codes.MIRRORED)
    return " ".join([*sentences, NOTICE])


def _sentence(reason: Reason) -> str:
    return f"{reason.text[:1].upper()}{reason.text[1:]}."


def _suspected(flag: Flag) -> Json:
    where = " and ".join(_SIDE_WORDS[side] for side in flag.sides)
    text = f"Suspected by screening, not diagnosed: ptosis of eyelid, {where}"
    return {**concept(codes.PTOSIS), "text": text}


def _device(model: ModelInfo, software: str) -> Json:
    versions = [
        ("model version", model.version),
        ("iteration", str(model.iteration)),
        ("SHA-256 of the network", model.digest),
        ("lidloop", software),
    ]
    urn = f"urn:uuid:{codes.name_uuid('device', model.name, str(model.version), model.digest, software)}"
    resource: Json = {
        "resourceType": "Device",
        "identifier": [identifier(urn)],
        "type": {"text": "Software: landmarks of faces and measurement of eyelids in photographs"},
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "version": [{"type": {"text": kind}, "value": value} for kind, value in versions if value],
    }
    return {**resource, "text": narrative(resource)}


def _observation(context: _Context, body: Mapping[str, Any], sources: Sequence[Json] = ()) -> Json:
    """Observation with the common elements; elements that are None are left out of the JSON."""
    study = [] if context.study is None else [context.study]
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [concept(codes.IMAGING)],
        "subject": context.subject,
        "effectiveDateTime": context.effective,
        "issued": context.issued,
        "device": {"reference": _device_urn(context.request_id)},
        "derivedFrom": [*study, *sources] or None,
        **body,
    }


def _entry(context: _Context, part: str, resource: Json) -> Json:
    urn = resource_urn(context.request_id, f"face-{context.face_index}", part)
    known = {"text": narrative(resource), "identifier": [identifier(urn)]}
    return _with_request(context, {"fullUrl": urn, "resource": {**resource, **known}})


def _with_request(context: _Context, entry: Json) -> Json:
    """Add to an entry of a transaction the request that creates the resource unless it exists."""
    if not context.transaction:
        return entry
    resource = entry["resource"]
    (unique,) = resource["identifier"]
    request = {
        "method": "POST",
        "url": resource["resourceType"],
        "ifNoneExist": f"identifier={unique['system']}|{unique['value']}",
    }
    return {**entry, "request": request}


def _device_urn(request_id: str) -> str:
    return resource_urn(request_id, "device")

"""A screening as FHIR R4B: a Bundle of DiagnosticReports, their Observations, and the Device that made them.

Per face one DiagnosticReport (``preliminary``), and an Observation for every length of every eye, for what
follows from them, for the picture's fitness and for the flag. A withheld length is there too, with its
``dataAbsentReason``. Millimetres are ``valueQuantity`` in UCUM ``mm``; their error band, the pixels and the
origin of the scale are components.

Nobody can say which of several faces is the patient: then no report names a subject, and every conclusion
says so. A finding is *suspected*: ``conclusionCode`` is there only with a flag, and its text says what it is.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from lidloop import __version__
from lidloop.errors import LidloopError
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
from serving.protocols.codes import Code
from serving.protocols.narrative import narrative

if TYPE_CHECKING:
    from fhir.resources.R4B.bundle import Bundle
    from fhir.resources.R4B.codesystem import CodeSystem

MEDIA_TYPE: Final = "application/fhir+json"
CODE_SYSTEM: Final = "lidloop"
"""Logical id of the local code system on this server."""

Json = dict[str, Any]
BundleKind = Literal["collection", "transaction"]

_SIDE_WORDS: Final[dict[Side, str]] = {"OD": "right eye", "OS": "left eye"}
_NO_SCALE: Final = Reason("no-scale", "nothing tells how many millimetres a pixel is")
_RELATIVE: Final = re.compile(r"Patient/[A-Za-z0-9.\-]{1,64}")
_ABSOLUTE: Final = re.compile(r"https?://[^\s|]+/Patient/[A-Za-z0-9.\-]{1,64}|urn:uuid:[0-9a-f-]{36}")
_TOKEN: Final = re.compile(r"(?P<system>[a-z][a-z0-9+.\-]*:[^\s|]+)\|(?P<value>\S(?:[^|\r\n\t]*\S)?)")
_MAX_SUBJECT: Final = 256


class _Context(NamedTuple):
    """What the resources of one face share.

    Attributes:
        place: of the face among those found.
        subject: who it is about, None where nobody can say. asked: a subject was given.
        study: of the picture, None where it did not come as DICOM.
        effective: when the photograph was taken, as FHIR writes it; None where that is not known.
        transaction: entries say how a server stores them.
    """

    screening: Screening
    request_id: str
    issued: str
    subject: Json | None
    asked: bool
    study: Json | None
    effective: str | None
    transaction: bool
    place: int = 0


def subject_reference(text: str) -> Json:
    """A FHIR Reference to a patient.

    Args:
        text: ``Patient/ID``, an absolute URL of a Patient, ``urn:uuid:…``, or ``SYSTEM|VALUE``, as FHIR
            searches write an identifier.

    Raises:
        LidloopError: for anything else; the message does not repeat it.
    """
    if len(text) <= _MAX_SUBJECT:
        if _RELATIVE.fullmatch(text) or _ABSOLUTE.fullmatch(text):
            return {"reference": text, "type": "Patient"}
        if token := _TOKEN.fullmatch(text):
            return {"identifier": {"system": token["system"], "value": token["value"]}, "type": "Patient"}
    raise LidloopError(
        "the subject must be Patient/ID, a Patient's URL, urn:uuid:… or SYSTEM|VALUE with a URI as system"
    )


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
    """A screening as a Bundle.

    Args:
        screening: what was found in one picture.
        request_id: UUID of the request. All references follow from it.
        issued: when, with a time zone.
        subject: the patient, as ``subject_reference`` takes it. Named only where one face or none was found.
        study_uid: Study Instance UID where the picture came as DICOM.
        taken: when the photograph was taken. FHIR has no time of day without a time zone: of a time without
            one, only the date is written.
        kind: ``collection``; or ``transaction``, which a FHIR server stores as it is. Sent twice, it is
            stored once: every entry is created only if there is none with its identifier.
        software: version of this software.

    Raises:
        LidloopError: for a subject that cannot be understood.
        ValueError: for a request id that is no UUID, or a time without a time zone.
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
        asked=patient is not None,
        study=None if study_uid is None else _study(study_uid),
        effective=None if taken is None else _date_time(taken),
        transaction=kind == "transaction",
    )
    entries: list[Json] = []
    for place in range(max(1, len(screening.faces))):
        entries += _face_entries(context._replace(place=place))
    device = _device(screening.model, software)
    entries.append(_stored(context, {"fullUrl": _device_urn(request_id), "resource": device}))
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
    """The local code system as a FHIR CodeSystem: what codes of its URI mean."""
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
    """Entries of one face, its report first; of none, a report that says so."""
    face = context.screening.faces[context.place] if context.screening.faces else None
    observations = [] if face is None else _observations(face, context)
    report: Json = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [_concept(codes.DIAGNOSTIC_IMAGING)],
        "code": _concept(codes.local("ptosis-screening")),
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
    body: Json = {"code": _concept(*kinds), "bodySite": _concept(codes.EYES[side])}
    if name in eye.withheld:
        body["dataAbsentReason"] = _absent(eye.withheld[name])
    else:
        body |= _measured(eye.lengths[name], scale)
    return _observation(context, body)


def _difference(length: Length, name: str, scale: Scale | None, context: _Context) -> Json:
    body = {"code": _concept(codes.of_difference(name)), "bodySite": _concept(codes.BOTH_EYES)}
    return _observation(context, body | _measured(length, scale))


def _measured(length: Length, scale: Scale | None) -> Json:
    """Value, method and components of a length; without millimetres the value is absent, with the reason."""
    body: Json = {"method": _concept(codes.local(length.method))}
    components: list[Json] = []
    if length.mm is None:
        body["dataAbsentReason"] = _absent(_NO_SCALE)
    else:
        body["valueQuantity"] = _quantity(length.mm, codes.MM)
        if length.mm_error is not None:
            components.append(_component(codes.UNCERTAINTY, length.mm_error, codes.MM))
    components.append(_component(codes.local("length-px"), length.px, codes.PIXELS))
    if length.mm is not None and scale is not None:
        value = _concept(codes.of_scale(scale.method))
        components.append({"code": _concept(codes.local("scale-method")), "valueCodeableConcept": value})
    body["component"] = components
    return body


def _ratio(eye: EyeMeasurement, context: _Context) -> Json:
    body = {
        "code": _concept(codes.local("height-to-width")),
        "bodySite": _concept(codes.EYES[eye.side]),
        "valueQuantity": _quantity(eye.height_to_width or 0.0, codes.RATIO, digits=4),
    }
    return _observation(context, body)


def _quality(face: FaceMeasurement, context: _Context) -> Json:
    body: Json = {
        "code": _concept(codes.local("picture-quality")),
        "valueCodeableConcept": _concept(codes.local("limited" if face.problems else "usable")),
        "component": [
            _component(codes.local("head-roll"), face.roll, codes.DEGREES),
            _component(codes.local("yaw-proxy"), face.yaw, codes.RATIO, digits=3),
        ],
    }
    notes = [reason.text for reason in face.problems]
    if context.screening.mirrored:
        notes.append(codes.MIRRORED)
    if notes:
        body["note"] = [{"text": text} for text in notes]
    return _observation(context, body)


def _flag(flag: Flag, used: list[Json], context: _Context) -> Json:
    body: Json = {
        "code": _concept(codes.local("ptosis-flag")),
        "valueCodeableConcept": _concept(codes.local(flag.level)),
        "interpretation": [_concept(codes.INTERPRETATION[flag.level])],
        "note": [{"text": text} for text in (*(reason.text for reason in flag.reasons), NOTICE)],
    }
    if flag.sides:
        site = codes.EYES[flag.sides[0]] if len(flag.sides) == 1 else codes.BOTH_EYES
        body["bodySite"] = _concept(site)
    return _observation(context, body, sources=[{"reference": entry["fullUrl"]} for entry in used])


def _conclusion(face: FaceMeasurement | None, context: _Context) -> str:
    screening = context.screening
    warnings = [_sentence(reason) for reason in screening.warnings]
    if face is None:
        return " ".join([str(screening.empty), *warnings, NOTICE])
    says = []
    if screening.found > 1:
        x1, y1, x2, y2 = (round(float(v)) for v in face.face.box)
        says.append(
            f"Face {context.place + 1} of {screening.found}, at x {x1} to {x2} and y {y1} to {y2} "
            "pixels. With several faces in a picture none is taken for the patient"
            + ("; the subject that was given is not named." if context.asked else ".")
        )
    level = codes.local(face.flag.level).meaning.lower()
    where = " and ".join(_SIDE_WORDS[side] for side in face.flag.sides)
    says.append(f"Screening flag: {level}{f', {where}; ptosis is suspected' if where else ''}.")
    says += [_sentence(reason) for reason in (*face.flag.reasons, *face.problems)]
    says = list(dict.fromkeys([*says, *warnings]))
    if screening.mirrored:
        says.append(codes.MIRRORED)
    return " ".join([*says, NOTICE])


def _sentence(reason: Reason) -> str:
    return f"{reason.text[:1].upper()}{reason.text[1:]}."


def _suspected(flag: Flag) -> Json:
    where = " and ".join(_SIDE_WORDS[side] for side in flag.sides)
    text = f"Suspected by screening, not diagnosed: ptosis of eyelid, {where}"
    return {**_concept(codes.PTOSIS), "text": text}


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
        "identifier": [_identifier(urn)],
        "type": {"text": "Software: landmarks of faces and measurement of eyelids in photographs"},
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "version": [{"type": {"text": kind}, "value": value} for kind, value in versions if value],
    }
    return {**resource, "text": narrative(resource)}


def _study(uid: str) -> Json:
    return {
        "type": "ImagingStudy",
        "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"},
    }


def _observation(context: _Context, body: Mapping[str, Any], sources: Sequence[Json] = ()) -> Json:
    """An Observation with what all of them share; None stands for nothing."""
    study = [] if context.study is None else [context.study]
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [_concept(codes.IMAGING)],
        "subject": context.subject,
        "effectiveDateTime": context.effective,
        "issued": context.issued,
        "device": {"reference": _device_urn(context.request_id)},
        "derivedFrom": [*study, *sources] or None,
        **body,
    }


def _entry(context: _Context, part: str, resource: Json) -> Json:
    urn = _urn(context.request_id, f"face-{context.place}", part)
    known = {"text": narrative(resource), "identifier": [_identifier(urn)]}
    return _stored(context, {"fullUrl": urn, "resource": {**resource, **known}})


def _stored(context: _Context, entry: Json) -> Json:
    """An entry, in a transaction with the request that creates its resource unless it exists."""
    if not context.transaction:
        return entry
    resource = entry["resource"]
    (identifier,) = resource["identifier"]
    request = {
        "method": "POST",
        "url": resource["resourceType"],
        "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
    }
    return {**entry, "request": request}


def _identifier(urn: str) -> Json:
    return {"system": "urn:ietf:rfc:3986", "value": urn}


def _date_time(moment: datetime) -> str:
    return moment.date().isoformat() if moment.tzinfo is None else moment.isoformat(timespec="seconds")


def _device_urn(request_id: str) -> str:
    return _urn(request_id, "device")


def _urn(request_id: str, *parts: str) -> str:
    return f"urn:uuid:{codes.name_uuid(request_id, *parts)}"


def _concept(*items: Code) -> Json:
    codings = [
        {"system": codes.SYSTEMS[item.scheme], "code": item.value, "display": item.meaning} for item in items
    ]
    return {"coding": codings, "text": items[-1].meaning}


def _absent(reason: Reason) -> Json:
    specific = codes.of_reason(reason.code)
    known = (codes.UNKNOWN,) if specific is None else (codes.UNKNOWN, specific)
    return {**_concept(*known), "text": reason.text}


def _component(kind: Code, value: float, unit: Code, digits: int = 2) -> Json:
    return {"code": _concept(kind), "valueQuantity": _quantity(value, unit, digits)}


def _quantity(value: float, unit: Code, digits: int = 2) -> Json:
    return {
        "value": Decimal(f"{value:.{digits}f}") + 0,  # no negative zero
        "unit": unit.meaning,
        "system": codes.SYSTEMS[unit.scheme],
        "code": unit.value,
    }

"""Build data types of FHIR R4B as JSON objects: Reference, Identifier, CodeableConcept, Quantity."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from lidloop.errors import LidloopError
from lidloop.screening.measurements import Reason
from serving.protocols import codes
from serving.protocols.codes import Code

Json = dict[str, Any]

_RELATIVE: Final = re.compile(r"Patient/[A-Za-z0-9.\-]{1,64}")
_ABSOLUTE: Final = re.compile(r"https?://[^\s|]+/Patient/[A-Za-z0-9.\-]{1,64}|urn:uuid:[0-9a-f-]{36}")
_TOKEN: Final = re.compile(r"(?P<system>[a-z][a-z0-9+.\-]*:[^\s|]+)\|(?P<value>\S(?:[^|\r\n\t]*\S)?)")
_MAX_SUBJECT: Final = 256


def subject_reference(text: str) -> Json:
    """Reference to a patient.

    Args:
        text: ``Patient/ID``, an absolute URL of a Patient, ``urn:uuid:…``, or ``SYSTEM|VALUE``, as FHIR
            searches write an identifier.

    Raises:
        LidloopError: the text has another form. The message does not repeat it, as it may be patient data.
    """
    if len(text) <= _MAX_SUBJECT:
        if _RELATIVE.fullmatch(text) or _ABSOLUTE.fullmatch(text):
            return {"reference": text, "type": "Patient"}
        if token := _TOKEN.fullmatch(text):
            return {"identifier": {"system": token["system"], "value": token["value"]}, "type": "Patient"}
    raise LidloopError(
        "the subject must be Patient/ID, a Patient's URL, urn:uuid:… or SYSTEM|VALUE with a URI as system"
    )


def study_reference(uid: str) -> Json:
    """Reference to an ImagingStudy by its Study Instance UID."""
    return {
        "type": "ImagingStudy",
        "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"},
    }


def identifier(urn: str) -> Json:
    """Identifier whose value is a URN."""
    return {"system": "urn:ietf:rfc:3986", "value": urn}


def date_time(moment: datetime) -> str:
    """Format as dateTime; without a time zone only the date, because FHIR requires a zone with a time."""
    return moment.date().isoformat() if moment.tzinfo is None else moment.isoformat(timespec="seconds")


def resource_urn(request_id: str, *parts: str) -> str:
    """``urn:uuid`` of a resource, derived from the request id and the name of the resource."""
    return f"urn:uuid:{codes.name_uuid(request_id, *parts)}"


def concept(*items: Code) -> Json:
    """CodeableConcept of codes with the same meaning; its text is the meaning of the last one."""
    codings = [
        {"system": codes.SYSTEMS[item.scheme], "code": item.value, "display": item.meaning} for item in items
    ]
    return {"coding": codings, "text": items[-1].meaning}


def absent(reason: Reason) -> Json:
    """``dataAbsentReason`` with the local code of the reason, if it has one."""
    specific = codes.of_reason(reason.code)
    known = (codes.UNKNOWN,) if specific is None else (codes.UNKNOWN, specific)
    return {**concept(*known), "text": reason.text}


def component(kind: Code, value: float, unit: Code, digits: int = 2) -> Json:
    """Component of an Observation with a Quantity."""
    return {"code": concept(kind), "valueQuantity": quantity(value, unit, digits)}


def quantity(value: float, unit: Code, digits: int = 2) -> Json:
    """Quantity in a UCUM unit, rounded to a number of decimals."""
    return {
        "value": Decimal(f"{value:.{digits}f}") + 0,  # no negative zero
        "unit": unit.meaning,
        "system": codes.SYSTEMS[unit.scheme],
        "code": unit.value,
    }

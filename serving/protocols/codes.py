"""Codes in FHIR and DICOM answers: SNOMED CT, LOINC, UCUM, HL7, and a local system where no standard code
exists.

Local codes have at most 16 characters, the limit of a DICOM Code Value. Their meaning never changes; new
codes may be added.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final, NamedTuple

from lidloop.screening.measurements import Reason, Side
from lidloop.screening.reasons import KINDS


class Code(NamedTuple):
    """Code: name of its scheme (a key of ``SYSTEMS``), value, and display name."""

    scheme: str
    value: str
    meaning: str


_LOCAL_UUID: Final = uuid.UUID("d2e8ae22-cc85-4ff0-a706-a97caacd042d")
LOCAL: Final = "99LIDLOOP"
"""DICOM designator of the local code system; private designators begin with 99 (PS3.3, section 8.2)."""
LOCAL_OID: Final = f"2.25.{_LOCAL_UUID.int}"
"""Object identifier of the local code system, derived from a UUID without registration (ITU-T X.667)."""
LOCAL_VERSION: Final = "1"

SYSTEMS: Final[dict[str, str]] = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
    LOCAL: f"urn:oid:{LOCAL_OID}",
    "observation-category": "http://terminology.hl7.org/CodeSystem/observation-category",
    "v2-0074": "http://terminology.hl7.org/CodeSystem/v2-0074",
    "interpretation": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "data-absent-reason": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
}
"""URI in FHIR by name of the scheme. The names of the first four are their DICOM designators."""


def name_uuid(*parts: str) -> uuid.UUID:
    """UUID derived from the parts, the same for the same parts (RFC 9562, version 5)."""
    return uuid.uuid5(_LOCAL_UUID, "\n".join(parts))


PTOSIS: Final = Code("SCT", "11934000", "Ptosis of eyelid")
SUSPECTED: Final = Code("SCT", "415684004", "Suspected")
UNCERTAINTY: Final = Code("SCT", "371884006", "+/-, range of measurement uncertainty")
PHOTOGRAPHY: Final = Code("SCT", "197157006", "Photography of patient")
EYE: Final = Code("SCT", "81745001", "Eye")
EYES: Final[dict[Side, Code]] = {
    "OD": Code("SCT", "18944008", "Right eye structure"),
    "OS": Code("SCT", "8966001", "Left eye structure"),
}
BOTH_EYES: Final = Code("SCT", "40638003", "Structure of both eyes")
LATERALITY: Final[dict[Side, Code]] = {
    "OD": Code("SCT", "24028007", "Right"),
    "OS": Code("SCT", "7771000", "Left"),
}
BILATERAL: Final = Code("SCT", "51440002", "Right and left")

PFH_OF_SIDE: Final[dict[Side, Code]] = {
    "OD": Code("LN", "79855-3", "Right palpebral fissure Opening height"),
    "OS": Code("LN", "79856-1", "Left palpebral fissure Opening height"),
}

MM: Final = Code("UCUM", "mm", "mm")
PIXELS: Final = Code("UCUM", "{pixels}", "pixels")
RATIO: Final = Code("UCUM", "1", "1")
DEGREES: Final = Code("UCUM", "deg", "degree")

IMAGING: Final = Code("observation-category", "imaging", "Imaging")
DIAGNOSTIC_IMAGING: Final = Code("v2-0074", "IMG", "Diagnostic Imaging")
UNKNOWN: Final = Code("data-absent-reason", "unknown", "Unknown")
INTERPRETATION: Final[dict[str, Code]] = {
    "none": Code("interpretation", "NEG", "Negative"),
    "suspicious": Code("interpretation", "POS", "Positive"),
    "functional": Code("interpretation", "POS", "Positive"),
    "undetermined": Code("interpretation", "IND", "Indeterminate"),
}
"""Interpretation by level of the flag: result of a test with thresholds. The code ``N`` (normal) is not used,
because a screening cannot find that an eye is normal."""

MIRRORED: Final = "The picture was declared as mirrored; right and left are those of the patient."
"""Note in answers about a mirrored picture."""

_CONCEPTS: Final[dict[str, tuple[str, str]]] = {
    "ptosis-screening": ("Ptosis screening", "Measurement of the eyelids in a photograph of the face."),
    "ptosis-flag": (
        "Ptosis screening flag",
        "Result of comparing measurements with thresholds of a screening for ptosis. Not a diagnosis.",
    ),
    "flag-reason": ("Reason of the flag", "A finding, or what leaves no judgement."),
    "picture-problem": ("Problem of the picture", "What is wrong with the picture of a face."),
    "none": ("No flag", "MRD1 of both eyes and their difference are within the thresholds."),
    "suspicious": ("Suspicious", "A measurement is past a threshold for a suspicion of ptosis."),
    "functional": ("Functional", "MRD1 is so small that the lid is likely to narrow the visual field."),
    "undetermined": ("Undetermined", "The picture or the error bands of its lengths carry no judgement."),
    "pfh": (
        "Palpebral fissure height (PFH)",
        "Upper to lower lid margin, through the pupil centre if it is known, else the mean at two positions.",
    ),
    "width": ("Palpebral fissure width", "Inner to outer canthus."),
    "mrd1": (
        "Margin reflex distance 1 (MRD1)",
        "Pupil centre to upper lid margin; negative if the margin is below the pupil centre.",
    ),
    "mrd2": ("Margin reflex distance 2 (MRD2)", "Pupil centre to lower lid margin."),
    "brow-lid": ("Brow to lid distance", "Centroid of the brow to centroid of the upper lid's landmarks."),
    "height-to-width": ("Height to width of the palpebral fissure", "PFH over width of the fissure."),
    "pfh-diff": ("Difference of PFH", "PFH of the right eye minus PFH of the left."),
    "mrd1-diff": ("Difference of MRD1", "MRD1 of the right eye minus MRD1 of the left."),
    "brow-lid-diff": ("Difference of brow to lid distance", "That of the right eye minus that of the left."),
    "length-px": ("Length in the picture", "The same length in pixels of the upright picture."),
    "scale-method": ("Origin of the scale", "Source of the millimetres per pixel."),
    "scale-given": ("Given", "Scale given with the picture, taken as exact."),
    "scale-iris": ("Iris", "Scale from the visible iris, 11.7 mm across in adults."),
    "scale-canthal": (
        "Outer canthi",
        "Scale from the distance between the outer canthi, about 90 mm in adults.",
    ),
    "pixels": ("Lid margins found in the pixels", "Lid margins detected in the pixels of the eye."),
    "landmarks": ("Lid landmarks", "Lid landmarks of the detector, which are less exact."),
    "picture-quality": ("Fitness of the picture", "Whether the picture allows measuring the face."),
    "usable": ("Usable", "No problem of the picture was found."),
    "limited": ("Limited", "The picture has a problem; measurements may be withheld."),
    "head-roll": (
        "Tilt of the head",
        "Angle from the horizontal to the line between the outer canthi; above 0: the right end is lower.",
    ),
    "yaw-proxy": (
        "Turn of the head",
        "Position of the nose tip along the line between the outer canthi, -1 to 1. A proxy, not an angle.",
    ),
    **{code: (kind.display, kind.definition) for code, kind in KINDS.items()},
}

DEFINITIONS: Final[dict[str, str]] = {value: text for value, (_, text) in _CONCEPTS.items()}
"""Definition of every local code."""

_OF_LENGTH: Final = {"brow_lid": "brow-lid"}
_OF_SCALE: Final = {"given": "scale-given", "iris": "scale-iris", "outer-canthal": "scale-canthal"}


def local(value: str) -> Code:
    """Code of the local system.

    Raises:
        KeyError: the system has no such code.
    """
    return Code(LOCAL, value, _CONCEPTS[value][0])


def of_length(name: str) -> Code:
    """Code of a length of an eye, by its name in ``lidloop.screening.measurements.LENGTHS``."""
    return local(_OF_LENGTH.get(name, name))


def of_difference(name: str) -> Code:
    """Code of a difference between the eyes, by name in ``lidloop.screening.measurements.DIFFERENCES``."""
    return local(_OF_LENGTH.get(name, name) + "-diff")


def of_scale(method: str) -> Code:
    """Code of the origin of a scale, by ``Scale.method``."""
    return local(_OF_SCALE[method])


def of_reason(code: str) -> Code | None:
    """Code of a reason; None for a reason without a code."""
    return local(code) if code in KINDS else None


def of_reasons(reasons: Iterable[Reason]) -> list[Code]:
    """Codes of reasons, each once."""
    found = (of_reason(code) for code in dict.fromkeys(reason.code for reason in reasons))
    return [code for code in found if code is not None]

"""Codes that answers in FHIR and DICOM are made of: SNOMED CT, LOINC, UCUM, HL7's own, and a small local
system for what has no standard code.

Local codes are at most 16 characters, so that DICOM takes them as plain code values. They never change their
meaning; new ones may come.
"""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple

from lidloop.screening.measurements import Side


class Code(NamedTuple):
    """A code: name of its scheme (a key of ``SYSTEMS``), value, and what it is called."""

    scheme: str
    value: str
    meaning: str


_LOCAL_UUID: Final = uuid.UUID("d2e8ae22-cc85-4ff0-a706-a97caacd042d")
LOCAL: Final = "99LIDLOOP"
"""DICOM's designator of the local code system: private ones begin with 99 (PS3.3, section 8.2)."""
LOCAL_OID: Final = f"2.25.{_LOCAL_UUID.int}"
"""Object identifier of the local code system: from a UUID, which needs no registration (ITU-T X.667)."""
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
"""FHIR's URI of every scheme. The names of the first four are DICOM's designators."""


def name_uuid(*parts: str) -> uuid.UUID:
    """A UUID that is the same for the same parts (RFC 9562, version 5)."""
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
"""By level of the flag: a sign found or not by the thresholds of a procedure. Not ``N``, normal: a screening
says no such thing."""

MIRRORED: Final = "The picture was declared as mirrored; right and left are the patient's all the same."
"""What answers say of a mirrored picture."""

_REASONS: Final[dict[str, tuple[str, str]]] = {
    "eye-hidden": ("Eye hidden", "No eye is to be seen: glasses, hair or a hand may hide it."),
    "no-pupil": ("Pupil unknown", "The pupil centre is neither given nor found."),
    "pupil-unused": ("Pupil not used", "A pupil centre that was given lies in no eye of its side."),
    "too-small": ("Too small", "The face has too few pixels."),
    "blurred": ("Blurred", "The eyes are not sharp."),
    "turned": ("Turned", "The head is turned to the side."),
    "tilted": ("Tilted", "The head is tilted to a shoulder."),
    "eyes-closed": ("Eyes closed", "Both eyes are closed, or nearly so."),
    "cut-off": ("Cut off", "What is to be measured lies partly outside the picture."),
    "damaged": ("Damaged file", "The image file is or may be damaged, so that measurements may be wrong."),
    "no-scale": ("No scale", "Nothing tells how many millimetres a pixel is."),
}
_CONCEPTS: Final[dict[str, tuple[str, str]]] = {
    "ptosis-screening": ("Ptosis screening", "Measurement of the eyelids in a photograph of the face."),
    "ptosis-flag": (
        "Ptosis screening flag",
        "Whether measurements pass thresholds of a screening for ptosis. Not a diagnosis.",
    ),
    "none": ("No flag", "MRD1 of both eyes and their difference are within the thresholds."),
    "suspicious": ("Suspicious", "A threshold for a suspicion of ptosis is passed."),
    "functional": ("Functional", "MRD1 is so small that the lid is likely to narrow the visual field."),
    "undetermined": ("Undetermined", "What the thresholds ask for could not be measured."),
    "pfh": (
        "Palpebral fissure height (PFH)",
        "Upper to lower lid margin, through the pupil centre where it is known, else the mean of two places.",
    ),
    "width": ("Palpebral fissure width", "Inner to outer canthus."),
    "mrd1": (
        "Margin reflex distance 1 (MRD1)",
        "Pupil centre to upper lid margin; negative where the margin hangs below the pupil centre.",
    ),
    "mrd2": ("Margin reflex distance 2 (MRD2)", "Pupil centre to lower lid margin."),
    "brow-lid": ("Brow to lid distance", "Centroid of the brow to centroid of the upper lid's landmarks."),
    "height-to-width": ("Height to width of the palpebral fissure", "PFH over width of the fissure."),
    "pfh-diff": ("Difference of PFH", "PFH of the right eye minus PFH of the left."),
    "mrd1-diff": ("Difference of MRD1", "MRD1 of the right eye minus MRD1 of the left."),
    "brow-lid-diff": ("Difference of brow to lid distance", "That of the right eye minus that of the left."),
    "length-px": ("Length in the picture", "The same length in pixels of the upright picture."),
    "scale-method": ("Origin of the scale", "Where the millimetres per pixel come from."),
    "scale-given": ("Given", "Scale given with the picture, taken as exact."),
    "scale-iris": ("Iris", "Scale from the visible iris, 11.7 mm across in adults."),
    "scale-canthal": (
        "Outer canthi",
        "Scale from the distance between the outer canthi, about 90 mm in adults.",
    ),
    "pixels": ("Lid margins found in the pixels", "Lid margins looked for in the eye's own pixels."),
    "landmarks": ("Lid landmarks", "Lid landmarks of the detector, which are coarser."),
    "picture-quality": ("Fitness of the picture", "Whether the picture allows measuring the face."),
    "usable": ("Usable", "Nothing is known against the picture."),
    "limited": ("Limited", "Something is wrong with the picture; measurements may be withheld."),
    "head-roll": (
        "Tilt of the head",
        "From the horizontal to the line between the outer canthi; above 0: the one at the right is lower.",
    ),
    "yaw-proxy": (
        "Turn of the head",
        "Where the nose tip falls on the line between the outer canthi, -1 to 1. A proxy, not an angle.",
    ),
    **_REASONS,
}

DEFINITIONS: Final[dict[str, str]] = {value: text for value, (_, text) in _CONCEPTS.items()}
"""Definition of every local code."""

_OF_LENGTH: Final = {"brow_lid": "brow-lid"}
_OF_SCALE: Final = {"given": "scale-given", "iris": "scale-iris", "outer-canthal": "scale-canthal"}


def local(value: str) -> Code:
    """A code of the local system.

    Raises:
        KeyError: for one that it does not have.
    """
    return Code(LOCAL, value, _CONCEPTS[value][0])


def of_length(name: str) -> Code:
    """Code of a length of an eye, by its name in ``lidloop.screening.screen.measurements.LENGTHS``."""
    return local(_OF_LENGTH.get(name, name))


def of_difference(name: str) -> Code:
    """Code of a difference between the eyes, by its name in
    ``lidloop.screening.screen.measurements.DIFFERENCES``."""
    return local(_OF_LENGTH.get(name, name) + "-diff")


def of_scale(method: str) -> Code:
    """Code of where a scale comes from, by ``Scale.method``."""
    return local(_OF_SCALE[method])


def of_reason(code: str) -> Code | None:
    """Code of a reason for withholding; None for a reason that is so far only put into words."""
    return local(code) if code in _REASONS else None

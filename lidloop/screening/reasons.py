"""Codes of reasons, declared once: FHIR, DICOM, metrics and docs derive from this table.

A code never changes its meaning; new ones may be added. It has at most 16 characters, the limit of a DICOM
Code Value. The sentence that is shown, with its figures, is written where the reason arises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Subject = Literal["picture", "length", "flag", "request"]


class ReasonKind(NamedTuple):
    """Kind of a reason.

    Attributes:
        subject: what it is a reason of: a problem of the ``picture``, a withheld ``length``, the ``flag``,
            or something in the ``request`` that was not used.
        display: short name.
        definition: one sentence.
    """

    subject: Subject
    display: str
    definition: str


KINDS: Final[Mapping[str, ReasonKind]] = {
    "eye-hidden": ReasonKind(
        "length", "Eye hidden", "No eye is visible: glasses, hair or a hand may hide it."
    ),
    "no-pupil": ReasonKind("length", "Pupil unknown", "The pupil centre is neither given nor found."),
    "no-scale": ReasonKind("length", "No scale", "The number of millimetres per pixel is not known."),
    "pupil-unused": ReasonKind(
        "request", "Pupil not used", "A given pupil centre is not inside the eye of its side."
    ),
    "field-unused": ReasonKind("request", "Field not used", "A field of the form is not a parameter."),
    "too-small": ReasonKind("picture", "Too small", "The face has too few pixels."),
    "blurred": ReasonKind("picture", "Blurred", "The eyes are not sharp."),
    "turned": ReasonKind("picture", "Turned", "The head is turned to the side."),
    "tilted": ReasonKind("picture", "Tilted", "The head is tilted to a shoulder."),
    "nodded": ReasonKind("picture", "Nodded", "The chin is raised or lowered."),
    "eyes-closed": ReasonKind("picture", "Eyes closed", "Both eyes are closed, or nearly so."),
    "cut-off": ReasonKind("picture", "Cut off", "A part that has to be measured is outside the picture."),
    "damaged": ReasonKind(
        "picture", "Damaged file", "The image file is or may be damaged, so that measurements may be wrong."
    ),
    "looks-aside": ReasonKind("picture", "Looks aside", "Both eyes look to one side."),
    "looks-up": ReasonKind("picture", "Looks up", "Both eyes look up."),
    "looks-down": ReasonKind("picture", "Looks down", "Both eyes look down."),
    "squint": ReasonKind(
        "picture", "Eyes narrowed", "On both sides the lower lid is raised and the upper lid lowered."
    ),
    "smile": ReasonKind("picture", "Smile", "The mouth is stretched wide, which raises the lower lids."),
    "mouth-open": ReasonKind("picture", "Mouth open", "The mouth is wide open."),
    "brows-raised": ReasonKind("picture", "Brows raised", "Both brows are raised, which may lift the lids."),
    "brows-lowered": ReasonKind("picture", "Brows lowered", "Both brows are lowered, as in a frown."),
    "mrd1-functional": ReasonKind(
        "flag", "MRD1 functional", "MRD1 with its error band is at most the threshold of functional."
    ),
    "mrd1-suspicious": ReasonKind(
        "flag", "MRD1 suspicious", "MRD1 with its error band is at most the threshold of suspicious."
    ),
    "asymmetry": ReasonKind("flag", "Asymmetry", "One lid is lower than the other by more than the band."),
    "near-threshold": ReasonKind(
        "flag", "Near a threshold", "The error band crosses a threshold, so that both answers are possible."
    ),
    "band-too-wide": ReasonKind(
        "flag", "Band too wide", "The error band of a length is too wide to judge it."
    ),
    "not-judged": ReasonKind("flag", "Not judged", "A measurement that is needed is missing."),
}
"""Every code with its kind."""

WITHHOLD_JUDGEMENT: Final = ("looks-aside", "looks-up", "looks-down", "squint", "nodded")
"""Problems of the picture that leave the lengths but no judgement of them: the flag is ``undetermined``,
unless one lid is much lower than the other."""


def codes_of(*subjects: Subject) -> tuple[str, ...]:
    """Codes of the reasons of some subjects, in the order of ``KINDS``."""
    return tuple(code for code, kind in KINDS.items() if kind.subject in subjects)

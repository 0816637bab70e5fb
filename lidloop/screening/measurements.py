"""Types, definitions, units and sides of the measurements of a face.

Lengths are distances in pixels of the upright picture, and in millimetres if a scale is known. Sides are the
patient's: ``OD`` right, ``OS`` left. A measurement that is not reliable is withheld with a reason, never
estimated.

====================  ==========================================================================
``pfh``               palpebral fissure height: upper to lower lid margin, through the pupil centre
                      if the pupils of all measured eyes are known, else the mean of two openings
                      beside it, at the lid landmarks
``width``             inner to outer canthus
``mrd1``, ``mrd2``    pupil centre (corneal light reflex) to upper, to lower lid margin, along the
                      perpendicular to the line between the outer canthi; ``mrd1`` is negative where
                      the lid hangs below the pupil centre
``brow_lid``          centroid of the brow to centroid of the upper lid landmarks, always by landmarks
====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from lidloop.labels import Face, Floats

Side = Literal["OD", "OS"]
SIDES: Final[tuple[Side, Side]] = ("OD", "OS")
LENGTHS: Final = ("pfh", "width", "mrd1", "mrd2", "brow_lid")
"""Names of the lengths of an eye, as ``EyeMeasurement.lengths`` has them."""
DIFFERENCES: Final = ("pfh", "mrd1", "brow_lid")
"""Names of the lengths that are compared between the sides: OD minus OS."""

NOTICE: Final = (
    "Measurements from a photograph and a screening flag are not a diagnosis. They may be wrong; an "
    "examination decides."
)

IRIS_MM: Final = 11.7
"""Horizontal visible iris diameter of adults: 11.7 ± 0.5 mm."""
IRIS_RELATIVE_ERROR: Final = 0.5 / 11.7
CANTHAL_MM: Final = 90.0
"""Distance between the outer canthi of adults: about 90 mm ± 6 %."""
CANTHAL_RELATIVE_ERROR: Final = 0.06


@dataclass(frozen=True, slots=True)
class Length:
    """A measured length.

    Attributes:
        px: pixels of the upright picture.
        mm: millimetres, None without a scale.
        mm_error: half the width of the error band in millimetres, one standard error: the error of the scale
            and the error of the method, added in quadrature.
        method: ``pixels`` (a lid margin found in the pixels of the eye) or ``landmarks``.
    """

    px: float
    mm: float | None = None
    mm_error: float | None = None
    method: Literal["pixels", "landmarks"] = "landmarks"


@dataclass(frozen=True, slots=True)
class Reason:
    """Reason of a withheld measurement, a flag or a warning: a stable code (``reasons.KINDS``), and a
    sentence to show."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Pupil:
    """Pupil centre, x and y in pixels of the upright picture.

    Attributes:
        method: ``given`` by the caller, or ``fitted``: the centre of an iris circle found in the pixels.
        quality: 0…1; 1 for a given pupil.
        iris_radius: radius of the fitted iris in pixels, None for a given pupil without a fit.
    """

    x: float
    y: float
    method: Literal["given", "fitted"]
    quality: float
    iris_radius: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EyeMeasurement:
    """Measurements of one eye.

    Attributes:
        side: the patient's side.
        lengths: by name (``LENGTHS``); a missing name is in ``withheld``.
        height_to_width: ``pfh`` over ``width``, None if either is withheld.
        pupil: None if it is neither given nor found.
        upper_lid, lower_lid: (n, 2) lid margins from the outer to the inner canthus, for drawing, in pixels
            of the upright picture.
        lid_method: ``pixels`` if the margins were found in the pixels, else ``landmarks``.
        lid_quality: 0…1, quality of the margins found in the pixels; 0 for ``landmarks``.
        withheld: reason by name of a length: a problem of the picture (``FaceMeasurement.problems``),
            ``no-pupil``, or ``eye-hidden``.
    """

    side: Side
    lengths: Mapping[str, Length]
    height_to_width: float | None
    pupil: Pupil | None
    upper_lid: Floats
    lower_lid: Floats
    lid_method: Literal["pixels", "landmarks"]
    lid_quality: float
    withheld: Mapping[str, Reason]


@dataclass(frozen=True, slots=True)
class Scale:
    """Millimetres per pixel, the method that gave them, and their relative error (0.06 is ± 6 %)."""

    mm_per_px: float
    method: Literal["given", "iris", "outer-canthal"]
    relative_error: float


@dataclass(frozen=True, slots=True)
class Flag:
    """A screening flag, never a diagnosis.

    Attributes:
        level: ``none``, ``suspicious``, ``functional``, or ``undetermined`` if the picture or the error bands
            of the lengths carry no judgement.
        sides: flagged sides.
        reasons: the findings with their figures, or the reasons of ``undetermined`` with what to do.
    """

    level: Literal["none", "suspicious", "functional", "undetermined"]
    sides: tuple[Side, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FaceMeasurement:
    """All measurements of one face.

    Attributes:
        face: box, score and 51 landmarks, as detected.
        eyes: by patient's side.
        differences: OD minus OS by name (``DIFFERENCES``), of the values in ``eyes``; missing if a side is
            withheld.
        roll: degrees from the picture's horizontal to the line between the outer canthi, positive where
            the picture's right one is lower.
        yaw: -1…1, where the nose tip falls on the line between the outer canthi; a proxy, not an angle.
        scale: None if no scale is known.
        problems: problems of the picture of this face, by the codes of ``lidloop.screening.reasons``. Empty
            for a usable picture.
        flag: see ``Flag``.
    """

    face: Face
    eyes: Mapping[Side, EyeMeasurement]
    differences: Mapping[str, Length]
    roll: float
    yaw: float
    scale: Scale | None
    problems: tuple[Reason, ...]
    flag: Flag

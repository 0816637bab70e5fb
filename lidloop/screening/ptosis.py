"""Measurement of one face: lengths by the patient's side, pose, scale, picture quality and flag.

``lidloop.screening.measurements`` defines the measurements. Lid margins and irises are refined in the pixels
of the eye (``lidloop.eyes``) if the quality suffices; else the landmarks are used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import LidloopError
from lidloop.labels import Face, Floats
from lidloop.landmarks import (
    N_POINTS,
    Eye,
    brow_lid_distance,
    outer_canthal_distance,
    patient_eyes,
    roll_degrees,
    yaw_proxy,
)
from lidloop.screening.bands import differences_of, length_of
from lidloop.screening.eye_reading import EyeReading, read_eyes
from lidloop.screening.flags import flag_with_problems
from lidloop.screening.measurements import (
    LENGTHS,
    SIDES,
    EyeMeasurement,
    FaceMeasurement,
    Reason,
    Scale,
    Side,
)
from lidloop.screening.quality import (
    blurred,
    closed,
    cut_off,
    eye_points,
    seen,
    sharpness,
    tilted,
    too_small,
    turned,
)
from lidloop.screening.rest import face_problems, gaze_problem, nod_problem, squint_problem
from lidloop.screening.scale import scale_of
from lidloop.screening.thresholds import Thresholds

_LIDS: Final = ("pfh", "mrd1", "mrd2")
_WITHHELD_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "too-small": LENGTHS,
    "blurred": _LIDS,
    "turned": LENGTHS,
    "tilted": LENGTHS,
    "eyes-closed": (*_LIDS, "brow_lid"),
}
_NO_PUPIL: Final = Reason("no-pupil", "the pupil centre was not given, and no iris was found reliably")
_HIDDEN: Final = Reason("eye-hidden", "the eye is not visible: glasses, hair or a hand may cover it")


@dataclass(frozen=True, slots=True, eq=False)
class _FaceContext:
    """Values that both eyes of a face share: landmarks, visibility, scale and picture problems.

    ``through_pupil`` is False if PFH is measured beside the pupil although the pupil is known: the other eye
    has no pupil, and its PFH is to be compared.
    """

    points: Floats
    visible: NDArray[np.bool_]
    canthal: float
    down: Floats
    scale: Scale | None
    problems: tuple[Reason, ...]
    through_pupil: bool


def measure_face(
    image: NDArray[np.uint8],
    face: Face,
    *,
    mirrored: bool = False,
    mm_per_px: float | None = None,
    pupils: Mapping[Side, tuple[float, float]] | None = None,
    thresholds: Thresholds | None = None,
    factor: float = 1.0,
    damage: Reason | None = None,
) -> FaceMeasurement:
    """Measure one face.

    Args:
        image: (h, w, 3) uint8 RGB, upright.
        face: as detected in it.
        mirrored: the picture was mirrored, as by a selfie camera.
        mm_per_px: millimetres per pixel of the picture at the face, where known.
        pupils: pupil centres (x, y) by patient's side; one that lies in no eye of this face is not used.
        thresholds: thresholds of the flag in millimetres.
        factor: pixels of the file per pixel of ``image``, for the sizes in reason texts.
        damage: damage of the image file, if any; the face is then never flagged ``none``.

    Raises:
        LidloopError: for points that are not (51, 3) finite numbers, or a scale that is not positive.
    """
    points = _checked(face, mm_per_px)
    sides: dict[Side, Eye] = {side: patient_eyes(mirrored=mirrored)[side] for side in SIDES}
    visible = seen(points, (image.shape[1], image.shape[0]))
    whole = {side: bool(visible[eye_points(eye)].all()) for side, eye in sides.items()}
    canthal = float(outer_canthal_distance(points))
    roll, yaw = (float(np.nan_to_num(value)) for value in (roll_degrees(points), yaw_proxy(points)))
    read = read_eyes(image, points, sides, pupils or {}, canthal=canthal, whole=whole)
    checks = (damage, cut_off(visible), too_small(canthal, factor), turned(yaw), tilted(roll),
              blurred(_sharpest(image, points, sides, whole)), closed(_ratios(read, whole)))  # fmt: skip
    problems = tuple(reason for reason in checks if reason is not None)
    span, down = _canthal_line(read, sides, points)
    scale = scale_of(mm_per_px, [r.pupil for r in read.values() if r.pupil is not None], span, yaw)
    both = all(reading.heights(reading.method, down) is not None for reading in read.values())
    alone = any(not whole[side] or read[side].hidden for side in SIDES)
    context = _FaceContext(points, visible, canthal, down, scale, problems, both or alone)
    eyes = {side: _measure_eye(side, sides[side], read[side], context) for side in SIDES}
    differences = differences_of(eyes, scale, canthal)
    posture = (gaze_problem(eyes), squint_problem(eyes, canthal), nod_problem(points))
    rest = [reason for reason in posture if reason is not None] + face_problems(points, sides, canthal)
    if not any(eye.lengths for eye in eyes.values()):
        rest = []  # too small or turned: nothing more can be said about the picture
    problems = (*problems, *rest)
    flag = flag_with_problems(eyes, differences, problems, thresholds or Thresholds())
    return FaceMeasurement(face, eyes, differences, roll, yaw, scale, problems, flag)


def _checked(face: Face, mm_per_px: float | None) -> Floats:
    points = np.asarray(face.points, dtype=np.float64)
    if points.shape != (N_POINTS, 3) or not np.isfinite(points).all():
        raise LidloopError(
            f"expected ({N_POINTS}, 3) finite landmarks, got {points.shape} with "
            f"{int((~np.isfinite(points)).sum())} that are not finite"
        )
    if mm_per_px is not None and not (math.isfinite(mm_per_px) and mm_per_px > 0):
        raise LidloopError(f"mm_per_px must be a positive number, got {mm_per_px}")
    return points


def _sharpest(
    image: NDArray[np.uint8], points: Floats, sides: Mapping[Side, Eye], whole: Mapping[Side, bool]
) -> float | None:
    """Sharpness of the sharper eye, None if no eye is entirely in the picture."""
    found = [sharpness(image, points, eye) for side, eye in sides.items() if whole[side]]
    return max((value for value in found if value is not None), default=None)


def _ratios(read: Mapping[Side, EyeReading], whole: Mapping[Side, bool]) -> list[float]:
    """Height over width of each visible eye."""
    return [
        reading.beside_pupil(reading.method) / width
        for side, reading in read.items()
        if whole[side] and not reading.hidden and (width := reading.canthi_px(reading.method)) > 0
    ]


def _canthal_line(
    read: Mapping[Side, EyeReading], sides: Mapping[Side, Eye], points: Floats
) -> tuple[float, Floats]:
    """Distance between the outer canthi in pixels, and the unit vector down from their line.

    The canthi are those found in the pixels if both were found, else the landmarks.
    """
    ends = {}
    both = all(reading.pixels is not None for reading in read.values())
    for side, reading in read.items():
        pixels = reading.pixels
        ends[side] = pixels.upper[0] if both and pixels is not None else points[sides[side].outer, :2]
    left, right = sorted(sides, key=lambda side: sides[side].outer)
    across = ends[right] - ends[left]
    length = float(np.linalg.norm(across))
    if length == 0:
        return 0.0, np.array([0.0, 1.0])
    return length, np.array([-across[1], across[0]]) / length


def _measure_eye(side: Side, eye: Eye, reading: EyeReading, context: _FaceContext) -> EyeMeasurement:
    method = reading.method
    px, withheld = _lengths_px(eye, reading, context)
    if not context.visible[eye_points(eye)].all():
        withheld = {name: _outside("the eye") for name in LENGTHS}
    elif reading.hidden:
        withheld = dict.fromkeys(LENGTHS, _HIDDEN)
    elif not context.visible[list(eye.brow)].all():
        withheld["brow_lid"] = _outside("the brow")
    for reason in context.problems:
        for name in _WITHHELD_BY.get(reason.code, ()):
            withheld.setdefault(name, reason)
    lengths = {
        name: length_of(
            px[name], "landmarks" if name == "brow_lid" else method, context.scale, context.canthal
        )
        for name in LENGTHS
        if name not in withheld
    }
    ratio = px["pfh"] / px["width"] if {"pfh", "width"} <= lengths.keys() and px["width"] > 0 else None
    margins = reading.margins(method)
    return EyeMeasurement(
        side,
        lengths,
        ratio,
        reading.pupil,
        margins.upper,
        margins.lower,
        method,
        reading.lid_quality,
        withheld,
    )


def _lengths_px(
    eye: Eye, reading: EyeReading, context: _FaceContext
) -> tuple[dict[str, float], dict[str, Reason]]:
    method = reading.method
    px = {
        "pfh": reading.pfh(method, context.down) if context.through_pupil else reading.beside_pupil(method),
        "width": reading.canthi_px(method),
        "brow_lid": float(brow_lid_distance(context.points, eye)),
    }
    heights = reading.heights(method, context.down)
    if heights is None:
        return px, {"mrd1": _NO_PUPIL, "mrd2": _NO_PUPIL}
    px["mrd1"], px["mrd2"] = heights
    return px, {}


def _outside(part: str) -> Reason:
    return Reason("cut-off", f"{part} is not entirely in the picture")

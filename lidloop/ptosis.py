"""What is measured on a face: lengths by the patient's side, pose, scale, quality and flag.

The definitions stand in ``lidloop.measurements``, whose types are offered here too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lidloop.errors import LidloopError
from lidloop.eyes.margins import Margins, heights_at, margins_from_landmarks
from lidloop.flags import flag_of
from lidloop.labels import Face, Floats
from lidloop.landmarks import (
    N_POINTS,
    Eye,
    brow_lid_distance,
    eye_width,
    lid_opening,
    outer_canthal_distance,
    patient_eyes,
    roll_degrees,
    yaw_proxy,
)
from lidloop.measurements import (
    CANTHAL_MM,
    CANTHAL_RELATIVE_ERROR,
    DIFFERENCES,
    IRIS_MM,
    IRIS_RELATIVE_ERROR,
    LENGTHS,
    NOTICE,
    SIDES,
    EyeMeasurement,
    FaceMeasurement,
    Flag,
    Length,
    Pupil,
    Reason,
    Scale,
    Side,
    Thresholds,
)
from lidloop.quality import blurred, closed, cut_off, eye_points, seen, sharpness, tilted, too_small, turned
from lidloop.scale import scale_of

__all__ = [
    "CANTHAL_MM",
    "CANTHAL_RELATIVE_ERROR",
    "DIFFERENCES",
    "IRIS_MM",
    "IRIS_RELATIVE_ERROR",
    "LENGTHS",
    "NOTICE",
    "SIDES",
    "EyeMeasurement",
    "FaceMeasurement",
    "Flag",
    "Length",
    "Pupil",
    "Reason",
    "Scale",
    "Side",
    "Thresholds",
    "measure_face",
]

METHOD_ERROR: Final[Mapping[str, float]] = {"landmarks": 0.02}
"""Error of a length over the outer-canthal distance, by its method."""
_WITHHELD_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "too-small": LENGTHS,
    "blurred": ("pfh", "mrd1", "mrd2"),
    "turned": LENGTHS,
    "tilted": LENGTHS,
    "eyes-closed": ("pfh", "mrd1", "mrd2", "brow_lid"),
}
_NO_PUPIL: Final = Reason(
    "no-pupil", "the pupil centre is not known: the landmarks do not contain it, and it was not given"
)


def measure_face(
    image: NDArray[np.uint8],
    face: Face,
    *,
    mirrored: bool = False,
    mm_per_px: float | None = None,
    pupils: Mapping[Side, tuple[float, float]] | None = None,
    thresholds: Thresholds | None = None,
) -> FaceMeasurement:
    """Measure one face.

    Args:
        image: (h, w, 3) uint8 RGB, upright.
        face: as detected in it.
        mirrored: the picture was mirrored, as by a selfie camera.
        mm_per_px: millimetres per pixel of the picture at the face, where known.
        pupils: pupil centres (x, y) by patient's side; one that lies in no eye of this face is not used.
        thresholds: when an eye is flagged.

    Raises:
        LidloopError: for points that are not (51, 3) finite numbers, or a scale that is not positive.
    """
    points = np.asarray(face.points, dtype=np.float64)
    if points.shape != (N_POINTS, 3) or not np.isfinite(points).all():
        raise LidloopError(
            f"expected ({N_POINTS}, 3) finite landmarks, got {points.shape} with "
            f"{int((~np.isfinite(points)).sum())} that are not finite"
        )
    if mm_per_px is not None and not (math.isfinite(mm_per_px) and mm_per_px > 0):
        raise LidloopError(f"mm_per_px must be a positive number, got {mm_per_px}")
    sides: dict[Side, Eye] = {side: patient_eyes(mirrored=mirrored)[side] for side in SIDES}
    visible = seen(points, (image.shape[1], image.shape[0]))
    canthal = float(outer_canthal_distance(points))
    roll, yaw = (float(np.nan_to_num(value)) for value in (roll_degrees(points), yaw_proxy(points)))
    down = np.array([-math.sin(math.radians(roll)), math.cos(math.radians(roll))])
    known = {side: _given_pupil(points, eye, (pupils or {}).get(side)) for side, eye in sides.items()}
    scale = scale_of(mm_per_px, [p for p in known.values() if p], canthal, yaw)
    problems = _problems(image, points, sides, visible, canthal=canthal, roll=roll, yaw=yaw)
    eyes = {
        side: _measure_eye(
            side, eye, points, known[side], visible=visible, down=down, problems=problems, scale=scale,
            canthal=canthal,
        )
        for side, eye in sides.items()
    }  # fmt: skip
    differences = _differences(eyes, scale, canthal)
    flag = flag_of(eyes, differences, thresholds or Thresholds())
    return FaceMeasurement(face, eyes, differences, roll, yaw, scale, problems, flag)


def _given_pupil(points: Floats, eye: Eye, centre: tuple[float, float] | None) -> Pupil | None:
    """The caller's pupil where it lies in this eye: within half its width of the middle of the canthi."""
    if centre is None:
        return None
    middle = points[[eye.outer, eye.inner], :2].mean(axis=0)
    if not float(np.linalg.norm(np.array(centre) - middle)) < 0.5 * float(eye_width(points, eye)):
        return None
    return Pupil(float(centre[0]), float(centre[1]), "given", 1.0)


def _problems(
    image: NDArray[np.uint8],
    points: Floats,
    sides: Mapping[Side, Eye],
    visible: NDArray[np.bool_],
    *,
    canthal: float,
    roll: float,
    yaw: float,
) -> tuple[Reason, ...]:
    whole = [eye for eye in sides.values() if visible[eye_points(eye)].all()]
    sharp = [value for eye in whole if (value := sharpness(image, points, eye)) is not None]
    ratios = [
        float(lid_opening(points, eye) / width) for eye in whole if (width := eye_width(points, eye)) > 0
    ]
    found = (
        cut_off(visible), too_small(canthal), turned(yaw), tilted(roll), blurred(max(sharp, default=None)),
        closed(ratios),
    )  # fmt: skip
    return tuple(reason for reason in found if reason is not None)


def _measure_eye(
    side: Side,
    eye: Eye,
    points: Floats,
    pupil: Pupil | None,
    *,
    visible: NDArray[np.bool_],
    down: Floats,
    problems: tuple[Reason, ...],
    scale: Scale | None,
    canthal: float,
) -> EyeMeasurement:
    margins = margins_from_landmarks(points, eye)
    px, withheld = _lengths_px(points, eye, margins, pupil, down)
    if not visible[eye_points(eye)].all():
        withheld = {name: _hidden("the eye") for name in LENGTHS}
    elif not visible[list(eye.brow)].all():
        withheld["brow_lid"] = _hidden("the brow")
    for reason in problems:
        for name in _WITHHELD_BY.get(reason.code, ()):
            withheld.setdefault(name, reason)
    lengths = {name: _length(px[name], scale, canthal) for name in LENGTHS if name not in withheld}
    ratio = px["pfh"] / px["width"] if {"pfh", "width"} <= lengths.keys() and px["width"] > 0 else None
    return EyeMeasurement(
        side, lengths, ratio, pupil, margins.upper, margins.lower, "landmarks", 0.0, withheld
    )  # fmt: skip


def _lengths_px(
    points: Floats, eye: Eye, margins: Margins, pupil: Pupil | None, down: Floats
) -> tuple[dict[str, float], dict[str, Reason]]:
    px = {
        "pfh": float(lid_opening(points, eye)),
        "width": float(eye_width(points, eye)),
        "brow_lid": float(brow_lid_distance(points, eye)),
    }
    heights = None if pupil is None else heights_at(margins, np.array([pupil.x, pupil.y]), down)
    if heights is None:
        return px, {"mrd1": _NO_PUPIL, "mrd2": _NO_PUPIL}
    px["mrd1"], px["mrd2"] = heights
    px["pfh"] = max(0.0, sum(heights))
    return px, {}


def _hidden(what: str) -> Reason:
    return Reason("cut-off", f"{what} is not wholly in the picture")


def _length(px: float, scale: Scale | None, canthal: float) -> Length:
    if scale is None:
        return Length(px)
    own = METHOD_ERROR["landmarks"] * canthal * scale.mm_per_px
    mm = px * scale.mm_per_px
    return Length(px, mm, math.hypot(mm * scale.relative_error, own))


def _differences(
    eyes: Mapping[Side, EyeMeasurement], scale: Scale | None, canthal: float
) -> dict[str, Length]:
    """OD minus OS. The method's error enters once per side."""
    out = {}
    for name in DIFFERENCES:
        od, os_ = (eyes[side].lengths.get(name) for side in SIDES)
        if od is not None and os_ is not None:
            out[name] = _length(od.px - os_.px, scale, math.sqrt(2) * canthal)
    return out

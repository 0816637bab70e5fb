"""Lower the upper lid of a photographed eye by a known number of pixels.

The skin above the lid margin is moved down over the globe, the lashes with it: rigidly near the margin, less
and less towards the brow, where nothing moves. Every column of pixels, along the face's own vertical, is
moved by itself; the movement has its full size at the pupil and ends at the canthi. The lower lid, the canthi
and the rest of the picture keep their pixels exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from lidloop.errors import LidloopError
from lidloop.eyes.margins import Margins, margins_from_landmarks
from lidloop.labels import Floats
from lidloop.landmarks import LEFT_EYE, RIGHT_EYE, Eye, outer_canthal_distance, patient_eyes
from lidloop.screening.measurements import CANTHAL_MM, SIDES, Side

RIGID: Final = 0.022
"""Skin above the margin that moves by the full amount, over the outer-canthal distance: 2 mm, lid skin."""
LASHES: Final = 0.008
"""Band below the margin that moves too, over the outer-canthal distance: 0.7 mm. It holds the lash line, and
the margin itself where the given one lies a little too high; a wider one takes the iris along."""
MIN_STRETCH: Final = 3.0
"""Least height over which the skin is stretched, in movements: at 3 it is stretched to twice its height at
most. Where the brow is lower than that, the brow moves a little too."""


@dataclass(frozen=True, slots=True)
class Lowering:
    """Lowering of the lid of one side.

    Attributes:
        px: movement of the upper margin at the pupil, in pixels along the face's vertical.
        mm: the same in millimetres, by outer canthi ``CANTHAL_MM`` apart.
        opening_px: distance of the margins at the pupil before.
    """

    px: float
    mm: float
    opening_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A picture with lowered lids: (h, w, 3) uint8 RGB, and what was done to each side."""

    image: NDArray[np.uint8]
    truth: Mapping[Side, Lowering]


def canthal_px_per_mm(points: Floats) -> float:
    """Pixels per millimetre by the outer canthi of (51, 2+) landmarks, taken as ``CANTHAL_MM`` apart."""
    return float(outer_canthal_distance(points)) / CANTHAL_MM


def lower_lids(
    image: NDArray[np.uint8],
    points: Floats,
    by_px: Mapping[Side, float],
    *,
    margins: Mapping[Side, Margins] | None = None,
    pupils: Mapping[Side, tuple[float, float]] | None = None,
    mirrored: bool = False,
) -> Lowered:
    """Lower upper lids; the same picture and numbers give the same result, and 0 px the same pixels.

    Args:
        image: (h, w, 3) uint8 RGB, upright; it is not changed.
        points: (51, 2+) landmarks in its pixels, as a person set them or a model found them.
        by_px: movement in pixels by the patient's side; sides that are missing stay as they are.
        margins: lid margins by side; those through the landmarks if not given.
        pupils: where the movement is ``by_px``, as (x, y); half-way between the canthi if not given.
        mirrored: the picture was mirrored.

    Raises:
        LidloopError: for a negative movement, or one that would close the eye altogether.
    """
    out = image
    truth: dict[Side, Lowering] = {}
    eyes = patient_eyes(mirrored=mirrored)
    per_mm = canthal_px_per_mm(points)
    for side in SIDES:
        if side not in by_px:
            continue
        eye = eyes[side]
        curves = margins_from_landmarks(points, eye) if margins is None else margins[side]
        pupil = None if pupils is None else pupils.get(side)
        out, opening = _lower(out, points, eye, curves, pupil, by_px[side])
        truth[side] = Lowering(by_px[side], by_px[side] / per_mm, opening)
    return Lowered(out, truth)


def _lower(
    image: NDArray[np.uint8],
    points: Floats,
    eye: Eye,
    margins: Margins,
    pupil: tuple[float, float] | None,
    by: float,
) -> tuple[NDArray[np.uint8], float]:
    across = points[RIGHT_EYE.outer, :2] - points[LEFT_EYE.outer, :2]
    canthal = float(np.linalg.norm(across))
    if canthal <= 0:
        raise LidloopError("the outer canthi coincide, so the face has no vertical")
    along = across / canthal
    down = np.array([-along[1], along[0]])
    origin = margins.upper[[0, -1]].mean(axis=0)
    upper, lower = (_as_function(curve, origin, along, down) for curve in (margins.upper, margins.lower))
    centre = 0.0 if pupil is None else float((np.array(pupil) - origin) @ along)
    opening = float(np.interp(centre, *lower) - np.interp(centre, *upper))
    if by < 0 or not by < opening:
        raise LidloopError(f"a lid {opening:.1f} px above the other cannot be lowered by {by:.1f} px")
    if by == 0:
        return image.copy(), opening
    brow = _as_function(points[list(eye.brow), :2], origin, along, down)
    first, last = max(upper[0][0], lower[0][0]), min(upper[0][-1], lower[0][-1])
    box, u, v = _grid(image, origin, along, down, (first, last), canthal, float(lower[1].max()))
    at_upper = np.interp(u, *upper)
    room = np.maximum(np.interp(u, *lower) - at_upper, 0) * ((u > first) & (u < last))
    move = by * _profile(room / opening, opening / by)
    above = at_upper + move - v
    rigid, lashes = RIGID * canthal, np.minimum(LASHES * canthal, 0.5 * (room - move))
    reach = np.maximum(at_upper - np.interp(u, *brow), rigid + MIN_STRETCH * move)
    falling = _smooth(1 - (above - rigid) / np.maximum(reach - rigid, 1e-6))
    source = v - move * falling
    x = origin[0] + u * along[0] + source * down[0]
    y = origin[1] + u * along[1] + source * down[1]
    patch = image[box]
    at = x.astype(np.float32), y.astype(np.float32)
    moved = cv2.remap(image, *at, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
    soft = np.maximum(0.5 * lashes, 0.5)
    cover = _smooth((above + lashes) / soft + 0.5)
    cover = np.where((move > 1e-3) & (falling > 0), cover, 0.0)[..., None]
    blended = np.clip(np.round(cover * moved + (1 - cover) * patch), 0, 255).astype(np.uint8)
    out = image.copy()
    out[box] = blended
    return out, opening


def _as_function(curve: Floats, origin: Floats, along: Floats, down: Floats) -> tuple[Floats, Floats]:
    """A margin as height over the way along the face's horizontal, both from ``origin``, rising in the
    first."""
    u, v = (curve - origin) @ along, (curve - origin) @ down
    order = np.argsort(u, kind="stable")
    return u[order], v[order]


def _grid(
    image: NDArray[np.uint8],
    origin: Floats,
    along: Floats,
    down: Floats,
    ends: tuple[float, float],
    canthal: float,
    lowest: float,
) -> tuple[tuple[slice, slice], Floats, Floats]:
    """The pixels around an eye: slices of the picture, and their positions along and down from ``origin``."""
    corners = np.array(
        [origin + u * along + v * down for u in ends for v in (-0.35 * canthal, lowest + 0.02 * canthal)]
    )
    low = np.clip(np.floor(corners.min(axis=0)), 0, np.array(image.shape[1::-1])).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, np.array(image.shape[1::-1])).astype(int)
    ys, xs = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float64)
    relative = np.stack([xs, ys], axis=-1) - origin
    return (slice(low[1], high[1]), slice(low[0], high[0])), relative @ along, relative @ down


def _profile(room: Floats, depth: float) -> Floats:
    """Share of the movement for an opening that is ``room`` of the one at the pupil.

    1 at the pupil and wherever the eye is wider, 0 at the canthi; flat in the middle if the movement is at
    most half of the opening (``depth`` 2 or more), and never more than the opening.
    """
    room = np.minimum(room, 1.0)
    flat = min(1.0, max(0.0, depth - 1))
    return room * (1 + flat * (1 - room))


def _smooth(t: Floats) -> Floats:
    """Smooth step from 0 at 0 to 1 at 1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)

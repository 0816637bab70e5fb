"""The 51-landmark scheme: iBUG-68 without the jaw. The only module with landmark indices.

``left`` and ``right`` in names are sides of the picture. In an unmirrored photograph the eye at the left of
the picture is the patient's right eye (OD).

Source of the 68-point scheme: Sagonas et al., 300 Faces in-the-Wild Challenge (ICCV-W 2013).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lidloop.errors import LidloopError

N_POINTS: Final = 51
N_IBUG: Final = 68
N_JAW: Final = 17

GROUPS: Final[dict[str, range]] = {
    "left_brow": range(0, 5),
    "right_brow": range(5, 10),
    "nose_bridge": range(10, 14),
    "nose_base": range(14, 19),
    "left_eye": range(19, 25),
    "right_eye": range(25, 31),
    "outer_lip": range(31, 43),
    "inner_lip": range(43, 51),
}

_EYE_PARTS = ("outer_canthus", "upper_lid_outer", "upper_lid_inner",
              "inner_canthus", "lower_lid_inner", "lower_lid_outer")  # fmt: skip
_RIGHT_EYE_PARTS = ("inner_canthus", "upper_lid_inner", "upper_lid_outer",
                    "outer_canthus", "lower_lid_outer", "lower_lid_inner")  # fmt: skip


def _names() -> tuple[str, ...]:
    names: list[str] = []
    for group, indices in GROUPS.items():
        if group == "left_eye":
            names += [f"left_eye_{part}" for part in _EYE_PARTS]
        elif group == "right_eye":
            names += [f"right_eye_{part}" for part in _RIGHT_EYE_PARTS]
        else:
            names += [f"{group}_{k}" for k in range(len(indices))]
    return tuple(names)


NAMES: Final[tuple[str, ...]] = _names()

FLIP: Final[tuple[int, ...]] = (
    9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    10, 11, 12, 13, 18, 17, 16, 15, 14,
    28, 27, 26, 25, 30, 29, 22, 21, 20, 19, 24, 23,
    37, 36, 35, 34, 33, 32, 31, 42, 41, 40, 39, 38,
    47, 46, 45, 44, 43, 50, 49, 48,
)  # fmt: skip
"""Permutation for a mirrored picture, ``points[FLIP]``: Ultralytics' ``flip_idx``."""


class Eye(NamedTuple):
    """Landmark indices of the eye at the left or right of the picture."""

    outer: int
    inner: int
    lid_pairs: tuple[tuple[int, int], ...]
    """Opposite (upper, lower) lid points."""
    brow: range


NOSE_TIP: Final = GROUPS["nose_bridge"][-1]
MOUTH_CORNERS: Final = (31, 37)
LEFT_EYE: Final = Eye(outer=19, inner=22, lid_pairs=((20, 24), (21, 23)), brow=GROUPS["left_brow"])
RIGHT_EYE: Final = Eye(outer=28, inner=25, lid_pairs=((26, 30), (27, 29)), brow=GROUPS["right_brow"])


def patient_eyes(*, mirrored: bool = False) -> dict[str, Eye]:
    """Return the eyes by the patient's side: ``OD`` (right) and ``OS`` (left).

    Args:
        mirrored: True for a mirrored picture, as from a selfie camera.
    """
    od, os_ = (RIGHT_EYE, LEFT_EYE) if mirrored else (LEFT_EYE, RIGHT_EYE)
    return {"OD": od, "OS": os_}


def from_ibug68(points: ArrayLike) -> NDArray[np.float64]:
    """Drop the 17 jaw points. Takes (68, d) or (51, d), returns (51, d).

    Raises:
        LidloopError: for any other number of points.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] not in (N_IBUG, N_POINTS):
        raise LidloopError(f"expected {N_IBUG} or {N_POINTS} points, got an array of shape {array.shape}")
    return array[N_JAW:] if array.shape[0] == N_IBUG else array


def outer_canthal_distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance between the outer canthi, in the unit of ``points``: (..., 51, 2+) to (...)."""
    distance: NDArray[np.float64] = np.linalg.norm(
        points[..., LEFT_EYE.outer, :2] - points[..., RIGHT_EYE.outer, :2], axis=-1
    )
    return distance


def lid_opening(points: NDArray[np.float64], eye: Eye) -> NDArray[np.float64]:
    """Palpebral fissure height (PFH) of an eye: the mean length of its two lid pairs, (..., 51, 2+) to (...).

    The scheme has no lid point above the pupil; the mean of the two pairs beside it is used.
    """
    upper = points[..., [pair[0] for pair in eye.lid_pairs], :2]
    lower = points[..., [pair[1] for pair in eye.lid_pairs], :2]
    opening: NDArray[np.float64] = np.linalg.norm(upper - lower, axis=-1).mean(axis=-1)
    return opening


def eye_width(points: NDArray[np.float64], eye: Eye) -> NDArray[np.float64]:
    """Palpebral fissure width: distance of inner and outer canthus, (..., 51, 2+) to (...)."""
    width: NDArray[np.float64] = np.linalg.norm(
        points[..., eye.outer, :2] - points[..., eye.inner, :2], axis=-1
    )
    return width


def brow_lid_distance(points: NDArray[np.float64], eye: Eye) -> NDArray[np.float64]:
    """Distance of the centroids of brow and upper lid points: (..., 51, 2+) to (...)."""
    brow = points[..., list(eye.brow), :2].mean(axis=-2)
    lid = points[..., [upper for upper, _ in eye.lid_pairs], :2].mean(axis=-2)
    distance: NDArray[np.float64] = np.linalg.norm(brow - lid, axis=-1)
    return distance


def roll_degrees(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Roll angle in degrees: from the horizontal to the line between the outer canthi, positive where the
    right one is lower. (..., 51, 2+) to (...); NaN where both coincide."""
    axis = points[..., RIGHT_EYE.outer, :2] - points[..., LEFT_EYE.outer, :2]
    roll = np.degrees(np.arctan2(axis[..., 1], axis[..., 0]))
    return np.where((axis**2).sum(axis=-1) > 0, roll, np.nan)


def yaw_proxy(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Position of the nose tip on the line between the outer canthi: -1 at the left one, 0 midway,
    1 at the right one; a proxy, not an angle. (..., 51, 2+) to (...); NaN where both coincide."""
    left, right = points[..., LEFT_EYE.outer, :2], points[..., RIGHT_EYE.outer, :2]
    axis = right - left
    along = ((points[..., NOSE_TIP, :2] - left) * axis).sum(axis=-1)
    length = (axis**2).sum(axis=-1)
    share = np.divide(along, length, out=np.full(np.shape(length), np.nan), where=length > 0)
    return np.asarray(2 * share - 1, dtype=np.float64)


def pitch_proxy(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Position of the nose tip between the line of the outer canthi and the mouth's corners, both
    measured across that line: larger for a face that looks down; a proxy, not an angle. (..., 51, 2+) to
    (...); NaN where the mouth lies on the line, or the canthi coincide."""
    left, right = points[..., LEFT_EYE.outer, :2], points[..., RIGHT_EYE.outer, :2]
    axis = right - left
    across = np.stack([-axis[..., 1], axis[..., 0]], axis=-1)
    nose = ((points[..., NOSE_TIP, :2] - left) * across).sum(axis=-1)
    mouth = ((points[..., list(MOUTH_CORNERS), :2].mean(axis=-2) - left) * across).sum(axis=-1)
    share = np.divide(nose, mouth, out=np.full(np.shape(nose), np.nan), where=mouth != 0)
    return np.asarray(share, dtype=np.float64)
